"""The JAT model: read `jat.py` first."""

from jatlab.model.attention import DualAttention, KeyValueCache
from jatlab.model.jat import JatModel, JatOutput

__all__ = ["DualAttention", "JatModel", "JatOutput", "KeyValueCache"]
