"""How answers are judged, whatever the lesson."""

import sys
from functools import partial
from types import ModuleType

import numpy as np
import pytest

from jatlab.lessons import Exercise, check, expect, get_exercise, harness, verdict


def double(x):
    return 2 * x


def check_double(f):
    expect(f(2) == 4, "f(2) should be 4")
    expect(f(3) == 6, "squared instead of doubled?")


def again(x):
    return x + x


def check_both(first, second=None):
    check_double(first)
    expect(second is None or second(2) == 4, "f(2) should be 4")


def exercise(solution, check, **more):
    return Exercise(1, 1, 5, solution, check, **more)


@pytest.fixture(autouse=True)
def lesson(monkeypatch):
    """A lesson 99 with an exercise, and one in two steps."""
    module = ModuleType("jatlab.lessons.lesson99")
    steps = exercise((double, again), check_both, steps=("double", "again"))
    module.EXERCISES = {"99.1": exercise(double, check_double), "99.2": steps}
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(harness, "find_spec", lambda name: name == module.__name__ or None)


def test_right_and_wrong_answers():
    assert verdict("99.1", double) == ""
    assert verdict("99.1", lambda x: x * x) == "squared instead of doubled?"
    assert verdict("99.1", lambda x: 5) == "f(2) should be 4"


@pytest.mark.parametrize("stub", [None, ..., lambda x: None, lambda x: ...])
def test_unfilled_stubs_are_not_called_wrong(stub):
    assert verdict("99.1", stub).startswith("nothing there yet")


def test_unfinished_function():
    def raises(x):
        raise NotImplementedError

    assert verdict("99.1", raises).startswith("nothing there yet")


def test_errors_of_the_readers_code_are_told():
    said = verdict("99.1", lambda x: x.size)
    assert said == "your code raised AttributeError: 'int' object has no attribute 'size'"


def yields_an_error(x):
    yield 1 / 0


def test_errors_while_a_generator_runs_are_told():
    assert (
        verdict("99.1", yields_an_error) == "your code raised ZeroDivisionError: division by zero"
    )


def test_an_error_without_words_is_told():
    class Silent(Exception):
        def __str__(self):
            raise self

    def answer(x):
        raise Silent

    assert verdict("99.1", answer) == "your code raised Silent: an error that cannot be printed"


def test_a_long_verdict_loses_its_middle():
    def answer(x):
        raise ValueError("9" * 5000 + " is too large")

    said = verdict("99.1", answer)
    assert len(said) < 700 and said.startswith("your code raised ValueError: 99")
    assert said.endswith("99 is too large") and " … " in said


def test_an_error_of_the_check_is_not_the_readers():
    said = verdict("99.1", lambda x: np.zeros(2))
    assert said.startswith(harness.UNREADABLE) and "your code" not in said


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((4,), 'check("99.1", your_function); yours is 4'),
        ((double, double), "takes 1 answer(s), not 2"),
        ((), "takes 1 answer(s), not 0"),
        ((lambda x: (None, 1),), "nothing there yet"),
        ((lambda x: [..., ...],), "nothing there yet"),
    ],
)
def test_answers_of_the_wrong_kind(answers, message):
    assert message in verdict("99.1", *answers)


def test_methods_and_partial_functions_are_called_too():
    assert verdict("99.1", partial(lambda a, x: a * x, 2)) == ""
    assert verdict("99.1", (2).__mul__) == ""


def test_check_prints(capsys):
    check("99.1", double)
    check("99.1", lambda x: 5)
    assert capsys.readouterr().out.splitlines() == [
        "✔ 99.1 is right",
        "✘ 99.1 not yet: f(2) should be 4",
    ]


def test_an_exercise_in_steps_takes_first_answers_alone(capsys):
    check("99.2", double)
    check("99.2", double, lambda x: 5)
    check("99.2", double, 3)
    check("99.2", double, double, double)
    assert capsys.readouterr().out.splitlines() == [
        "✔ 99.2, step 1 of 2, is right",
        "✘ 99.2 not yet: f(2) should be 4",
        '✘ 99.2 not yet: give the function itself, check("99.2", your_function); yours is 3',
        "✘ 99.2 not yet: this exercise takes 2 answer(s), not 3",
    ]
    assert get_exercise("99.2").source(2).startswith("def again(x)")


def typed(words: list[np.ndarray], *, level: float = 0.5) -> dict[str, int]:
    """Counts."""
    found: dict[str, int] = {}  # none yet
    return found


def test_a_solution_is_shown_without_types():
    shown = exercise(typed, check_double).source().splitlines()
    assert shown[0] == "def typed(words, *, level=0.5):"
    assert shown[2] == "    found = {}  # none yet"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("99.3", "no exercise '99.3'; this lesson has 99.1, 99.2"),
        ("98.1", "no lesson '98'"),
        ("one", "no lesson 'one'"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(ValueError, match=message):
        get_exercise(name)
