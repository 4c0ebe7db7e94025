"""Every teacher by the name of its task: who teaches it, in words and as an object.

Looking a teacher up imports no environment; :func:`get_teacher` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jatlab.tasks import get_task
from jatlab.teachers.base import RandomTeacher, Teacher
from jatlab.teachers.controller import controller_file, describe_controller, has_controller
from jatlab.teachers.search.settings import describe_search
from jatlab.teachers.tuned import tuned_parameters
from jatlab.utils.checks import require
from jatlab.utils.opengl import import_mujoco

TAUGHT_DOMAINS = ("babyai", "metaworld", "mujoco", "atari")
# Who may play. The "teacher" of a game is its controller where one ships, else the search.
WHO = ("teacher", "random", "search")
HUMAN = "human"  # you, who plays every task, but measures none


class Registered(NamedTuple):
    """A registered teacher: how it is made, and who it is in words."""

    make: Callable[[], Teacher]
    about: str


_REGISTERED: dict[str, Registered] = {}


def register_teacher(task_name: str, make: Callable[[], Teacher], about: str) -> None:
    """Register the teacher of a task of your own, or of one that has no teacher yet.

    Registering again replaces the teacher.

    Args:
        task_name: The task, see `jatlab.tasks.register`.
        make: Returns the `Teacher`.
        about: Who the teacher is, in words. Recordings store these words and refuse to continue
            with a teacher that is described otherwise, so change them when the teacher changes.

    Raises:
        ValueError: For an unknown task, a task that the package has a teacher for, a ``make`` that
            cannot be called, and an empty ``about``.
    """
    if task_name not in _REGISTERED and has_teacher(task_name):
        raise ValueError(
            f"{task_name} has a teacher already: {describe(task_name)}; "
            "register your teacher for a task of your own"
        )
    require(
        callable(make) and about,
        f"a teacher of {task_name} needs a function that makes it and a few words about it, "
        f"got {make!r} and {about!r}",
    )
    _REGISTERED[task_name] = Registered(make, about)


def require_teacher(task_name: str, who: str = "teacher") -> None:
    """Raise ValueError for an unknown task, and for one that ``who`` does not play.

    ``who`` is one of ``WHO``, or "human". Imports no environment.
    """
    known = (*WHO, HUMAN)
    require(who in known, f"who plays is {' or '.join(map(repr, known))}, not {who!r}")
    require(
        who != "search" or get_task(task_name).domain == "atari",
        f"look-ahead search plays Atari games, not {task_name}",
    )
    if task_name in _REGISTERED or who != "teacher":
        return
    domain = get_task(task_name).domain
    require(
        domain in TAUGHT_DOMAINS,
        f"{task_name} has no teacher yet; the domains with one are {', '.join(TAUGHT_DOMAINS)}. "
        "Register yours with jatlab.teachers.register_teacher(task, make, about), in a module that "
        "--import names on the command line. "
        'The random policy plays every task: teacher="random"',
    )
    if domain == "mujoco":
        controller_file(task_name)


def has_teacher(task_name: str) -> bool:
    """Whether a task has a teacher. Raises ValueError for an unknown task."""
    get_task(task_name)
    try:
        require_teacher(task_name)
    except ValueError:
        return False
    return True


def describe(task_name: str, who: str = "teacher") -> str:
    """Who plays a task, in words that change when the policy does.

    Imports no environment. Raises ValueError like ``require_teacher``.
    """
    if who == "random":
        return "uniformly random actions"
    if who == HUMAN:
        return "a person at the keyboard"
    require_teacher(task_name, who)
    if task_name in _REGISTERED:
        return _REGISTERED[task_name].about
    if task_name.startswith("babyai-"):
        return "MiniGrid's BabyAIBot, which looks for keys elsewhere"
    if who != "search" and has_controller(task_name):
        return describe_controller(task_name)
    if task_name.startswith("atari-"):
        return describe_search()
    return str(tuned_parameters(task_name))


def get_teacher(task_name: str, who: str = "teacher") -> Teacher:
    """Who plays a task: its teacher, another of ``WHO``, or "human", who asks at the terminal.

    One teacher serves one environment after another; call ``reset(env)`` before each episode.

    Raises:
        ValueError: For an unknown task, and for one that ``who`` does not play.
        ImportError: If the package of the task's domain is missing.
    """
    if who == "random":
        return RandomTeacher()
    if who == HUMAN:
        from jatlab.teachers.human.terminal import HumanTeacher

        return HumanTeacher()
    require_teacher(task_name, who)
    if task_name in _REGISTERED:
        return _REGISTERED[task_name].make()
    try:
        return _make(task_name, who)
    except ImportError as error:
        raise ImportError(
            f"the teacher of {task_name} needs more packages ({error}); "
            'install them with: pip install "jatlab[envs]"'
        ) from error


def _make(task_name: str, who: str) -> Teacher:
    """A teacher of the package. The modules imported here import environments."""
    import_mujoco()
    if task_name.startswith("babyai-"):
        from jatlab.teachers.babyai import BotTeacher

        return BotTeacher()
    if who != "search" and has_controller(task_name):
        from jatlab.teachers.controller import make_teacher

        return make_teacher(task_name)
    if task_name.startswith("atari-"):
        from jatlab.teachers.search.teacher import SearchTeacher

        return SearchTeacher()
    from jatlab.teachers.metaworld import make_metaworld_teacher

    return make_metaworld_teacher(task_name)
