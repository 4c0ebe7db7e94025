"""The recipes of two agents, `demo` and `mini` (which ships), and the `stages` that both share."""
