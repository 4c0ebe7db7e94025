"""Lesson 07, Evaluation: solutions and checks.

Normalising, the interquartile mean, the stratified bootstrap, a bound that finds an outlier, and
the best of k runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from jatlab.evaluation import statistics
from jatlab.lessons.answers import Answer, array, expect, near, number
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson07_build import STEPS, bootstrap, check_bootstrap, difference, middle_of

# --- 07.1: normalise ---


def normalised(returns: Sequence[float], random: float, reference: float) -> np.ndarray:
    """Returns on a scale where 0 is the random policy and 1 the reference.

    NaN where the reference is no better than random.
    """
    scores = np.asarray(returns, dtype=np.float64)
    if reference <= random:
        return np.full_like(scores, np.nan)
    return (scores - random) / (reference - random)


def check_normalised(answer: Answer) -> None:
    """Check 07.1 with Pong's scores, beyond the scale, and where there is no scale."""
    scores = array(answer([-20.7, 14.6, 20.9], -20.7, 20.9))
    expect(
        scores.shape == (3,),
        f"three returns should give three scores, not an array of shape {scores.shape}",
    )
    expect(
        np.isfinite(scores).all(),
        f"Pong's expert is better than random, so its scores are numbers; got {scores}",
    )
    expect(
        near(scores[0], 0),
        f"the random policy's own return should score 0, not {scores[0]:.3g}: "
        "is random subtracted from the return?",
    )
    expect(
        near(scores[2], 1),
        f"the reference's own return should score 1, not {scores[2]:.3g}: "
        "is random subtracted from the reference too?",
    )
    expect(
        near(scores[1], 35.3 / 41.6),
        f"14.6 points in Pong should score {35.3 / 41.6:.3f}, not {scores[1]:.3f}",
    )
    outside = array(answer([0.0, 30.0], 10.0, 20.0))
    expect(
        near(outside, [-1, 2]),
        "worse than random is negative, better than the reference above 1: "
        f"expected [-1, 2], got {outside}; do not clip",
    )
    for random, reference in ((23.1, 20.395), (0.0, 0.0)):
        _check_left_out(answer, random, reference)


def _check_left_out(answer: Answer, random: float, reference: float) -> None:
    scores = array(answer([22.32], random, reference))
    expect(
        scores.shape == (1,),
        f"one return should give one score, NaN too: an array of shape (1,), not {scores.shape}",
    )
    expect(
        np.isnan(scores).all(),
        f"a reference of {reference} is no better than random at {random}: "
        f"that scale means nothing. Expected NaN, got {scores[0]}",
    )


# --- 07.2: the interquartile mean ---


def my_iqm(scores: np.ndarray) -> float:
    """Mean of the middle half of all episodes of all tasks together.

    (episodes, tasks) -> one number.
    """
    pooled = np.sort(np.ravel(scores))
    cut = len(pooled) // 4
    return float(pooled[cut : len(pooled) - cut].mean())


def check_iqm(answer: Answer) -> None:
    """Check 07.2 with eight scores, then with random ones of three shapes."""
    small = np.array([[4.0, 100.0], [1.0, 0.0], [3.0, -50.0], [9.0, 8.0]])
    value = number(answer(small.copy()))
    expect(
        not near(value, np.mean(small)),
        "that is the plain mean: leave out the lowest and the highest quarter of the scores",
    )
    expect(
        not near(value, np.median(small)),
        "that is the median: half of the scores should stay, not one or two",
    )
    per_task = np.sort(small, axis=0)[1:3].mean()
    expect(
        not near(value, per_task),
        "you leave out a quarter of each task's episodes: "
        "put all episodes of all tasks together first, then sort",
    )
    expect(
        near(value, 4),
        "eight scores: the middle four are 1, 3, 4, 8, so the answer is 4, "
        f"not {value:.4g}. Are they sorted?",
    )
    rng = np.random.default_rng(0)
    for episodes, tasks in ((10, 57), (9, 3), (1, 7)):
        scores, count = rng.normal(size=(episodes, tasks)) ** 3, episodes * tasks
        expect(
            near(number(answer(scores.copy())), statistics.iqm(scores)),
            f"for {episodes} episodes of {tasks} tasks: leave out {count // 4} scores at each end "
            f"(a quarter of {count}, rounded down)",
        )


# --- 07.3: the stratified bootstrap ---


def stratified_draw(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One bootstrap draw: within each task as many episodes as there were, with replacement.

    (episodes, tasks) -> (episodes, tasks).
    """
    episodes, tasks = scores.shape
    rows = rng.integers(episodes, size=(episodes, tasks))
    return scores[rows, np.arange(tasks)]


def check_stratified_draw(answer: Answer) -> None:
    """Check 07.3 with scores that tell task and episode: task 2, episode 7 has 207."""
    scores, rng = np.arange(30)[:, None] + 100.0 * np.arange(4), np.random.default_rng(0)
    drawn = _drawn(answer, scores, rng)
    expect(
        (drawn // 100 == np.arange(4)).all(),
        "a task's column holds another task's episodes: "
        "draw within each task, that is what stratified means",
    )
    expect(
        all(len(set(column)) < 30 for column in drawn.T),
        "every episode came exactly once: that is a shuffle. Draw with replacement",
    )
    rows = drawn - 100 * np.arange(4)
    expect(
        not (rows == rows[:, :1]).all(),
        "the same episodes are drawn for every task: each task needs draws of its own",
    )
    expect(
        not near(drawn, _drawn(answer, scores, rng)),
        "two draws are equal: take them from `rng`, and do not seed it inside",
    )
    one, two = (_drawn(answer, scores, np.random.default_rng(1)) for _ in range(2))
    expect(
        near(one, two),
        "the same `rng` gives different draws: take all randomness from it, none from np.random",
    )
    draws = [_drawn(answer, scores, rng)[:, 1] % 100 for _ in range(300)]
    counts = np.bincount(np.concatenate(draws).astype(int), minlength=30)
    expect(
        counts.min() > 200,
        f"some episodes come too seldom: episode {counts.argmin()} came {counts.min()} times "
        "in 300 draws, about 300 are expected",
    )


def _drawn(answer: Answer, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    drawn = array(answer(scores.copy(), rng))
    expect(
        drawn.shape == scores.shape,
        f"a draw has the shape of the scores, {scores.shape}, not {drawn.shape}",
    )
    expect(
        np.isin(drawn, scores).all(),
        "a draw holds numbers that are no episode's score: draw rows, change nothing",
    )
    return drawn


# --- 07.4: a bound that finds an outlier ---


def largest_at_least(mean: float, std: float) -> float:
    """How large the largest of some returns must be, none of them negative.

    It is at least their mean square over their mean.
    """
    return (mean**2 + std**2) / mean


def check_largest_at_least(answer: Answer) -> None:
    """Check 07.4 without spread, with nine zeros and one 100, then with random returns."""
    bound = number(answer(10.0, 0.0))
    expect(
        near(bound, 10),
        f"without any spread all returns are the mean: expected 10, got {bound:.4g}",
    )
    bound = number(answer(10.0, 30.0))
    expect(
        not near(bound, 40),
        "mean plus standard deviation is no bound: "
        "nine zeros and one 100 have mean 10 and std 30, and their largest is 100",
    )
    expect(
        bound <= 100 or near(bound, 100),
        "nine zeros and one 100 have mean 10 and std 30: their largest is 100, "
        f"so it cannot be at least {bound:.4g}",
    )
    expect(
        near(bound, 100),
        f"your bound is true but too low: {bound:.4g} where 100 can be shown. "
        "Compare the sum of squares with the sum times the largest",
    )
    rng = np.random.default_rng(0)
    for _ in range(20):
        returns = rng.exponential(size=10) ** 2
        wanted = (returns**2).sum() / returns.sum()
        expect(
            near(number(answer(returns.mean(), returns.std())), wanted),
            "right for round numbers, wrong for others: the answer is sum of squares / sum",
        )


# --- 07.5: the best of k runs ---


def best_of(runs: Sequence[float], k: int) -> float:
    """The score reported, on average, by somebody who trains k of these runs and shows the best.

    It is the mean maximum over all choices of k runs.
    """
    return float(np.mean([max(chosen) for chosen in combinations(runs, k)]))


def check_best_of(answer: Answer) -> None:
    """Check 07.5 with three runs, then with seven."""
    runs = [0.1, 0.4, 0.7]
    one, two, three = (number(answer(list(runs), k)) for k in (1, 2, 3))
    expect(
        not near(one, 0.7),
        "with one run nobody can choose: "
        "best_of(runs, 1) is the mean of the runs, 0.4, not their maximum",
    )
    expect(
        near(one, 0.4),
        "with one run nobody can choose: "
        f"best_of(runs, 1) is the mean of the runs, 0.4, not {one:.3g}",
    )
    expect(near(three, 0.7), f"the best of all three runs is 0.7, not {three:.3g}")
    expect(
        not near(two, 4.8 / 9),
        "you draw runs with replacement, so the same run may come twice: "
        "two runs are two different ones",
    )
    expect(
        near(two, 0.6),
        f"the three pairs have the maxima 0.4, 0.7, 0.7: their mean is 0.6, not {two:.3g}",
    )
    runs = list(np.random.default_rng(0).normal(size=7))
    expect(
        all(near(number(answer(list(runs), k)), best_of(runs, k)) for k in range(1, 8)),
        "right for three runs, wrong for seven: every choice of k counts once",
    )


EXERCISES = {
    "07.1": Exercise(
        difficulty=2, importance=5, minutes=5, solution=normalised, check=check_normalised
    ),
    "07.2": Exercise(difficulty=2, importance=5, minutes=8, solution=my_iqm, check=check_iqm),
    "07.3": Exercise(
        difficulty=3, importance=4, minutes=8, solution=stratified_draw, check=check_stratified_draw
    ),
    "07.4": Exercise(
        difficulty=3,
        importance=3,
        minutes=10,
        solution=largest_at_least,
        check=check_largest_at_least,
    ),
    "07.5": Exercise(difficulty=3, importance=3, minutes=8, solution=best_of, check=check_best_of),
    "07.6": Exercise(
        difficulty=3,
        importance=5,
        minutes=20,
        solution=(bootstrap, middle_of, difference),
        check=check_bootstrap,
        steps=STEPS,
    ),
}
