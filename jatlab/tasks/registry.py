"""Every task by its name: what it observes, what it does, and how to make its environment.

Looking a task up imports no environment; :func:`make_env` does.
"""

from __future__ import annotations

import difflib
import fnmatch
import inspect
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from jatlab.tasks import table
from jatlab.tasks.task import LANGUAGE_DOMAINS, Task
from jatlab.utils.checks import require
from jatlab.utils.opengl import import_mujoco

if TYPE_CHECKING:
    import gymnasium as gym

    from jatlab.tasks.env import TaskEnv

# called with the task and render_mode=..., and with the options that make_env passes on
EnvMaker: TypeAlias = "Callable[..., gym.Env]"


def published_tasks() -> Iterator[Task]:
    """The 157 published tasks of control, in the published order."""
    yield from _atari_tasks()
    yield from _babyai_tasks()
    yield from _metaworld_tasks()
    yield from _mujoco_tasks()


def _atari_tasks() -> Iterator[Task]:
    frames, height, width = table.FRAMES
    values = frames * height * width
    for name, (game, actions) in table.ATARI.items():
        env_id = f"ALE/{game}-v5"
        facts = (env_id, env_id, "image", values, "discrete", actions)
        yield Task(f"atari-{name}", "atari", *facts, max_timesteps=32)


def _babyai_tasks() -> Iterator[Task]:
    for name, level in table.BABYAI.items():
        env_id = f"BabyAI-{level}-v0"
        facts = (env_id, env_id, "discrete", table.GRID_SIZE, "discrete", 7)
        yield Task(f"babyai-{name}", "babyai", *facts)


def _metaworld_tasks() -> Iterator[Task]:
    for name in table.METAWORLD:
        note = table.METAWORLD_NOTES.get(name, table.METAWORLD_NOTE)
        facts = (f"{name}-v3", f"{name}-v2", "continuous", 39, "continuous", 4, 50.0)
        yield Task(f"metaworld-{name}", "metaworld", *facts, note=note)


def _mujoco_tasks() -> Iterator[Task]:
    for name, (published, observations, actions, weight) in table.MUJOCO.items():
        env_id, note = ("Pusher-v5", table.PUSHER_NOTE) if name == "pusher" else (published, "")
        facts = (env_id, published, "continuous", observations, "continuous", actions, weight)
        yield Task(f"mujoco-{name}", "mujoco", *facts, note=note)


def _language_tasks() -> Iterator[Task]:
    for domain, kind, names in (("text", "text", table.TEXT), ("vision", "picture", table.VISION)):
        for name, note in names.items():
            yield Task(name, domain, None, None, kind, 1, "text", 1, note=note)


_TASKS: dict[str, Task] = {task.name: task for task in published_tasks()}
_LANGUAGE: dict[str, Task] = {task.name: task for task in _language_tasks()}
# registered tasks only: the module of its domain makes the environment of a published task
_MAKERS: dict[str, EnvMaker] = {}


def task_names(domain: str | None = None) -> list[str]:
    """All tasks of control, or those of one domain, in the published order.

    Registered tasks come last. Language tasks are listed when their domain, "text" or "vision", is
    named. Raises ValueError for a domain that has no task.
    """
    tasks = _LANGUAGE if domain in LANGUAGE_DOMAINS else _TASKS
    names = [name for name, task in tasks.items() if domain in (None, task.domain)]
    if not names:
        known = sorted({task.domain for task in (_TASKS | _LANGUAGE).values()})
        raise ValueError(f"unknown domain {domain!r}; there are {', '.join(known)}")
    return names


def language_tasks() -> list[str]:
    """The names of all tasks that are read, not played: text, then pictures with text."""
    return list(_LANGUAGE)


def get_task(name: str) -> Task:
    """The task called ``name``. Raises ValueError with the nearest names if there is none."""
    task = _TASKS.get(name) or _LANGUAGE.get(name)
    if task is None:
        raise ValueError(f"unknown task {name!r}{_hint(name)}{_worker_hint()}")
    return task


def _worker_hint() -> str:
    """In a worker process: why it may not know a task that its parent knows."""
    if multiprocessing.parent_process() is None:
        return ""
    return (
        " (a worker process knows only the tasks that importing its modules registers: "
        "register yours in a module, which --import names on the command line, or use workers=0, "
        "which stays in this process)"
    )


def expand(patterns: str | Iterable[str]) -> list[str]:
    """The task names that names, patterns and domains stand for, each once.

    For example ``["babyai-*", "metaworld", "mujoco-ant"]``. "all" stands for every task of control,
    and a pattern that matches a task of control matches no language task. "text", "vision" and the
    names of their tasks stand for language tasks. Raises ValueError with the nearest names for an
    entry that matches nothing.
    """
    names: dict[str, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = _matches(pattern)
        if not matches:
            raise ValueError(f"no task matches {pattern!r}{_hint(pattern)}")
        names.update(dict.fromkeys(matches))
    return list(names)


def _matches(pattern: str) -> list[str]:
    if pattern in _TASKS or pattern in _LANGUAGE:
        return [pattern]
    if pattern == "all":
        return list(_TASKS)
    return _matches_in(_TASKS, pattern) or _matches_in(_LANGUAGE, pattern)


def _matches_in(tasks: dict[str, Task], pattern: str) -> list[str]:
    return [
        name
        for name, task in tasks.items()
        if pattern == task.domain or fnmatch.fnmatchcase(name, pattern)
    ]


def _hint(name: str) -> str:
    """Up to four names that a typing error may have meant, with and without their domain."""
    lowered = str(name).lower().replace("_", "-")
    near = difflib.get_close_matches(lowered, [*_TASKS, *_LANGUAGE], n=3, cutoff=0.6)
    short = {short_name(task_name): task_name for task_name in _TASKS}
    near += [short[match] for match in difflib.get_close_matches(lowered, short, n=3, cutoff=0.7)]
    near = list(dict.fromkeys(near))[:4]
    return f"; did you mean {', '.join(near)}?" if near else "; `jatlab tasks` lists them all"


def register(task: Task, make: EnvMaker, check: bool = True) -> Task:
    """Add a task of your own. Registering a name again replaces the task.

    Args:
        task: Its facts.
        make: ``make(task, render_mode=...)`` returns its gymnasium environment. Observations are
            dicts like the published ones (see :func:`make_env`), or a plain vector for a task with
            continuous observations. :mod:`jatlab.tasks.spaces` says which actions can be served.
        check: Make the environment once, to see whether it fits the task. Otherwise that is seen
            when the environment is first made.

    Returns:
        The task.

    Raises:
        ValueError: For the name of a published task, a language domain, a ``make`` that cannot be
            called, and an environment whose spaces are not those of the task.
    """
    require(
        task.playable,
        f"task {task.name}: domain {task.domain!r} is for language tasks, which have no "
        "environment; choose another domain",
    )
    published = (task.name in _TASKS and task.name not in _MAKERS) or task.name in _LANGUAGE
    require(not published, f"{task.name!r} is a published task; choose another name")
    require(callable(make), f"make must be a function that returns an environment, got {make!r}")
    if check:
        from jatlab.tasks.env import TaskEnv

        import_mujoco()
        TaskEnv(make(task, render_mode=None), task).close()
    _TASKS[task.name], _MAKERS[task.name] = task, make
    return task


def modules_of(names: Iterable[str]) -> list[str]:
    """The modules that define how to make these tasks: importing them should register the tasks.

    Published tasks need none.
    """
    makers = [_MAKERS[name] for name in names if name in _MAKERS]
    return sorted({module for make in makers if (module := getattr(make, "__module__", None))})


def domain_of(name: str) -> str:
    """The domain of a task, or of a mixed batch.

    A batch of several tasks is named after the first: ``"babyai-go-to + 38"``.
    """
    return get_task(name.partition(" + ")[0]).domain


def short_name(name: str) -> str:
    """A task's name without its domain, or what is read without its source.

    A name of your own that does not begin with a domain stays whole.
    """
    first, _, rest = name.partition("-")
    domains = {task.domain for task in _TASKS.values()}
    return rest if rest and (first in domains or name in _LANGUAGE) else name


def make_env(
    name: str, seed: int | None = None, render_mode: str | None = "rgb_array", **options: object
) -> TaskEnv:
    """The environment of a task, as a ``gymnasium.Env`` whose ``.task`` is the :class:`Task`.

    An observation is a dict with some of

    - ``continuous_observation``, float32 (n,),
    - ``discrete_observation``, int64 (148,), and ``text_observation``, str,
    - ``image_observation``, uint8 (4, 84, 84).

    ``reset(seed=s)`` determines the episode. ``render()`` returns RGB, uint8 (h, w, 3), and needs
    no OpenGL.

    Args:
        name: The task.
        seed: For the first reset, if that is called without a seed.
        render_mode: "rgb_array", or None for an environment that is never rendered.
        **options: For the domain's ``make``: ``camera`` and ``size`` of the rendered pictures
            (MuJoCo, Meta-World), ``hide_goal`` (Meta-World), ``pictures`` (Atari).

    Raises:
        ValueError: For an unknown task, a task that is read, an unknown render mode or option.
        ImportError: If the package of the environment is missing.
    """
    task = get_task(name)
    kind = "text" if task.domain == "text" else "pictures with text"
    require(task.playable, f"{name} has no environment: it is a language task ({kind})")
    require(
        render_mode in (None, "rgb_array"),
        f"render_mode is 'rgb_array' or None, not {render_mode!r}",
    )
    import_mujoco()
    try:
        from jatlab.tasks.env import TaskEnv

        make = _MAKERS.get(name) or import_module(f"jatlab.tasks.{task.domain}").make
    except ImportError as error:
        missing = error.name.partition(".")[0] if error.name else str(error)
        raise ImportError(
            f'task {name} needs the package {missing!r}: pip install "jatlab[envs]"',
            name=error.name,
        ) from error
    _check_options(make, task, options)
    options |= {"render_mode": render_mode}
    return TaskEnv(make(task, **options), task, seed, options)


def _check_options(make: EnvMaker, task: Task, options: dict[str, object]) -> None:
    parameters = inspect.signature(make).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = list(parameters)[2:]
    for option in options:
        require(
            option in known,
            f"{task.name} has no option {option!r}; it has {', '.join(known) or 'none'}",
        )
