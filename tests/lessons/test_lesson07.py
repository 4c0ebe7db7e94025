"""Lesson 07: right answers pass, and typical wrong ones are told their mistake."""

import numpy as np

from jatlab.evaluation import statistics
from jatlab.lessons import lesson07
from jatlab.tasks import normalise, task_scores
from tests.support.exercises import exercise_tests

WRONG = {
    "07.1": [
        (
            lambda x, random, reference: np.asarray(x) / reference,
            "is random subtracted from the return?",
        ),
        (
            lambda x, random, reference: (np.asarray(x) - random) / reference,
            "is random subtracted from the reference too?",
        ),
        (
            lambda x, random, reference: np.clip(
                (np.asarray(x) - random) / (reference - random), 0, 1
            ),
            "do not clip",
        ),
        (
            lambda x, random, reference: (np.asarray(x) - random) / (reference - random or np.inf),
            "that scale means nothing",
        ),
        (
            lambda x, random, reference: (
                np.ones(len(x))
                if reference <= random
                else (np.asarray(x) - random) / (reference - random)
            ),
            "Expected NaN, got 1.0",
        ),
        (
            lambda x, random, reference: (
                (np.asarray(x) - random) / (reference - random) if reference > random else np.nan
            ),
            "NaN too",
        ),
    ],
    "07.2": [
        (lambda s: s.mean(), "that is the plain mean"),
        (
            lambda s: np.sort(s, axis=0)[len(s) // 4 : len(s) - len(s) // 4].mean(),
            "put all episodes of all tasks together first",
        ),
        (lambda s: s.ravel()[s.size // 4 : s.size - s.size // 4].mean(), "Are they sorted?"),
        (
            lambda s: np.sort(s.ravel())[round(s.size / 4) : s.size - round(s.size / 4)].mean(),
            "rounded down",
        ),
    ],
    "07.3": [
        (
            lambda s, rng: s[rng.integers(len(s), size=len(s))],
            "the same episodes are drawn for every task",
        ),
        (lambda s, rng: rng.permuted(s, axis=0), "that is a shuffle"),
        (lambda s, rng: rng.choice(s.ravel(), s.shape), "draw within each task"),
        (
            lambda s, rng: s[
                np.random.default_rng(0).integers(len(s), size=s.shape), np.arange(s.shape[1])
            ],
            "do not seed it inside",
        ),
        (
            lambda s, rng: lesson07.stratified_draw(s, np.random.default_rng()),
            "take all randomness from it",
        ),
        (
            lambda s, rng: s[rng.integers(len(s) - 1, size=s.shape), np.arange(s.shape[1])],
            "some episodes come too seldom",
        ),
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
        (
            lambda runs, k: (
                float(np.mean([max(a, b) for a in runs for b in runs]))
                if k == 2
                else lesson07.best_of(runs, k)
            ),
            "two different ones",
        ),
        (
            lambda runs, k: max(runs[:k]) if k > 1 else float(np.mean(runs)),
            "their mean is 0.6, not 0.4",
        ),
    ],
}
RIGHT = {
    "07.1": [
        lambda x, random, reference: [
            (one - random) / (reference - random) if reference > random else np.nan for one in x
        ]
    ],
    "07.3": [lambda s, rng: np.stack([rng.choice(column, len(column)) for column in s.T], axis=1)],
}
test_right_answer, test_wrong_answer, test_coverage = exercise_tests("07", WRONG, RIGHT)


def test_solutions_agree_with_the_package():
    scores = np.random.default_rng(0).normal(size=(12, 5))
    jat, random, expert = (
        getattr(task_scores("atari-pong"), who).mean
        for who in ("jat", "published_random", "expert")
    )
    assert lesson07.normalised([jat], random, expert) == normalise("atari-pong", [jat], "expert")
    assert lesson07.iqm(scores) == float(statistics.iqm(scores))
    draws = [
        statistics.iqm(lesson07.stratified_draw(scores, np.random.default_rng(seed)))
        for seed in range(2000)
    ]
    assert np.allclose(
        np.percentile(draws, [2.5, 97.5]),
        statistics.bootstrap_interval(scores, statistics.iqm),
        atol=0.03,
    )
