"""Lesson 06, Training: solutions and checks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jatlab.lessons import Exercise, expect

# --- 06.1 the learning rate
# --------------------------------------------------------------------------------------------------


def rate(progress: float, peak: float, warmup: float) -> float:
    """The learning rate when `progress` (0 to 1) of the training is done: up to `peak` in a
    straight line, then down to 0 along a cosine.
    """
    if progress < warmup:
        return peak * progress / warmup
    done = (progress - warmup) / (1 - warmup)
    return peak * (1 + math.cos(math.pi * done)) / 2


def check_rate(answer) -> None:
    def at(progress):
        return float(answer(progress, 2.0, 0.2))

    expect(
        abs(at(0.0)) < 1e-9,
        f"at the very beginning the rate is 0, not {at(0.0):g}: warm-up is missing",
    )
    expect(
        math.isclose(at(0.1), 1.0, abs_tol=1e-6),
        f"half way through the warm-up the rate is half the peak: 1, not {at(0.1):g}",
    )
    expect(
        math.isclose(at(0.2), 2.0, abs_tol=1e-6),
        f"when the warm-up is over the rate is at its peak, 2; yours is {at(0.2):g}: the cosine begins where the warm-up ends, not at 0",
    )
    expect(
        abs(at(1.0)) < 1e-6,
        f"at the end the rate is 0, not {at(1.0):g}: a cosine from 0 to pi, moved up by 1 and halved",
    )
    expect(
        math.isclose(at(0.6), 1.0, abs_tol=1e-6),
        f"half way between warm-up and end the rate is half the peak: 1, not {at(0.6):g}",
    )
    expect(
        math.isclose(at(0.4), rate(0.4, 2.0, 0.2), rel_tol=1e-6),
        "right in the middle, wrong beside it: a straight line instead of a cosine?",
    )


# --- 06.2 clip the gradient
# --------------------------------------------------------------------------------------------------


def clip(gradients: list[Tensor], limit: float) -> list[Tensor]:
    """The gradients, made shorter together so that their common norm is at most `limit`; unchanged
    where it is less.
    """
    norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
    return [gradient * (limit / max(limit, float(norm))) for gradient in gradients]


def check_clip(answer) -> None:
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[0.0, 4.0]])]  # norm 5
    result = answer([g.clone() for g in gradients], 1.0)
    expect(
        isinstance(result, list | tuple) and len(result) == 2,
        "return a list with as many tensors as were given",
    )
    got = [torch.as_tensor(g, dtype=torch.float32) for g in result]
    expect(
        all(a.shape == b.shape for a, b in zip(got, gradients)),
        "the shapes changed: each gradient keeps its own",
    )
    expect(
        not _same(got, [torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 1.0]])]),
        "each was clipped for itself, which turns the step's direction: take one norm over all of them",
    )
    expect(
        not _same(got, [g / 7 for g in gradients]),
        "the norm is the root of the sum of squares, 5, not the sum of the norms, 7",
    )
    expect(
        not _same(got, [g / 25 for g in gradients]),
        "divided by the squared norm: the root is missing",
    )
    expect(
        _same(got, [g / 5 for g in gradients]),
        f"(3, 0) and (0, 4) have norm 5 together; clipped to 1 they are (0.6, 0) and (0, 0.8), yours are {got}",
    )
    expect(
        _same(answer([g.clone() for g in gradients], 2.0), [g * 2 / 5 for g in gradients]),
        "right for a limit of 1, wrong for 2: clipped to 2 they are (1.2, 0) and (0, 1.6)",
    )
    small = [torch.tensor([0.3]), torch.tensor([0.4])]
    expect(
        _same(answer([g.clone() for g in small], 1.0), small),
        "a norm of 0.5 is below the limit of 1: small gradients stay as they are",
    )


def _same(a, b) -> bool:
    return all(
        torch.allclose(torch.as_tensor(x, dtype=torch.float32), y, atol=1e-5) for x, y in zip(a, b)
    )


# --- 06.3 many batches, one gradient
# -----------------------------------------------------------------------------------------


def combined(gradients: list[Tensor], timesteps: list[int]) -> Tensor:
    """From the gradients of the mean losses of some batches with so many timesteps each: that of
    the mean loss over all timesteps.
    """
    return sum(gradient * count for gradient, count in zip(gradients, timesteps)) / sum(timesteps)


def check_combined(answer) -> None:
    gradients = [torch.tensor([1.0, 0.0]), torch.tensor([5.0, 4.0])]
    got = torch.as_tensor(answer([g.clone() for g in gradients], [300, 100]), dtype=torch.float32)
    expect(
        got.shape == (2,),
        f"one gradient comes out, of the shape of each that went in, (2,), not {tuple(got.shape)}",
    )
    expect(
        not torch.allclose(got, torch.tensor([6.0, 4.0])),
        "this is the sum: a step would grow with the number of batches",
    )
    expect(
        not torch.allclose(got, torch.tensor([3.0, 2.0])),
        "every batch counts the same here: a timestep of the small batch would weigh three times as much as one of the large",
    )
    expect(
        not torch.allclose(got, torch.tensor([800.0, 400.0])),
        "divide by the number of all timesteps",
    )
    expect(
        not torch.allclose(got, torch.tensor([4.0, 3.0])),
        "the weights are the wrong way round: the batch with more timesteps counts more",
    )
    expect(
        torch.allclose(got, torch.tensor([2.0, 1.0])),
        f"(300 x [1, 0] + 100 x [5, 4]) / 400 is [2, 1]; yours is {got.tolist()}",
    )
    weight = torch.tensor([2.0], requires_grad=True)
    batches = [torch.tensor([1.0, 3.0]), torch.tensor([2.0]), torch.tensor([0.5, 4.0, 1.0])]
    parts = [
        torch.autograd.grad(((weight * batch - 1) ** 2).mean(), weight)[0] for batch in batches
    ]
    whole = torch.autograd.grad(((weight * torch.cat(batches) - 1) ** 2).mean(), weight)[0]
    expect(
        torch.allclose(torch.as_tensor(answer(parts, [2, 1, 3])), whole),
        "right for two batches, wrong for three",
    )


# --- 06.4 hours
# --------------------------------------------------------------------------------------------------------------


def hours(
    flops_per_step: float, steps: int, devices: int, peak: float, utilisation: float
) -> float:
    """How long a training takes: `peak` in FLOP/s of each device, of which it uses the share
    `utilisation`.
    """
    return flops_per_step * steps / (devices * peak * utilisation) / 3600


def check_hours(answer) -> None:
    def given(flops=3.6e15, steps=1000, devices=1, peak=1e15, utilisation=0.5):
        return float(answer(flops, steps, devices, peak, utilisation))

    got = given()
    expect(
        not math.isclose(got, 7200, rel_tol=1e-6), "these are seconds: 3,600 of them are an hour"
    )
    expect(
        not math.isclose(got, 1, rel_tol=1e-6),
        "a device never reaches its peak: divide by the utilisation as well",
    )
    expect(
        not math.isclose(got, 0.5, rel_tol=1e-6),
        "multiplied by the utilisation: half the speed takes twice the time",
    )
    expect(
        math.isclose(got, 2, rel_tol=1e-6),
        f"1,000 steps of 3.6e15 FLOPs at half of 1e15 FLOP/s are 7,200 s, 2 hours; yours are {got:g}",
    )
    expect(
        math.isclose(given(devices=8), 0.25, rel_tol=1e-6),
        f"eight devices share the work: 0.25 hours, not {given(devices=8):g}",
    )
    expect(
        math.isclose(given(steps=5000), 10, rel_tol=1e-6),
        "five times the steps are five times the hours",
    )


EXERCISES = {
    "06.1": Exercise(minutes=8, solution=rate, check=check_rate),
    "06.2": Exercise(minutes=8, solution=clip, check=check_clip),
    "06.3": Exercise(minutes=8, solution=combined, check=check_combined),
    "06.4": Exercise(minutes=5, solution=hours, check=check_hours),
}
