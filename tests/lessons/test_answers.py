"""Answers are read whatever they are written in; what holds no numbers ends in a sentence."""

from collections import deque
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from jatlab.lessons.answers import Wrong, array, kind, listed, named, near, number, parts, whole

ONE_TWO = [
    [1, 2],
    (1.0, 2.0),
    deque([1, 2]),
    {"a": 1, "b": 2}.values(),
    range(1, 3),
    np.array([1, 2], dtype=np.uint8),
    np.array([1, 2], dtype=np.float16),
    torch.tensor([1, 2], dtype=torch.bfloat16),
    torch.tensor([1.0, 2.0], requires_grad=True),
    torch.tensor([1.0, 2.0]).to_sparse(),
    [torch.tensor(1), np.float32(2)],
    [Fraction(1), Decimal(2)],
]


@pytest.mark.parametrize("answer", ONE_TWO, ids=lambda answer: type(answer).__name__)
def test_arrays_come_from_any_container(answer):
    assert array(answer).tolist() == [1, 2]


def test_arrays_come_from_generators_too():
    assert array(one for one in (True, False)).tolist() == [1, 0]
    assert array([(one for one in (1, 2)), [3, 4]]).tolist() == [[1, 2], [3, 4]]


def test_integers_and_real_numbers_are_told_apart():
    assert array(torch.tensor([True])).dtype == np.int64
    assert array([1.0]).dtype == array(torch.zeros(1)).dtype == np.float64


NO_NUMBERS = [
    None,
    "12",
    1j,
    [[1, 2], [3]],
    {"a": 1},
    {1, 2},
    object(),
    len,
    torch.zeros(2, device="meta"),
    torch.zeros(2, dtype=torch.complex64),
    np.array(["a"]),
]


@pytest.mark.parametrize("answer", NO_NUMBERS, ids=lambda answer: type(answer).__name__)
@pytest.mark.parametrize("read", [array, number, whole])
def test_what_holds_no_numbers_is_told(read, answer):
    with pytest.raises(Wrong, match="give x; yours is "):
        read(answer, "give x")


@pytest.mark.parametrize("one", [3, 3.0, np.float32(3), torch.tensor(3), torch.tensor([[3.0]])])
def test_one_number_may_be_in_a_tensor(one):
    assert number(one) == whole(one) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([3], "a list of 1"),
        (torch.zeros(2), r"a tensor of shape \(2,\)"),
        (float("nan"), "yours is nan: do you divide by 0"),
        (10**400, "a huge int|inf"),
    ],
)
def test_more_than_one_number_and_nan_are_told(answer, message):
    with pytest.raises(Wrong, match=message):
        number(answer)


def test_whole_numbers():
    with pytest.raises(Wrong, match="yours is 2.5"):
        whole(2.5)


def test_parts_may_be_stacked():
    for answer in ([[1, 2], [3, 4]], torch.tensor([[1, 2], [3, 4]]), (np.array([1, 2]), (3, 4))):
        assert [part.tolist() for part in parts(answer, 2, "two")] == [[1, 2], [3, 4]]
    for answer in (np.zeros(3), np.array(0.0), 5, "ab", {"a": 1, "b": 2}):
        with pytest.raises(Wrong, match="give two; yours is"):
            parts(answer, 2, "give two")


def test_dicts_need_their_keys():
    assert named({"b": 1, "a": 2}, ("a", "b"), "a dict") == {"a": 2, "b": 1}
    for answer in ({"a": 1}, ["a", "b"], None):
        with pytest.raises(Wrong, match="a dict; yours is"):
            named(answer, ("a", "b"), "a dict")


def test_near_needs_one_shape_and_no_nan():
    assert near(torch.tensor([1 / 3]), [0.33333333])
    assert not near([1.0, 1.0], 1.0) and not near(np.nan, np.nan) and not near(1.0, 1.001)


def test_a_generator_without_an_end_is_told():
    def forever():
        while True:
            yield 1

    with pytest.raises(ValueError, match="does not end after 100,000"):
        listed(forever())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        ("x" * 99, "'" + "x" * 56 + "…"),
        (np.zeros((2, 1)), "an array of shape (2, 1) and type float64"),
        ([1], "a list of 1"),
        (10**99, "a huge int"),
        (len, "of type builtin_function_or_method"),
    ],
)
def test_values_are_named_in_a_few_words(value, words):
    assert kind(value) == words
