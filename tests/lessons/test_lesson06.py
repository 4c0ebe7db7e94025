"""Lesson 06: solutions pass, and typical wrong answers are told their mistake."""

import math

import torch

from jatlab.lessons.lesson06 import clip, hours
from tests.support.exercises import exercise_tests


def cosine(done):
    return (1 + math.cos(math.pi * done)) / 2


def warmed_up(then):
    """A rate that rises as it should, and falls as `then(progress, warmup)` says."""

    def rate(progress, peak, warmup):
        return peak * (progress / warmup if progress < warmup else then(progress, warmup))

    return rate


def decayed(progress, warmup):
    return (progress - warmup) / (1 - warmup)


def norm(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients]).norm()


def shortened(gradients, limit, length):
    return [gradient * limit / length for gradient in gradients]


def clipped_one_by_one(gradients, limit):
    return [gradient / max(1.0, float(gradient.norm()) / limit) for gradient in gradients]


def clipped_by_norms(gradients, limit):
    return shortened(gradients, limit, sum(float(gradient.norm()) for gradient in gradients))


def clipped_without_root(gradients, limit):
    return shortened(gradients, limit, sum(float((g**2).sum()) for g in gradients))


def always_clipped(gradients, limit):
    return shortened(gradients, limit, norm(gradients))


def clipped_like_torch(gradients, limit):
    return [gradient * min(1, limit / (norm(gradients) + 1e-6)) for gradient in gradients]


def weighted(gradients, weights):
    return (torch.stack(gradients) * torch.tensor(weights)[:, None]).sum(0)


def combined_inversely(gradients, timesteps):
    inverse = [1 / n for n in timesteps]
    return weighted(gradients, inverse) / sum(inverse)


WRONG = {
    "06.1": [
        (lambda progress, peak, warmup: peak * cosine(progress), "warm-up is missing"),
        (warmed_up(lambda progress, _: cosine(progress)), "begins where the warm-up ends"),
        (warmed_up(lambda *args: 1 - decayed(*args)), "a straight line"),
        (warmed_up(lambda *args: math.cos(math.pi * decayed(*args))), "moved up by 1"),
    ],
    "06.2": [
        (clipped_one_by_one, "each was clipped for itself"),
        (clipped_by_norms, "not the sum of the norms"),
        (clipped_without_root, "the root is missing"),
        (always_clipped, "small gradients stay"),
        (lambda gradients, limit: clip(gradients, 1.0), "wrong for 2"),
        (lambda g, limit: torch.cat([one.flatten() for one in clip(g, limit)]), "as many tensors"),
    ],
    "06.3": [
        (lambda gradients, timesteps: sum(gradients), "this is the sum"),
        (lambda gradients, _: sum(gradients) / len(gradients), "every batch counts the same"),
        (weighted, "divide by the number of all timesteps"),
        (combined_inversely, "the wrong way round"),
    ],
    "06.4": [
        (lambda *numbers: hours(*numbers) * 3600, "these are seconds"),
        (lambda f, s, n, peak, use: hours(f, s, n, peak, 1), "divide by the utilisation"),
        (lambda f, s, n, peak, use: hours(f, s, 1, peak, use), "share the work"),
        (lambda f, s, n, peak, use: hours(f, s, n, peak, 1 / use), "multiplied by the utilisation"),
    ],
}
RIGHT = {
    "06.2": [clipped_like_torch],
    "06.3": [lambda gradients, timesteps: weighted(gradients, timesteps) / sum(timesteps)],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("06", WRONG, RIGHT)
)
