"""Lesson 06: solutions pass, and typical wrong answers are told their mistake."""

import math

import torch

from jatlab.lessons.lesson06 import clip
from tests.support.exercises import exercise_tests


def cosine(done):
    return (1 + math.cos(math.pi * done)) / 2


def up(progress, peak, warmup):
    return peak * progress / warmup


WRONG = {
    "06.1": [
        (lambda progress, peak, warmup: peak * cosine(progress), "warm-up is missing"),
        (
            lambda progress, peak, warmup: (
                up(progress, peak, warmup) if progress < warmup else peak * cosine(progress)
            ),
            "begins where the warm-up ends",
        ),
        (
            lambda progress, peak, warmup: (
                up(progress, peak, warmup)
                if progress < warmup
                else peak * (1 - (progress - warmup) / (1 - warmup))
            ),
            "a straight line",
        ),
        (
            lambda progress, peak, warmup: (
                up(progress, peak, warmup)
                if progress < warmup
                else peak * math.cos(math.pi * (progress - warmup) / (1 - warmup))
            ),
            "moved up by 1",
        ),
    ],
    "06.2": [
        (
            lambda gradients, limit: [g / max(1.0, float(g.norm()) / limit) for g in gradients],
            "each was clipped for itself",
        ),
        (
            lambda gradients, limit: [
                g * limit / sum(float(g.norm()) for g in gradients) for g in gradients
            ],
            "not the sum of the norms",
        ),
        (
            lambda gradients, limit: [
                g * limit / sum(float((g**2).sum()) for g in gradients) for g in gradients
            ],
            "the root is missing",
        ),
        (
            lambda gradients, limit: [
                g * limit / torch.cat([g.flatten() for g in gradients]).norm() for g in gradients
            ],
            "small gradients stay",
        ),
        (lambda gradients, limit: clip(gradients, 1.0), "wrong for 2"),
        (
            lambda gradients, limit: torch.cat([g.flatten() for g in clip(gradients, limit)]),
            "as many tensors",
        ),
    ],
    "06.3": [
        (lambda gradients, timesteps: sum(gradients), "this is the sum"),
        (
            lambda gradients, timesteps: sum(gradients) / len(gradients),
            "every batch counts the same",
        ),
        (
            lambda gradients, timesteps: sum(g * n for g, n in zip(gradients, timesteps)),
            "divide by the number of all timesteps",
        ),
        (
            lambda gradients, timesteps: (
                sum(g / n for g, n in zip(gradients, timesteps)) / sum(1 / n for n in timesteps)
            ),
            "the wrong way round",
        ),
    ],
    "06.4": [
        (
            lambda flops, steps, devices, peak, utilisation: (
                flops * steps / (devices * peak * utilisation)
            ),
            "these are seconds",
        ),
        (
            lambda flops, steps, devices, peak, utilisation: (
                flops * steps / (devices * peak) / 3600
            ),
            "divide by the utilisation",
        ),
        (
            lambda flops, steps, devices, peak, utilisation: (
                flops * steps / (peak * utilisation) / 3600
            ),
            "share the work",
        ),
        (
            lambda flops, steps, devices, peak, utilisation: (
                flops * steps * utilisation / (devices * peak) / 3600
            ),
            "multiplied by the utilisation",
        ),
    ],
}
RIGHT = {
    "06.2": [
        lambda gradients, limit: [
            g * min(1, limit / (torch.cat([g.flatten() for g in gradients]).norm() + 1e-6))
            for g in gradients
        ]
    ],
    "06.3": [
        lambda gradients, timesteps: (
            (torch.stack(gradients) * torch.tensor(timesteps)[:, None]).sum(0) / sum(timesteps)
        )
    ],
}
test_right_answer, test_wrong_answer, test_coverage = exercise_tests("06", WRONG, RIGHT)
