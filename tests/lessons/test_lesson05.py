"""Lesson 05: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import torch
from torch import nn

from jatlab.data.windows import cut_windows
from jatlab.lessons.lesson05 import cut, pad
from jatlab.lessons.lesson05_build import cut_all, group, schedule
from tests.support.exercises import exercise_tests


def without_rest(length, longest):
    return [(start, longest) for start in range(0, length - longest + 1, longest)]


def beyond_the_end(length, longest):
    return [(start, longest) for start in range(0, length, longest)]


def ends(length, longest):
    return [(start, min(start + longest, length)) for start in range(0, length, longest)]


def overlapping(length, longest):
    return [(start, longest) for start in range(length - longest + 1)]


def with_an_empty_window(length, longest):
    return cut(length, longest) + [(length, 0)] * (length % longest == 0)


def left(windows):
    longest = max(map(len, windows))
    empty = [longest - len(window) for window in windows]
    batch = [np.pad(one, ((n, 0), (0, 0))) for n, one in zip(empty, windows, strict=True)]
    return np.stack(batch), np.array([[0] * n + [1] * (longest - n) for n in empty])


def from_values(windows):
    batch, _ = pad(windows)
    return batch, (batch != 0).any(-1).astype(int)


def shortest(windows):
    length = min(map(len, windows))
    return np.stack([window[:length] for window in windows]), np.ones((len(windows), length))


def by_first(windows):
    batch, mask = pad([windows[0], *(window[: len(windows[0])] for window in windows[1:])])
    return batch, mask


def mean_of_means(errors, mask):
    return ((errors * mask).sum(1) / mask.sum(1)).mean()


def share_of(amounts):
    return {task: amount / sum(amounts.values()) for task, amount in amounts.items()}


def cut_while_left(length, longest):
    start = 0
    while start < length:
        yield start, min(longest, length - start)
        start += longest


def cut_by_splitting(length, longest):
    chunks = np.split(np.arange(length), np.arange(longest, length, longest))
    return [np.array([chunk[0], len(chunk)]) for chunk in chunks]


def pad_in_torch(windows):
    batch = nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in windows], batch_first=True)
    lengths = torch.tensor([len(one) for one in windows])
    return batch.float(), torch.arange(batch.shape[1]) < lengths[:, None]


def pad_in_lists(windows):
    longest, empty = max(map(len, windows)), [0.0] * windows[0].shape[1]
    batch = [one.tolist() + [empty] * (longest - len(one)) for one in windows]
    return [batch, [[1.0] * len(one) + [0.0] * (longest - len(one)) for one in windows]]


def mean_in_a_loop(errors, mask):
    pairs = zip(errors.flatten(), mask.flatten(), strict=True)
    kept = [error for error, real in pairs if real]
    return sum(kept) / len(kept)


def shares_in_numpy(weights, timesteps):
    amounts = np.array([weights[task] * timesteps[task] for task in weights], np.float32)
    return dict(zip(weights, amounts / amounts.sum(), strict=True))


def shares_in_a_loop(weights, timesteps):
    total = sum(weights[task] * timesteps[task] for task in timesteps)
    return {task: torch.tensor(weights[task] * timesteps[task] / total) for task in timesteps}


# --- 05.5: from episodes to the next batch


def cut_by_package(lengths, longest):
    return cut_windows(np.array(lengths), longest)


def group_by_sorting(lengths, limit):
    left = np.argsort(lengths).tolist()
    while left:
        batch = [left.pop()]
        while left and (len(batch) + 1) * lengths[batch[0]] <= limit:
            batch.append(left.pop())
        yield batch


def schedule_by_debt(weights, count):
    shares, owed, order = np.array(weights) / sum(weights), np.zeros(len(weights)), []
    for _ in range(count):
        owed += shares
        order.append(int(owed.argmax()))
        owed[order[-1]] -= 1
    return order


def cut_within(lengths, longest):
    return [row for length in lengths for row in cut_all([length], longest)]


def cut_across(lengths, longest):
    return cut_all([sum(lengths)], longest)


def starts_and_ends(lengths, longest):
    return [[start, start + length] for start, length in cut_all(lengths, longest)]


def whole_windows_only(lengths, longest):
    return [row for row in cut_all(lengths, longest) if row[1] == longest]


def group_unsorted(lengths, limit):
    batches = [[0]]
    for number in range(1, len(lengths)):
        batch = [*batches[-1], number]
        if len(batch) * max(lengths[n] for n in batch) <= limit:
            batches[-1] = batch
        else:
            batches.append([number])
    return batches


def group_by_sum(lengths, limit):
    batches = [[]]
    for number in np.argsort(lengths).tolist():
        if sum(lengths[n] for n in batches[-1]) + lengths[number] > limit:
            batches.append([])
        batches[-1].append(number)
    return batches


def drawn_by_lot(weights, count):
    shares = np.array(weights) / sum(weights)
    return np.random.default_rng(0).choice(len(weights), count, p=shares)


def turns_by_weight(weights, count):
    """As many turns as the weight says, the largest weight first: ahead, never far behind."""
    least = min(weights)
    turn = [task for task in np.argsort(weights)[::-1] for _ in range(round(weights[task] / least))]
    return (turn * count)[:count]


def in_blocks(weights, count):
    return sorted(schedule(weights, count))


FIRST = (cut_all, group)
WRONG = {
    "05.5": [
        (cut_within, "begins at 0 again"),
        (cut_across, "from one episode into the next"),
        (starts_and_ends, "[start, end]"),
        (whole_windows_only, "is a rest dropped"),
        ((cut_all, group_unsorted), "sort them first"),
        ((cut_all, group_by_sum), "not the sum of their lengths"),
        ((cut_all, lambda lengths, limit: [[n] for n in range(len(lengths))]), "one window a"),
        ((cut_all, lambda lengths, limit: group(lengths, limit)[:-1]), "in exactly one batch"),
        ((*FIRST, lambda w, n: [k % len(w) for k in range(n)]), "equally often"),
        ((*FIRST, drawn_by_lot), "drawn by lot"),
        ((*FIRST, in_blocks), "in a row"),
        ((*FIRST, lambda w, n: schedule([1 / one for one in w], n)), "they should be"),
    ],
    "05.1": [
        (without_rest, "not dropped"),
        (beyond_the_end, "reaches past the end"),
        (ends, "these are (start, end)"),
        (overlapping, "overlap"),
        (with_an_empty_window, "no empty one"),
        (lambda length, longest: length // longest, "return a list"),
        (lambda length, longest: [size for _, size in cut(length, longest)], "is a pair"),
    ],
    "05.2": [
        (left, "padded on the left"),
        (lambda windows: (pad(windows)[0], 1 - pad(windows)[1]), "the wrong way round"),
        (from_values, "make the mask from the lengths"),
        (shortest, "cut to the shortest"),
        (by_first, "need not be the first"),
        (lambda windows: pad(windows)[0], "return two arrays"),
        (lambda windows: (pad(windows)[0].astype(int), pad(windows)[1]), "not as whole numbers"),
    ],
    "05.3": [
        (lambda errors, mask: errors.mean(), "the padding is in your mean"),
        (lambda errors, mask: (errors * mask).mean(), "divided by all 6 places"),
        (lambda errors, mask: errors[mask].mean(), "picks rows"),
        (mean_of_means, "the two windows' means"),
        (lambda errors, mask: (errors * mask).sum(1) / mask.sum(1), "one number"),
    ],
    "05.4": [
        (lambda w, steps: list(share_of(w).values()), "return a dict with the tasks grid, arm"),
        (lambda weights, timesteps: share_of(weights), "shares of batches"),
        (lambda weights, timesteps: share_of(timesteps), "the weights are missing"),
        (lambda w, steps: {task: w[task] * steps[task] for task in w}, "divide by their sum"),
    ],
}
RIGHT = {
    "05.5": [
        (cut_by_package, group_by_sorting, schedule_by_debt),
        (cut_by_package, group, schedule_by_debt),
        (cut_by_package, group, turns_by_weight),
    ],
    "05.1": [lambda *lengths: np.array(cut(*lengths)), cut_while_left, cut_by_splitting],
    "05.2": [
        lambda windows: (pad(windows)[0], pad(windows)[1].astype(bool)),
        pad_in_torch,
        pad_in_lists,
    ],
    "05.3": [
        lambda errors, mask: errors[mask == 1].mean(),
        lambda errors, mask: np.ma.masked_array(errors, mask == 0).mean(),
        lambda errors, mask: torch.tensor(np.average(errors, weights=mask)).float(),
        mean_in_a_loop,
    ],
    "05.4": [shares_in_numpy, shares_in_a_loop],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("05", WRONG, RIGHT)
)
