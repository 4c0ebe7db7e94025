"""Lesson 05: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np

from jatlab.lessons.lesson05 import pad
from tests.support.exercises import exercise_tests


def left(windows):
    longest = max(map(len, windows))
    batch = np.stack([np.pad(window, ((longest - len(window), 0), (0, 0))) for window in windows])
    return batch, np.array(
        [[0] * (longest - len(window)) + [1] * len(window) for window in windows]
    )


def from_values(windows):
    batch, _ = pad(windows)
    return batch, (batch != 0).any(-1).astype(int)


def shortest(windows):
    length = min(map(len, windows))
    return np.stack([window[:length] for window in windows]), np.ones((len(windows), length))


def by_first(windows):
    batch, mask = pad([windows[0], *(window[: len(windows[0])] for window in windows[1:])])
    return batch, mask


WRONG = {
    "05.1": [
        (
            lambda length, longest: [(s, longest) for s in range(0, length - longest + 1, longest)],
            "not dropped",
        ),
        (
            lambda length, longest: [(s, longest) for s in range(0, length, longest)],
            "reaches past the end",
        ),
        (
            lambda length, longest: [
                (s, min(s + longest, length)) for s in range(0, length, longest)
            ],
            "these are (start, end)",
        ),
        (lambda length, longest: [(s, longest) for s in range(length - longest + 1)], "overlap"),
        (
            lambda length, longest: [
                (s, min(longest, length - s))
                for s in range(0, length + (length % longest == 0), longest)
            ],
            "no empty one",
        ),
        (lambda length, longest: length // longest, "return a list"),
        (
            lambda length, longest: [min(longest, length - s) for s in range(0, length, longest)],
            "is a pair",
        ),
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
        (
            lambda errors, mask: ((errors * mask).sum(1) / mask.sum(1)).mean(),
            "the two windows' means",
        ),
        (lambda errors, mask: (errors * mask).sum(1) / mask.sum(1), "one number"),
    ],
    "05.4": [
        (
            lambda weights, timesteps: {
                task: w / sum(weights.values()) for task, w in weights.items()
            },
            "shares of turns",
        ),
        (
            lambda weights, timesteps: {
                task: t / sum(timesteps.values()) for task, t in timesteps.items()
            },
            "the weights are missing",
        ),
        (
            lambda weights, timesteps: {task: w * timesteps[task] for task, w in weights.items()},
            "divide by their sum",
        ),
    ],
}
RIGHT = {
    "05.1": [
        lambda length, longest: np.array(
            [(s, min(longest, length - s)) for s in range(0, length, longest)]
        )
    ],
    "05.2": [lambda windows: (pad(windows)[0], pad(windows)[1].astype(bool))],
    "05.3": [lambda errors, mask: errors[mask == 1].mean()],
}
test_right_answer, test_wrong_answer, test_coverage = exercise_tests("05", WRONG, RIGHT)
