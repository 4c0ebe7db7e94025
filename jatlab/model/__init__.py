"""The JAT model: read `jat.py` first."""
