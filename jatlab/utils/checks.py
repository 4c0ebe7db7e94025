"""The one way to refuse bad input: a condition, and the sentence that the user reads when it does
not hold.
"""


def require(condition: object, message: str) -> None:
    """Raise ``ValueError(message)`` unless ``condition`` holds.

    The message names the value, what was expected, and what to do.
    """
    if not condition:
        raise ValueError(message)
