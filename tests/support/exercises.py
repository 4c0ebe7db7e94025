"""One test for each solution and each wrong answer of a lesson.

In ``tests/lessons/test_lesson01.py``::

    from tests.support.exercises import exercise_tests

    # an answer is a tuple where the check takes several
    WRONG = {"01.1": [(wrong_answer, "fragment of the message"), ...], ...}
    RIGHT = {"01.1": [another_way_to_write_it, ...], ...}
    test_right_answer, test_wrong_answer, test_coverage = exercise_tests("01", WRONG, RIGHT)
"""

from collections.abc import Callable

import pytest

from jatlab.lessons import exercises, verdict


def exercise_tests(
    lesson: str, wrong: dict[str, list[tuple]], right: dict[str, list] | None = None
) -> tuple[Callable, Callable, Callable]:
    """The tests of a lesson: right answers, wrong answers, and whether there are enough of them.

    Solutions and other right answers pass. Wrong answers are told their mistake; each exercise
    has at least two.
    """
    known = exercises(lesson)
    passing = [(name, one.answers) for name, one in known.items()]
    passing += [(name, answer) for name, answers in (right or {}).items() for answer in answers]
    failing = [(name, *case) for name, cases in wrong.items() for case in cases]

    @pytest.mark.parametrize(("name", "answer"), passing)
    def test_right_answer(name, answer):
        assert verdict(name, *as_tuple(answer)) == ""

    @pytest.mark.parametrize(("name", "answer", "fragment"), failing)
    def test_wrong_answer(name, answer, fragment):
        assert fragment in verdict(name, *as_tuple(answer))

    def test_coverage():
        assert len(known) >= 3 and all(one.source() for one in known.values())
        assert set(wrong) == set(known)
        assert all(len(cases) >= 2 for cases in wrong.values())
        assert all(fragment for cases in wrong.values() for _, fragment in cases)

    return test_right_answer, test_wrong_answer, test_coverage


def as_tuple(answer: object) -> tuple:
    return answer if isinstance(answer, tuple) else (answer,)
