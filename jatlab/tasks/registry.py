"""Every task by its name: what it observes, what it does, and how to make its environment.

Looking a task up imports no environment; :func:`make_env` does.
"""

import difflib
import fnmatch
import inspect
import multiprocessing
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from jatlab.tasks import table

DOMAINS = ("atari", "babyai", "metaworld", "mujoco")  # of control: what is played
LANGUAGE_DOMAINS = ("text", "vision")  # what is read


@dataclass(frozen=True)
class Task:
    """One task: the static facts that data, model and evaluation need.

    ``observation`` is "continuous", "discrete" (the grid integers, with a mission as text) or
    "image", and ``observation_size`` its number of values (39; 148; 4 * 84 * 84). ``action`` is
    "continuous" or "discrete"; ``action_size`` counts its values or its choices. Tasks of language
    have observation "text" or "picture" (a picture with its text), action "text", sizes 1 (a token)
    and no environment: they are read, not played. ``loss_weight`` is the published weight of the
    task's losses, ``max_timesteps`` the published training window (None: whatever the model holds),
    and ``note`` says how today's environment differs from the published one ("" if it does not).
    """

    name: str
    domain: str
    env_id: str | None
    published_env_id: str | None
    observation: str
    observation_size: int
    action: str
    action_size: int
    loss_weight: float = 1.0
    max_timesteps: int | None = None
    note: str = ""

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(
                f"task name {self.name!r}: use lower-case words joined by hyphens, such as 'own-cartpole'"
            )
        language = self.domain in LANGUAGE_DOMAINS
        if self.observation not in (
            ("text", "picture") if language else ("continuous", "discrete", "image")
        ):
            raise ValueError(
                f"task {self.name}: observation is 'continuous', 'discrete' or 'image', not {self.observation!r}"
            )
        if self.action not in (("text",) if language else ("continuous", "discrete")):
            raise ValueError(
                f"task {self.name}: action is 'continuous' or 'discrete', not {self.action!r}"
            )
        if self.observation_size < 1 or self.action_size < 1:
            raise ValueError(
                f"task {self.name}: sizes are at least 1, got {self.observation_size} and {self.action_size}"
            )

    @property
    def playable(self) -> bool:
        """Whether the task has an environment; text and captions have none."""
        return self.domain not in LANGUAGE_DOMAINS


def _published() -> Iterable[Task]:
    frame_values = table.FRAMES[0] * table.FRAMES[1] * table.FRAMES[2]
    for name, (game, actions) in table.ATARI.items():
        env_id = f"ALE/{game}-v5"
        yield Task(
            f"atari-{name}",
            "atari",
            env_id,
            env_id,
            "image",
            frame_values,
            "discrete",
            actions,
            max_timesteps=32,
        )
    for name, level in table.BABYAI.items():
        env_id = f"BabyAI-{level}-v0"
        yield Task(
            f"babyai-{name}", "babyai", env_id, env_id, "discrete", table.GRID_SIZE, "discrete", 7
        )
    for name in table.METAWORLD:
        facts, note = (
            ("continuous", 39, "continuous", 4, 50.0),
            table.METAWORLD_NOTES.get(name, table.METAWORLD_NOTE),
        )
        yield Task(f"metaworld-{name}", "metaworld", f"{name}-v3", f"{name}-v2", *facts, note=note)
    for name, (env_id, observations, actions, weight) in table.MUJOCO.items():
        today, note = ("Pusher-v5", table.PUSHER_NOTE) if name == "pusher" else (env_id, "")
        facts = ("continuous", observations, "continuous", actions, weight)
        yield Task(f"mujoco-{name}", "mujoco", today, env_id, *facts, note=note)


def _language() -> Iterable[Task]:
    for domain, kind, names in (("text", "text", table.TEXT), ("vision", "picture", table.VISION)):
        for name, note in names.items():
            yield Task(name, domain, None, None, kind, 1, "text", 1, note=note)


_TASKS: dict[str, Task] = {task.name: task for task in _published()}
_LANGUAGE: dict[str, Task] = {task.name: task for task in _language()}
_MAKERS: dict[
    str, Callable
] = {}  # registered tasks only; the published ones are made by the module of their domain


def task_names(domain: str | None = None) -> list[str]:
    """All tasks of control, or those of one domain, in the published order; registered tasks come
    last.

    Tasks of language are listed when their domain is named: "text" or "vision". Raises ValueError
    for a domain that has no task.
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
        raise ValueError(f"unknown task {name!r}{_hint(name)}{_elsewhere()}")
    return task


def _elsewhere() -> str:
    """What a worker process has to say of a task that its parent may know."""
    if multiprocessing.parent_process() is None:
        return ""
    return " (a worker process knows the tasks that importing its modules registers: register yours in a module, or use workers=0, this process alone)"


def expand(patterns: str | Iterable[str]) -> list[str]:
    """Task names for names, patterns and domains: ``["babyai-*", "metaworld", "mujoco-ant"]``, each
    name once.

    "all" and patterns that match a task of control mean control alone; "text", "vision" and their
    names mean language. Raises ValueError with the nearest names for an entry that matches nothing.
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
    control = [
        name
        for name, task in _TASKS.items()
        if pattern in ("all", task.domain) or fnmatch.fnmatchcase(name, pattern)
    ]
    return control or [
        name
        for name, task in _LANGUAGE.items()
        if pattern == task.domain or fnmatch.fnmatchcase(name, pattern)
    ]


def _hint(name: str) -> str:
    """Names that a typing error may have meant: compared whole, and without the domain."""
    lowered = str(name).lower().replace("_", "-")
    near = difflib.get_close_matches(lowered, [*_TASKS, *_LANGUAGE], n=3, cutoff=0.6)
    short = {task_name.partition("-")[2]: task_name for task_name in _TASKS}
    near += [short[match] for match in difflib.get_close_matches(lowered, short, n=3, cutoff=0.7)]
    near = list(dict.fromkeys(near))[:4]
    return f"; did you mean {', '.join(near)}?" if near else "; `jatlab tasks` lists them all"


def register(task: Task, make: Callable) -> Task:
    """Add a task of your own. ``make(task, render_mode=...)`` returns its gymnasium environment.

    Its observations are dicts like the published ones (see :func:`make_env`), or a plain vector for
    a task with continuous observations. Registering a name again replaces it, but never a published
    one (ValueError).
    """
    if not task.playable:
        raise ValueError(
            f"task {task.name}: domain {task.domain!r} is for text and captions; choose another for a task with an environment"
        )
    if task.name in _TASKS and task.name not in _MAKERS or task.name in _LANGUAGE:
        raise ValueError(f"{task.name!r} is a published task; choose another name")
    if not callable(make):
        raise ValueError(f"make must be a function that returns an environment, got {make!r}")
    _TASKS[task.name], _MAKERS[task.name] = task, make
    return task


def domain_of(name: str) -> str:
    """The domain of a task, or of several that a batch mixes (``"babyai-go-to + 38"``, named after
    the first).
    """
    return get_task(name.partition(" + ")[0]).domain


def short_name(name: str) -> str:
    """A task's name without its domain."""
    return name.partition("-")[2] or name


def make_env(name: str, seed: int | None = None, render_mode: str | None = "rgb_array", **options):
    """The environment of a task, as a ``gymnasium.Env`` whose ``.task`` is the :class:`Task`.

    An observation is a dict with ``continuous_observation`` float32 (n,), or
    ``discrete_observation`` int64 (148,) and ``text_observation`` str, or ``image_observation``
    uint8 (4, 84, 84). ``reset(seed=s)`` determines the episode; the first reset without a seed uses
    ``seed``. ``render()`` gives RGB uint8 (h, w, 3), without OpenGL. ``options`` go to the domain's
    ``make``: ``camera`` and ``size`` of the pictures (MuJoCo, Meta-World), ``hide_goal``
    (Meta-World), ``pictures`` (Atari).

    Raises ValueError for an unknown task or option, ImportError when the environment's package is
    missing.
    """
    task = get_task(name)
    if not task.playable:
        raise ValueError(
            f"{name} has no environment: it is {'text' if task.domain == 'text' else 'pictures with text'}, to be read and not to be played"
        )
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode is 'rgb_array' or None, not {render_mode!r}")
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
    return TaskEnv(make(task, render_mode=render_mode, **options), task, seed)


def _check_options(make: Callable, task: Task, options: dict) -> None:
    parameters = inspect.signature(make).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = list(parameters)[2:]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(
            f"{task.name} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}"
        )
