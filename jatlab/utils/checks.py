"""The one way to refuse bad input."""

import math
import operator
from numbers import Real
from typing import Any


def require(condition: object, message: str) -> None:
    """Raise `ValueError(message)` unless `condition` holds.

    The message names the value, what was expected, and what to do.
    """
    if not condition:
        raise ValueError(message)


def whole_number(value: Any, name: str, least: int | None = 0) -> int:
    """An integer of Python's, from one of any kind (NumPy's too).

    Raises `ValueError`, which says the `name`, unless the value is whole and at least `least`.
    """
    wanted = "a whole number" if least is None else f"a whole number of at least {least:,}"
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}: expected {wanted}") from None
    require(least is None or number >= least, f"{name} is {value!r}: expected {wanted}")
    return number


def check_temperature(value: Any) -> float:
    """A temperature as a number; 0 means always the likeliest choice.

    Raises `ValueError` for a negative number, NaN, infinity and what is no number.
    """
    number = float(value) if isinstance(value, Real) else math.nan
    require(
        math.isfinite(number) and number >= 0,
        f"temperature is {value!r}: expected 0 (always the likeliest choice) or a positive number",
    )
    return number
