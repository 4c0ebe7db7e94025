"""What every teacher offers, and the one that knows nothing."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import numpy as np


class TeacherFailed(Exception):
    """The teacher cannot go on in this episode; whoever records drops the episode and counts it."""


class Teacher(ABC):
    """Plays one environment at a time: ``reset`` after each ``env.reset``, then ``act`` for every
    observation.

    ``max_decisions``: whoever plays ends an episode there. ``slowness``: how many times the usual
    time an episode may take.
    """

    max_decisions: int | None = None
    slowness: int = 1

    def reset(self, env, seed: int | None = None) -> None:
        """Begin an episode of ``env``, which has just been reset. ``seed`` matters to teachers that
        draw numbers.
        """

    def facts(self) -> dict:
        """What belongs beside a measured return, of the episode just played, as numbers: nothing
        for most.
        """
        return {}

    @abstractmethod
    def act(self, observation: dict, executed=None):
        """The action for ``observation``: float32 (m,) or int.

        ``executed`` is the action that the environment really took last, if it was not the one
        returned by the last call. Raises TeacherFailed when the teacher does not know how to go on.
        """


class RandomTeacher(Teacher):
    """Draws every action from the action space, uniformly; the same seed gives the same actions."""

    def reset(self, env, seed: int | None = None) -> None:
        self._space = copy.deepcopy(
            env.action_space
        )  # a copy, so that nobody else's draws depend on ours
        self._space.seed(seed)

    def act(self, observation: dict, executed=None):
        action = self._space.sample()
        return action.astype(np.float32) if isinstance(action, np.ndarray) else int(action)
