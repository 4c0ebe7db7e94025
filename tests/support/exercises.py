"""One test for each solution and each wrong answer of a lesson.

In ``test_lesson01.py``, which stands beside this file::

    from tests.support.exercises import exercise_tests


    WRONG = {"01.1": [(wrong_answer, "fragment of the message"), ...], ...}  # a tuple where the check takes several answers
    RIGHT = {"01.1": [another_way_to_write_it, ...], ...}
    test_right_answer, test_wrong_answer, test_coverage = exercise_tests("01", WRONG, RIGHT)
"""

import pytest

from jatlab.lessons import exercises, verdict


def exercise_tests(
    lesson: str, wrong: dict[str, list[tuple]], right: dict[str, list] | None = None
):
    """The tests of a lesson: solutions and other right answers pass, wrong answers are told their
    mistake, and each exercise has at least two of them.
    """
    known = exercises(lesson)
    passing = [(name, one.answers) for name, one in known.items()] + [
        (name, answer) for name, answers in (right or {}).items() for answer in answers
    ]

    @pytest.mark.parametrize(("name", "answer"), passing)
    def test_right_answer(name, answer):
        assert verdict(name, *(answer if isinstance(answer, tuple) else (answer,))) == ""

    @pytest.mark.parametrize(
        ("name", "answer", "fragment"),
        [(name, *case) for name, cases in wrong.items() for case in cases],
    )
    def test_wrong_answer(name, answer, fragment):
        assert fragment in verdict(name, *(answer if isinstance(answer, tuple) else (answer,)))

    def test_coverage():
        assert len(known) >= 3 and all(one.source() for one in known.values())
        assert set(wrong) == set(known)
        assert all(len(cases) >= 2 for cases in wrong.values())
        assert all(fragment for cases in wrong.values() for _, fragment in cases)

    return test_right_answer, test_wrong_answer, test_coverage
