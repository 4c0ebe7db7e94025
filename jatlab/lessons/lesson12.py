"""Lesson 12, Your own task: its ferry, solutions and checks."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from jatlab.lessons import Exercise, expect, numbers


class Ferry(gym.Env):
    """A ferry crosses a river and has to stop at a jetty, while a current pushes it aside.

    Observes 8 numbers: its place (x, y), its velocity through the water, the jetty's place, the
    current. Acts with a thrust (2,), each from -1 to 1. The reward is 1 minus the distance to the
    jetty, at least 0; an episode has 60 steps. Success: within 0.1 of the jetty.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (8,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        start, jetty, push = self.np_random.uniform((-0.8, -0.8, -0.6), (0.8, 0.8, 0.6))
        self.place, self.jetty = np.array([start, -0.9]), np.array([jetty, 0.9])
        self.velocity, self.current, self.steps = np.zeros(2), np.array([push, 0.0]), 0
        return self.observe(), {}

    def step(self, action):
        # strongest in the middle of the river
        drift = 0.03 * self.current * (1 - self.place[1] ** 2)
        self.velocity = 0.95 * self.velocity + 0.01 * np.clip(
            action, -1, 1
        )  # heavy: it is slow to start and slow to stop
        self.place, self.steps = self.place + self.velocity + drift, self.steps + 1
        distance = float(np.linalg.norm(self.place - self.jetty))
        return (
            self.observe(),
            max(0.0, 1 - distance),
            False,
            self.steps == 60,
            {"success": distance < 0.1},
        )

    def observe(self):
        return np.concatenate([self.place, self.velocity, self.jetty, self.current]).astype(
            np.float32
        )


def cross(pilot, seed: int) -> float:
    """How far from the jetty the ferry is at the end of an episode."""
    env, done = Ferry(), False
    observation, _ = env.reset(seed=seed)
    while not done:
        observation, _, _, done, _ = env.step(
            np.asarray(pilot(observation.copy()), dtype=np.float64)
        )
    return float(np.linalg.norm(env.place - env.jetty))


# --- 12.1 the facts of a task
# ------------------------------------------------------------------------------------------------


def facts(env: gym.Env) -> dict:
    """What a `Task` says of an environment that observes a vector: observation, observation_size,
    action, action_size.
    """
    discrete = isinstance(env.action_space, gym.spaces.Discrete)
    return {
        "observation": "continuous",
        "observation_size": int(np.prod(env.observation_space.shape)),
        "action": "discrete" if discrete else "continuous",
        "action_size": int(env.action_space.n if discrete else np.prod(env.action_space.shape)),
    }


def check_facts(answer) -> None:
    for name, size, kind, actions in (
        ("CartPole-v1", 4, "discrete", 2),
        ("Pendulum-v1", 3, "continuous", 1),
        ("Acrobot-v1", 6, "discrete", 3),
    ):
        env = gym.make(name)
        got = answer(env)
        env.close()
        expect(
            isinstance(got, dict) and set(got) == set(facts(env)),
            f"return a dict with {', '.join(facts(env))}",
        )
        expect(
            got["observation"] == "continuous",
            f"{name} observes real numbers: its observation is 'continuous', whatever its actions are",
        )
        expect(
            not isinstance(got["observation_size"], tuple),
            "observation_size is a number of values, not a shape",
        )
        expect(
            got["observation_size"] == size,
            f"{name} observes {size} values, not {got['observation_size']}",
        )
        expect(
            got["action"] == kind,
            f"{name}'s action space is {env.action_space}: its action is {kind!r}",
        )
        expect(
            got["action_size"] == actions,
            f"{name}'s action space is {env.action_space}: that is {actions} {'choices' if kind == 'discrete' else 'number'}, not {got['action_size']}",
        )


# --- 12.2 a fair comparison
# --------------------------------------------------------------------------------------------------


def paired(a: np.ndarray, b: np.ndarray, draws: int = 4000) -> tuple[float, float, float]:
    """Returns of two agents on the same seeds -> mean of a - b, and the ends of its 95 % bootstrap
    interval, drawing seeds with replacement.
    """
    differences = np.asarray(a) - np.asarray(b)
    rng = np.random.default_rng(0)
    means = differences[rng.integers(len(differences), size=(draws, len(differences)))].mean(axis=1)
    return float(differences.mean()), *map(float, np.quantile(means, (0.025, 0.975)))


def check_paired(answer) -> None:
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 5, 80)  # what the seeds have in common
    a, b = hard + 1 + rng.normal(0, 1, 80), hard + rng.normal(0, 1, 80)
    mean, low, high = numbers(answer(a.copy(), b.copy()), "the mean difference", "low", "high")
    expect(
        not np.isclose(mean, (b - a).mean()),
        "the sign is wrong: a - b, so that it is positive where a is better",
    )
    expect(
        np.isclose(mean, (a - b).mean()),
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
        "that is where single differences lie: the interval is of their *mean*, so draw seeds, and take the mean of each draw",
    )
    expect(
        width < 2.5 * right,
        "far too wide: a and b were drawn apart. Both played the same seeds, so draw seeds, and take the differences there",
    )
    expect(
        width > 0.88 * right,
        "too narrow: draw as many seeds as there are, with replacement, and take the 2.5 % and 97.5 % quantiles",
    )
    expect(
        width < 1.25 * right,
        "too wide: the interval is of the mean of the differences, between its 2.5 % and 97.5 % quantiles",
    )


# --- 12.3 a pilot
# ------------------------------------------------------------------------------------------------------------


def pilot(observation: np.ndarray) -> np.ndarray:
    """The ferry's observation (8,) -> a thrust (2,) from -1 to 1 that brings it to the jetty."""
    place, velocity, jetty, current = observation.reshape(4, 2)
    drift = 0.03 * current * (1 - place[1] ** 2)
    # a velocity: fast while far, slow when near, against the current
    wanted = np.clip(0.1 * (jetty - place), -0.06, 0.06) - drift
    return np.clip((wanted - 0.95 * velocity) / 0.01, -1, 1).astype(np.float32)


def check_pilot(answer) -> None:
    rest = np.array([0, -0.9, 0, 0, 0.5, 0.9, 0, 0], np.float32)  # far from the jetty, no current
    action = np.asarray(answer(rest.copy()), dtype=float)
    expect(action.shape == (2,), f"an action is two numbers, shape (2,), not {action.shape}")
    expect(
        np.isfinite(action).all() and np.abs(action).max() <= 1 + 1e-6,
        f"each thrust is from -1 to 1 (np.clip), yours is {action}",
    )
    expect(
        action @ (rest[4:6] - rest[:2]) > 0,
        "this does not steer towards the jetty: the way there is jetty - place",
    )
    distances = [cross(answer, seed) for seed in range(12)]
    if np.mean(np.array(distances) < 0.1) >= 0.9:
        return
    fast = np.array([0.5, 0.9, 0, 0.08, 0.5, 0.9, 0, 0], np.float32)  # at the jetty, but not slow
    expect(
        np.asarray(answer(fast))[1] < -0.2,
        "at the jetty with speed it does not brake: choose the velocity you want, and thrust by what is missing to it",
    )
    pushed = np.array([0, 0, 0, 0.05, 0, 0.9, 0.6, 0], np.float32)
    expect(
        np.asarray(answer(pushed))[0] < -0.05,
        "with a current to the right it does not steer left: subtract the drift from the velocity you want",
    )
    expect(
        False,
        f"it misses the jetty in {np.mean(np.array(distances) >= 0.1):.0%} of 12 crossings; the mean distance at the end is {np.mean(distances):.2f} (0.1 is near enough)",
    )


EXERCISES = {
    "12.1": Exercise(minutes=5, solution=facts, check=check_facts),
    "12.2": Exercise(minutes=10, solution=paired, check=check_paired),
    "12.3": Exercise(minutes=15, solution=pilot, check=check_pilot),
}
