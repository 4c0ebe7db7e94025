"""How answers are judged, whatever the lesson."""

import sys
from types import ModuleType

import pytest

from jatlab.lessons import Exercise, check, expect, get_exercise, harness, solution, verdict


def double(x):
    return 2 * x


def check_double(f):
    expect(f(2) == 4, "f(2) should be 4")
    expect(f(3) == 6, "squared instead of doubled?")


@pytest.fixture(autouse=True)
def lesson(monkeypatch):
    """A lesson 99 with one exercise."""
    module = ModuleType("jatlab.lessons.lesson99")
    module.EXERCISES = {"99.1": Exercise(minutes=5, solution=double, check=check_double)}
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


def test_check_and_solution_print(capsys):
    check("99.1", double)
    check("99.1", lambda x: 5)
    solution("99.1")
    assert capsys.readouterr().out.splitlines() == [
        "✔ 99.1 is right",
        "✘ 99.1 not yet: f(2) should be 4",
        "def double(x):",
        "    return 2 * x",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("99.2", "no exercise '99.2'; this lesson has 99.1"),
        ("98.1", "no lesson '98'"),
        ("one", "no lesson 'one'"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(ValueError, match=message):
        get_exercise(name)
