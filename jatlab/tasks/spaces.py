"""The spaces that an environment may have, and how a task's actions fit them.

An agent answers with the number of a choice, counted from 0, or with a flat vector of real numbers.
`with_task_actions` makes an environment take that. Its action space may be

- ``Discrete``, whatever its numbers start with;
- ``MultiDiscrete`` or ``MultiBinary``: their combinations are numbered row by row (as
  ``numpy.ravel_multi_index`` does), so ``MultiDiscrete([3, 2])`` is a task of 6 choices;
- ``Box`` of floating-point numbers, of any shape.

Every other space is refused.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from jatlab.tasks.table import FRAMES, GRID_SIZE
from jatlab.tasks.task import Task
from jatlab.utils.checks import require

Combined: TypeAlias = spaces.MultiDiscrete | spaces.MultiBinary

MOST_CHOICES = 65_536  # what a recording can store


class NumberedActions(gym.ActionWrapper):
    """Takes the number of a choice, counted from 0, for an action of a discrete space."""

    def __init__(self, env: gym.Env, choices: int):
        super().__init__(env)
        self.action_space = spaces.Discrete(choices)
        self._space = cast(spaces.Discrete | Combined, env.action_space)

    def action(self, action: int) -> Any:
        """The environment's action for a number."""
        if isinstance(self._space, spaces.Discrete):
            return int(self._space.start) + action
        sizes, start = _counts(self._space), getattr(self._space, "start", 0)
        chosen = np.reshape(np.unravel_index(action, sizes), self._space.shape)
        return (chosen + start).astype(self._space.dtype)


class FlatActions(gym.ActionWrapper):
    """Takes a flat vector for an action of a Box of another shape."""

    def __init__(self, env: gym.Env, box: spaces.Box):
        super().__init__(env)
        self._shape = box.shape
        low, high = box.low.reshape(-1), box.high.reshape(-1)
        self.action_space = spaces.Box(low, high, dtype=cast(Any, box.dtype).type)

    def action(self, action: np.ndarray) -> np.ndarray:
        """The environment's action for a vector."""
        return np.reshape(action, self._shape)


def with_task_actions(env: gym.Env, task: Task) -> gym.Env:
    """The environment, made to take the task's actions.

    Raises ValueError for a space that no task can have, and for one of another kind or size than
    the task says.
    """
    space = env.action_space
    if isinstance(space, spaces.Discrete | Combined):
        choices = math.prod(_counts(space))
        _require_same(task, "discrete", choices, space)
        counts_from_0 = isinstance(space, spaces.Discrete) and space.start == 0
        return env if counts_from_0 else NumberedActions(env, choices)
    is_real = isinstance(space, spaces.Box) and np.issubdtype(cast(Any, space.dtype), np.floating)
    if not isinstance(space, spaces.Box) or not is_real:
        raise ValueError(
            f"{task.name}: the environment takes actions of {space}, and a task can only have "
            "Discrete, MultiDiscrete or MultiBinary ones, or a Box of floating-point numbers: put "
            "a gymnasium.ActionWrapper around it that takes one of these"
        )
    _require_same(task, "continuous", _size(space), space)
    return env if len(space.shape) == 1 else FlatActions(env, space)


def _counts(space: spaces.Discrete | Combined) -> tuple[int, ...]:
    """How many values each part of the action has."""
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiBinary):
        return (2,) * _size(space)
    return tuple(int(n) for n in space.nvec.reshape(-1))


def _require_same(task: Task, kind: str, size: int, space: gym.Space) -> None:
    require(
        kind == "continuous" or size <= MOST_CHOICES,
        f"{task.name}: {space} has {size:,} combinations, a task has at most {MOST_CHOICES:,} "
        "choices: put a gymnasium.ActionWrapper around the environment that offers fewer",
    )
    require(
        (task.action, task.action_size) == (kind, size),
        f"{task.name}: the task has {task.action} actions of size {task.action_size}, the "
        f"environment {space}, which is action={kind!r}, action_size={size}",
    )


def check_observations(env: gym.Env, task: Task) -> None:
    """Compare what the environment observes with the task.

    A wrong size would only show up deep inside the model. Raises ValueError.
    """
    key, space = f"{task.observation}_observation", env.observation_space
    if not isinstance(space, spaces.Dict) or key not in space.spaces:
        raise ValueError(
            f"{task.name}: the environment must observe a dict with {key!r}, it observes {space}"
        )
    require(
        _size(space[key]) == task.observation_size,
        f"{task.name}: {key} has {task.observation_size} values by the task, "
        f"shape {space[key].shape} in the environment",
    )
    shapes = {"continuous": (task.observation_size,), "discrete": (GRID_SIZE,), "image": FRAMES}
    shape, dtype = shapes[task.observation], space[key].dtype
    require(
        space[key].shape == shape,
        f"{task.name}: {key} has shape {space[key].shape} in the environment, expected {shape}",
    )
    require(
        task.observation == "continuous" or np.issubdtype(cast(Any, dtype), np.integer),
        f"{task.name}: {key} is {dtype} in the environment, expected integers",
    )
    require(
        task.observation != "discrete" or "text_observation" in space.spaces,
        f"{task.name}: the environment must observe its mission, a string under "
        "'text_observation', beside 'discrete_observation'",
    )


def _size(space: gym.Space) -> int:
    """The number of values in a space; 0 for one without a shape."""
    return 0 if space.shape is None else math.prod(space.shape)
