"""The one way to refuse bad input."""

import math
import operator
import re
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

type_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)  # which takes a millisecond
KINDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
    Mapping: "a mapping",
    type(None): "none",
}


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


def positive_number(value: Any, name: str) -> float:
    """A number as a float. Raises `ValueError`, which says the `name`, unless it is above 0."""
    number = float(value) if isinstance(value, Real) else math.nan
    wanted = f"{name} is {value!r}: expected a number above 0"
    require(math.isfinite(number) and number > 0, wanted)
    return number


def regular_expressions(patterns: Iterable[str], name: str) -> list[re.Pattern[str]]:
    """Regular expressions, compiled. Raises `ValueError`, with the `name`, for one that is none."""
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        wrong = f"{name}: {error.pattern!r} is no regular expression ({error})"
        raise ValueError(f"{wrong}; put \\ before a sign that stands for itself") from None


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


def check_fields(instance: Any) -> None:
    """Raise `ValueError` unless every field of a dataclass holds a value of its type.

    A float may be any finite number; an int may be of NumPy, but no bool. NumPy's numbers become
    Python's, which files can hold. The entries of lists and mappings are checked as well.
    """
    for name, hint in type_hints(type(instance)).items():
        value = checked(getattr(instance, name), hint, name)
        object.__setattr__(instance, name, value)  # of a frozen one too


def checked(value: Any, hint: Any, where: str) -> Any:
    """The value, with Python's numbers in place of NumPy's.

    Raises `ValueError`, which begins with ``where``, unless it is of the annotated type.
    """
    kinds = _kinds(hint)
    wanted = " or ".join(KINDS[kind] for kind, _ in kinds)
    found = [parts for kind, parts in kinds if _is_of(value, kind)]
    require(found or not kinds, f"{where} is {shortened(value)}: expected {wanted}")
    plain = value.item() if isinstance(value, np.generic) else value
    return _checked_parts(plain, found[0], where) if found else plain


def shortened(value: Any) -> str:
    """A value as a message shows it, in at most some 80 characters."""
    try:
        text = repr(value)
    except Exception:  # what somebody's __repr__ raises
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _kinds(hint: Any) -> list[tuple[Any, tuple]]:
    """The types of an annotation, each with the annotations of its parts; [] for Any."""
    if hint is Any:
        return []
    union = get_origin(hint) in (Union, types.UnionType)
    return [
        (get_origin(one) or one, get_args(one)) for one in (get_args(hint) if union else (hint,))
    ]


def _is_of(value: Any, kind: Any) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and _is_finite(value)
    return isinstance(value, list | tuple if kind is tuple else kind)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that is too large for a float
        return False


def _checked_parts(value: Any, parts: tuple, where: str) -> Any:
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        require(not wrong, f"{where} has a key {shortened(wrong[:1])}: expected text")
        part = parts[1] if parts else Any
        return {key: checked(one, part, f"{where}[{key!r}]") for key, one in value.items()}
    if isinstance(value, list | tuple) and parts:
        each = parts * len(value) if len(parts) == 1 else parts
        expected = f"expected {len(each)} entries"
        require(len(value) == len(each), f"{where} is {shortened(value)}: {expected}")
        pairs = zip(value, each, strict=True)
        return [checked(one, part, f"an entry of {where}") for one, part in pairs]
    return value
