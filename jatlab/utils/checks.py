"""The one way to refuse bad input."""


def require(condition: object, message: str) -> None:
    """Raise `ValueError(message)` unless `condition` holds.

    The message names the value, what was expected, and what to do.
    """
    if not condition:
        raise ValueError(message)
