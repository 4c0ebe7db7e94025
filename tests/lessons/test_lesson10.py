"""Lesson 10: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import pytest
import torch
from scipy import stats

from jatlab.experiments.ablations import reach_of, student_interval, with_layers
from jatlab.lessons.lesson10 import interval_over_runs, reach, seed_differences
from jatlab.model.config import JatConfig
from tests.support.exercises import exercise_tests


def around(means, half):
    return np.mean(means) - half, np.mean(means) + half


def paired_by_position(first, second):
    return [b - a for a, b in zip(first.values(), second.values(), strict=False)]


def reach_by_steps(layers, window):
    token = 0
    for _ in range(layers):
        token += max(back for back in range(window) if back % 2 == 0)
    return token / 2


def differences_in_a_loop(first, second):
    for seed in range(1 + max(first)):
        if seed in first and seed in second:
            yield second[seed] - first[seed]


def differences_in_numpy(first, second):
    seeds = sorted(set(first).intersection(second))
    return np.array([second[s] for s in seeds]) - np.array([first[s] for s in seeds])


def chance_in_a_loop(variants, level=0.05):
    none = 1.0
    for _ in range(variants):
        none *= 1 - level
    return torch.tensor(1 - none)


WRONG = {
    "10.2": [
        (lambda m: around(m, 1.96 * np.std(m, ddof=1) / 3**0.5), "holds for many runs"),
        (lambda m: around(m, 4.303 * np.std(m, ddof=1)), "one more run"),
        (lambda m: around(m, 4.303 * np.std(m) / 3**0.5), "n - 1"),
        (lambda m: around(m, 4.303 * np.std(m, ddof=1) / 3), "square root"),
        (lambda m: 4.303 * np.std(m, ddof=1) / 3**0.5, "return low, high"),
    ],
    "10.3": [
        (lambda a, b: seed_differences(b, a), "positive where the second is better"),
        (paired_by_position, "paired by position"),
        (lambda a, b: np.mean(list(b.values())) - np.mean(list(a.values())), "one for each seed"),
        (lambda a, b: [b.get(s, 0) - a[s] for s in sorted(a)], "leave it out"),
        (lambda a, b: [b[s] - a[s] for s in a if s in b], "in the order of the seeds"),
    ],
    "10.1": [
        (lambda layers, window: window, "holds the observation itself"),
        (lambda layers, window: layers * (window // 2), "no earlier observation"),
        (lambda layers, window: (window - 1) // 2, "add up"),
        (lambda layers, window: layers * (window - 1) // 2, "round down in each layer"),
    ],
    "10.4": [
        (lambda n, level=0.05: 1.0, "not a probability"),
        (lambda n, level=0.05: n * level, "not a probability"),
        (lambda n, level=0.05: (1 - level) ** n, "subtract it from 1"),
        (lambda n, level=0.05: 1 - 0.95**n, "level that is given"),
    ],
}
RIGHT = {
    "10.1": [reach_by_steps, lambda layers, window: torch.tensor(layers * ((window + 1) // 2 - 1))],
    "10.2": [
        lambda m: np.mean(m) + np.array([-1, 1]) * 4.303 * np.std(m, ddof=1) / 3**0.5,
        lambda m: around(m, 4.3 * np.std(m, ddof=1) / 3**0.5),
        lambda m: stats.t.interval(0.95, len(m) - 1, np.mean(m), stats.sem(m)),
    ],
    "10.3": [differences_in_a_loop, differences_in_numpy],
    "10.4": [
        chance_in_a_loop,
        lambda n, level=0.05: sum(level * (1 - level) ** i for i in range(n)),
    ],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("10", WRONG, RIGHT)
)


def test_the_interval_is_the_package_s():
    means = [0.61, 0.64, 0.79]
    assert interval_over_runs(means) == pytest.approx(student_interval(means))


@pytest.mark.parametrize("window", [2, 3, 8, 9, 16])
def test_the_reach_is_the_package_s(window):
    config = JatConfig.preset("nano", **with_layers("local", window).model)
    assert reach(4, window) == reach_of(config)
