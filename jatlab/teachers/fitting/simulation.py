"""A task for a search of controllers: the environment without what such a search does not need. Of
MuJoCo, the wrappers, which give the same numbers and cost more than the physics; of Atari, the
pictures (``jatlab.teachers.console``).
"""

from __future__ import annotations

import mujoco
import numpy as np

from jatlab.tasks import get_task, make_env

# all that the next step depends on, the solver's warm start too
EVERYTHING = mujoco.mjtState.mjSTATE_INTEGRATION


def make_simulation(
    task_name: str, learning: bool = False, alive_bonus: float = 0.0, novelty: float = 0.0
):
    """A task's simulation; ``learning``: of an Atari game a life an episode, with a bonus for
    novelty, of a MuJoCo task rewards less the bonus.
    """
    if get_task(task_name).domain == "atari":
        from jatlab.teachers.console import ConsoleGame

        return ConsoleGame(task_name, by_life=learning, novelty=novelty if learning else 0.0)
    return Simulation(task_name, alive_bonus if learning else 0.0)


class Simulation:
    """One environment of a MuJoCo task: the same observations, rewards and ends as ``make_env``'s,
    in float32 and plain tuples.

    ``alive_bonus`` is taken off every reward: a search that is paid for standing still learns to
    stand still.
    """

    def __init__(self, task_name: str, alive_bonus: float = 0.0):
        wrapped = make_env(task_name, render_mode=None)
        self.horizon: int = wrapped.spec.max_episode_steps
        self.limit = wrapped.action_space.high.astype(
            np.float32
        )  # (m,); the lowest action is its negative
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
        return (
            self.observation,
            float(reward) - self._bonus,
            bool(terminated),
            self.elapsed >= self.horizon,
        )

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
        mujoco.mj_setState(
            self._env.model, self._env.data, np.ascontiguousarray(state[1 + size :]), EVERYTHING
        )
        mujoco.mj_forward(self._env.model, self._env.data)
        mujoco.mj_setState(
            self._env.model, self._env.data, np.ascontiguousarray(state[1 + size :]), EVERYTHING
        )  # forward moved the warm start


def play(simulation, act, seed: int) -> tuple[float, int]:
    """Return and length of the episode of ``seed``; ``act`` maps an observation (n,) to an action."""
    observation, total = simulation.reset(seed), 0.0
    while True:
        observation, reward, terminated, truncated = simulation.step(act(observation))
        total += reward
        if terminated or truncated:
            return total, simulation.elapsed
