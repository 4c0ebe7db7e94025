"""The trunk's linear layers: torch's, with products for acting on a CPU, and in 8-bit integers."""
