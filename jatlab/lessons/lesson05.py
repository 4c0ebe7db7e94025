"""Lesson 05, Teachers and data: solutions and checks."""

from __future__ import annotations

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, kind, named, near, number, parts
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson05_build import STEPS, check_pipeline, cut_all, group, schedule

# --- 05.1: cut an episode into windows ---


def cut(length: int, longest: int) -> list[tuple[int, int]]:
    """An episode of `length` timesteps as consecutive windows (start, length) of at most `longest`.

    The last window may be shorter.
    """
    return [(start, min(longest, length - start)) for start in range(0, length, longest)]


def check_cut(answer: Answer) -> None:
    """Check 05.1: with a rest, without one, and for a short episode."""
    got = _pairs(answer(7, 3))
    expect(
        got != [(0, 3), (3, 3)],
        "7 timesteps, and the last one is in no window: "
        "the rest makes a shorter window, it is not dropped",
    )
    expect(
        got != [(0, 3), (3, 3), (6, 3)],
        "the last window reaches past the end: from 6 on there is 1 timestep left, not 3",
    )
    expect(got != [(0, 3), (3, 6), (6, 7)], "these are (start, end): a window is (start, length)")
    expect(
        got[:2] != [(0, 3), (1, 3)],
        "these windows overlap: the next one begins where the last one ends, `longest` further",
    )
    expect(
        got == [(0, 3), (3, 3), (6, 1)],
        f"7 timesteps in windows of 3 are (0, 3), (3, 3), (6, 1); yours are {got}",
    )
    expect(
        _pairs(answer(6, 3)) == [(0, 3), (3, 3)],
        "6 timesteps are two full windows of 3, and no empty one behind them",
    )
    expect(
        _pairs(answer(2, 5)) == [(0, 2)],
        "an episode shorter than `longest` is one window of its own length",
    )


def _pairs(windows: object) -> list[tuple[int, ...]]:
    found = array(windows, "return a list of (start, length)")
    expect(found.ndim > 0, f"return a list of (start, length), not {found}")
    expect(
        found.ndim == 2 and found.shape[1] == 2,
        f"each window is a pair, (start, length); yours are {found.tolist()}",
    )
    return [tuple(window) for window in found.tolist()]


# --- 05.2: put windows side by side ---


def pad(windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Windows (T_i, n) side by side, (B, T, n), with zeros behind the shorter ones.

    The mask (B, T) is 1 where there is data.
    """
    longest = max(len(window) for window in windows)
    batch = np.zeros((len(windows), longest, windows[0].shape[1]))
    mask = np.zeros((len(windows), longest), dtype=int)
    for row, window in enumerate(windows):
        batch[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return batch, mask


def check_pad(answer: Answer) -> None:
    """Check 05.2: shapes, where the data stands, and the mask."""
    windows = [np.array([[0.0, 0.0], [3.0, 4.0], [5.0, 6.5]]), np.array([[7.0, 8.0]])]
    batch, mask = _padded(answer, windows)
    expect(
        batch.shape != (2, 1, 2),
        "cut to the shortest window: nothing may be lost, so the shorter ones are made longer",
    )
    expect(
        batch.shape == (2, 3, 2),
        "two windows, the longest of 3 timesteps with 2 values, make a batch of "
        f"shape (2, 3, 2); yours has {batch.shape}",
    )
    expect(
        mask.shape == (2, 3),
        f"the mask says of each timestep whether it is real, (2, 3); yours has shape {mask.shape}",
    )
    expect(
        not near(batch[1], [[0, 0], [0, 0], [7, 8]]),
        "padded on the left: data comes first, so that its positions do not depend on the padding",
    )
    expect(
        near(batch[0], windows[0]) and near(batch[1, 0], windows[1][0]),
        "the data changed: each window should stand unchanged at the front of its row "
        "(not as whole numbers)",
    )
    expect(not batch[1, 1:].any(), "behind the shorter window there should be zeros")
    _check_mask(mask)
    windows = [np.zeros((2, 1)), np.ones((4, 1)), np.ones((3, 1))]
    expect(_padded(answer, windows)[1].sum() == 9, "the longest window need not be the first")


def _padded(answer: Answer, windows: list[np.ndarray]) -> list[np.ndarray]:
    wanted = "return two arrays: the batch and the mask"
    found = answer([window.copy() for window in windows])
    expect(isinstance(found, list | tuple), f"{wanted}; yours is {kind(found)}")
    return parts(found, 2, wanted)


def _check_mask(mask: np.ndarray) -> None:
    expect(
        not near(mask, [[0, 0, 0], [0, 1, 1]]),
        "the mask is the wrong way round: 1 where there is data, 0 where there is padding",
    )
    expect(
        mask[0, 0] == 1,
        "a real value can be 0 as well: make the mask from the lengths, not from `batch != 0`",
    )
    expect(
        near(mask, [[1, 1, 1], [1, 0, 0]]),
        f"the mask should be 1 1 1 / 1 0 0; yours is {mask.tolist()}",
    )


# --- 05.3: a mean that leaves the padding out ---


def masked_mean(errors: np.ndarray, mask: np.ndarray) -> float:
    """The mean of errors (B, T) over the timesteps where the mask is 1.

    Every real timestep counts the same.
    """
    return float((errors * mask).sum() / mask.sum())


def check_masked_mean(answer: Answer) -> None:
    """Check 05.3 with two windows, then with random errors and masks."""
    errors, mask = np.array([[1.0, 2.0, 3.0], [8.0, 99.0, 99.0]]), np.array([[1, 1, 1], [1, 0, 0]])
    got = number(answer(errors.copy(), mask.copy()))
    expect(
        not near(got, errors.mean()),
        "the padding is in your mean: multiply the errors by the mask first",
    )
    expect(
        not near(got, 14 / 6),
        "divided by all 6 places: divide by the number of real timesteps, the sum of the mask",
    )
    expect(
        not near(got, 5.0),
        "this is the mean of the two windows' means: "
        "a timestep of a short window then counts more than one of a long window",
    )
    expect(
        not near(got, errors[mask].mean()),
        "errors[mask] with a mask of integers picks rows 0 and 1: "
        "multiply by the mask, or pick with mask == 1",
    )
    expect(near(got, 3.5), f"(1 + 2 + 3 + 8) / 4 is 3.5; yours is {got:g}")
    rng = np.random.default_rng(0)
    errors, mask = rng.random((5, 7)), (rng.random((5, 7)) < 0.6).astype(float)
    expect(
        near(number(answer(errors.copy(), mask.copy())), masked_mean(errors, mask)),
        "right for the small example, wrong for random errors and masks",
    )


# --- 05.4: which task gets how many timesteps ---


def shares(weights: dict[str, float], timesteps: dict[str, float]) -> dict[str, float]:
    """The share of all trained timesteps that each task gets.

    A task's sampling weight says how many of the batches are its own; each has `timesteps`.
    """
    amounts = {task: weights[task] * timesteps[task] for task in weights}
    return {task: amount / sum(amounts.values()) for task, amount in amounts.items()}


def check_shares(answer: Answer) -> None:
    """Check 05.4 with two tasks, then with three."""
    weights, timesteps = {"grid": 1.0, "arm": 3.0}, {"grid": 600.0, "arm": 1000.0}
    got = _shares(answer, weights, timesteps)
    expect(
        not _close(got, {"grid": 0.25, "arm": 0.75}),
        "these are shares of batches: a batch of the arm has more timesteps than one of the grid",
    )
    expect(
        not _close(got, {"grid": 0.375, "arm": 0.625}),
        "the weights are missing: the arm has three batches where the grid has one",
    )
    expect(
        not _close(got, {"grid": 600.0, "arm": 3000.0}),
        "these are timesteps: divide by their sum to get shares",
    )
    expect(near(sum(got.values()), 1), f"shares add up to 1, yours to {sum(got.values()):g}")
    expect(
        _close(got, shares(weights, timesteps)),
        f"1 x 600 and 3 x 1000 timesteps are shares of 1/6 and 5/6; yours are {got}",
    )
    more = {"a": 0.5, "b": 2.0, "c": 1.0}, {"a": 1000.0, "b": 250.0, "c": 500.0}
    expect(_close(_shares(answer, *more), shares(*more)), "right for two tasks, wrong for three")


def _shares(
    answer: Answer, weights: dict[str, float], timesteps: dict[str, float]
) -> dict[str, float]:
    wanted = f"return a dict with the tasks {', '.join(weights)}"
    found = named(answer(dict(weights), dict(timesteps)), weights, wanted)
    return {task: number(found[task], f"the share of {task} is one number") for task in weights}


def _close(a: dict[str, float], b: dict[str, float]) -> bool:
    return all(near(a[task], b[task]) for task in b)


EXERCISES = {
    "05.1": Exercise(difficulty=2, importance=4, minutes=5, solution=cut, check=check_cut),
    "05.2": Exercise(difficulty=3, importance=4, minutes=8, solution=pad, check=check_pad),
    "05.3": Exercise(
        difficulty=1, importance=4, minutes=5, solution=masked_mean, check=check_masked_mean
    ),
    "05.4": Exercise(difficulty=2, importance=3, minutes=5, solution=shares, check=check_shares),
    "05.5": Exercise(
        difficulty=4,
        importance=4,
        minutes=25,
        solution=(cut_all, group, schedule),
        check=check_pipeline,
        steps=STEPS,
    ),
}
