"""Exercise 05.5: from episodes to the next batch, built in three steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jatlab.data.windows import cut_windows
from jatlab.lessons.answers import Answer, array, expect, listed

# --- one right answer of each step


def cut_all(lengths: Sequence[int], longest: int) -> list[list[int]]:
    """The windows [start, length] of episodes that lie behind each other in one row."""
    windows, first = [], 0
    for length in lengths:
        for start in range(0, length, longest):
            windows.append([first + start, min(longest, length - start)])
        first += length
    return windows


def group(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Windows of such lengths in batches of at most `limit` timesteps, padding included.

    A batch is a list of the windows' numbers. Windows of similar length go together.
    """
    batches: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lambda n: lengths[n], reverse=True):
        batch = batches[-1] if batches else []
        if batch and lengths[batch[0]] * (len(batch) + 1) <= limit:
            batch.append(number)
        else:
            batches.append([number])
    return batches


def schedule(weights: Sequence[float], count: int) -> list[int]:
    """The numbers of the tasks that give the next `count` batches, by their sampling weights."""
    given = [0] * len(weights)
    order = []
    for _ in range(count):
        due = [(given[task] + 1) / weights[task] for task in range(len(weights))]
        task = due.index(min(due))
        given[task] += 1
        order.append(task)
    return order


STEPS = ("windows of many episodes", "batches", "the mixture")


def check_pipeline(
    cutter: Answer, batcher: Answer | None = None, mixer: Answer | None = None
) -> None:
    """Check 05.5: the first step alone, or with the later ones."""
    _check_cutter(cutter)
    if batcher is not None:
        _check_batcher(batcher)
    if mixer is not None:
        _check_mixer(mixer)


# --- step 1


def _check_cutter(answer: Answer) -> None:
    got = _rows(answer([5, 2, 7], 3))
    expect(
        got != [[0, 3], [3, 2], [0, 2], [0, 3], [3, 3], [6, 1]],
        "step 1: every episode begins at 0 again: they lie behind each other, so the second one "
        "begins where the first one ends",
    )
    expect(
        got != [[0, 3], [3, 3], [6, 3], [9, 3], [12, 2]],
        "step 1: a window reaches from one episode into the next: cut each episode alone",
    )
    expect(
        got != [[0, 3], [3, 5], [5, 7], [7, 10], [10, 13], [13, 14]],
        "step 1: these are [start, end]: a window is [start, length]",
    )
    expect(
        sum(length for _, length in got) == 14,
        f"step 1: the episodes have 14 timesteps, your windows {sum(n for _, n in got)}: is a "
        "rest dropped, or a window too long?",
    )
    for lengths, longest in (([5, 2, 7], 3), ([4], 9), ([6, 6], 3), ([100, 100, 12, 64, 31], 64)):
        right = cut_windows(np.array(lengths), longest).tolist()
        found = _rows(answer(list(lengths), longest))
        expect(
            found == right,
            f"step 1: episodes of {lengths} in windows of at most {longest}: jatlab cuts {right}",
        )


def _rows(windows: object) -> list[list[int]]:
    found = array(windows, "step 1: return rows of [start, length]")
    expect(
        found.ndim == 2 and found.shape[1] == 2,
        f"step 1: return rows of [start, length]; yours has shape {found.shape}",
    )
    return found.tolist()


# --- step 2


def _check_batcher(answer: Answer) -> None:
    lengths = [9, 2, 10, 3, 8, 2, 1, 9, 3, 10, 2, 1]
    batches = _groups(answer(list(lengths), 20))
    numbers = sorted(number for batch in batches for number in batch)
    expect(
        numbers == list(range(len(lengths))),
        "step 2: each window's number should be in exactly one batch; "
        f"of {len(lengths)} windows yours hold {len(set(numbers))}",
    )
    padded = [len(batch) * max(lengths[n] for n in batch) for batch in batches]
    expect(
        max(padded) <= 20,
        f"step 2: a batch has {max(padded)} timesteps with padding, more than 20: count its "
        "windows times its longest one, not the sum of their lengths",
    )
    real = sum(lengths)
    expect(
        len(batches) < len(lengths),
        "step 2: one window a batch: several short ones fit together",
    )
    waste = 1 - real / sum(padded)
    best = group(lengths, 20)
    wanted = 1 - real / sum(len(b) * max(lengths[n] for n in b) for b in best)
    expect(
        waste <= wanted + 0.1,
        f"step 2: {waste:.0%} of your batches are padding, {wanted:.0%} are possible: put windows "
        "of similar length together, so sort them first",
    )
    expect(
        len(batches) <= len(best) + 2,
        f"step 2: {len(batches)} batches where {len(best)} hold all: fill each up to the limit",
    )


def _groups(answer: object) -> list[list[int]]:
    wanted = "step 2: return a list of batches, each a list of windows' numbers"
    found = listed(answer)
    expect(isinstance(found, list | tuple) or np.ndim(found) == 2, wanted)
    groups = [array(one, wanted) for one in found]
    expect(bool(groups) and all(one.ndim == 1 and one.size for one in groups), wanted)
    expect(all(one.dtype.kind == "i" for one in groups), f"{wanted}: whole numbers")
    numbers = [one.tolist() for one in groups]
    expect(
        all(0 <= number < 12 for batch in numbers for number in batch),
        "step 2: the numbers of 12 windows are 0 to 11",
    )
    return numbers


# --- step 3


def _check_mixer(answer: Answer) -> None:
    for weights in ([1.0, 1.0], [2.0, 1.0, 0.5], [3.0, 1.0, 1.0, 5.0]):
        order = _order(answer(list(weights), 200), len(weights))
        shares = np.array(weights) / sum(weights)
        counts = np.cumsum(order[:, None] == np.arange(len(weights)), axis=0)  # (200, tasks)
        behind = np.arange(1, 201)[:, None] * shares - counts
        last = counts[-1] / 200
        name = f"step 3, weights {weights}"
        if len(set(weights)) > 1:
            expect(
                not np.allclose(last, 1 / len(weights), atol=0.02),
                f"{name}: every task comes equally often: a task of weight 2 should give two "
                "batches where one of weight 1 gives one",
            )
        expect(
            np.abs(last - shares).max() < 0.12,
            f"{name}: the shares are {np.round(last, 2).tolist()}, they should be "
            f"{np.round(shares, 2).tolist()}",
        )
        expect(
            not _in_blocks(order),
            f"{name}: all batches of a task come in a row, and the others are forgotten meanwhile",
        )
        expect(
            behind.max() < 2.5,
            f"{name}: a task falls {behind.max():.1f} batches behind its share: drawn by "
            "lot, it may wait for long. Count what each has given, and take the one that is due",
        )


def _order(answer: object, tasks: int) -> np.ndarray:
    wanted = "step 3: return the numbers of the tasks, one for each batch"
    found = array(answer, wanted)
    expect(
        found.shape == (200,),
        f"step 3: 200 batches are asked for; yours is an array of shape {found.shape}",
    )
    expect(found.dtype.kind == "i", f"{wanted}: whole numbers")
    expect(
        found.min() >= 0 and found.max() < tasks,
        f"step 3: {tasks} tasks have the numbers 0 to {tasks - 1}",
    )
    return found


def _in_blocks(order: np.ndarray) -> bool:
    """Whether no task comes back after another one."""
    changes = int((np.diff(order) != 0).sum())
    return changes < len(set(order.tolist()))
