"""Lesson 12: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from jatlab.lessons.lesson12 import Ferry, cross, facts, paired, pilot
from jatlab.lessons.lesson12_build import collect
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


def normal(a, b):
    error = (a - b).std(ddof=1) / np.sqrt(len(a))
    return (a - b).mean(), (a - b).mean() - 1.96 * error, (a - b).mean() + 1.96 * error


def without_current(observation):
    place, velocity, jetty, _ = parts(observation)
    wanted = np.clip(0.1 * (jetty - place), -0.06, 0.06)
    return np.clip((wanted - 0.95 * velocity) / 0.01, -1, 1)


def facts_of_shapes(env):
    sizes = {"observation_size": np.prod(env.observation_space.shape)}
    if hasattr(env.action_space, "n"):
        return (
            sizes
            | {"observation": "continuous", "action": "discrete"}
            | actions(env.action_space.n)
        )
    size = torch.tensor(env.action_space.shape[0])
    return sizes | {"observation": "continuous", "action": "continuous"} | actions(size)


def actions(size):
    return {"action_size": size}


def facts_of_samples(env):
    action = env.action_space.sample()
    return {
        "action": "continuous" if np.ndim(action) else "discrete",
        "action_size": np.size(action) if np.ndim(action) else int(env.action_space.n),
        "observation": "continuous",
        "observation_size": float(len(env.observation_space.sample())),
    }


def paired_in_a_loop(a, b):
    rng, means = np.random.default_rng(5), []
    for _ in range(2000):
        seeds = rng.choice(len(a), len(a))
        means.append(a[seeds].mean() - b[seeds].mean())
    return [(a - b).mean(), *np.percentile(means, [2.5, 97.5])]


def paired_in_torch(a, b):
    differences, generator = torch.from_numpy(a - b), torch.Generator().manual_seed(3)
    drawn = torch.randint(len(a), (4000, len(a)), generator=generator)
    ends = differences[drawn].mean(1).quantile(torch.tensor([0.025, 0.975]).double())
    return torch.cat([differences.mean()[None], ends])


def pilot_in_torch(observation):
    place, velocity, jetty, current = torch.from_numpy(observation).view(4, 2)
    drift = 0.03 * current * (1 - place[1] ** 2)
    wanted = (0.1 * (jetty - place)).clamp(-0.06, 0.06) - drift
    return ((wanted - 0.95 * velocity) / 0.01).clamp(-1, 1)


def pilot_in_a_loop(observation):
    x, y, u, v, jetty_x, jetty_y, push, _ = map(float, observation)
    thrust = []
    for way, speed, drift in (
        (jetty_x - x, u, 0.03 * push * (1 - y * y)),
        (jetty_y - y, v, 0.0),
    ):
        wanted = max(-0.06, min(0.06, 0.1 * way)) - drift
        thrust.append(max(-1.0, min(1.0, 100 * (wanted - 0.95 * speed))))
    return thrust


# --- 12.4: DAgger


def collect_in_arrays(env, actor, teacher, seed):
    rows, observation, over = [], env.reset(seed), False
    while not over:
        rows.append((observation, teacher(observation)))
        observation, over = env.step(actor(observation))
    return np.array(rows).T


def dagger_by_hand(env, teacher, fit, seeds):
    episodes, pupil = [], None
    for chosen in seeds:
        episodes += [collect_in_arrays(env, pupil or teacher, teacher, seed) for seed in chosen]
        pupil = fit(*np.concatenate(episodes, axis=1))
    return pupil


def collected(env, actor, teacher, seed, own=False, after=False):
    observation, over, seen, labels = env.reset(seed), False, [], []
    while not over:
        action = actor(observation)
        labels.append(action if own else teacher(observation))
        before = observation
        observation, over = env.step(action)
        seen.append(observation if after else before)
    return seen, labels


def rounds_with(env, teacher, fit, seeds, aggregate=True, player="newest", last=True):
    seen, labels, pupils = [], [], []
    for number, chosen in enumerate(seeds):
        if not aggregate:
            seen, labels = [], []
        choice = {"newest": -1, "first": 0}.get(player)
        actor = teacher if number == 0 or choice is None else pupils[choice]
        for seed in chosen:
            new = collect(env, actor, teacher, seed)
            seen, labels = seen + new[0], labels + new[1]
        pupils.append(fit(seen, labels))
    return pupils[-1 if last else 0]


def fitted_once(env, teacher, fit, seeds):
    episodes = [collect(env, teacher, teacher, seed) for chosen in seeds for seed in chosen]
    return fit(*(sum(part, []) for part in zip(*episodes, strict=True)))


WRONG = {
    "12.4": [
        (lambda e, a, t, s: collect(e, t, t, s), "the teacher plays"),
        (lambda e, a, t, s: collected(e, a, t, s, own=True), "its own mistakes"),
        (lambda e, a, t, s: collected(e, a, t, s, after=True), "after each step"),
        (lambda e, a, t, s: collect(e, a, t, 0), "env.reset(7)"),
        ((collect, fitted_once), "after each of the three rounds"),
        ((collect, lambda *given: rounds_with(*given, aggregate=False)), "aggregation"),
        ((collect, lambda *given: rounds_with(*given, player="teacher")), "nothing new is seen"),
        ((collect, lambda *given: rounds_with(*given, player="first")), "the newest pupil"),
        ((collect, lambda *given: rounds_with(*given, last=False)), "of the last round"),
    ],
    "12.3": [
        (without_current, "it ignores the current"),
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
        (normal, "as with mean ± 1.96 standard errors"),
        (apart, "drawn apart"),
        (lambda a, b: paired(b, a), "the sign is wrong"),
        (half, "too narrow"),
        (lambda a, b: float((a - b).mean()), "return the mean difference, low, high"),
        (spread, "single differences"),
        (ninety, "too narrow"),
    ],
}
RIGHT = {
    "12.4": [(collect_in_arrays, dagger_by_hand), (collect_in_arrays, rounds_with)],
    "12.1": [facts_of_shapes, facts_of_samples],
    "12.2": [
        lambda a, b: np.array(paired(a, b, draws=1000)),
        paired_in_a_loop,
        paired_in_torch,
    ],
    "12.3": [pilot_in_torch, pilot_in_a_loop],
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
