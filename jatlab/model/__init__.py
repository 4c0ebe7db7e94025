"""The JAT model: read `jat.py` first.

The names are loaded on first use: reading a configuration needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jatlab.model.attention import DualAttention, KeyValueCache
    from jatlab.model.inputs.batch import JatOutput
    from jatlab.model.jat import JatModel
    from jatlab.model.objectives import Objective

_HOME = {
    "DualAttention": "jatlab.model.attention",
    "JatModel": "jatlab.model.jat",
    "JatOutput": "jatlab.model.inputs.batch",
    "KeyValueCache": "jatlab.model.attention",
    "Objective": "jatlab.model.objectives",
}

__all__ = ["DualAttention", "JatModel", "JatOutput", "KeyValueCache", "Objective"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'jatlab.model' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
