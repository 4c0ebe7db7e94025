"""The JAT model: read `jat.py` first."""

from jatlab.model.attention import DualAttention, KeyValueCache
from jatlab.model.jat import JatModel, JatOutput
from jatlab.utils.machine import limit_threads

__all__ = ["DualAttention", "JatModel", "JatOutput", "KeyValueCache"]

# before the first computation: in a container torch would start a thread for each core of the host
limit_threads()
