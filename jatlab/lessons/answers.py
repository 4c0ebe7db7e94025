"""What a reader's answer says, whatever it is written in.

The one place that turns an answer into numbers: NumPy arrays, tensors of any type and device,
lists, tuples, generators, booleans and numbers of any kind give the same array. What holds no
numbers ends in `Wrong`, with a sentence.
"""

from __future__ import annotations

import numbers as number_types
from collections import deque
from collections.abc import Callable, Collection, ItemsView, Iterator, KeysView, Mapping, ValuesView
from decimal import Decimal
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor

LONGEST = 100_000  # items that a generator may yield

# A reader's function. It may return anything: the check has to look at the value.
Answer = Callable[..., Any]


class Wrong(AssertionError):
    """An answer is wrong; the message names the probable mistake."""


def expect(condition: object, message: str) -> None:
    """Raise `Wrong` with ``message``, the probable mistake, unless ``condition`` holds."""
    if not condition:
        raise Wrong(message)


def array(answer: object, wanted: str = "numbers are asked for") -> np.ndarray:
    """The answer as an array, int64 for integers and booleans, float64 for other numbers.

    Raises:
        Wrong: The answer holds anything else; the message is ``wanted`` and what came instead.
    """
    try:
        found = np.asarray(_plain(answer))
        if found.dtype.kind == "O" and all(map(_is_real, found.flat)):
            found = found.astype(np.float64)  # integers beyond 64 bits, fractions
        if found.dtype.kind in "biu":
            return found.astype(np.int64)
        if found.dtype.kind == "f":
            return found.astype(np.float64)
    except Exception:  # ragged lists, tensors without data, objects that refuse: no numbers
        pass
    raise Wrong(f"{wanted}; yours is {kind(answer)}")


def number(
    answer: object, wanted: str = "return one number", hint: str = "do you divide by 0?"
) -> float:
    """The answer as a finite float: a number, or an array or a tensor that holds one.

    Args:
        answer: What the reader's function returned.
        wanted: The beginning of the message where it is anything else.
        hint: Added where it is infinite or NaN: the probable reason.

    Returns:
        The number.

    Raises:
        Wrong: The answer is not one number, or it is infinite or NaN.
    """
    expect(not isinstance(answer, list | tuple), f"{wanted}; yours is {kind(answer)}")
    found = array(answer, wanted)
    expect(found.size == 1, f"{wanted}; yours is {kind(answer)}")
    value = float(found.reshape(-1)[0])
    expect(np.isfinite(value), f"{wanted}; yours is {value}: {hint}")
    return value


def whole(answer: object, wanted: str = "return a whole number") -> int:
    """The answer as an integer; 3.0 counts as 3.

    Raises:
        Wrong: The answer is not one whole number.
    """
    value = number(answer, wanted)
    expect(value == int(value), f"{wanted}; yours is {value}")
    return int(value)


def numbers(answer: object, *names: str) -> list[float]:
    """The answer as finite floats, one for each of ``names``, from any container.

    Raises:
        Wrong: The answer is not so many numbers.
    """
    wanted = f"return {', '.join(names)}, one number each"
    found = array(answer, wanted)
    expect(found.shape == (len(names),), f"{wanted}; yours is {kind(answer)}")
    expect(np.isfinite(found).all(), f"{wanted}; yours are {found.tolist()}")
    return found.astype(np.float64).tolist()


def parts(answer: object, count: int, wanted: str) -> list[np.ndarray]:
    """The ``count`` arrays of an answer, in a list, a tuple or stacked in one array.

    Raises:
        Wrong: There are not so many, or one of them holds no numbers.
    """
    values = listed(answer)
    stacked = isinstance(values, Tensor | np.ndarray) and values.ndim > 0
    sized = stacked or isinstance(values, list | tuple)
    expect(sized and len(values) == count, f"{wanted}; yours is {kind(values)}")
    return [array(values[index], wanted) for index in range(count)]


def named(answer: object, names: Collection[str], wanted: str) -> dict[str, Any]:
    """The answer as a dict with exactly the keys ``names``; its values stay unread.

    Raises:
        Wrong: It is no dict, or has other keys.
    """
    alike = isinstance(answer, Mapping) and set(answer) == set(names)
    expect(alike, f"{wanted}; yours is {kind(answer)}")
    return dict(answer)  # type: ignore[call-overload]  # a mapping, as just checked


def near(found: object, right: object) -> bool:
    """Whether two arrays have one shape and agree as closely as float32 can tell; never for NaN."""
    a, b = np.asarray(_plain(found)), np.asarray(_plain(right))
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-5))


def listed(value: object) -> Any:
    """What a generator yields, or a view or a queue holds, as a list; anything else unchanged.

    Raises:
        ValueError: A generator does not end.
    """
    if not isinstance(value, Iterator | KeysView | ValuesView | ItemsView | deque):
        return value
    items = list(islice(value, LONGEST + 1))
    if len(items) > LONGEST:
        raise ValueError(f"what it yields does not end after {LONGEST:,} items")
    return items


def kind(value: object) -> str:
    """A few words for a reader's value, short and safe to print whatever it is."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**60 else "a huge int"
        return text if len(text) <= 60 else f"{text[:57]}…"
    name = type(value).__name__
    if isinstance(value, Tensor | np.ndarray):
        noun = "a tensor" if isinstance(value, Tensor) else "an array"
        return f"{noun} of shape {tuple(value.shape)} and type {value.dtype}"
    if type(value) in (list, tuple, set, frozenset, dict):
        return f"a {name} of {len(value)}"  # type: ignore[arg-type]  # all of them have a length
    return f"of type {name}"


def _plain(value: Any) -> Any:
    """The value with every tensor in it as an array on the CPU, and every generator as a list."""
    value = listed(value)
    if isinstance(value, Tensor):
        if value.is_complex():
            raise TypeError("complex numbers")
        dense = value.detach().cpu().to_dense()
        return (dense.double() if dense.is_floating_point() else dense).numpy()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _is_real(value: object) -> bool:
    return isinstance(value, number_types.Real | Decimal | np.bool_)
