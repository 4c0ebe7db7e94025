"""What every task's environment has in common: the outermost wrapper, and vectors as dicts."""

import copy
import math
import operator
import warnings
from contextlib import suppress
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from jatlab.tasks.spaces import check_observations, with_task_actions
from jatlab.tasks.task import Action, Observation, Task
from jatlab.utils.checks import require, shortened, whole_number

BEGUN = ("observation", "info")
STEPPED = ("observation", "reward", "terminated", "truncated", "info")
MAKE_ENV = "jatlab.tasks.registry:make_env"  # as gymnasium names an entry point


def gym_name(task: str) -> str:
    """A task's name in gymnasium, such as ``jatlab/mujoco-ant-v0``."""
    return f"jatlab/{task}-v0"


class VectorObservation(gym.ObservationWrapper):
    """A Box observation as ``{"continuous_observation": float32 (n,)}``."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self._size = math.prod(env.observation_space.shape or ())
        vector = spaces.Box(-np.inf, np.inf, (self._size,), np.float32)
        self.observation_space = spaces.Dict({"continuous_observation": vector})

    def observation(self, observation: np.ndarray) -> Observation:
        """The observation as a dict with one flat vector."""
        return {"continuous_observation": _vector(observation, self._size)}

    def reset(self, **how: Any) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode."""
        observation, info = _parts(self.env.reset(**how), BEGUN)
        return self.observation(observation), info

    def step(self, action: Action) -> tuple[Observation, Any, Any, Any, Any]:
        """Observation, reward, terminated, truncated, info."""
        observation, *others = _parts(self.env.step(action), STEPPED)
        return self.observation(observation), *others


def _parts(returned: Any, names: tuple[str, ...]) -> Any:
    """What an environment returned. Raises ValueError where it is not as many values."""
    found = f"{len(returned)} values" if isinstance(returned, tuple) else "one value"
    require(
        isinstance(returned, tuple) and len(returned) == len(names),
        f"the environment returned {found}: expected {', '.join(names)}, as in gymnasium since "
        "version 0.26 (the older gym had no truncated, and no info at the beginning)",
    )
    return returned


def _vector(observation: Any, size: int) -> np.ndarray:
    vector = None
    with suppress(TypeError, ValueError):  # no numbers, or lists of unequal length
        values = np.asarray(observation)
        if values.dtype.kind in "biufO":
            vector = values.astype(np.float32).reshape(-1)
    if vector is None or len(vector) != size:
        raise ValueError(
            f"the environment observed {shortened(observation)}: expected {size} numbers"
        )
    return vector


class TaskEnv(gym.Wrapper):
    """The environment of a task: it knows its task and the seed of its first reset.

    Observations and actions are copied on their way, because many simulators give out one array
    again and again, or write on the action that they are given.

    An episode that its environment does not end is truncated after ``task.longest_episode`` steps.
    Where the task sets no ``episode_limit`` of its own, a warning says so, and ``info["cut"]`` is
    that number of steps.

    ``step`` raises ValueError for an action of the wrong kind, size or range, and where the
    simulator returns what gymnasium does not allow, such as None as a reward. The constructor
    raises ValueError if the environment's spaces are not those of the task; see
    :mod:`jatlab.tasks.spaces`.

    Args:
        env: The environment that the domain's ``make`` returned.
        task: The task.
        seed: For the first reset, if that is called without a seed.
        options: The other arguments of :func:`jatlab.make_env`, for :attr:`spec`.
    """

    def __init__(
        self,
        env: gym.Env,
        task: Task,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
    ):
        require(
            isinstance(env, gym.Env),
            f"{task.name}: its `make` must return a gymnasium.Env, it returned {env!r}",
        )
        if isinstance(env.observation_space, spaces.Box) and task.observation == "continuous":
            env = VectorObservation(env)
        check_observations(env, task)
        super().__init__(with_task_actions(env, task))
        self.task = task
        self._first_seed = _whole_seed(seed)
        self._steps = 0
        self._arguments = {"name": task.name, "seed": self._first_seed, **(options or {})}
        # the simulator may offer others, such as a window
        fps = self.metadata.get("render_fps", 30)
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": fps}

    @property
    def spec(self) -> EnvSpec:  # type: ignore[override]  # read-only in gym.Wrapper too
        """What ``gymnasium.make`` needs to make this environment again, in any process.

        It names the task, not the simulator and our wrappers, which depend on the render mode.
        """
        return EnvSpec(
            gym_name(self.task.name),
            MAKE_ENV,
            order_enforce=False,
            disable_env_checker=True,
            kwargs=dict(self._arguments),
        )

    @property
    def unwrapped(self) -> Any:
        """The simulator itself, whose class and attributes depend on the domain."""
        return self.env.unwrapped

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: the observation and gymnasium's info.

        Raises ValueError for a seed that is negative or not whole.
        """
        seed = self._first_seed if seed is None else _whole_seed(seed)
        self._first_seed, self._steps = None, 0
        began = self.env.reset(seed=seed, options=options)
        observation, info = _parts(began, BEGUN)
        return copy.deepcopy(observation), self._checked(info)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Observation, reward, terminated, truncated, info."""
        discrete = self.task.action == "discrete"
        action = self._check_choice(action) if discrete else self._check_vector(action)
        observation, reward, terminated, truncated, info = _parts(self.env.step(action), STEPPED)
        observation, self._steps = copy.deepcopy(observation), self._steps + 1
        reward, info = self._number(reward), self._checked(info)
        terminated, truncated = self._flag(terminated), self._flag(truncated)
        if self._steps >= self.task.longest_episode and not (terminated or truncated):
            truncated = True
            if self.task.episode_limit is None:
                info = info | {"cut": self._steps}
                warnings.warn(unending(self.task), stacklevel=2)
        return observation, reward, terminated, truncated, info

    def _number(self, reward: Any) -> float:
        """The reward as Python's float."""
        try:
            number = float(reward)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        self._require(math.isfinite(number), "reward", reward, "a finite number")
        return number

    def _flag(self, flag: Any) -> bool:
        one = np.size(flag) == 1 and np.asarray(flag).dtype.kind in "biuf"
        number = np.asarray(flag).item() if one else None
        self._require(number in (0, 1), "end of the episode", flag, "True or False")
        return bool(number)

    def _checked(self, info: Any) -> dict[str, Any]:
        self._require(isinstance(info, dict), "info", info, "a dict")
        return info

    def _require(self, condition: bool, name: str, value: Any, expected: str) -> None:
        """Raise ValueError unless what the simulator returned is as gymnasium says."""
        require(
            condition,
            f"{self.task.name}: at step {self._steps} the environment returned "
            f"{shortened(value)} as {name}: expected {expected}",
        )

    def _check_vector(self, action: Action) -> np.ndarray:
        size = self.task.action_size
        try:
            vector = np.array(action, dtype=np.float32)
        except (TypeError, ValueError):  # a text, a dict, rows of different lengths
            vector = np.empty((0, 0), np.float32)
        if vector.shape != (size,) or not np.isfinite(vector).all():
            raise ValueError(
                f"{self.task.name} takes {size} finite numbers as action, got {shortened(action)}"
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
                f"{self.task.name} takes an integer from 0 to {last} as action, got "
                f"{shortened(action)}"
            )
        return index


def unending(task: Task) -> str:
    """A sentence on an episode that was cut because its environment did not end it."""
    return (
        f"{task.name}: no end after {task.longest_episode:,} steps, so the episode was cut. Where "
        f"{task.name} is meant to last as long or longer, say so: Task(…, episode_limit=STEPS)"
    )


def _whole_seed(seed: Any) -> int | None:
    """A seed as every simulator takes it: they differ in which of NumPy's integers they accept."""
    return None if seed is None else whole_number(seed, "seed")


def task_of(env: gym.Env) -> Task:
    """The task of an environment from :func:`jatlab.make_env`, whatever wrappers are around it.

    Raises ValueError for another environment.
    """
    task = env.get_wrapper_attr("task") if _has_task(env) else None
    if not isinstance(task, Task):
        raise ValueError(
            f"{env} has no task: make it with jatlab.make_env(NAME); gymnasium's wrappers may then "
            "be put around it"
        )
    return task


def _has_task(env: Any) -> bool:
    return isinstance(env, gym.Env) and env.has_wrapper_attr("task")
