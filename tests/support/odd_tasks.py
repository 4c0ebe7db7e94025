"""Environments that are legal for gymnasium but unusual, as tasks of each kind of observation.

`Reusing` gives out one and the same array at every step, and one and the same picture.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from jatlab.tasks import Task, register, registry
from jatlab.teachers import Teacher, register_teacher
from jatlab.teachers import registry as teacher_registry

STEPS = 5
KINDS = ("vector", "dict", "grid", "picture")
# kind of `Reusing` -> what a task says of it
FACTS = {
    "vector": ("continuous", 3),
    "dict": ("continuous", 3),
    "grid": ("discrete", 148),
    "picture": ("image", 4 * 84 * 84),
}
ARRAYS = {
    "continuous": ("continuous_observation", np.zeros(3, np.float32)),
    "discrete": ("discrete_observation", np.zeros(148, np.int64)),
    "image": ("image_observation", np.zeros((4, 84, 84), np.uint8)),
}


class Reusing(gym.Env):
    """Counts its steps in an array that it gives out again and again; writes on its actions too."""

    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, kind: str):
        self.key, array = ARRAYS[FACTS[kind][0]]
        self.array, self.picture = array.copy(), np.zeros((8, 8, 3), np.uint8)
        box = spaces.Box(0, 255, array.shape, array.dtype.type)
        self.out = self.array if kind == "vector" else {self.key: self.array}
        if kind == "grid":
            box = spaces.MultiDiscrete([100] * 148)
            self.out["text_observation"] = "count"
        parts = {self.key: box} | ({"text_observation": spaces.Text(9)} if kind == "grid" else {})
        self.observation_space = box if kind == "vector" else spaces.Dict(parts)

    def _count(self, number):
        self.array[...] = number
        self.picture[...] = number

    def reset(self, *, seed=None, options=None):
        self._count(0)
        return self.out, {}

    def step(self, action):
        self._count(self.array.flat[0] + 1)
        action[:] = -9  # as one that clips in place
        return self.out, 1.0, bool(self.array.flat[0] == STEPS), False, {}

    def render(self):
        return self.picture


class Endless(gym.Env):
    """Never ends; pays 1 a step."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, False, {}

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


class Drawn(gym.Env):
    """Six steps; `render()` returns the picture of the step, whatever that is."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, pictures: Callable[[int], Any]):
        self.pictures = pictures

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.zeros(2, np.float32), 1.0, self.time == 6, False, {}

    def render(self):
        return self.pictures(self.time)


class ReusingTeacher(Teacher):
    """Answers with the first number that it sees, in an array that it gives out again and again."""

    def __init__(self):
        self.answer = np.zeros(2, np.float32)

    def act(self, observation, executed=None):
        key = next(key for key in observation if key != "text_observation")
        self.answer[:] = observation[key].flat[0] / 10
        return self.answer


@contextmanager
def own_task(
    name: str, facts: tuple, make: Callable[[], gym.Env], teacher: type | None = None, **more: Any
) -> Iterator[Task]:
    """A task called `name`, with these facts, that vanishes after the block."""
    tasks = mock.patch.dict(registry._TASKS), mock.patch.dict(registry._MAKERS)
    with tasks[0], tasks[1], mock.patch.dict(teacher_registry._REGISTERED):
        task = Task(name, "odd", None, None, *facts, **more)
        register(task, lambda task, render_mode=None: make())
        if teacher:
            register_teacher(name, teacher, "an odd one")
        yield task
