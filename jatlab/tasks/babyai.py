"""BabyAI levels of MiniGrid: an instruction in words, and a 7x7 view of the grid as integers."""

import string
from typing import Any

import gymnasium as gym
import minigrid
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.envs.babyai.core import roomgrid_level

from jatlab.tasks.table import GRID_SIZE
from jatlab.tasks.task import Observation, Task

gym.register_envs(minigrid)

_CELL = [len(OBJECT_TO_IDX), len(COLOR_TO_IDX), 4]  # object, colour, state
_TEXT = gym.spaces.Text(max_length=512, charset=string.printable)


def _print_nothing(*args: object, **kwargs: object) -> None:
    """Replaces ``print`` in MiniGrid's level generator, which reports every rejected draw."""


# shadows the builtin in that module only
roomgrid_level.print = _print_nothing  # type: ignore[attr-defined]


class GridObservation(gym.Wrapper):
    """MiniGrid's observation as ``discrete_observation`` and ``text_observation``.

    ``discrete_observation`` is int64 (148,): the direction, then the view, (7, 7, 3) row by row.
    ``text_observation`` is the mission. ``info["success"]`` says whether the mission was carried
    out.
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        grid = gym.spaces.MultiDiscrete([4] + _CELL * 49, dtype=np.int64)
        self.observation_space = gym.spaces.Dict(
            {"discrete_observation": grid, "text_observation": _TEXT}
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a mission."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._convert(observation), info

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward = float(reward)
        info = info | {"success": reward > 0}
        return self._convert(observation), reward, terminated, truncated, info

    @staticmethod
    def _convert(observation: dict[str, Any]) -> Observation:
        grid = np.empty(GRID_SIZE, dtype=np.int64)
        grid[0] = observation["direction"]
        grid[1:] = observation["image"].reshape(-1)  # (7, 7, 3) row by row
        return {"discrete_observation": grid, "text_observation": observation["mission"]}


def make(task: Task, render_mode: str | None = "rgb_array") -> gym.Env:
    """The environment of a BabyAI task."""
    env = gym.make(str(task.env_id), render_mode=render_mode, disable_env_checker=True)
    return GridObservation(env)
