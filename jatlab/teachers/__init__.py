"""Teachers show how a task is done: the BabyAI bot, Meta-World's scripted policies, tuned,
controllers for MuJoCo and some Atari games, look-ahead search for all of them; and the random
policy, for comparison.
"""

from collections.abc import Callable

from jatlab.teachers.base import RandomTeacher, Teacher, TeacherFailed

TAUGHT_DOMAINS = ("babyai", "metaworld", "mujoco", "atari")
WHO = (
    "teacher",
    "random",
    "search",
    # who may play; a game's teacher is its controller where one ships, and the search where none does
)

__all__ = [
    "TAUGHT_DOMAINS",
    "WHO",
    "RandomTeacher",
    "Teacher",
    "TeacherFailed",
    "describe",
    "get_teacher",
    "has_teacher",
    "register_teacher",
    "require_teacher",
]

_MAKERS: dict[
    str, tuple[Callable[[], Teacher], str]
] = {}  # of registered teachers: how one is made, and who it is in words


def register_teacher(task_name: str, make: Callable[[], Teacher], about: str) -> None:
    """Say who teaches a task: one of your own (`jatlab.tasks.register`), or one that nobody teaches
    yet. ``make()`` returns the `Teacher`.

    ``about`` says in words who it is; recordings keep it, and refuse to go on with a teacher that
    is called otherwise: change it when the teacher changes. Registering again replaces. Raises
    ValueError for an unknown task, one with a teacher of the package's, and no words.
    """
    if task_name not in _MAKERS and has_teacher(task_name):
        raise ValueError(
            f"{task_name} has a teacher already: {describe(task_name)}; register your teacher for a task of your own"
        )
    if not callable(make) or not about:
        raise ValueError(
            f"a teacher of {task_name} needs a function that makes it and a few words about it, got {make!r} and {about!r}"
        )
    _MAKERS[task_name] = (make, about)


def require_teacher(task_name: str, who: str = "teacher") -> None:
    """Raise ValueError for an unknown task and for one that ``who`` (of ``WHO``) does not play.
    Imports no environment.
    """
    from jatlab.tasks import get_task

    if who not in WHO:
        raise ValueError(f"who plays is {' or '.join(map(repr, WHO))}, not {who!r}")
    if who == "search" and get_task(task_name).domain != "atari":
        raise ValueError(f"look-ahead search plays Atari games, not {task_name}")
    if task_name in _MAKERS or who != "teacher":
        return
    if get_task(task_name).domain not in TAUGHT_DOMAINS:
        raise ValueError(
            f"{task_name} has no teacher yet; the domains with one are {', '.join(TAUGHT_DOMAINS)}. "
            'The random policy plays every task: teacher="random"'
        )
    if get_task(task_name).domain == "mujoco":
        from jatlab.teachers.controller import controller_file

        controller_file(task_name)


def has_teacher(task_name: str) -> bool:
    """Whether somebody teaches this task. Raises ValueError for an unknown one."""
    from jatlab.tasks import get_task

    get_task(task_name)
    try:
        require_teacher(task_name)
    except ValueError:
        return False
    return True


def describe(task_name: str, who: str = "teacher") -> str:
    """Who plays a task, in words that change when the policy does. Imports no environment. Raises
    ValueError like ``require_teacher``.
    """
    if who == "random":
        return "uniformly random actions"
    require_teacher(task_name, who)
    if task_name in _MAKERS:
        return _MAKERS[task_name][1]
    if task_name.startswith("babyai-"):
        return "MiniGrid's BabyAIBot, which looks for keys elsewhere"
    if who != "search" and _has_controller(task_name):
        from jatlab.teachers.controller import describe_controller

        return describe_controller(task_name)
    if task_name.startswith("atari-"):
        from jatlab.teachers.search import describe_search

        return describe_search()
    from jatlab.teachers.tuned import tuned_parameters

    return str(tuned_parameters(task_name))


def _has_controller(task_name: str) -> bool:
    from jatlab.teachers.controller import has_controller

    return has_controller(task_name)


def get_teacher(task_name: str, who: str = "teacher") -> Teacher:
    """Who plays a task: its teacher, or another of ``WHO``. It is made once and serves one
    environment after another: ``reset(env)`` before each episode.

    Raises ValueError for an unknown task and for one that ``who`` does not play, ImportError when
    the domain's package is missing.
    """
    if who == "random":
        return RandomTeacher()
    require_teacher(task_name, who)
    if task_name in _MAKERS:
        return _MAKERS[task_name][0]()
    try:
        if task_name.startswith("babyai-"):
            from jatlab.teachers.babyai import BotTeacher

            return BotTeacher()
        if who != "search" and _has_controller(task_name):
            from jatlab.teachers.controller import make_teacher
        elif task_name.startswith("atari-"):
            from jatlab.teachers.search import SearchTeacher

            return SearchTeacher()
        else:
            from jatlab.teachers.metaworld import make_teacher

        return make_teacher(task_name)
    except ImportError as error:
        raise ImportError(
            f'the teacher of {task_name} needs more packages ({error}); install them with: pip install "jatlab[envs]"'
        ) from error
