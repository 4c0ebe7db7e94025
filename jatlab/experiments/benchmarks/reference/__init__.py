"""jatlab against the published way, and against the limits of the machine."""
