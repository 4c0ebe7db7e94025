"""An environment and an agent whose returns tell what was played; worker processes import them."""

import os
import signal
import time

import gymnasium as gym
import numpy as np
import pytest

from jatlab.tasks import Task, register


class SeedEnv(gym.Env):
    """An episode of seed s lasts 1 + s % 5 steps and pays s % 1000 at its end, plus a hundredth for
    every action 1.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    resets, closed, alive = [], 0, 0

    def __init__(self):
        SeedEnv.alive += 1

    def _observation(self):
        return {"continuous_observation": np.array([self.seed % 1000, self.time], np.float32)}

    def reset(self, *, seed=None, options=None):
        SeedEnv.resets.append(seed)
        self.seed, self.time = seed, 0
        return self._observation(), {}

    def step(self, action):
        self.time += 1
        done = self.time == 1 + self.seed % 5
        reward = 0.01 * action + (self.seed % 1000 if done else 0)
        terminated, truncated = done and self.seed % 2 == 0, done and self.seed % 2 == 1
        info = {"success": self.seed % 3 == 0} if done else {}
        return self._observation(), reward, terminated, truncated, info

    def render(self):
        return np.full((8, 8, 3), min(255, self.time), np.uint8)

    def close(self):
        SeedEnv.closed += 1


class Slow(SeedEnv):
    """A step takes a tenth of a second, so that a run can be killed in the middle."""

    def step(self, action):
        time.sleep(0.1)
        return super().step(action)


class Diverging(SeedEnv):
    """The first reward is NaN."""

    def step(self, action):
        return *super().step(action)[:1], float("nan"), True, False, {}


class Recorder:
    """Checks what an agent must be told; acts by the observation alone, or by a draw from the
    episode's own seed.
    """

    def __init__(self, sample=False, name="recorder"):
        self.info, self.sample = {"name": name}, sample

    def reset(self, n, task):
        self.n, self.before, self.generators = n, [None] * n, [None] * n
        self.resets = getattr(self, "resets", 0) + 1

    def act(self, observations, rewards, starts, greedy=False, temperature=1.0, seeds=None):
        assert len(observations) == len(rewards) == len(starts) == len(seeds) == self.n
        actions = []
        for row in range(self.n):
            number, step = observations[row]["continuous_observation"]
            if seeds[row] is not None:
                expected = 0.0 if starts[row] else 0.01 * self.before[row]
                assert starts[row] == (step == 0) and number == seeds[row] % 1000
                assert rewards[row] == pytest.approx(expected)
            if starts[row]:
                self.generators[row] = np.random.default_rng(seeds[row])
            drawn = int(self.generators[row].integers(2)) if self.sample else None
            actions.append(int(number + step) % 2 if drawn is None else drawn)
        self.before = actions
        return actions


def register_seeds(name):
    """Register a task whose environment is a `SeedEnv`, and return its name."""
    task = Task(name, "evaluation", "Seeds-v0", None, "continuous", 2, "discrete", 2)
    register(task, lambda task, render_mode=None: SeedEnv())
    return name


TASK = register_seeds("evaluation-seeds")
MANY = [register_seeds(f"evaluation-many-{index}") for index in range(6)]
# worker processes import this module too, and see the parent's process here
PARENT = int(os.environ.setdefault("EVALUATION_TEST_PARENT", str(os.getpid())))


def make(name):
    return SeedEnv()


def make_slow(name):
    return Slow()


def make_some_fail(name):
    """One task's simulation diverges, one's package is missing, one's process is killed (where it
    is not ours).
    """
    if name == MANY[1]:
        return Diverging()
    if name == MANY[2]:
        raise ImportError(f"task {name} needs the package 'atlantis'")
    if name == MANY[3] and os.getpid() != PARENT:
        os.kill(os.getpid(), signal.SIGKILL)
    return SeedEnv()
