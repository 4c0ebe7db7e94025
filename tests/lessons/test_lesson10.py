"""Lesson 10: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import pytest

from jatlab.experiments.ablations import reach_of, student_interval, with_layers
from jatlab.lessons.lesson10 import interval_over_runs, reach, seed_differences
from jatlab.model.config import JatConfig
from tests.support.exercises import exercise_tests


def around(means, half):
    return np.mean(means) - half, np.mean(means) + half


def paired_by_position(first, second):
    return [b - a for a, b in zip(first.values(), second.values(), strict=False)]


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
        (lambda n, level=0.05: n * level, "not a probability"),
        (lambda n, level=0.05: (1 - level) ** n, "subtract it from 1"),
        (lambda n, level=0.05: 1 - 0.95**n, "level that is given"),
    ],
}
RIGHT = {
    "10.2": [lambda m: np.mean(m) + np.array([-1, 1]) * 4.303 * np.std(m, ddof=1) / 3**0.5],
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
