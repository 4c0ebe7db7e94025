"""Lesson 12: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from jatlab.lessons.lesson12 import Ferry, cross, facts, paired, pilot
from tests.support.exercises import exercise_tests


def parts(observation):
    return observation.reshape(4, 2)


def toward(observation):
    place, _, jetty, _ = parts(observation)
    return np.clip(5 * (jetty - place), -1, 1)


def away(observation):
    return -toward(observation)


def slow(observation):
    """Brakes, but the current carries it past."""
    place, velocity, jetty, _ = parts(observation)
    wanted = np.clip(0.05 * (jetty - place), -0.03, 0.03)
    return np.clip((wanted - 0.95 * velocity) / 0.01, -1, 1) * np.array([0, 1])


def apart(a, b):
    rng = np.random.default_rng(0)
    means = [rng.choice(a, len(a)).mean() - rng.choice(b, len(b)).mean() for _ in range(1000)]
    return a.mean() - b.mean(), *np.quantile(means, (0.025, 0.975))


def spread(a, b):
    return (a - b).mean(), *np.quantile(a - b, (0.025, 0.975))


def ninety(a, b):
    means = (a - b)[np.random.default_rng(0).integers(len(a), size=(4000, len(a)))].mean(1)
    return (a - b).mean(), *np.quantile(means, (0.05, 0.95))


def half(a, b):
    mean, low, high = paired(a, b)
    return mean, mean - (mean - low) / 2, mean + (high - mean) / 2


WRONG = {
    "12.3": [
        (away, "does not steer towards"),
        (lambda observation: np.zeros(2), "does not steer towards"),
        (toward, "does not brake"),
        (slow, "does not steer left"),
        (lambda observation: 5 * (observation[4:6] - observation[:2]), "from -1 to 1"),
        (lambda observation: observation[:3], "two numbers"),
    ],
    "12.1": [
        (lambda env: facts(env) | {"observation_size": env.observation_space.shape}, "not a shape"),
        (lambda env: facts(env) | {"observation": facts(env)["action"]}, "observes real numbers"),
        (lambda env: facts(env) | {"action_size": 1}, "that is 2 choices"),
        (lambda env: facts(env) | {"action": "discrete"}, "its action is 'continuous'"),
        (lambda env: env.observation_space, "return a dict"),
    ],
    "12.2": [
        (apart, "drawn apart"),
        (lambda a, b: paired(b, a), "the sign is wrong"),
        (half, "too narrow"),
        (lambda a, b: float((a - b).mean()), "return the mean difference, low, high"),
        (spread, "single differences"),
        (ninety, "too narrow"),
    ],
}
RIGHT = {
    "12.2": [lambda a, b: np.array(paired(a, b, draws=1000))],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("12", WRONG, RIGHT)
)


@pytest.mark.filterwarnings("ignore:.*A Box observation space")  # infinite, as it should be
def test_the_ferry_is_an_environment_that_its_seed_determines():
    env = Ferry()
    first, _ = env.reset(seed=3)
    assert env.observation_space.contains(first) and np.array_equal(first, env.reset(seed=3)[0])
    assert not np.array_equal(first, env.reset(seed=4)[0])
    check_env(Ferry(), skip_render_check=True)


def test_the_pilot_arrives_and_who_does_nothing_drifts():
    assert all(cross(pilot, seed) < 0.1 for seed in range(20, 40))
    assert all(cross(lambda observation: np.zeros(2), seed) > 1 for seed in range(20, 40))
