"""One test for each solution and each wrong answer of a lesson.

In ``test_lesson01.py``, which stands beside this file::

    from common import exercise_tests


    WRONG = {"01.1": [(wrong_answer, "fragment of the message"), ...], ...}  # a tuple where the check takes several answers
    test_solution, test_wrong_answer, test_coverage = exercise_tests("01", WRONG)
"""

import pytest

from jatlab.exercises import exercises, verdict


def exercise_tests(lesson: str, wrong: dict[str, list[tuple]]):
    """The three tests of a lesson: solutions pass, wrong answers are told their mistake, and each exercise has at least two of them."""
    known = exercises(lesson)

    @pytest.mark.parametrize("name", known)
    def test_solution(name):
        assert verdict(name, *known[name].answers) == ""
        assert known[name].source()

    @pytest.mark.parametrize(("name", "answer", "fragment"), [(name, *case) for name, cases in wrong.items() for case in cases])
    def test_wrong_answer(name, answer, fragment):
        assert fragment in verdict(name, *(answer if isinstance(answer, tuple) else (answer,)))

    def test_coverage():
        assert len(known) >= 3
        assert set(wrong) == set(known)
        assert all(len(cases) >= 2 for cases in wrong.values())
        assert all(fragment for cases in wrong.values() for _, fragment in cases)

    return test_solution, test_wrong_answer, test_coverage
