"""Training one agent on many tasks: read `trainer.py` first, then `setup.py`."""
