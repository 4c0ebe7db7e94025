"""An Atari game without its pictures, for policies that read the console's memory.

Its 128 bytes say where everything is. From them a policy learns in minutes on one core what takes
hours from pictures. It decides from the present only, as its imitators will have to, who see the
pictures instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ale_py
import numpy as np

from jatlab.tasks import make_env
from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import Teacher
from jatlab.teachers.policy import Policy
from jatlab.teachers.search.emulator import judged

if TYPE_CHECKING:
    import gymnasium as gym

DECISIONS = 4500  # of an episode: 18,000 frames, five minutes of play, as for the search


def sense(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """What a policy sees, float32 (256,).

    It is the memory, uint8 (128,), and its change since the decision before.
    """
    seen = np.empty(2 * len(now), np.float32)
    seen[: len(now)] = now
    np.subtract(seen[: len(now)], before, out=seen[len(now) :])
    return seen


class ConsoleGame:
    """An Atari task for a search of policies, without pictures, which take most of the time.

    Starts, rewards and ends are those of ``make_env``.

    Args:
        task_name: The game.
        by_life: For learning. An episode is a life: ``reset`` goes on with the next life while
            there is one. A reward is 1, 0 or -1, as in learning from pictures since DQN (Mnih and
            others 2015).
        novelty: For games whose reward nobody finds by chance. A value that was never seen at its
            address adds this much to the reward, half of it the second time, a third the third. The
            search does so too where no reward is in sight.
    """

    def __init__(self, task_name: str, by_life: bool = False, novelty: float = 0.0):
        self._game = make_env(task_name, render_mode=None, pictures=False).env
        self._by_life, self._novelty = by_life, novelty
        self._ale = judged(self._game)
        self.actions = len(self._ale.getMinimalActionSet())
        self._visits = np.zeros((128, 256) if novelty else (0, 0), np.int32)
        self._game.reset(seed=0)
        self._begin()

    def reset(self, seed: int) -> np.ndarray:
        """Begin the game of ``seed``, or the next life of one that is not over.

        Returns what is sensed, (256,).
        """
        if not self._by_life:
            self._game.reset(seed=int(seed))
            self._begin()
        elif self._over():
            self._game.get_wrapper_attr("restart")(int(seed))
            self._begin()
        return self.observation

    def _begin(self) -> None:
        self.elapsed, self._now = 0, self._ale.getRAM()
        self.observation = sense(self._now, self._now)

    def _over(self) -> bool:
        return self._ale.game_over() or self.elapsed >= DECISIONS

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        """What is sensed (256,), reward, terminated, truncated."""
        lives = self._ale.lives()
        _, points, terminated, _, _ = self._game.step(action)
        reward = float(points)
        self.elapsed, before, self._now = self.elapsed + 1, self._now, self._ale.getRAM()
        self.observation = sense(self._now, before)
        if self._by_life:
            reward, terminated = float(np.sign(reward)), terminated or self._ale.lives() < lives
        if self._novelty:
            reward += self._novelty * self._newness()
        return self.observation, reward, terminated, self._over()

    def _newness(self) -> float:
        """How new the present values are; counts them as seen."""
        places = np.arange(len(self._now)), self._now
        self._visits[places] += 1
        return float((1 / self._visits[places]).sum())

    def state(self) -> np.ndarray:
        """Where the episode stands, (s,) uint8.

        Elapsed decisions, memory, what is sensed, what was visited, the console.
        """
        parts = (
            np.int64(self.elapsed).tobytes(),
            self._now.tobytes(),
            self.observation.tobytes(),
            self._visits.tobytes(),
            self._ale.cloneState().serialize(),
        )
        return np.frombuffer(b"".join(parts), np.uint8)

    def restore(self, state: np.ndarray) -> None:
        """Go on from a :meth:`state`."""
        sizes = [8, self._now.nbytes, self.observation.nbytes, self._visits.nbytes]
        elapsed, now, seen, visits, console = np.split(state, np.cumsum(sizes))
        self.elapsed, self._now = int(elapsed.view(np.int64)[0]), now.copy()
        self.observation = seen.view(np.float32).copy()
        self._visits = visits.view(np.int32).reshape(self._visits.shape).copy()
        self._ale.restoreState(ale_py.ALEState(console.tobytes()))


class ConsoleTeacher(Teacher):
    """Plays an Atari game by a policy of the console's memory.

    The observation, pictures, is for the agent; the policy does not look at it.
    """

    max_decisions = DECISIONS

    def __init__(self, policy: Policy):
        self.policy = policy

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode of an Atari task. Raises ValueError for any other environment."""
        self._ale = judged(env)
        self._before: np.ndarray | None = None

    def act(self, observation: Observation, executed: Action | None = None) -> int:
        """The policy's choice for the memory as it is now."""
        now = self._ale.getRAM()
        return self.policy.choose(sense(now, self._earlier(now)))

    def _earlier(self, now: np.ndarray) -> np.ndarray:
        """The memory at the decision before; at the first one, the memory now."""
        before, self._before = self._before, now
        return now if before is None else before
