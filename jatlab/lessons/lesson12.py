"""Lesson 12, Your own task: the ferry, solutions and checks."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from jatlab.lessons.answers import Answer, array, expect, kind, named, near, number, numbers
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson12_build import STEPS, check_dagger, collect, dagger


class Ferry(gym.Env):
    """A ferry crosses a river and has to stop at a jetty, while a current pushes it aside.

    It observes 8 numbers: the place (x, y), the velocity through the water, the jetty's place and
    the current. It acts with a thrust (2,), each from -1 to 1. The reward is 1 minus the distance
    to the jetty, at least 0; an episode has 60 steps. Success: within 0.1 of the jetty.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (8,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict]:
        """Draw the start, the jetty and the current."""
        super().reset(seed=seed)
        start, jetty, push = self.np_random.uniform((-0.8, -0.8, -0.6), (0.8, 0.8, 0.6))
        self.place, self.jetty = np.array([start, -0.9]), np.array([jetty, 0.9])
        self.velocity, self.current, self.steps = np.zeros(2), np.array([push, 0.0]), 0
        return self.observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Move by one timestep. The ferry is heavy: it is slow to start and slow to stop."""
        drift = 0.03 * self.current * (1 - self.place[1] ** 2)  # strongest in the middle
        self.velocity = 0.95 * self.velocity + 0.01 * np.clip(action, -1, 1)
        self.place, self.steps = self.place + self.velocity + drift, self.steps + 1
        distance = float(np.linalg.norm(self.place - self.jetty))
        reward, info = max(0.0, 1 - distance), {"success": distance < 0.1}
        return self.observe(), reward, False, self.steps == 60, info

    def observe(self) -> np.ndarray:
        """The observation (8,)."""
        parts = [self.place, self.velocity, self.jetty, self.current]
        return np.concatenate(parts).astype(np.float32)


def cross(pilot: Answer, seed: int) -> float:
    """How far from the jetty the ferry is at the end of an episode."""
    env, done = Ferry(), False
    observation, _ = env.reset(seed=seed)
    while not done:
        action = array(pilot(observation.copy()))
        observation, _, _, done, _ = env.step(action)
    return float(np.linalg.norm(env.place - env.jetty))


# --- 12.1: the facts of a task ---


def facts(env: gym.Env) -> dict[str, str | int]:
    """What a `Task` says of an environment that observes a vector.

    The keys are observation, observation_size, action, action_size.
    """
    discrete = isinstance(env.action_space, gym.spaces.Discrete)
    return {
        "observation": "continuous",
        "observation_size": gym.spaces.flatdim(env.observation_space),
        "action": "discrete" if discrete else "continuous",
        "action_size": gym.spaces.flatdim(env.action_space),
    }


def check_facts(answer: Answer) -> None:
    """Check 12.1 with three environments of Gymnasium."""
    for name, size, action, action_size in (
        ("CartPole-v1", 4, "discrete", 2),
        ("Pendulum-v1", 3, "continuous", 1),
        ("Acrobot-v1", 6, "discrete", 3),
    ):
        env = gym.make(name)
        keys = ("observation", "observation_size", "action", "action_size")
        got, space = (
            named(answer(env), keys, f"return a dict with {', '.join(keys)}"),
            env.action_space,
        )
        env.close()
        _check_observation(name, got, size)
        expect(
            _is_text(got["action"], action),
            f"{name}'s action space is {space}: its action is {action!r}",
        )
        unit = "choices" if action == "discrete" else "number"
        wanted = f"{name}'s action space is {space}: that is {action_size} {unit}"
        expect(number(got["action_size"], wanted) == action_size, f"{wanted}, no other number")


def _check_observation(name: str, got: dict[str, Any], size: int) -> None:
    expect(
        _is_text(got["observation"], "continuous"),
        f"{name} observes real numbers: its observation is 'continuous', whatever its actions are",
    )
    found = got["observation_size"]
    expect(not isinstance(found, tuple), "observation_size is a number of values, not a shape")
    wanted = f"{name} observes {size} values"
    expect(number(found, wanted) == size, f"{wanted}, not {kind(found)}")


def _is_text(found: object, text: str) -> bool:
    return isinstance(found, str) and found == text


# --- 12.2: a fair comparison ---


def paired(a: np.ndarray, b: np.ndarray, draws: int = 4000) -> tuple[float, float, float]:
    """Returns of two agents on the same seeds -> mean of a - b, and its 95 % interval (low, high).

    The interval is bootstrapped: seeds are drawn with replacement.
    """
    differences = np.asarray(a) - np.asarray(b)
    rng = np.random.default_rng(0)
    means = differences[rng.integers(len(differences), size=(draws, len(differences)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(differences.mean()), float(low), float(high)


def check_paired(answer: Answer) -> None:
    """Check 12.2 with two agents, of which one is better by 1, on 80 seeds."""
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 5, 80)  # what the seeds have in common
    a, b = hard + 1 + rng.normal(0, 1, 80), hard + rng.normal(0, 1, 80)
    mean, low, high = numbers(answer(a.copy(), b.copy()), "the mean difference", "low", "high")
    expect(
        not near(mean, (b - a).mean()),
        "the sign is wrong: a - b, so that it is positive where a is better",
    )
    expect(
        near(mean, (a - b).mean()),
        f"the mean of a - b is {(a - b).mean():.3f}, yours is {mean:.3f}",
    )
    expect(
        low < mean < high,
        f"the interval is from low to high around the mean, yours is {low:.3f} to {high:.3f}",
    )
    _, right_low, right_high = paired(a, b, draws=20_000)
    width, right = high - low, right_high - right_low
    single = np.ptp(np.quantile(a - b, (0.025, 0.975)))
    expect(
        abs(width / single - 1) > 0.1,
        "that is where single differences lie: the interval is of their *mean*, "
        "so draw seeds, and take the mean of each draw",
    )
    expect(
        width < 2.5 * right,
        "far too wide: a and b were drawn apart. "
        "Both played the same seeds, so draw seeds, and take the differences there",
    )
    expect(
        width > 0.88 * right,
        "too narrow: draw as many seeds as there are, with replacement, "
        "and take the 2.5 % and 97.5 % quantiles",
    )
    expect(
        width < 1.25 * right,
        "too wide: the interval is of the mean of the differences, "
        "between its 2.5 % and 97.5 % quantiles",
    )
    _check_skewed(answer)


def _check_skewed(answer: Answer) -> None:
    """Differences of which one is far larger: their mean cannot fall as far as it can rise."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 0.05, 15), np.zeros(15)
    a[4] += 15
    mean, low, high = numbers(answer(a.copy(), b.copy()), "the mean difference", "low", "high")
    expect(
        not near(mean - low, high - mean),
        "both ends are equally far from the mean, as with mean ± 1.96 standard errors: "
        "the bootstrap's interval lies between two quantiles of the means that were drawn",
    )
    expect(
        high - mean > 1.3 * (mean - low),
        "with one difference of 15 among zeros the mean can rise further than it can fall: "
        f"about 0 to 3, not {low:.2f} to {high:.2f}",
    )


# --- 12.3: a pilot ---

# an observation in the middle of the river, the jetty straight ahead, no current yet
MIDSTREAM = np.array([0, 0, 0, 0.05, 0, 0.9, 0, 0])
TO_THE_RIGHT = np.array([0, 0, 0, 0, 0, 0, 1, 0])  # a current, added to an observation


def pilot(observation: np.ndarray) -> np.ndarray:
    """The ferry's observation (8,) -> a thrust (2,) from -1 to 1 that brings it to the jetty."""
    place, velocity, jetty, current = observation.reshape(4, 2)
    drift = 0.03 * current * (1 - place[1] ** 2)
    # the velocity wanted: fast while far, slow when near, against the current
    wanted = np.clip(0.1 * (jetty - place), -0.06, 0.06) - drift
    return np.clip((wanted - 0.95 * velocity) / 0.01, -1, 1).astype(np.float32)


def check_pilot(answer: Answer) -> None:
    """Check 12.3: at rest, in 12 crossings, and if they fail, what the pilot does wrong."""
    rest = np.array([0, -0.9, 0, 0, 0.5, 0.9, 0, 0], np.float32)  # far from the jetty, no current
    action = _thrust(answer, rest)
    expect(
        action @ (rest[4:6] - rest[:2]) > 0,
        "this does not steer towards the jetty: the way there is jetty - place",
    )
    distances = np.array([cross(partial(_thrust, answer), seed) for seed in range(12)])
    arrived = np.mean(distances < 0.1)
    if arrived >= 0.9:
        _check_current(answer)
        return
    fast = np.array([0.5, 0.9, 0, 0.08, 0.5, 0.9, 0, 0], np.float32)  # at the jetty, but not slow
    expect(
        _thrust(answer, fast)[1] < -0.2,
        "at the jetty with speed it does not brake: "
        "choose the velocity you want, and thrust by what is missing to it",
    )
    expect(
        _thrust(answer, MIDSTREAM + 0.6 * TO_THE_RIGHT)[0] < -0.05,
        "with a current to the right it does not steer left: "
        "subtract the drift from the velocity you want",
    )
    expect(
        False,
        f"it misses the jetty in {1 - arrived:.0%} of 12 crossings; "
        f"the mean distance at the end is {distances.mean():.2f} (0.1 is near enough)",
    )


def _check_current(answer: Answer) -> None:
    """A pilot that arrives should know of the current, and not only react to where it is."""
    right, left = (_thrust(answer, MIDSTREAM + push * TO_THE_RIGHT)[0] for push in (0.6, -0.6))
    expect(
        not near(right, left),
        "it arrives most times, but it ignores the current: in midstream it thrusts the same "
        "against a current to the right and to the left. Subtract the drift",
    )
    expect(
        right < left,
        "the current has the wrong sign: where it pushes to the right, steer to the left",
    )


def _thrust(answer: Answer, observation: np.ndarray) -> np.ndarray:
    action = array(answer(observation.astype(np.float32)), "an action is two numbers")
    expect(action.shape == (2,), f"an action is two numbers, shape (2,), not {action.shape}")
    expect(
        np.isfinite(action).all() and np.abs(action).max() <= 1 + 1e-6,
        f"each thrust is from -1 to 1 (np.clip), yours is {action}",
    )
    return action


EXERCISES = {
    "12.1": Exercise(difficulty=2, importance=4, minutes=5, solution=facts, check=check_facts),
    "12.2": Exercise(difficulty=3, importance=5, minutes=10, solution=paired, check=check_paired),
    "12.3": Exercise(difficulty=4, importance=5, minutes=15, solution=pilot, check=check_pilot),
    "12.4": Exercise(
        difficulty=4,
        importance=5,
        minutes=20,
        solution=(collect, dagger),
        check=check_dagger,
        steps=STEPS,
    ),
}
