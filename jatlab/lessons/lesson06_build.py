"""Exercise 06.3: a training loop, built in three steps, that then trains a real model."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, array, expect, near, number
from jatlab.model.config import JatConfig
from jatlab.model.jat import JatModel

Batch = dict[str, Tensor]


def backward(model: Any, inputs: Batch, share: float) -> float:
    """Leave the gradients of a batch's loss, times its share, in the model; the loss itself."""
    loss = model(**inputs).loss
    (loss * share).backward()
    return loss.item()


def update(model: Any, optimizer: torch.optim.Optimizer, rate: float, limit: float) -> float:
    """Clip, move the weights at this rate, forget the gradients; the norm before clipping."""
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return norm.item()


def fit(
    model: Any,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[tuple[Batch, float]],
    peak: float,
    limit: float,
) -> list[float]:
    """Train on (inputs, share) after (inputs, share); the losses."""
    losses = []
    for step, (inputs, share) in enumerate(batches):
        losses.append(backward(model, inputs, share))
        update(model, optimizer, cosine(step / len(batches), peak), limit)
    return losses


def cosine(progress: float, peak: float, warmup: float = 0.05) -> float:
    """The learning rate of exercise 06.1, with jatlab's warm-up."""
    if progress < warmup:
        return peak * progress / warmup
    return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


STEPS = ("forward and backward", "clip and move", "the loop")


def check_fit(back: Answer, move: Answer | None = None, whole: Answer | None = None) -> None:
    """Check 06.3: the first step alone, or with the later ones."""
    _check_backward(back)
    if move is not None:
        _check_update(move)
    if whole is not None:
        _check_fit(whole)


# --- step 1


def _check_backward(answer: Answer) -> None:
    model, batches = _fresh()
    inputs, share = batches[0]
    right = copy.deepcopy(model)
    loss = backward(right, inputs, share)
    got = number(answer(model, _copied(inputs), share), "step 1: return the loss, one number")
    expect(
        not near(got, loss * share),
        "step 1: return the loss itself; only what you differentiate is multiplied by the share",
    )
    expect(near(got, loss), f"step 1: the loss of this batch is {loss:.4f}, yours is {got:.4f}")
    found = _gradient(model)
    expect(
        found is not None,
        "step 1: no gradient has arrived in the model: call .backward() on the loss",
    )
    wanted = _gradient(right)
    expect(
        not near(found, wanted / share),
        "step 1: the gradient is not multiplied by the share of the batch",
    )
    expect(near(found, wanted), "step 1: other gradients than those of loss * share")


# --- step 2


def _check_update(answer: Answer) -> None:
    start, batches = _fresh()
    backward(start, *batches[0])
    norm, limit, rate = float(np.linalg.norm(_gradient(start))), 0.5, 0.1
    model, right = _moved(start), _moved(start)
    update(*right, rate, limit)
    got = number(answer(*model, rate, limit), "step 2: return the norm, one number")
    before, found, wanted = _weights(start), _weights(model[0]), _weights(right[0])
    expect(not near(found, before), "step 2: no weight has moved: optimizer.step() is missing")
    moved, plain = found - before, -rate * _gradient(start)
    expect(
        not near(moved, plain),
        "step 2: the gradient is not clipped before the step: clip first, then optimizer.step()",
    )
    expect(
        not near(moved, (wanted - before) / rate * _RATE_BEFORE),
        "step 2: the learning rate is not set: group['lr'] = rate for each of "
        "optimizer.param_groups",
    )
    expect(near(found, wanted), "step 2: the weights have moved, but not as they should")
    left = _gradient(model[0])
    expect(
        left is None or not left.any(),
        "step 2: the gradients are still there, and the next batch's would be added to them: "
        "optimizer.zero_grad()",
    )
    expect(
        near(got, norm),
        f"step 2: return the norm before clipping, {norm:.3f}; yours is {got:.3f}",
    )


_RATE_BEFORE = 1.0  # the optimizer's own rate, which has to be replaced


def _moved(start: JatModel) -> tuple[JatModel, torch.optim.Optimizer]:
    """A copy of a model with its gradients, and plain gradient descent."""
    model = copy.deepcopy(start)
    for one, other in zip(model.parameters(), start.parameters(), strict=True):
        one.grad = None if other.grad is None else other.grad.clone()
    return model, torch.optim.SGD(model.parameters(), lr=_RATE_BEFORE)


# --- step 3


def _check_fit(answer: Answer) -> None:
    start, batches = _fresh()
    right, got = copy.deepcopy(start), copy.deepcopy(start)
    wanted = fit(right, _adam(right), batches, 0.02, 1.0)
    given = [(_copied(inputs), share) for inputs, share in batches]
    raw = answer(got, _adam(got), given, 0.02, 1.0)
    found = array(raw, "step 3: return the losses, one for each batch")
    expect(
        found.shape == (len(batches),),
        f"step 3: return {len(batches)} losses, one for each batch, not an array of {found.shape}",
    )
    expect(
        near(found[0], wanted[0]), "step 3: the very first loss is wrong: it comes before any step"
    )
    expect(
        not np.allclose(found, found[0]) and not near(found[-1], _untrained(batches)),
        "step 3: the losses are those of a model that does not learn: call update in the loop",
    )
    for mistake, variant in _variants(start, batches).items():
        expect(not near(found, variant), f"step 3: {mistake}")
    expect(near(found, wanted), "step 3: other losses than a right training has")
    expect(near(_weights(got), _weights(right)), "step 3: the losses are right, the weights not")


def _variants(start: JatModel, batches: list[tuple[Batch, float]]) -> dict[str, list[float]]:
    """The losses of typical wrong loops."""

    def losses(rates: Sequence[float]) -> list[float]:
        model = copy.deepcopy(start)
        optimizer = _adam(model)
        told = []
        for (inputs, share), rate in zip(batches, rates, strict=True):
            told.append(backward(model, inputs, share))
            update(model, optimizer, rate, 1.0)
        return told

    count = len(batches)
    late = [cosine((step + 1) / count, 0.02) for step in range(count)]
    return {
        "the rate is at its peak all the time: ask the schedule in each step": losses(
            [0.02] * count
        ),
        "progress is step / steps, from 0: yours begins one step late": losses(late),
    }


def _untrained(batches: list[tuple[Batch, float]]) -> float:
    model, _ = _fresh()
    with torch.no_grad():
        return float(model(**batches[-1][0]).loss)


# --- the model and its batches


@lru_cache(maxsize=1)
def _start() -> tuple[JatModel, list[tuple[Batch, float]]]:
    config = JatConfig(
        hidden_size=8,
        num_heads=2,
        num_layers=1,
        attention_types=[[["global"], 1]],
        max_position_embeddings=16,
        vocab_size=8,
        max_discrete_value=6,
        max_continuous_size=6,
        discrete_bottleneck=1,
        image_size=8,
        patch_size=4,
        image_channels=(16, 16, 16),
        image_pool=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = JatModel(config)
        return model, [(_vectors(), share) for share in (0.5, 1.0, 0.75, 1.0, 1.0, 0.5)]


def _vectors() -> Batch:
    """Three timesteps of a world in which the right action is twice what is seen."""
    seen = torch.randn(2, 3, 2)
    return {
        "continuous_observations": seen,
        "continuous_actions": 2 * seen,
        "rewards": torch.zeros(2, 3),
    }


def _fresh() -> tuple[JatModel, list[tuple[Batch, float]]]:
    model, batches = _start()
    return copy.deepcopy(model).train(), batches


def _copied(inputs: Batch) -> Batch:
    return {name: value.clone() for name, value in inputs.items()}


def _adam(model: JatModel) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1.0)


def _gradient(model: JatModel) -> Any:
    """All gradients as one vector, 0 where none arrived; None if there are none at all."""
    if all(p.grad is None for p in model.parameters()):
        return None
    every = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return torch.cat([one.flatten() for one in every]).double().numpy()


def _weights(model: JatModel) -> np.ndarray:
    """All weights as one vector."""
    return torch.cat([p.detach().flatten() for p in model.parameters()]).double().numpy()
