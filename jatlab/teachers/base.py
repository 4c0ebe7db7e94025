"""What every teacher offers, and the random policy."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from jatlab.tasks.task import Action, Observation
from jatlab.utils.checks import whole_number

if TYPE_CHECKING:
    import gymnasium as gym


class TeacherFailed(Exception):
    """The teacher cannot go on in this episode; a recording drops the episode and counts it."""


class Teacher(ABC):
    """Plays one environment at a time.

    Call ``reset`` after each ``env.reset``, then ``act`` for every observation.

    Attributes:
        max_decisions: Episodes are cut off after so many decisions; None for no limit.
        slowness: How many times the usual time an episode may take.
    """

    max_decisions: int | None = None
    slowness: int = 1

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode of ``env``, which has just been reset.

        ``seed`` matters to teachers that draw random numbers.
        """
        return  # most teachers keep nothing between decisions

    def facts(self) -> dict[str, float]:
        """Facts about the episode just played, to be stored with its return; none for most."""
        return {}

    @abstractmethod
    def act(self, observation: Observation, executed: Action | None = None) -> Action:
        """The action for an observation: float32 (m,) or int.

        ``executed`` is the action that the environment took last, if it was not the one that the
        last call returned. Raises TeacherFailed when the teacher does not know how to go on.
        """


class RandomTeacher(Teacher):
    """Draws every action from the action space, uniformly; the same seed gives the same actions."""

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode; the actions follow from ``seed``."""
        self._space = copy.deepcopy(env.action_space)  # so that nobody else's draws depend on ours
        self._space.seed(None if seed is None else whole_number(seed, "seed"))  # NumPy's, too

    def act(self, observation: Observation, executed: Action | None = None) -> Action:
        """A random action."""
        action = self._space.sample()
        return action.astype(np.float32) if isinstance(action, np.ndarray) else int(action)
