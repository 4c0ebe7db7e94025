"""Lesson 11, The published JAT: solutions and checks.

The parameters of a block, its tensors' names, how sure a score of ten episodes is, and the
correlation of two rankings.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, kind, near, number, numbers
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson03 import block_parameters, check_block_parameters
from jatlab.lessons.lesson11_build import STEPS, check_reader, header, tensor, write
from jatlab.model.checkpoint.names import official_name

STUDENT = 2.262  # 97.5 % point of Student's t with nine degrees of freedom: ten episodes

# --- 11.1: parameters of a block, as in 03.3 ---

# --- 11.2: the published names ---


def published_name(name: str) -> str:
    """`trunk.blocks.3.attention.query.weight` -> `transformer.h.3.attn.attention.q_proj.weight`."""
    _, _, layer, _, projection, kind = name.split(".")
    projections = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
    return f"transformer.h.{layer}.attn.attention.{projections[projection]}.{kind}"


def check_published_name(answer: Answer) -> None:
    """Check 11.2 with a query's name, another layer, then the other projections."""
    ours = "trunk.blocks.3.attention.query.weight"
    found = _name(answer, ours)
    expect(
        not found.startswith("trunk"),
        "the published names begin with `transformer`, ours with `trunk`",
    )
    expect(".h." in found, "the blocks are called `h` there: transformer.h.3 …")
    expect(
        ".attn.attention." in found,
        "two levels are between block and projection: "
        "`attn` (GPT-Neo's wrapper) and `attention` inside it",
    )
    expect(
        found == official_name(ours),
        f"expected transformer.h.3.attn.attention.q_proj.weight, got {found}",
    )
    ours = "trunk.blocks.11.attention.query.weight"
    expect(
        _name(answer, ours) == official_name(ours),
        f"the layer's number should come from the name: for block 11 you say {_name(answer, ours)}",
    )
    for name in ("key.weight", "value.weight", "output.weight", "output.bias"):
        ours = f"trunk.blocks.0.attention.{name}"
        expect(
            _name(answer, ours) == official_name(ours),
            f"{ours} is {official_name(ours)} there, not {_name(answer, ours)}",
        )


def _name(answer: Answer, ours: str) -> str:
    found = answer(ours)
    expect(isinstance(found, str), f"a name is a string, not {kind(found)}")
    return str(found)


# --- 11.3: how sure a score is ---


def interval(mean: float, std: float, random: float, expert: float) -> tuple[float, float]:
    """95 % interval of the normalised mean of ten episodes: (low, high)."""
    score = (mean - random) / (expert - random)
    half = 2.262 * std / 10**0.5 / (expert - random)
    return score - half, score + half


def check_interval(answer: Answer) -> None:
    """Check 11.3 with random play at 0, then at 50."""
    low, high = numbers(answer(60.0, 10.0, 0.0, 100.0), "low", "high")
    expect(low <= high, f"low comes first: got ({low:.3f}, {high:.3f})")
    middle, half, right = (low + high) / 2, (high - low) / 2, STUDENT * 0.1 / sqrt(10)
    expect(
        near(middle, 0.6),
        "random 0, expert 100, mean 60: the middle should be 0.6, "
        f"not {middle:.3g}. Is the mean normalised?",
    )
    expect(
        half < 1,
        f"half a width of {half:.3g}: the deviation has to be normalised too "
        "(divide it by expert minus random)",
    )
    expect(
        not near(half, STUDENT * 0.1) and not near(half, 0.1),
        "that is the spread of single episodes: "
        "the mean of ten is surer, by the square root of ten",
    )
    expect(
        not near(half, right / STUDENT),
        "that is one standard error to each side, 68 %: multiply by 2.262 for 95 % of ten episodes",
    )
    expect(
        not near(half, right * sqrt(10) / 10),
        "you divide by 10: it is the square root of the number of episodes",
    )
    expect(
        abs(half - right) < 0.015 * right,
        f"half the width should be 2.262 * 0.1 / sqrt(10) = {right:.4f}, not {half:.4f}",
    )
    low, high = numbers(answer(60.0, 10.0, 50.0, 100.0), "low", "high")
    middle, half = (low + high) / 2, (high - low) / 2
    expect(
        abs(half - 2 * right) < 0.03 * right,
        "with random at 50 the scale is half as long: "
        "subtract random from the expert, and never from the deviation",
    )
    expect(
        near(middle, 0.2),
        f"random 50, expert 100, mean 60: the middle should be 0.2, not {middle:.3g}",
    )
    for mean in (100.0, 0.0, 130.0, -20.0):
        low, high = numbers(answer(mean, 10.0, 0.0, 100.0), "low", "high")
        expect(
            abs(low - mean / 100 + right) < 0.02 * right
            and abs(high - mean / 100 - right) < 0.02 * right,
            f"a mean of {mean:g} between 0 and 100 has the interval "
            f"{mean / 100 - right:.3f} to {mean / 100 + right:.3f}, not {low:.3f} to {high:.3f}: "
            "do not clip, scores may be above 1 and below 0",
        )


# --- 11.4: the correlation of two rankings ---


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's correlation: Pearson's, of the ranks. No two values are equal."""
    rank_x, rank_y = (np.argsort(np.argsort(values)) for values in (x, y))
    return float(np.corrcoef(rank_x, rank_y)[0, 1])


def check_rank_correlation(answer: Answer) -> None:
    """Check 11.4 with values that rise or fall together, then with random ones."""
    x, y = [1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 1000.0]
    found = _correlation(answer, x, y)
    expect(
        near(found, 1) or not near(found, np.corrcoef(x, y)[0, 1]),
        "that is Pearson's correlation of the values: rank them first",
    )
    expect(near(found, 1), f"y rises whenever x does, so the answer is 1, not {found:.3f}")
    expect(
        near(_correlation(answer, x, [9.0, 4.0, 1.0, 0.0]), -1),
        "y falls whenever x rises: the answer is -1",
    )
    rng = np.random.default_rng(0)
    for _ in range(5):
        first, second = rng.normal(size=(2, 30))
        found = _correlation(answer, first, second)
        once = np.corrcoef(np.argsort(first), np.argsort(second))[0, 1]
        expect(
            not near(found, once),
            "argsort says which value stands at each place, not the rank of each value: "
            "apply it twice",
        )
        expect(
            near(found, rank_correlation(first, second)),
            "right for four values, wrong for thirty at random",
        )


def _correlation(answer: Answer, x: Sequence[float], y: Sequence[float]) -> float:
    found = array(answer(np.array(x), np.array(y)), "return one number")
    expect(
        found.size == 1,
        f"return one number, not an array of shape {found.shape}: "
        "np.corrcoef gives a matrix, and [0, 1] is its place for x with y",
    )
    return number(found)


EXERCISES = {
    "11.1": Exercise(
        difficulty=2,
        importance=3,
        minutes=10,
        solution=block_parameters,
        check=check_block_parameters,
    ),
    "11.2": Exercise(
        difficulty=3, importance=2, minutes=8, solution=published_name, check=check_published_name
    ),
    "11.3": Exercise(
        difficulty=2, importance=4, minutes=8, solution=interval, check=check_interval
    ),
    "11.4": Exercise(
        difficulty=3,
        importance=3,
        minutes=8,
        solution=rank_correlation,
        check=check_rank_correlation,
    ),
    "11.5": Exercise(
        difficulty=3,
        importance=4,
        minutes=20,
        solution=(header, tensor, write),
        check=check_reader,
        steps=STEPS,
    ),
}
