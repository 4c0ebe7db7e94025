"""Teachers: policies that show how a task is done.

They are the BabyAI bot, Meta-World's scripted policies (tuned), controllers for MuJoCo and some
Atari games, and a look-ahead search for all Atari games. The random policy is there for comparison.
Importing this package imports no environment.
"""

from jatlab.teachers.base import RandomTeacher, Teacher, TeacherFailed
from jatlab.teachers.registry import (
    HUMAN,
    TAUGHT_DOMAINS,
    WHO,
    describe,
    get_teacher,
    has_teacher,
    register_teacher,
    require_teacher,
)
from jatlab.teachers.sb3 import SB3Teacher

__all__ = [
    "HUMAN",
    "TAUGHT_DOMAINS",
    "WHO",
    "RandomTeacher",
    "SB3Teacher",
    "Teacher",
    "TeacherFailed",
    "describe",
    "get_teacher",
    "has_teacher",
    "register_teacher",
    "require_teacher",
]
