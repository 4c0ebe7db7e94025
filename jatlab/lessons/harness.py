"""The harness of the exercises: an answer goes in, a verdict comes out.

Each lesson has a module, ``lesson01.py`` and so on, that ends in ``EXERCISES = {"01.1":
Exercise(...), ...}``. The tests run its solutions and typical wrong answers
(``tests/lessons``). A reader calls one function in a notebook::

    check("01.1", my_function)   # right, or the probable mistake

An exercise in steps takes the answers one by one, ``check("02.5", first)`` and then
``check("02.5", first, second)``. The code of a right answer folds out in the notebook, where
``make badges`` writes it.

A check reads every answer through `jatlab.lessons.answers`, so that arrays, tensors, lists and
generators of any number type count alike.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from jatlab.lessons.answers import Answer, Wrong, expect, kind, listed

RIGHT, NOT_YET = "✔", "✘"
LONGEST = 600  # characters of a verdict
UNREADABLE = "the check cannot read this answer, which is the check's fault: please report it"


class Unfilled(Exception):
    """A reader's function was called before it was filled in."""


class Raised(Exception):
    """A reader's function raised an error; the message says which."""

    def __init__(self, error: Exception) -> None:
        try:
            text = str(error)
        except Exception:
            text = "an error that cannot be printed"
        super().__init__(f"your code raised {type(error).__name__}: {text}")


@dataclass(frozen=True)
class Exercise:
    """One exercise: a solution, and a check that names the probable mistake.

    Attributes:
        difficulty: From 1, a line, to 5, an afternoon.
        importance: From 1, a side path, to 5, what the rest stands on.
        minutes: How long a reader may need.
        solution: One right answer: a function, or a tuple where the check takes several answers.
        check: Takes the answers and raises `Wrong` (through `expect`) for the first mistake.
        shown: The code to show, where the source of ``solution`` does not say it.
        steps: What each answer of an exercise in steps is about, such as "cut into heads". Its
            check takes the first answers alone too; the others are then None.
    """

    difficulty: int
    importance: int
    minutes: int
    solution: object
    check: Callable[..., None]
    shown: str = ""
    steps: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple:
        """What a reader with the right answers would give to the check."""
        return self.solution if isinstance(self.solution, tuple) else (self.solution,)

    def source(self, step: int | None = None) -> str:
        """The solution's code, or that of one step, from 1."""
        if self.shown:
            return textwrap.dedent(self.shown).strip()
        answers = self.answers if step is None else self.answers[step - 1 : step]
        return "\n\n\n".join(
            _untyped(inspect.getsource(a).rstrip()) if callable(a) else repr(a) for a in answers
        )


def _untyped(code: str) -> str:
    """A function's code without types, whose names a notebook may lack."""
    lines, nodes = code.splitlines(), list(ast.walk(ast.parse(code)))
    for node in nodes:  # a variable: one line
        if isinstance(node, ast.AnnAssign):
            line, row = lines[node.lineno - 1], node.lineno - 1
            lines[row] = line[: node.target.end_col_offset] + line[node.annotation.end_col_offset :]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    for node in sorted(functions, key=lambda node: node.lineno, reverse=True):
        lines[node.lineno - 1 : node.body[0].lineno - 1] = [_head(node)]
    return "\n".join(lines)


def _head(node: ast.FunctionDef) -> str:
    """The line of a function's name and arguments, without types."""
    given = node.args
    for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if one is not None:
            one.annotation = None
    return f"{' ' * node.col_offset}def {node.name}({ast.unparse(given)}):"


def exercises(lesson: str) -> dict[str, Exercise]:
    """The exercises of a lesson, "00" to "13", by name.

    Raises:
        ValueError: There is no such lesson.
    """
    module = f"{__package__}.lesson{lesson}"
    if not lesson.isdigit() or find_spec(module) is None:
        raise ValueError(f"there is no lesson {lesson!r} with exercises; lessons are 00 to 13")
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
    if any(_is_empty(answer) for answer in answers):
        return "nothing there yet: put your answer where the three dots are"
    try:
        right = exercise.answers[: len(answers) or None] if exercise.steps else exercise.answers
        _expect_kinds(name, right, answers)
        exercise.check(*(_called_safely(one) if callable(one) else one for one in answers))
    except Unfilled:
        return (
            "nothing there yet: your function returns None; "
            "fill it in, and do not forget its `return`"
        )
    except (Wrong, Raised) as reason:
        return _shortened(str(reason))
    except Exception as error:  # a fault of the check: say so, and do not blame the reader
        return f"{UNREADABLE} ({type(error).__name__}: {error})"
    return ""


def _shortened(text: str) -> str:
    """The text without its middle where a reader's value makes it too long to read."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def _is_empty(answer: object) -> bool:
    return answer is None or answer is ...


def _expect_kinds(name: str, right: tuple, answers: tuple) -> None:
    """Raise `Wrong` unless there are as many answers as wanted, functions where they belong."""
    expect(
        len(answers) == len(right),
        f"this exercise takes {len(right)} answer(s), not {len(answers)}",
    )
    for wanted, answer in zip(right, answers, strict=True):
        expect(
            callable(answer) or not callable(wanted),
            f'give the function itself, check("{name}", your_function); yours is {kind(answer)}',
        )


def check(name: str, *answers: object) -> None:
    """Print whether the answers to an exercise are right, and if not, the probable mistake."""
    wrong = verdict(name, *answers)
    steps = get_exercise(name).steps
    done = f"{name}, step {len(answers)} of {len(steps)}," if steps else name
    print(f"{NOT_YET} {name} not yet: {wrong}" if wrong else f"{RIGHT} {done} is right")


def _called_safely(answer: Answer) -> Answer:
    """The function, but with `Unfilled` for None and `Raised` for any other error.

    What it yields becomes a list, so that a check may look at it more than once.
    """

    def answer_or_reason(*args: object, **kwargs: object) -> object:
        try:
            value = listed(answer(*args, **kwargs))
            if isinstance(value, list | tuple) and any(isinstance(one, Iterator) for one in value):
                value = [listed(one) for one in value]
        except NotImplementedError as error:
            raise Unfilled from error
        except Exception as error:  # the reader's own code may raise anything
            raise Raised(error) from error
        parts = value if isinstance(value, list | tuple) else ()
        if _is_empty(value) or any(_is_empty(part) for part in parts):
            raise Unfilled
        return value

    return answer_or_reason
