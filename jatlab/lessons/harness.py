"""The harness of the exercises: an answer goes in, a verdict comes out.

Each lesson has a module, ``lesson01.py`` and so on, that ends in ``EXERCISES = {"01.1":
Exercise(...), ...}``. The tests run its solutions and typical wrong answers
(``tests/lessons``). A reader uses two functions in a notebook::

    check("01.1", my_function)   # right, or the probable mistake
    solution("01.1")             # the code of one right answer
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

RIGHT, NOT_YET = "✔", "✘"

# A reader's function. It may return anything: the check has to look at the value.
Answer = Callable[..., Any]


class Wrong(AssertionError):
    """An answer is wrong; the message names the probable mistake."""


class Unfilled(Exception):
    """A reader's function was called before it was filled in."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: a solution, and a check that names the probable mistake.

    Attributes:
        minutes: How long a reader may need.
        solution: One right answer: a function, or a tuple where the check takes several answers.
        check: Takes the answers and raises `Wrong` (through `expect`) for the first mistake.
        shown: The code to print, where the source of ``solution`` does not say it.
    """

    minutes: int
    solution: object
    check: Callable[..., None]
    shown: str = ""

    @property
    def answers(self) -> tuple:
        """What a reader with the right answers would give to the check."""
        return self.solution if isinstance(self.solution, tuple) else (self.solution,)

    def source(self) -> str:
        """The solution's code."""
        if self.shown:
            return textwrap.dedent(self.shown).strip()
        return "\n".join(
            inspect.getsource(a).rstrip() if callable(a) else repr(a) for a in self.answers
        )


def expect(condition: object, message: str) -> None:
    """Raise `Wrong` with ``message``, the probable mistake, unless ``condition`` holds."""
    if not condition:
        raise Wrong(message)


def numbers(answer: Any, *names: str) -> list[float]:
    """The answer as floats, one for each of ``names``, from any container.

    Raises:
        Wrong: The answer is not so many numbers.
    """
    expect(
        np.shape(answer) == (len(names),),
        f"return {', '.join(names)}, one number each; yours is {answer!r}",
    )
    return [float(number) for number in answer]


def exercises(lesson: str) -> dict[str, Exercise]:
    """The exercises of a lesson, "00" to "12", by name.

    Raises:
        ValueError: There is no such lesson.
    """
    module = f"{__package__}.lesson{lesson}"
    if not lesson.isdigit() or find_spec(module) is None:
        raise ValueError(f"there is no lesson {lesson!r} with exercises; lessons are 00 to 12")
    return import_module(module).EXERCISES


def get_exercise(name: str) -> Exercise:
    """The exercise called ``name``, such as "01.2".

    Raises:
        ValueError: The name is unknown; the message lists those of the lesson.
    """
    known = exercises(name.split(".")[0])
    if name not in known:
        raise ValueError(f"there is no exercise {name!r}; this lesson has {', '.join(known)}")
    return known[name]


def verdict(name: str, *answers: object) -> str:
    """What is wrong with the answers to an exercise; "" if they are right.

    An error that the reader's code raises becomes part of the verdict.
    """
    exercise = get_exercise(name)
    if any(answer is None or answer is ... for answer in answers):
        return "nothing there yet: put your answer where the three dots are"
    try:
        exercise.check(*map(_noticing_stubs, answers))
    except Unfilled:
        return (
            "nothing there yet: your function returns None; "
            "fill it in, and do not forget its `return`"
        )
    except Wrong as wrong:
        return str(wrong)
    except Exception as error:  # the reader's own code may raise anything
        return f"your code raised {type(error).__name__}: {error}"
    return ""


def check(name: str, *answers: object) -> None:
    """Print whether the answers to an exercise are right, and if not, the probable mistake."""
    wrong = verdict(name, *answers)
    print(f"{NOT_YET} {name} not yet: {wrong}" if wrong else f"{RIGHT} {name} is right")


def solution(name: str) -> None:
    """Print the code of one right answer."""
    print(get_exercise(name).source())


def _noticing_stubs(answer: object) -> object:
    """A function that raises `Unfilled` instead of returning None; anything else unchanged."""
    if not inspect.isfunction(answer):
        return answer

    def answer_or_unfilled(*args: object, **kwargs: object) -> object:
        try:
            value = answer(*args, **kwargs)
        except NotImplementedError as error:
            raise Unfilled from error
        if value is None or value is ...:
            raise Unfilled
        return value

    return answer_or_unfilled
