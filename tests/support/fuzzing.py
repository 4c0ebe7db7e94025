"""Fuzzing: generated cases for a door of jatlab, each with an outcome that is right or a sentence.

`make test` tries some 500 cases, the same ones every time. `make fuzz` tries forty times as many,
others each time, and prints how many there were of each outcome::

    @fuzz(50)
    @given(value=JUNK)
    def test_a_field(value):
        kind, found = outcome("settings", build, value)
        ...

A case that takes longer than `LIMIT` fails as one that hangs.
"""

import os
import re
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("JATLAB_FUZZ", "1"))
LIMIT = 60  # seconds, of a case: far more than any takes on a busy machine
COUNTS: Counter[tuple[str, str]] = Counter()  # cases by door and outcome
REFUSALS = (ValueError, OSError)  # what a door may raise
# what Python and libraries say where nobody has checked
INSIDE = re.compile(
    r"has no attribute|not subscriptable|unhashable|'NoneType'|index out of range|Traceback|"
    r"unexpected keyword|positional argument|not supported between|not iterable|"
    r"object is not callable|internal error|^'[a-z0-9-]+' codec"
)


def fuzz(cases: int) -> Callable:
    """Run a Hypothesis test so often in `make test`, and forty times as often in `make fuzz`."""
    options = settings(
        max_examples=cases * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: pytest.mark.fuzz(pytest.mark.slow(options(test)))


def outcome(
    door: str, call: Callable, *arguments: object, refusals: tuple = REFUSALS
) -> tuple[str, object]:
    """("right", what the call returned) or ("refused", a sentence); anything else fails.

    The caller compares what is right with a plain computation.
    """
    try:
        with limit():
            found = "right", call(*arguments)
    except refusals as error:
        assert_sentence(str(error), error)
        found = "refused", str(error)
    COUNTS[door, found[0]] += 1
    return found


@contextmanager
def limit(seconds: int = LIMIT) -> Iterator[None]:
    """Fail the block if it hangs."""

    def hangs(signum, frame):
        raise AssertionError(f"no outcome after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def assert_sentence(message: str, error: BaseException | None = None) -> None:
    """The message is one of ours: short, and not what a library says inside."""
    where = "".join(traceback.format_exception(error)[-3:]) if error else ""
    assert 10 < len(message) < 1500, f"{message!r}\n{where}"
    assert not INSIDE.search(message), f"{message!r}\n{where}"


# --- values of any type ---

WHOLE = st.one_of(
    st.integers(-3, 300), st.sampled_from([2**31, 2**63, -(2**63), 10**30, 2**20, 2**20 + 1])
)
REAL = st.one_of(
    st.floats(-2, 2), st.sampled_from([float("nan"), float("inf"), 1e400, 1e-320, -0.0, 1e38])
)
TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "nan", "auto", "../x", "a\x00b", "\ud800", "babyai-*", "[", "~", "é" * 400]
    ),
)
PLAIN = st.one_of(st.none(), st.booleans(), WHOLE, REAL, TEXT)
JUNK = st.one_of(
    PLAIN,
    st.lists(PLAIN, max_size=3),
    st.dictionaries(TEXT, PLAIN, max_size=2),
    st.builds(np.float32, st.floats(-2, 2, width=32)),
    st.builds(np.int64, st.integers(-3, 300)),
    st.just(object()),
)
JSON = st.recursive(
    PLAIN,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(TEXT, one, max_size=3),
    max_leaves=6,
)
