"""Lesson 07: right answers pass, and typical wrong ones are told their mistake."""

import math

import numpy as np
import torch

from jatlab.evaluation import statistics
from jatlab.lessons import lesson07
from jatlab.lessons.lesson07_build import bootstrap, difference
from jatlab.lessons.lesson07_build import middle_of as interval
from jatlab.tasks import normalise, task_scores
from tests.support.exercises import exercise_tests


def scaled(returns, random, reference):
    return (np.asarray(returns) - random) / (reference - random)


def ones_without_scale(returns, random, reference):
    return scaled(returns, random, reference) if reference > random else np.ones(len(returns))


def one_nan(returns, random, reference):
    return scaled(returns, random, reference) if reference > random else np.nan


def one_by_one(returns, random, reference):
    if reference <= random:
        return [np.nan for _ in returns]
    return [(one - random) / (reference - random) for one in returns]


def middle_of(scores, cut):
    return scores[cut : len(scores) - cut].mean()


def rows_drawn(rng, high, scores):
    return scores[rng.integers(high, size=scores.shape), np.arange(scores.shape[1])]


def same_rows_drawn(scores, rng):
    return scores[rng.integers(len(scores), size=len(scores))]


def drawn_column_by_column(scores, rng):
    return np.stack([rng.choice(column, len(column)) for column in scores.T], axis=1)


def best_of_the_first(runs, k):
    return max(runs[:k]) if k > 1 else float(np.mean(runs))


def best_of_two_with_replacement(runs, k):
    if k != 2:
        return lesson07.best_of(runs, k)
    return float(np.mean([max(a, b) for a in runs for b in runs]))


def scaled_in_torch(returns, random, reference):
    scores = (torch.tensor(returns, dtype=torch.float64) - random) / (reference - random)
    return scores if reference > random else torch.full_like(scores, torch.nan)


def middle_in_python(scores):
    pooled = sorted(float(score) for row in scores for score in row)
    kept = pooled[len(pooled) // 4 : len(pooled) - len(pooled) // 4]
    return sum(kept) / len(kept)


def middle_in_torch(scores):
    pooled = torch.from_numpy(scores).flatten().sort().values
    return pooled[len(pooled) // 4 : len(pooled) - len(pooled) // 4].mean()


def drawn_in_loops(scores, rng):
    draws = rng.integers(len(scores), size=scores.shape)
    return [[scores[row, task] for task, row in enumerate(rows)] for rows in draws]


def best_by_counting(runs, k):
    ordered, total = sorted(runs), math.comb(len(runs), k)
    return sum(one * math.comb(place, k - 1) for place, one in enumerate(ordered)) / total


def best_in_torch(runs, k):
    chosen = torch.combinations(torch.tensor(runs, dtype=torch.float64), k)
    return chosen.amax(1).mean()


# --- 07.6: an interval built


def bootstrap_by_choice(scores, statistic, draws, rng):
    def resample():
        return np.stack([rng.choice(task, len(task)) for task in scores.T], axis=1)

    return [statistic(resample()) for _ in range(draws)]


def interval_by_sorting(values, level):
    ordered, count = sorted(values), len(values)
    return [ordered[round((count - 1) * share)] for share in ((1 - level) / 2, (1 + level) / 2)]


def difference_in_a_loop(one, other, statistic, rng):
    values = [
        float(bootstrap(one, statistic, 1, rng)[0] - bootstrap(other, statistic, 1, rng)[0])
        for _ in range(400)
    ]
    return np.percentile(values, [2.5, 97.5])


def pooled_draws(scores, statistic, draws, rng):
    return [statistic(rng.choice(scores.ravel(), scores.shape)) for _ in range(draws)]


def same_rows(scores, statistic, draws, rng):
    return [statistic(scores[rng.integers(len(scores), size=len(scores))]) for _ in range(draws)]


def shuffled(scores, statistic, draws, rng):
    return [statistic(rng.permutation(scores)) for _ in range(draws)]


def always_the_mean(scores, statistic, draws, rng):
    return bootstrap(scores, np.mean, draws, rng)


def by_spread(values, level):
    return np.mean(values) - 1.96 * np.std(values), np.mean(values) + 1.96 * np.std(values)


def shared_draws(one, other, statistic, rng):
    first = bootstrap(one, statistic, 300, np.random.default_rng(0))
    return interval(first - bootstrap(other, statistic, 300, np.random.default_rng(0)), 0.95)


WRONG = {
    "07.6": [
        (pooled_draws, "stratified"),
        (same_rows, "draws of its own"),
        (shuffled, "with replacement"),
        (always_the_mean, "the statistic that is given"),
        (lambda s, f, n, rng: bootstrap(s, f, n, rng).mean(), "60 resamples give 60"),
        ((bootstrap, by_spread), "take quantiles"),
        ((bootstrap, lambda v, level: np.quantile(v, [1 - level, level])), "keeps 90 %"),
        ((bootstrap, lambda v, level: interval(v, 0.95)), "wrong for 50 %"),
        ((bootstrap, interval, shared_draws), "on their own"),
        ((bootstrap, interval, lambda a, b, f, rng: difference(b, a, f, rng)), "the sign"),
    ],
    "07.1": [
        (lambda x, r, ref: np.asarray(x) / ref, "is random subtracted from the return?"),
        (
            lambda x, r, ref: (np.asarray(x) - r) / ref,
            "is random subtracted from the reference too?",
        ),
        (lambda *args: np.clip(scaled(*args), 0, 1), "do not clip"),
        (lambda x, r, ref: (np.asarray(x) - r) / (ref - r or np.inf), "that scale means nothing"),
        (ones_without_scale, "Expected NaN, got 1.0"),
        (one_nan, "NaN too"),
    ],
    "07.2": [
        (lambda s: s.mean(), "that is the plain mean"),
        (
            lambda s: middle_of(np.sort(s, axis=0), len(s) // 4),
            "put all episodes of all tasks together first",
        ),
        (lambda s: middle_of(s.ravel(), s.size // 4), "Are they sorted?"),
        (lambda s: middle_of(np.sort(s.ravel()), round(s.size / 4)), "rounded down"),
    ],
    "07.3": [
        (same_rows_drawn, "the same episodes are drawn for every task"),
        (lambda s, rng: rng.permuted(s, axis=0), "that is a shuffle"),
        (lambda s, rng: rng.choice(s.ravel(), s.shape), "draw within each task"),
        (lambda s, rng: rows_drawn(np.random.default_rng(0), len(s), s), "do not seed it inside"),
        (
            lambda s, rng: lesson07.stratified_draw(s, np.random.default_rng()),
            "take all randomness from it",
        ),
        (lambda s, rng: rows_drawn(rng, len(s) - 1, s), "some episodes come too seldom"),
        (
            lambda s, rng: lesson07.stratified_draw(s, rng).mean(0),
            "a draw has the shape of the scores",
        ),
    ],
    "07.4": [
        (lambda mean, std: mean + std, "mean plus standard deviation is no bound"),
        (lambda mean, std: mean + 2 * std, "your bound is true but too low"),
        (lambda mean, std: mean + 4 * std, "cannot be at least 130"),
        (lambda mean, std: std**2 / mean, "expected 10, got 0"),
    ],
    "07.5": [
        (lambda runs, k: max(runs), "with one run nobody can choose"),
        (lambda runs, k: float(np.mean(runs)), "the best of all three runs is 0.7"),
        (best_of_two_with_replacement, "two different ones"),
        (best_of_the_first, "their mean is 0.6, not 0.4"),
    ],
}
RIGHT = {
    "07.6": [
        (bootstrap_by_choice, interval_by_sorting, difference_in_a_loop),
        (bootstrap_by_choice, interval, difference),
    ],
    "07.1": [one_by_one, scaled_in_torch],
    "07.2": [middle_in_python, middle_in_torch],
    "07.3": [drawn_column_by_column, drawn_in_loops],
    "07.4": [
        lambda mean, std: mean + std * std / mean,
        lambda mean, std: np.float32(mean * (1 + (std / mean) ** 2)),
        lambda mean, std: torch.tensor(mean**2 + std**2) / mean,
    ],
    "07.5": [best_by_counting, best_in_torch],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("07", WRONG, RIGHT)
)


def test_solutions_agree_with_the_package():
    scores, pong = np.random.default_rng(0).normal(size=(12, 5)), task_scores("atari-pong")
    jat, random, expert = pong.jat.mean, pong.published_random.mean, pong.expert.mean
    assert lesson07.normalised([jat], random, expert) == normalise("atari-pong", [jat], "expert")
    assert lesson07.my_iqm(scores) == float(statistics.iqm(scores))
    rngs = [np.random.default_rng(seed) for seed in range(2000)]
    draws = [statistics.iqm(lesson07.stratified_draw(scores, rng)) for rng in rngs]
    interval = statistics.bootstrap_interval(scores, statistics.iqm)
    assert np.allclose(np.percentile(draws, [2.5, 97.5]), interval, atol=0.03)
