"""The JAT model: read `jat.py` first."""

from jatlab.machine import limit_threads
from jatlab.model.attention import DualAttention, KeyValueCache
from jatlab.model.jat import JatModel, JatOutput

__all__ = ["DualAttention", "JatModel", "JatOutput", "KeyValueCache"]

limit_threads()  # before the first computation: in a container torch would start a thread for each core of the host
