"""Playing yourself: what actions are called, their keys, and a terminal to play in."""
