"""Lesson 10, Ablations: solutions and checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, near, number, numbers, whole
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson10_build import STEPS, check_findings, effect, findings, table

# --- 10.1: how far back ---


def reach(layers: int, window: int) -> int:
    """How many timesteps back an observation token can know of through local layers.

    The layers see `window` tokens, and observations do not see actions.
    """
    return layers * ((window - 1) // 2)


def check_reach(answer: Answer) -> None:
    """Check 10.1 with one layer and three windows, then with four layers."""
    one = whole(answer(1, 3))
    expect(
        one != 3,
        "a window of 3 tokens holds the observation itself, the action before it, "
        "and the observation before that: 1 timestep back",
    )
    expect(
        one == 1,
        "one layer, window 3: the observation two tokens earlier is in sight, 1 timestep back; "
        f"yours is {one}",
    )
    expect(
        whole(answer(1, 2)) == 0,
        "a window of 2 tokens holds the observation and the action before it: "
        "no earlier observation, 0",
    )
    one = whole(answer(1, 8))
    expect(
        one != 4,
        "the token itself is one of the 8: the furthest is 7 tokens away, "
        "and observations are 2 apart, so 3 timesteps",
    )
    expect(one == 3, f"one layer, window 8: 3 timesteps; yours is {one}")
    four = whole(answer(4, 8))
    expect(
        four != 3,
        "each layer passes on what the layer below has gathered: the reaches of the layers add up",
    )
    expect(
        four != (4 * 7) // 2,
        "round down in each layer, and then multiply: "
        "half a timestep left over in a layer is of no use",
    )
    expect(four == 12, f"four layers of 3 timesteps reach 12; yours is {four}")


# --- 10.2: an interval over runs ---


def interval_over_runs(means: Sequence[float]) -> tuple[float, float]:
    """95 % interval for the mean of all runs, from the means of three: mean ± 4.303 s / sqrt(3)."""
    half = 4.303 * np.std(means, ddof=1) / np.sqrt(3)
    return float(np.mean(means) - half), float(np.mean(means) + half)


def check_interval_over_runs(answer: Answer) -> None:
    """Check 10.2 with three runs whose standard deviation is 0.1."""
    means = [0.7, 0.8, 0.9]
    low, high = numbers(answer(list(means)), "low", "high")
    expect(low < high, f"low comes first, and the two differ; yours are {low:.3f} and {high:.3f}")
    middle, half = (low + high) / 2, (high - low) / 2
    expect(
        near(middle, 0.8),
        f"the interval lies around the mean, 0.8; the middle of yours is {middle:.3f}",
    )
    expect(
        not near(half, 1.96 * 0.1 / 3**0.5),
        "1.96 holds for many runs; with three, s itself is uncertain, and t is 4.303",
    )
    expect(
        not near(half, 4.303 * 0.1),
        "that is where one more run would lie; "
        "for the mean of the runs divide by the root of their number",
    )
    expect(
        not near(half, 4.303 * 0.1 / 3),
        "divide by the square root of the number of runs, not by the number",
    )
    expect(
        not near(half, 4.303 * float(np.std(means)) / 3**0.5),
        "s with n - 1 in the denominator: np.std(means, ddof=1)",
    )
    expect(
        abs(half - 4.303 * 0.1 / 3**0.5) < 5e-4,  # t may be rounded: 4.3
        f"half the width is 4.303 · 0.1 / √3 = 0.2484; yours is {half:.4f}",
    )


# --- 10.3: seed by seed ---


def seed_differences(first: dict[int, float], second: dict[int, float]) -> list[float]:
    """How much better the second variant is than the first, for each seed that both have.

    Scores by seed -> differences in the order of the seeds.
    """
    return [second[seed] - first[seed] for seed in sorted(first.keys() & second.keys())]


def check_seed_differences(answer: Answer) -> None:
    """Check 10.3 with seeds in two orders, and with seeds that one variant lacks."""
    got = _differences(answer, {0: 0.5, 1: 0.9, 2: 0.7}, {2: 0.8, 0: 0.6, 1: 0.95})
    expect(len(got) == 3, f"three seeds have three differences, yours are {len(got)}")
    expect(
        not near(got, [-0.1, -0.05, -0.1]),
        "the second less the first: positive where the second is better",
    )
    expect(
        not near(got, [0.3, -0.3, 0.25]),
        "paired by position: the two dicts list their seeds in different orders; look each seed up",
    )
    expect(
        near(got, [0.1, 0.05, 0.1]),
        f"seed by seed the second is better by 0.1, 0.05, 0.1; yours are {got}",
    )
    partly = _differences(answer, {0: 0.5, 1: 0.9}, {1: 1.0, 3: 0.2})
    expect(
        near(partly, [0.1]),
        "a seed that only one variant has cannot be compared: leave it out",
    )
    turned = _differences(answer, {2: 0.7, 0: 0.5}, {2: 0.8, 0: 0.8})
    expect(
        near(turned, [0.3, 0.1]),
        "in the order of the seeds: 0 before 2, however the dicts list them",
    )


def _differences(answer: Answer, first: dict[int, float], second: dict[int, float]) -> list[float]:
    wanted = "return a list of differences, one for each seed"
    found = array(answer(dict(first), dict(second)), wanted)
    expect(found.ndim == 1, f"{wanted}; yours has shape {found.shape}")
    return [round(float(value), 4) for value in found]


# --- 10.4: luck ---


def chance_of_a_finding(variants: int, level: float = 0.05) -> float:
    """The probability that at least one of so many equal variants looks different at this level.

    The comparisons are independent.
    """
    return 1 - (1 - level) ** variants


def check_chance_of_a_finding(answer: Answer) -> None:
    """Check 10.4 with twenty variants, with one, and at another level."""
    got = number(answer(20))
    expect(
        not got > 1, f"a probability is at most 1, yours is {got:g}: chances do not simply add up"
    )
    expect(
        not near(got, 0.95**20),
        "that is the probability that none looks different: subtract it from 1",
    )
    expect(
        not near(got, 1),
        "20 times 0.05 is what one expects on average, not a probability: "
        "1 less the probability that none does",
    )
    expect(near(got, 1 - 0.95**20), f"1 - 0.95 to the 20th is 0.64; yours is {got:.3f}")
    one = number(answer(1))
    expect(near(one, 0.05), f"one variant at the level 0.05: 0.05; yours is {one}")
    expect(
        near(number(answer(2, 0.5)), 0.75),
        "use the level that is given: with 0.5 and two variants it is 0.75",
    )


EXERCISES = {
    "10.1": Exercise(difficulty=3, importance=4, minutes=10, solution=reach, check=check_reach),
    "10.2": Exercise(
        difficulty=2,
        importance=5,
        minutes=8,
        solution=interval_over_runs,
        check=check_interval_over_runs,
    ),
    "10.3": Exercise(
        difficulty=1,
        importance=4,
        minutes=5,
        solution=seed_differences,
        check=check_seed_differences,
    ),
    "10.4": Exercise(
        difficulty=2,
        importance=4,
        minutes=5,
        solution=chance_of_a_finding,
        check=check_chance_of_a_finding,
    ),
    "10.5": Exercise(
        difficulty=3,
        importance=5,
        minutes=20,
        solution=(table, effect, findings),
        check=check_findings,
        steps=STEPS,
    ),
}
