"""Lesson 06, Training: solutions and checks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, array, expect, near, number, parts
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson06_build import STEPS, backward, check_fit, fit, update

# --- 06.1: the learning rate ---


def rate(progress: float, peak: float, warmup: float) -> float:
    """The learning rate when `progress` (0 to 1) of the training is done.

    It rises to `peak` in a straight line, then falls to 0 along a cosine.
    """
    if progress < warmup:
        return peak * progress / warmup
    done = (progress - warmup) / (1 - warmup)
    return peak * (1 + np.cos(np.pi * done)) / 2


def check_rate(answer: Answer) -> None:
    """Check 06.1 with a peak of 2 and a warm-up of a fifth, at six places."""

    def at(progress: float) -> float:
        return number(answer(progress, 2.0, 0.2), "return one rate")

    expect(
        near(at(0.0), 0),
        f"at the very beginning the rate is 0, not {at(0.0):g}: warm-up is missing",
    )
    expect(
        near(at(0.1), 1),
        f"half way through the warm-up the rate is half the peak: 1, not {at(0.1):g}",
    )
    expect(
        near(at(0.2), 2),
        f"when the warm-up is over the rate is at its peak, 2; yours is {at(0.2):g}: "
        "the cosine begins where the warm-up ends, not at 0",
    )
    expect(
        near(at(1.0), 0),
        f"at the end the rate is 0, not {at(1.0):g}: "
        "a cosine from 0 to pi, moved up by 1 and halved",
    )
    expect(
        near(at(0.6), 1),
        f"half way between warm-up and end the rate is half the peak: 1, not {at(0.6):g}",
    )
    expect(
        near(at(0.4), rate(0.4, 2.0, 0.2)),
        "right in the middle, wrong beside it: a straight line instead of a cosine?",
    )


# --- 06.2: clip the gradient ---


def clip(gradients: list[Tensor], limit: float) -> list[Tensor]:
    """The gradients, made shorter together so that their common norm is at most `limit`.

    They stay unchanged where it is less.
    """
    norm = sum(float((gradient**2).sum()) for gradient in gradients) ** 0.5
    return [gradient * (limit / max(limit, norm)) for gradient in gradients]


def check_clip(answer: Answer) -> None:
    """Check 06.2 with two gradients of norm 5 together, then with small ones."""
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[0.0, 4.0]])]
    got = _clipped(answer, gradients, 1.0)
    expect(
        all(a.shape == b.shape for a, b in zip(got, gradients, strict=True)),
        "the shapes changed: each gradient keeps its own",
    )
    expect(
        not _same(got, [torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 1.0]])]),
        "each was clipped for itself, which changes the step's direction: "
        "take one norm over all of them",
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
        "(3, 0) and (0, 4) have norm 5 together; "
        f"clipped to 1 they are (0.6, 0) and (0, 0.8), yours are {_texts(got)}",
    )
    expect(
        _same(_clipped(answer, gradients, 2.0), [g * 2 / 5 for g in gradients]),
        "right for a limit of 1, wrong for 2: clipped to 2 they are (1.2, 0) and (0, 1.6)",
    )
    small = [torch.tensor([0.3]), torch.tensor([0.4])]
    expect(
        _same(_clipped(answer, small, 1.0), small),
        "a norm of 0.5 is below the limit of 1: small gradients stay as they are",
    )


def _clipped(answer: Answer, gradients: list[Tensor], limit: float) -> list[np.ndarray]:
    given = [gradient.clone() for gradient in gradients]
    wanted = "return a list with as many tensors as were given"
    return parts(answer(given, limit), len(gradients), wanted)


def _same(found: list[np.ndarray], right: list[Tensor]) -> bool:
    return all(near(a, b) for a, b in zip(found, right, strict=True))


def _texts(found: list[np.ndarray]) -> str:
    return " and ".join(str(gradient.round(3).tolist()) for gradient in found)


# --- 06.4: many batches, one gradient ---


def combined(gradients: list[Tensor], timesteps: list[int]) -> Tensor:
    """The gradient of the mean loss over all timesteps of some batches.

    `gradients` are those of each batch's mean loss, `timesteps` how many the batch has.
    """
    weighted = [g * count for g, count in zip(gradients, timesteps, strict=True)]
    return torch.stack(weighted).sum(dim=0) / sum(timesteps)


def check_combined(answer: Answer) -> None:
    """Check 06.4 with two made gradients, then with those of a real loss."""
    gradients = [torch.tensor([1.0, 0.0]), torch.tensor([5.0, 4.0])]
    got = _combined(answer, gradients, [300, 100])
    expect(
        got.shape == (2,),
        f"one gradient comes out, of the shape of each that went in, (2,), not {got.shape}",
    )
    expect(
        not near(got, torch.tensor([6.0, 4.0])),
        "this is the sum: a step would grow with the number of batches",
    )
    expect(
        not near(got, torch.tensor([3.0, 2.0])),
        "every batch counts the same here: a timestep of the small batch "
        "would weigh three times as much as one of the large",
    )
    expect(
        not near(got, torch.tensor([800.0, 400.0])),
        "divide by the number of all timesteps",
    )
    expect(
        not near(got, torch.tensor([4.0, 3.0])),
        "the weights are the wrong way round: the batch with more timesteps counts more",
    )
    expect(
        near(got, torch.tensor([2.0, 1.0])),
        f"(300 x [1, 0] + 100 x [5, 4]) / 400 is [2, 1]; yours is {got.tolist()}",
    )
    weight = torch.tensor([2.0], requires_grad=True)

    def gradient(batch: Tensor) -> Tensor:
        return torch.autograd.grad(((weight * batch - 1) ** 2).mean(), weight)[0]

    batches = [torch.tensor([1.0, 3.0]), torch.tensor([2.0]), torch.tensor([0.5, 4.0, 1.0])]
    each = [gradient(batch) for batch in batches]
    expect(
        near(_combined(answer, each, [2, 1, 3]), gradient(torch.cat(batches))),
        "right for two batches, wrong for three",
    )


def _combined(answer: Answer, gradients: list[Tensor], timesteps: list[int]) -> np.ndarray:
    return array(answer([gradient.clone() for gradient in gradients], list(timesteps)))


# --- 06.5: hours ---


def hours(
    flops_per_step: float, steps: int, devices: int, peak: float, utilisation: float
) -> float:
    """How many hours a training takes.

    Each device has a `peak` in FLOP/s, of which the training uses the share `utilisation`.
    """
    return flops_per_step * steps / (devices * peak * utilisation) / 3600


def check_hours(answer: Answer) -> None:
    """Check 06.5 with one device, with eight, and with more steps."""

    def given(steps: int = 1000, devices: int = 1) -> float:
        return number(answer(3.6e15, steps, devices, 1e15, 0.5))

    got = given()
    expect(not near(got, 7200), "these are seconds: 3,600 of them are an hour")
    expect(
        not near(got, 1),
        "a device never reaches its peak: divide by the utilisation as well",
    )
    expect(
        not near(got, 0.5),
        "multiplied by the utilisation: half the speed takes twice the time",
    )
    expect(
        near(got, 2),
        "1,000 steps of 3.6e15 FLOPs at half of 1e15 FLOP/s are 7,200 s, 2 hours; "
        f"yours are {got:g}",
    )
    eight = given(devices=8)
    expect(
        near(eight, 0.25),
        f"eight devices share the work: 0.25 hours, not {eight:g}",
    )
    expect(
        near(given(steps=5000), 10),
        "five times the steps are five times the hours",
    )


EXERCISES = {
    "06.1": Exercise(difficulty=2, importance=3, minutes=8, solution=rate, check=check_rate),
    "06.2": Exercise(difficulty=2, importance=4, minutes=8, solution=clip, check=check_clip),
    "06.3": Exercise(
        difficulty=3,
        importance=5,
        minutes=20,
        solution=(backward, update, fit),
        check=check_fit,
        steps=STEPS,
    ),
    "06.4": Exercise(
        difficulty=3, importance=3, minutes=8, solution=combined, check=check_combined
    ),
    "06.5": Exercise(difficulty=1, importance=2, minutes=5, solution=hours, check=check_hours),
}
