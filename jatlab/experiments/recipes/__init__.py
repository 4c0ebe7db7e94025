"""The recipes of the agents that ship: `demo` and `mini`, and the `stages` that both share."""
