"""Little tasks of each kind, an agent that plays them, and whether anything of them is left.

`GRID`, `PUSH` and `GAME` observe a grid, a vector and frames; `BROKEN` raises at its third step.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

from jatlab.agents.agent import Agent
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.tasks import Task, register

GRID, PUSH, GAME, BROKEN = "app-grid", "app-push", "app-game", "app-broken"
MISSION = "go to the <red> door"
TINY = {
    "hidden_size": 24,
    "num_layers": 2,
    "num_heads": 2,
    "attention_types": [[["global", "local"], 1]],
    "max_position_embeddings": 16,
    "window_size": 6,
    "vocab_size": 3072,
    "tokenizer": "jatlab",
    "discrete_bottleneck": 2,
    "predict_discrete_observations": True,
    "discrete_decoder_size": 4,
    "image_channels": (8, 8, 8),
    "image_pool": 2,
    "max_continuous_size": 12,
    "initializer_range": 0.3,
}
OBSERVATIONS = {
    "discrete": spaces.Dict(
        {
            "discrete_observation": spaces.MultiDiscrete([8] * 148),
            "text_observation": spaces.Text(100),
        }
    ),
    "continuous": spaces.Box(-9, 9, (3,), np.float32),
    "image": spaces.Dict({"image_observation": spaces.Box(0, 255, (4, 84, 84), np.uint8)}),
}
OPEN: list[gym.Env] = []  # environments that nobody has closed


class Little(gym.Env):
    """Twelve steps that change with time, seed and action; pays one a step."""

    def __init__(self, task: Task):
        self.task = task
        self.observation_space = OBSERVATIONS[task.observation]
        self.action_space = spaces.Discrete(task.action_size)
        if task.action == "continuous":
            self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        OPEN.append(self)

    def _observe(self):
        numbers = np.random.default_rng([self.first, self.time])
        if self.task.observation == "discrete":
            grid = numbers.integers(0, 8, 148)
            return {"discrete_observation": grid, "text_observation": MISSION}
        if self.task.observation == "image":
            return {"image_observation": numbers.integers(0, 255, (4, 84, 84)).astype(np.uint8)}
        return numbers.normal(size=3).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        self.time, self.first = 0, seed
        return self._observe(), {}

    def step(self, action):
        self.time += 1
        if self.task.name == BROKEN and self.time == 3:
            raise ValueError("the gearbox broke")
        return self._observe(), 1.0, self.time == 12, False, {"success": True}

    def render(self):
        return np.full((40, 60, 3), 10 * self.time, np.uint8)

    def close(self):
        if self in OPEN:
            OPEN.remove(self)


for name, *facts in (
    (GRID, "discrete", 148, "discrete", 3),
    (PUSH, "continuous", 3, "continuous", 2),
    (GAME, "image", 4 * 84 * 84, "discrete", 4),
    (BROKEN, "discrete", 148, "discrete", 3),
):
    register(Task(name, "app", "App-v0", None, *facts), lambda task, render_mode=None: Little(task))


def make_agent(**changes: object) -> Agent:
    """An untrained agent, always with the same weights, that says it has learnt GRID and PUSH."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = JatModel(JatConfig.from_dict(TINY | changes))
    return Agent(model, info={"name": "tiny", "data": {GRID: {}, PUSH: {}}})


@contextmanager
def nothing_left() -> Iterator[None]:
    """No thread and no environment outlives the block."""
    OPEN.clear()  # what other tests of this process left is not ours
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before
    assert OPEN == []
