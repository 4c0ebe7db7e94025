"""The lessons' exercises: checks that name the probable mistake, and solutions on demand.

Each lesson has a module, ``lesson01.py`` and so on, that ends in ``EXERCISES = {"01.1":
Exercise(...), ...}``. Its solutions are code under test, and so are typical
wrong answers (``tests/exercises``). In a notebook::

    check("01.1", my_function)   # right, or what is probably wrong
    solution("01.1")             # the code of one right answer
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np

RIGHT, NOT_YET = "✔", "✘"


class Wrong(AssertionError):
    """An answer is wrong; the message names the probable mistake."""


@dataclass(frozen=True)
class Exercise:
    """``solution``: a function, or a tuple of what `check` takes; ``check``: takes the answers and
    calls `expect`; ``minutes``: what it may take.

    ``shown``: the solution's code as text, where the source of ``solution`` does not say it.
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


def expect(condition, message: str) -> None:
    """Raise `Wrong` with ``message``, the probable mistake, unless ``condition`` holds."""
    if not condition:
        raise Wrong(message)


def numbers(answer, *names: str) -> list[float]:
    """The answer as floats, one for each of ``names``. Raises `Wrong` if it is not so many numbers,
    in whatever container.
    """
    expect(
        np.shape(answer) == (len(names),),
        f"return {', '.join(names)}, one number each; yours is {answer!r}",
    )
    return [float(number) for number in answer]


def exercises(lesson: str) -> dict[str, Exercise]:
    """The exercises of a lesson, "00" to "12", by name. Raises `ValueError` if there is no such
    lesson.
    """
    module = f"{__name__}.lesson{lesson}"
    if not lesson.isdigit() or find_spec(module) is None:
        raise ValueError(f"there is no lesson {lesson!r} with exercises; lessons are 00 to 12")
    return import_module(module).EXERCISES


def get(name: str) -> Exercise:
    """The exercise called ``name``, such as "01.2". Raises `ValueError` for an unknown name, with
    the names that there are.
    """
    known = exercises(name.split(".")[0])
    if name not in known:
        raise ValueError(f"there is no exercise {name!r}; this lesson has {', '.join(known)}")
    return known[name]


def verdict(name: str, *answers) -> str:
    """What is wrong with the answers to an exercise; "" if they are right. An error that an answer
    raises is told, not raised.
    """
    exercise = get(name)
    if any(answer is None or answer is ... for answer in answers):
        return "nothing there yet: put your answer where the three dots are"
    try:
        exercise.check(*map(_noticing_stubs, answers))
    except Unfilled:
        return "nothing there yet: your function returns None; fill it in, and do not forget its `return`"
    except Wrong as wrong:
        return str(wrong)
    except Exception as error:  # the reader's own code may raise anything
        return f"your code raised {type(error).__name__}: {error}"
    return ""


def check(name: str, *answers) -> None:
    """Print whether the answers to an exercise are right, and if not, the probable mistake."""
    wrong = verdict(name, *answers)
    print(f"{NOT_YET} {name} not yet: {wrong}" if wrong else f"{RIGHT} {name} is right")


def solution(name: str) -> None:
    """Print the code of one right answer."""
    print(get(name).source())


class Unfilled(Exception):
    """A function was called that holds nothing yet."""


def _noticing_stubs(answer):
    """A function that raises `Unfilled` instead of returning None; anything else as it is."""
    if not inspect.isfunction(answer):
        return answer

    def answer_or_unfilled(*args, **kwargs):
        try:
            value = answer(*args, **kwargs)
        except NotImplementedError as error:
            raise Unfilled from error
        if value is None or value is ...:
            raise Unfilled
        return value

    return answer_or_unfilled
