"""Lesson 05: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np

from jatlab.lessons.lesson05 import cut, pad
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


WRONG = {
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
        (lambda weights, timesteps: share_of(weights), "shares of batches"),
        (lambda weights, timesteps: share_of(timesteps), "the weights are missing"),
        (lambda w, steps: {task: w[task] * steps[task] for task in w}, "divide by their sum"),
    ],
}
RIGHT = {
    "05.1": [lambda length, longest: np.array(cut(length, longest))],
    "05.2": [lambda windows: (pad(windows)[0], pad(windows)[1].astype(bool))],
    "05.3": [lambda errors, mask: errors[mask == 1].mean()],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("05", WRONG, RIGHT)
)
