"""Figures and videos, a module a subject; the report and the player are folders of their own.

`export_html` makes a page of an episode. It is loaded on first use, so that a figure alone needs
none of what the page needs.
"""

from importlib import import_module
from typing import Any

_HOME = dict.fromkeys(("EpisodePage", "export_html"), "jatlab.viz.web.export")

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(
            f"module 'jatlab.viz' has no attribute {name!r}; it offers {', '.join(sorted(_HOME))}"
        )
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
