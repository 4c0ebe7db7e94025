"""What every task's environment has in common: the outermost wrapper, and vectors as dicts."""

import copy
import math
import operator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from jatlab.tasks.spaces import check_observations, with_task_actions
from jatlab.tasks.task import Action, Observation, Task
from jatlab.utils.checks import require


class VectorObservation(gym.ObservationWrapper):
    """A Box observation as ``{"continuous_observation": float32 (n,)}``."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        vector = spaces.Box(
            -np.inf, np.inf, (math.prod(env.observation_space.shape or ()),), np.float32
        )
        self.observation_space = spaces.Dict({"continuous_observation": vector})

    def observation(self, observation: np.ndarray) -> Observation:
        """The observation as a dict with one flat vector."""
        return {"continuous_observation": np.asarray(observation, dtype=np.float32).reshape(-1)}


class TaskEnv(gym.Wrapper):
    """The environment of a task: it knows its task and the seed of its first reset.

    Observations and actions are copied on their way, because many simulators give out one array
    again and again, or write on the action that they are given.

    ``step`` raises ValueError for an action of the wrong kind, size or range. The constructor
    raises ValueError if the environment's spaces are not those of the task; see
    :mod:`jatlab.tasks.spaces`.
    """

    def __init__(self, env: gym.Env, task: Task, seed: int | None = None):
        require(
            isinstance(env, gym.Env),
            f"{task.name}: its `make` must return a gymnasium.Env, it returned {env!r}",
        )
        if isinstance(env.observation_space, spaces.Box) and task.observation == "continuous":
            env = VectorObservation(env)
        check_observations(env, task)
        super().__init__(with_task_actions(env, task))
        self.task = task
        self._first_seed = seed

    @property
    def unwrapped(self) -> Any:
        """The simulator itself, whose class and attributes depend on the domain."""
        return self.env.unwrapped

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: the observation and gymnasium's info."""
        if seed is None:
            seed = self._first_seed
        self._first_seed = None
        observation, info = self.env.reset(seed=seed, options=options)
        return copy.deepcopy(observation), info

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Observation, reward, terminated, truncated, info."""
        discrete = self.task.action == "discrete"
        action = self._check_choice(action) if discrete else self._check_vector(action)
        observation, reward, terminated, truncated, info = self.env.step(action)
        observation = copy.deepcopy(observation)
        return observation, float(reward), bool(terminated), bool(truncated), info

    def _check_vector(self, action: Action) -> np.ndarray:
        vector, size = np.array(action, dtype=np.float32), self.task.action_size
        if vector.shape != (size,) or not np.isfinite(vector).all():
            raise ValueError(
                f"{self.task.name} takes {size} finite numbers as action, got {vector!r}"
            )
        return vector

    def _check_choice(self, action: Action) -> int:
        number = action.item() if isinstance(action, np.ndarray) and action.size == 1 else action
        try:
            index = operator.index(number)
        except TypeError:
            index = -1
        last = self.task.action_size - 1
        if not 0 <= index <= last:
            raise ValueError(
                f"{self.task.name} takes an integer from 0 to {last} as action, got {action!r}"
            )
        return index
