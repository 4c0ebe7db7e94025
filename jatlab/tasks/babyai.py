"""BabyAI levels of MiniGrid: an instruction in words, and a 7x7 view of the grid as integers."""

import string

import gymnasium as gym
import minigrid  # noqa: F401  (registers the levels with gymnasium)
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.envs.babyai.core import roomgrid_level

from jatlab.tasks.registry import Task

_CELL = [len(OBJECT_TO_IDX), len(COLOR_TO_IDX), 4]  # object, colour, state
_TEXT = gym.spaces.Text(max_length=512, charset=string.printable)


def _quiet(*args, **kwargs) -> None:
    """Stands in for ``print`` in MiniGrid's level generator, which announces every rejected draw:
    thousands of lines.
    """


roomgrid_level.print = _quiet  # shadows the builtin in that module alone


class GridObservation(gym.Wrapper):
    """MiniGrid's dict as ``discrete_observation`` int64 (148,), direction first, and
    ``text_observation``, the mission.

    ``info["success"]`` says whether the instruction has been carried out.
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        grid = gym.spaces.MultiDiscrete([4] + _CELL * 49, dtype=np.int64)
        self.observation_space = gym.spaces.Dict(
            {"discrete_observation": grid, "text_observation": _TEXT}
        )

    def reset(self, *, seed=None, options=None):
        observation, info = self.env.reset(seed=seed, options=options)
        return self._convert(observation), info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return (
            self._convert(observation),
            reward,
            terminated,
            truncated,
            info | {"success": reward > 0},
        )

    @staticmethod
    def _convert(observation: dict) -> dict:
        grid = np.empty(148, dtype=np.int64)
        grid[0] = observation["direction"]
        grid[1:] = observation["image"].reshape(-1)  # (7, 7, 3) row by row
        return {"discrete_observation": grid, "text_observation": observation["mission"]}


def make(task: Task, render_mode: str | None = "rgb_array") -> gym.Env:
    """The environment of a BabyAI task."""
    return GridObservation(gym.make(task.env_id, render_mode=render_mode, disable_env_checker=True))
