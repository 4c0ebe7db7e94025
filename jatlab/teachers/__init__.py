"""Teachers show how a task is done: the BabyAI bot, Meta-World's scripted policies, tuned, MuJoCo controllers, and
look-ahead search for Atari; and the random policy, for comparison."""

from collections.abc import Callable

from jatlab.teachers.base import RandomTeacher, Teacher, TeacherFailed

TAUGHT_DOMAINS = ("babyai", "metaworld", "mujoco", "atari")

__all__ = ["TAUGHT_DOMAINS", "RandomTeacher", "Teacher", "TeacherFailed", "describe", "get_teacher", "has_teacher", "register_teacher", "require_teacher"]

_MAKERS: dict[str, tuple[Callable[[], Teacher], str]] = {}  # of registered teachers: how one is made, and who it is in words


def register_teacher(task_name: str, make: Callable[[], Teacher], about: str) -> None:
    """Say who teaches a task: one of your own (`jatlab.tasks.register`), or one that nobody teaches yet. ``make()`` returns the `Teacher`.

    ``about`` says in words who it is; recordings keep it, and refuse to go on with a teacher that is called otherwise: change it when the teacher changes.
    Registering again replaces. Raises ValueError for an unknown task, one with a teacher of the package's, and no words.
    """
    if task_name not in _MAKERS and has_teacher(task_name):
        raise ValueError(f"{task_name} has a teacher already: {describe(task_name)}; register your teacher for a task of your own")
    if not callable(make) or not about:
        raise ValueError(f"a teacher of {task_name} needs a function that makes it and a few words about it, got {make!r} and {about!r}")
    _MAKERS[task_name] = (make, about)


def require_teacher(task_name: str) -> None:
    """Raise ValueError for an unknown task and for one without a teacher. Imports no environment."""
    from jatlab.tasks import get_task

    if task_name in _MAKERS:
        return
    if get_task(task_name).domain not in TAUGHT_DOMAINS:
        raise ValueError(f"{task_name} has no teacher yet; the domains with one are {', '.join(TAUGHT_DOMAINS)}. "
                         "The random policy plays every task: teacher=\"random\"")
    if get_task(task_name).domain == "mujoco":
        from jatlab.teachers.mujoco import controller_file

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
    """Who plays a task, in words that change when the policy does. Imports no environment. Raises ValueError like ``require_teacher``."""
    if who == "random":
        return "uniformly random actions"
    require_teacher(task_name)
    if task_name in _MAKERS:
        return _MAKERS[task_name][1]
    if task_name.startswith("babyai-"):
        return "MiniGrid's BabyAIBot, which looks for keys elsewhere"
    if task_name.startswith("mujoco-"):
        from jatlab.teachers.mujoco import describe_controller

        return describe_controller(task_name)
    if task_name.startswith("atari-"):
        from jatlab.teachers.search import describe_search

        return describe_search()
    from jatlab.teachers.tuned import tuned_parameters

    return str(tuned_parameters(task_name))


def get_teacher(task_name: str) -> Teacher:
    """The teacher of a task. It is made once and serves one environment after another: ``reset(env)`` before each episode.

    Raises ValueError for an unknown task and for one without a teacher, ImportError when the domain's package is missing.
    """
    require_teacher(task_name)
    if task_name in _MAKERS:
        return _MAKERS[task_name][0]()
    try:
        if task_name.startswith("babyai-"):
            from jatlab.teachers.babyai import BotTeacher

            return BotTeacher()
        if task_name.startswith("atari-"):
            from jatlab.teachers.search import SearchTeacher

            return SearchTeacher()
        if task_name.startswith("mujoco-"):
            from jatlab.teachers.mujoco import make_teacher
        else:
            from jatlab.teachers.metaworld import make_teacher

        return make_teacher(task_name)
    except ImportError as error:
        raise ImportError(f"the teacher of {task_name} needs more packages ({error}); install them with: pip install \"jatlab[envs]\"") from error
