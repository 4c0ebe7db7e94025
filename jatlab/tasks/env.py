"""What every task's environment has in common: the outermost wrapper, and vectors as dicts."""

import operator

import gymnasium as gym
import numpy as np

from jatlab.tasks.registry import Task


class VectorObservation(gym.ObservationWrapper):
    """A Box observation as ``{"continuous_observation": float32 (n,)}``."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        size = int(np.prod(env.observation_space.shape))
        self.observation_space = gym.spaces.Dict(
            {"continuous_observation": gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)}
        )

    def observation(self, observation):
        return {"continuous_observation": np.asarray(observation, dtype=np.float32).reshape(-1)}


class TaskEnv(gym.Wrapper):
    """The environment of a task: knows its task, its first seed, and refuses actions that do not
    fit.

    ``step`` raises ValueError for an action of the wrong kind, size or range.
    """

    def __init__(self, env: gym.Env, task: Task, seed: int | None = None):
        if isinstance(env.observation_space, gym.spaces.Box) and task.observation == "continuous":
            env = VectorObservation(env)
        super().__init__(env)
        self.task = task
        self._first_seed = seed
        _check_spaces(env, task)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        if seed is None:
            seed = self._first_seed
        self._first_seed = None
        return self.env.reset(seed=seed, options=options)

    def step(self, action):
        action = (
            self._continuous(action) if self.task.action == "continuous" else self._discrete(action)
        )
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), bool(terminated), bool(truncated), info

    def _continuous(self, action) -> np.ndarray:
        action = np.asarray(action, dtype=np.float32)
        if action.shape != (self.task.action_size,) or not np.isfinite(action).all():
            raise ValueError(
                f"{self.task.name} takes {self.task.action_size} finite numbers as action, got {action!r}"
            )
        return action

    def _discrete(self, action) -> int:
        try:
            index = operator.index(
                action.item() if isinstance(action, np.ndarray) and action.size == 1 else action
            )
        except TypeError:
            index = -1
        if not 0 <= index < self.task.action_size:
            raise ValueError(
                f"{self.task.name} takes an integer from 0 to {self.task.action_size - 1} as action, got {action!r}"
            )
        return index


KEYS = {
    "continuous": "continuous_observation",
    "discrete": "discrete_observation",
    "image": "image_observation",
}


def _check_spaces(env: gym.Env, task: Task) -> None:
    """A task and its environment must agree; a wrong size would only show up deep inside the model."""
    key = KEYS[task.observation]
    if (
        not isinstance(env.observation_space, gym.spaces.Dict)
        or key not in env.observation_space.spaces
    ):
        raise ValueError(
            f"{task.name}: the environment must observe a dict with {key!r}, it observes {env.observation_space}"
        )
    shape = env.observation_space[key].shape
    if int(np.prod(shape)) != task.observation_size:
        raise ValueError(
            f"{task.name}: {key} has {task.observation_size} values by the task, shape {shape} in the environment"
        )
    size = (
        int(env.action_space.n)
        if isinstance(env.action_space, gym.spaces.Discrete)
        else int(np.prod(env.action_space.shape))
    )
    kind = "discrete" if isinstance(env.action_space, gym.spaces.Discrete) else "continuous"
    if (kind, size) != (task.action, task.action_size):
        raise ValueError(
            f"{task.name}: the task has {task.action} actions of size {task.action_size}, the environment {env.action_space}"
        )
