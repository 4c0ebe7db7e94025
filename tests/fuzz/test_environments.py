"""Environments of own tasks that misbehave: what an agent, a recording and a score make of them."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

import jatlab
from tests.support.fuzzing import JUNK, fuzz, outcome
from tests.support.little_tasks import make_agent
from tests.support.odd_tasks import own_task

FACTS = ("continuous", 3, "discrete", 2)
RIGHT = np.array([0.5, -0.0, 2], np.float32)
AGENT = make_agent()

OBSERVATIONS = st.one_of(
    JUNK,
    st.builds(lambda value: np.full(3, value, np.float32), st.floats(width=32)),
    st.builds(
        lambda shape, dtype: np.zeros(shape, dtype),
        st.sampled_from([(), (0,), (2,), (3,), (4,), (1, 3), (3, 1)]),
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, bool, object, complex, "U3"]),
    ),
    st.sampled_from([RIGHT.tolist(), {"continuous_observation": RIGHT}, RIGHT[:2], [RIGHT]]),
)


class Odd(gym.Env):
    """Behaves until a step, and then does what it is told."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, when: int, what: str, value: object):
        self.when, self.what, self.value = when, what, value

    def _odd(self, what: str, usual: object) -> object:
        return self.value if self.time == self.when and self.what == what else usual

    def _info(self) -> object:
        return self._odd("info", {})

    def reset(self, *, seed=None, options=None):
        self.time = 0
        if self.when == 0 and self.what == "raises":
            raise ValueError("the simulator cannot begin")
        return self._odd("observation", RIGHT), self._info()

    def step(self, action):
        self.time += 1
        if self.time == self.when and self.what == "raises":
            raise ValueError("the simulator broke down")
        return (
            self._odd("observation", RIGHT),
            self._odd("reward", 1.0),
            self._odd("terminated", self.time == 6),
            self._odd("truncated", False),
            self._info(),
        )


def play(env: Odd) -> dict:
    """An episode of an agent in an environment."""
    with own_task("fuzz-odd", FACTS, lambda: env), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's, about odd conversions
        return jatlab.rollout(AGENT, jatlab.make_env("fuzz-odd"), seed=1, max_steps=20)


@fuzz(40)
@given(
    when=st.integers(0, 7),
    what=st.sampled_from(["observation", "observation", "reward", "terminated", "info", "raises"]),
    value=OBSERVATIONS,
)
def test_an_episode_is_whole_or_refused(when, what, value):
    kind, episode = outcome("environments", play, Odd(when, what, value))
    if kind == "right":
        length = episode["length"]
        assert episode["continuous_observations"].shape == (length, 3)
        assert np.isfinite(episode["continuous_observations"]).all()
        assert np.isfinite(episode["rewards"]).all() and len(episode["rewards"]) == length
        assert episode["return"] == pytest.approx(sum(episode["rewards"].tolist()), rel=1e-6)
