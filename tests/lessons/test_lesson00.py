"""Lesson 00: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import torch

from tests.support.exercises import exercise_tests


def attended_in_a_loop(attentions):
    best, most = 0, -1.0
    for t in range((attentions.shape[-1] + 1) // 2):
        paid = sum(head[2 * t] for layer in attentions for head in layer)
        best, most = (t, paid) if paid > most else (best, most)
    return best


def attended_by_einsum(attentions):
    return torch.einsum("lht->t", torch.from_numpy(attentions))[::2].argmax()


WRONG = {
    "00.1": [
        (lambda total, limit: (1 - total) / 0.9, "share of the limit"),
        (lambda total, limit: (1 - total) * limit, "the 0.9 is missing"),
        (lambda total, limit: round(total * limit / 0.9), "start from 1 - return"),
        (lambda total, limit: round((1 - total) * 64 / 0.9), "but not for 576"),
        (lambda total, limit: (1 - total) * limit / 0.9, "steps are whole"),
        (lambda total, limit: "16", "return a number"),
    ],
    "00.2": [
        (lambda t: 2 * t, "the first observation"),
        (lambda t: t + 1, "actions between them"),
        (lambda t: 2 * t + 2, "no action has been chosen yet"),
        (lambda t: 1 + 3 * t, "1 3 5 7 9"),
    ],
    "00.3": [
        (lambda a: int(a.mean(axis=(0, 1)).argmax()), "that is the token"),
        (lambda a: int(a.mean(axis=(0, 1)).argmax()) // 2, "is an action"),
        (lambda a: a.mean(axis=0)[:, ::2].argmax(-1), "one timestep is asked for"),
        (lambda a: int(a[-1].mean(0)[::2].argmax()), "only the last layer"),
        (lambda a: int(a.max(axis=(0, 1))[::2].argmax()), "not the largest"),
        (lambda a: int(a[:, 0].mean(0)[::2].argmax()), "a single weight, head or layer decided"),
    ],
}
RIGHT = {
    "00.1": [
        lambda total, limit: np.int64(round((1 - total) * limit / 0.9)),
        lambda total, limit: np.round((1 - total) * limit / 0.9),
        lambda total, limit: torch.tensor((1 - total) * limit / 0.9).round(),
    ],
    "00.2": [
        lambda t: len([kind for _ in range(t) for kind in "oa"]) + 1,
        lambda t: torch.tensor(t) * 2 + 1,
        lambda t: float(t + (t + 1)),
    ],
    "00.3": [attended_in_a_loop, attended_by_einsum],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("00", WRONG, RIGHT)
)
