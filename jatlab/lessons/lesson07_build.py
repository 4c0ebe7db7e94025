"""Exercise 07.6: an interval by the stratified bootstrap, built in three steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from jatlab.evaluation import statistics
from jatlab.lessons.answers import Answer, array, expect, numbers

Statistic = Callable[[np.ndarray], float]

# --- one right answer of each step


def bootstrap(
    scores: np.ndarray, statistic: Statistic, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """The statistic of so many resamples of scores (episodes, tasks): (draws,).

    A resample draws each task's episodes anew, with replacement, each task on its own.
    """
    values = []
    for _ in range(draws):
        rows = rng.integers(len(scores), size=scores.shape)  # (episodes, tasks)
        values.append(statistic(np.take_along_axis(scores, rows, axis=0)))
    return np.array(values)


def middle_of(values: np.ndarray, level: float) -> tuple[float, float]:
    """The middle `level` of the values: as many lie below it as above it."""
    outside = (1 - level) / 2
    low, high = np.quantile(values, [outside, 1 - outside])
    return float(low), float(high)


def difference(
    one: np.ndarray, other: np.ndarray, statistic: Statistic, rng: np.random.Generator
) -> tuple[float, float]:
    """The 95 % interval of statistic(one) - statistic(other), from 400 resamples of each."""
    first = bootstrap(one, statistic, 400, rng)
    second = bootstrap(other, statistic, 400, rng)
    return middle_of(first - second, 0.95)


STEPS = ("resamples", "the middle of them", "a difference")


def check_bootstrap(
    draw: Answer, middle: Answer | None = None, differ: Answer | None = None
) -> None:
    """Check 07.6: the first step alone, or with the later ones."""
    _check_draws(draw)
    if middle is not None:
        _check_interval(middle)
    if differ is not None:
        _check_difference(differ)


# --- step 1


def _check_draws(answer: Answer) -> None:
    def drawn(scores: np.ndarray, statistic: Any = np.mean) -> np.ndarray:
        found = array(
            answer(scores.copy(), statistic, 60, np.random.default_rng(0)),
            "step 1: return one number for each resample",
        )
        expect(
            found.shape == (60,),
            f"step 1: 60 resamples give 60 numbers, not an array of shape {found.shape}",
        )
        return found

    apart = np.tile([0.0, 10.0, 100.0], (20, 1))  # each task has one score only
    expect(
        np.allclose(drawn(apart), apart.mean()),
        "step 1: in a world in which each task always gives the same score, the mean cannot vary. "
        "Yours does: draw each task's episodes from that task (stratified), not from all of them",
    )
    values = _values()
    expect(
        drawn(values).std() > 1e-6,
        "step 1: all resamples are alike: draw with replacement, and anew for each resample",
    )
    opposite = np.concatenate([values, -values], axis=1)
    expect(
        drawn(opposite).std() > 1e-6,
        "step 1: the same episodes are drawn for all tasks: each task needs draws of its own",
    )
    width, wanted = 2 * 1.96 * drawn(values).std(), _width()
    expect(
        0.6 < width / wanted < 1.6,
        f"step 1: the means spread over {width:.2f}, jatlab's interval is {wanted:.2f} wide: "
        "a resample has as many episodes as the scores",
    )
    highest = drawn(values, lambda some: float(np.max(some)))
    expect(
        highest.max() <= values.max() + 1e-4 and not np.allclose(highest, drawn(values)),
        "step 1: use the statistic that is given: it may be any function of the scores",
    )


def _values() -> np.ndarray:
    """The scores of forty episodes of one task."""
    return np.random.default_rng(1).normal(size=(40, 1))


@lru_cache(maxsize=1)
def _width() -> float:
    """How wide jatlab's own interval of their mean is."""
    low, high = statistics.bootstrap_interval(_values(), statistics.task_mean)
    return float(high - low)


# --- step 2


def _check_interval(answer: Answer) -> None:
    skewed = np.arange(1001.0) ** 2
    names = "the lower end", "the upper end"
    low, high = numbers(answer(skewed.copy(), 0.95), *names)
    expect(low < high, "step 2: the lower end comes first")
    mean, spread = skewed.mean(), 1.96 * skewed.std()
    expect(
        not np.allclose([low, high], [mean - spread, mean + spread], rtol=0.01),
        "step 2: mean ± 1.96 standard deviations supposes a symmetric bell; the values say "
        "themselves where their middle lies: take quantiles",
    )
    expect(
        not np.allclose([low, high], [50**2, 950**2], rtol=0.02),
        "step 2: that leaves out 5 % on each side, and keeps 90 %: 95 % leave out 2.5 % on each",
    )
    expect(
        np.allclose([low, high], [25**2, 975**2], rtol=0.02),
        f"step 2: of the squares of 0 to 1000 the middle 95 % are 625 to 950,625; yours are "
        f"{low:.0f} to {high:.0f}",
    )
    low, high = numbers(answer(skewed[::-1].copy(), 0.5), *names)
    expect(
        np.allclose([low, high], [250**2, 750**2], rtol=0.02),
        "step 2: right for 95 % and sorted values, wrong for 50 %, or where they are not sorted",
    )


# --- step 3


def _check_difference(answer: Answer) -> None:
    rng = np.random.default_rng(3)
    low_agent, high_agent = rng.normal(0, 1, (30, 2)), rng.normal(2, 1, (30, 2))
    names = "the lower end", "the upper end"

    def found(one: np.ndarray, other: np.ndarray) -> list[float]:
        given = answer(one.copy(), other.copy(), np.mean, np.random.default_rng(4))
        return numbers(given, *names)

    low, high = found(high_agent, low_agent)
    expect(high > 0, "step 3: the sign: it is the first minus the second")
    wanted = difference(high_agent, low_agent, np.mean, np.random.default_rng(5))
    expect(
        np.allclose([low, high], wanted, atol=0.15),
        f"step 3: the interval is about {wanted[0]:.2f} to {wanted[1]:.2f}; yours is "
        f"{low:.2f} to {high:.2f}",
    )
    low, high = found(low_agent, low_agent)
    expect(
        high - low > 0.05,
        "step 3: an agent against itself has an interval of no width: draw the episodes of both "
        "on their own, with one generator that goes on",
    )
    expect(low < 0 < high, "step 3: of an agent against itself the interval should contain 0")
