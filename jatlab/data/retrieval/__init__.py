"""Nearest timesteps among demonstrations: the exact search, and the index of a task's episodes."""
