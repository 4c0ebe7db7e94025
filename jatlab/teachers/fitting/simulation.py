"""A task for a search of controllers: the environment without what such a search does not need.

Of MuJoCo these are the wrappers, which give the same numbers and cost more than the physics; of
Atari the pictures (``jatlab.teachers.console``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import mujoco
import numpy as np
from gymnasium.spaces import Box

from jatlab.tasks import get_task, make_env

if TYPE_CHECKING:
    from jatlab.teachers.console import ConsoleGame

# all that the next step depends on, the solver's warm start too
EVERYTHING = mujoco.mjtState.mjSTATE_INTEGRATION

AnySimulation: TypeAlias = "Simulation | ConsoleGame"


def make_simulation(
    task_name: str, learning: bool = False, alive_bonus: float = 0.0, novelty: float = 0.0
) -> AnySimulation:
    """A task's simulation.

    Args:
        task_name: A MuJoCo task or an Atari game.
        learning: Whether episodes and rewards are those for learning. An episode of an Atari game
            is then a life. Otherwise ``alive_bonus`` and ``novelty`` do not count.
        alive_bonus: Taken off every reward of a MuJoCo task.
        novelty: Added to the rewards of an Atari game for new values in its memory.
    """
    if get_task(task_name).domain == "atari":
        from jatlab.teachers.console import ConsoleGame

        return ConsoleGame(task_name, by_life=learning, novelty=novelty if learning else 0.0)
    return Simulation(task_name, alive_bonus if learning else 0.0)


class Simulation:
    """One environment of a MuJoCo task, in float32 and plain tuples.

    Observations, rewards and ends are those of ``make_env``, except that ``alive_bonus`` is taken
    off every reward: a search that is paid for standing still learns to stand still.
    """

    def __init__(self, task_name: str, alive_bonus: float = 0.0):
        wrapped = make_env(task_name, render_mode=None)
        # gymnasium's spec says how long an episode may be; the task's own does not
        spec, actions = wrapped.env.spec, wrapped.action_space
        assert spec is not None and spec.max_episode_steps and isinstance(actions, Box)
        self.horizon = spec.max_episode_steps
        self.limit = actions.high.astype(np.float32)  # (m,); the lowest action is its negative
        self._env, self._bonus, self.elapsed = wrapped.unwrapped, alive_bonus, 0
        self.observation = self.reset(0)

    def reset(self, seed: int) -> np.ndarray:
        """Begin the episode of ``seed``; the observation, (n,)."""
        self.elapsed = 0
        self.observation = self._env.reset(seed=int(seed))[0].astype(np.float32)
        return self.observation

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """Observation (n,), reward less the bonus, terminated, truncated."""
        observation, reward, terminated, _, _ = self._env.step(action)
        self.observation, self.elapsed = observation.astype(np.float32), self.elapsed + 1
        reward, truncated = float(reward) - self._bonus, self.elapsed >= self.horizon
        return self.observation, reward, bool(terminated), truncated

    def state(self) -> np.ndarray:
        """Where the episode stands, (s,) float64: elapsed steps, observation, physics."""
        model, data = self._env.model, self._env.data
        physics = np.empty(mujoco.mj_stateSize(model, EVERYTHING))
        mujoco.mj_getState(model, data, physics, EVERYTHING)
        return np.concatenate([[self.elapsed], self.observation, physics])

    def restore(self, state: np.ndarray) -> None:
        """Go on from a :meth:`state`."""
        size = len(self.observation)
        self.elapsed, self.observation = int(state[0]), state[1 : 1 + size].astype(np.float32)
        model, data, physics = self._env.model, self._env.data, state[1 + size :].copy()
        mujoco.mj_setState(model, data, physics, EVERYTHING)
        mujoco.mj_forward(model, data)
        mujoco.mj_setState(model, data, physics, EVERYTHING)  # mj_forward moved the warm start


def play(
    simulation: AnySimulation, act: Callable[[np.ndarray], Any], seed: int
) -> tuple[float, int]:
    """Return and length of the episode of ``seed``.

    ``act`` maps an observation (n,) to an action of the simulation's kind.
    """
    observation, total = simulation.reset(seed), 0.0
    while True:
        observation, reward, terminated, truncated = simulation.step(act(observation))
        total += reward
        if terminated or truncated:
            return total, simulation.elapsed
