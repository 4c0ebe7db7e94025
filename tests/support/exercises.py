"""Tests for each solution and each wrong answer of a lesson, and for answers of any type.

In ``tests/lessons/test_lesson01.py``::

    from tests.support.exercises import exercise_tests

    # an answer is a tuple where the check takes several
    WRONG = {"01.1": [(wrong_answer, "fragment of the message"), ...], ...}
    RIGHT = {"01.1": [another_way_to_write_it, ...], ...}
    test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
        exercise_tests("01", WRONG, RIGHT)
    )
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from jatlab.lessons import exercises, verdict
from jatlab.lessons.harness import UNREADABLE
from tests.support.fuzzing import COUNTS, TIMES

RIGHT_ANSWERS, WRONG_ANSWERS = 3, 4  # of each exercise, at least


def exercise_tests(
    lesson: str, wrong: dict[str, list[tuple]], right: dict[str, list]
) -> tuple[Callable, ...]:
    """The tests of a lesson.

    Solutions and other right answers pass, in every container and type. Wrong answers are told
    their mistake. Any answer of any type ends in a sentence. There are enough right and wrong ones.
    """
    known = exercises(lesson)
    passing = [(name, one.answers) for name, one in known.items()]
    passing += [(name, answer) for name, answers in right.items() for answer in answers]
    failing = [(name, *case) for name, cases in wrong.items() for case in cases]

    @pytest.mark.parametrize(("name", "answer"), passing)
    def test_right_answer(name, answer):
        answers = as_tuple(answer)
        for step in range(1, len(answers)) if known[name].steps else ():
            assert verdict(name, *answers[:step]) == ""
        assert verdict(name, *answers) == ""

    @pytest.mark.parametrize(("name", "answer", "fragment"), failing)
    def test_wrong_answer(name, answer, fragment):
        assert fragment in verdict(name, *as_tuple(answer))

    @pytest.mark.parametrize("container", CONTAINERS)
    @pytest.mark.parametrize("name", known)
    def test_any_container(name, container):
        convert = CONTAINERS[container]
        answers = [
            (lambda *given, one=one: restyled(one(*given), convert)) if callable(one) else one
            for one in known[name].answers
        ]
        assert verdict(name, *answers) == ""

    @pytest.mark.fuzz
    @pytest.mark.parametrize("name", known)
    @settings(max_examples=25 if TIMES == 1 else 75, database=None)
    @given(data=st.data())
    def test_anything(name, data):
        COUNTS["exercises", "refused"] += 1
        junk, calls = anything(data), data.draw(st.integers(0, 5))
        assert_sentence(verdict(name, *(then(one, calls, junk) for one in known[name].answers)))
        if not callable(junk):
            assert_sentence(verdict(name, *[junk for _ in known[name].answers]))

    def test_coverage():
        assert len(known) >= 3 and all(one.source() for one in known.values())
        assert all(len(one.steps) in (0, len(one.answers)) for one in known.values())
        scales = [scale for one in known.values() for scale in (one.difficulty, one.importance)]
        assert all(scale in range(1, 6) for scale in scales)
        assert set(wrong) == set(right) == set(known)
        assert all(1 + len(answers) >= RIGHT_ANSWERS for answers in right.values())
        assert all(len(cases) >= WRONG_ANSWERS for cases in wrong.values())
        assert all(fragment for cases in wrong.values() for _, fragment in cases)

    return test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage


def anything(data: st.DataObject) -> object:
    """A value of any type; the odd ones by number, because Hypothesis prints what it draws."""
    odd = data.draw(st.integers(0, 2 * len(ODD)))
    return ODD[odd] if odd < len(ODD) else data.draw(ANYTHING)


def as_tuple(answer: object) -> tuple:
    return answer if isinstance(answer, tuple) else (answer,)


def then(right: object, calls: int, junk: object) -> object:
    """A function that answers rightly so many times, and from then on with ``junk``."""
    if not callable(right):
        return junk
    left = [calls]

    def answer(*arguments):
        left[0] -= 1
        return right(*arguments) if left[0] >= 0 else junk

    return answer


def assert_sentence(said: str) -> None:
    assert isinstance(said, str) and len(said) < 700
    assert UNREADABLE not in said
    assert not said.startswith("your code raised")


# --- the same answer in other containers ---


def restyled(value: object, convert: Callable) -> object:
    """The answer with its arrays and numbers as ``convert`` writes them; all else stays."""
    if isinstance(value, str | bytes) or value is None or callable(value):
        return value
    if isinstance(value, tuple | list) and any(isinstance(one, str) for one in value):
        return value
    if isinstance(value, Mapping):
        return {key: restyled(one, convert) for key, one in value.items()}
    if isinstance(value, tuple | list) and any(np.ndim(one) for one in value):
        return type(value)(restyled(one, convert) for one in value)
    return convert(value)


def as_tensor(value: object, dtype: torch.dtype) -> torch.Tensor:
    tensor = torch.as_tensor(np.asarray(value))
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def as_list(value: object) -> object:
    return np.asarray(value).tolist()


def as_float32(value: object) -> np.ndarray:
    found = np.asarray(value)
    return found.astype(np.float32) if found.dtype.kind == "f" else found


CONTAINERS = {
    "float64 tensors": lambda value: as_tensor(value, torch.float64),
    "float32 tensors": lambda value: as_tensor(value, torch.float32),
    "tensors with gradients": lambda value: (
        as_tensor(value, torch.float64).requires_grad_()
        if np.asarray(value).dtype.kind == "f"
        else torch.as_tensor(value)
    ),
    "float64 arrays": np.asarray,
    "float32 arrays": as_float32,
    "lists": as_list,
    "tuples": lambda value: tuple(as_list(value)) if np.ndim(value) else as_list(value),
    "generators": lambda value: (one for one in as_list(value)) if np.ndim(value) else value,
    "lists of tensors": lambda value: (
        [torch.as_tensor(one) for one in as_list(value)] if np.ndim(value) else value
    ),
}

# --- answers of any type ---


class Hostile:
    """An object that nothing can be done with."""

    def _refuse(self, *args, **kwargs):
        raise ValueError("hostile")

    __repr__ = __str__ = __len__ = __iter__ = __eq__ = __bool__ = __float__ = _refuse
    __array__ = __getitem__ = _refuse
    __hash__ = None


REALS = st.floats(allow_nan=True, allow_infinity=True)
DTYPES = st.sampled_from([np.float32, np.float64, np.int8, np.uint64, np.bool_])
ARRAYS = DTYPES.flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=4))
)
ODD = [
    (),
    [],
    {},
    set(),
    b"bytes",
    object(),
    Hostile(),
    len,
    int,
    float("nan"),
    10**400,
    Decimal("0.5"),
    1j,
    range(3),
    slice(2),
    np.array(["a", "b"]),
    np.array([1, None], dtype=object),
    np.array("2020-01-01", dtype="datetime64[D]"),
    np.ma.masked_array([1.0, 2.0], [True, False]),
    [[1, 2], [3]],
    [1, "two"],
    [Hostile()],
    [torch.zeros(2), torch.zeros(3)],
    torch.zeros(3, dtype=torch.bfloat16),
    torch.zeros(2, dtype=torch.complex64),
    torch.eye(2).to_sparse(),
    torch.zeros(2, device="meta"),
    {"global": 1, "local": Hostile()},
    {"grid": "a", "arm": None},
    {"observation": np.zeros(2), "observation_size": [4], "action": Hostile(), "action_size": 1j},
    {1: 2},
]
SCALARS = st.one_of(st.booleans(), st.integers(), REALS, st.text(max_size=5))
ANYTHING = st.one_of(
    SCALARS,
    ARRAYS,
    ARRAYS.filter(lambda a: a.dtype != np.uint64).map(torch.as_tensor),
    st.recursive(SCALARS, lambda one: st.lists(one, max_size=4), max_leaves=8),
    st.tuples(ARRAYS, ARRAYS),
    st.tuples(REALS, REALS),
    st.tuples(REALS, REALS, REALS),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=3),
)
