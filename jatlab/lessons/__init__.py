"""What the notebooks use: the exercises' checks and solutions, a module a lesson.

`jatlab.lessons.notebook` has what every lesson needs besides: the switch for short runs, and
figures with a caption.
"""

from jatlab.lessons.answers import Answer, Wrong, expect, numbers
from jatlab.lessons.harness import Exercise, Unfilled, check, exercises, get_exercise, verdict

__all__ = [
    "Answer",
    "Exercise",
    "Unfilled",
    "Wrong",
    "check",
    "exercises",
    "expect",
    "get_exercise",
    "numbers",
    "verdict",
]
