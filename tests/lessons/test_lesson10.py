"""Lesson 10: solutions pass, and typical wrong answers are told their mistake."""

import math
import statistics

import numpy as np
import pytest
import torch
from scipy import stats

from jatlab.experiments.ablations import reach_of, student_interval, with_layers
from jatlab.lessons.lesson10 import interval_over_runs, reach, seed_differences
from jatlab.lessons.lesson10_build import effect, findings, table
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


# --- 10.5: from runs to findings


def table_by_names(runs):
    names = {variant for variant, _, _ in runs}
    return {name: {seed: s for v, seed, s in runs if v == name} for name in names}


def effect_by_statistics(scores, variant, base):
    pairs = [(s, scores[base][seed]) for seed, s in scores[variant].items() if seed in scores[base]]
    gaps = [a - b for a, b in pairs]
    t = {3: 4.303, 5: 2.776}[len(gaps)]
    return statistics.mean(gaps), t * statistics.stdev(gaps) / math.sqrt(len(gaps))


def findings_in_a_loop(scores, base):
    told = []
    for name in scores.keys() - {base}:
        mean, half = effect_by_statistics(scores, name, base)
        if mean - half > 0 or mean + half < 0:
            told.append((abs(mean), name))
    return tuple(name for _, name in sorted(told, reverse=True))


def effect_with(scores, variant, base, ddof=1, t=4.303, root=True):
    gaps = np.array([scores[variant][seed] - scores[base][seed] for seed in (0, 1, 2)])
    return gaps.mean(), t * gaps.std(ddof=ddof) / (3**0.5 if root else 1)


def always_three(scores, variant, base):
    seeds = sorted(scores[variant].keys() & scores[base].keys())
    gaps = np.array([scores[variant][seed] - scores[base][seed] for seed in seeds])
    return gaps.mean(), 4.303 * gaps.std(ddof=1) / 3**0.5


def all_runs(scores, variant, base):
    mean = np.mean(list(scores[variant].values())) - np.mean(list(scores[base].values()))
    return mean, effect(scores, variant, base)[1]


def unrelated(scores, variant, base):
    a, b = ([scores[name][seed] for seed in (0, 1, 2)] for name in (variant, base))
    half = 4.303 * (np.var(a, ddof=1) / 3 + np.var(b, ddof=1) / 3) ** 0.5
    return effect(scores, variant, base)[0], half


def only_better(scores, base):
    return [name for name in findings(scores, base) if effect(scores, name, base)[0] > 0]


def by_mean(scores, base):
    return [name for name in scores if name != base and effect(scores, name, base)[0] != 0]


WRONG = {
    "10.5": [
        (lambda runs: {v: [s for w, _, s in runs if w == v] for v, _, _ in runs}, "seed by seed"),
        (lambda runs: {(v, seed): s for v, seed, s in runs}, "variant -> {seed: score}"),
        ((table, all_runs), "only seeds that both have"),
        ((table, lambda *given: effect_with(*given, ddof=0)), "ddof=1"),
        ((table, lambda *given: effect_with(*given, t=1.96)), "Student's 4.303"),
        ((table, lambda *given: effect_with(*given, root=False)), "the root of their number"),
        ((table, unrelated), "Take the differences first"),
        ((table, always_three), "with five seeds in common"),
        ((table, lambda s, a, b: (-effect(s, a, b)[0], effect(s, a, b)[1])), "the sign"),
        ((table, effect, only_better), "may be negative"),
        ((table, effect, by_mean), "is no finding"),
        ((table, effect, lambda *given: findings(*given)[::-1]), "comes first"),
    ],
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
    "10.5": [
        (table_by_names, effect_by_statistics, findings_in_a_loop),
        (table, effect_by_statistics, findings),
    ],
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
