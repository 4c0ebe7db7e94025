"""The training loop of networks that are not JAT's, by the recipe of `jatlab.training`."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn

from jatlab.data.mixture import Mixture, prefetch
from jatlab.data.windows import Batch
from jatlab.training.optimization.optimizer import learning_rate, make_optimizer
from jatlab.training.recipe import TrainConfig, uses_bf16
from jatlab.training.state import EmaWeights

Loss = Callable[[Batch], Tensor]


def fit(model: nn.Module, recipe: TrainConfig, mixture: Mixture, loss: Loss) -> dict[str, int]:
    """Train for the recipe's steps or minutes; the model gets its averaged weights.

    Args:
        model: what is trained.
        recipe: its optimizer, schedule, average and precision are used.
        mixture: the batches.
        loss: of the arrays of one batch.

    Returns:
        {"step", "timesteps"}: how much was trained.
    """
    optimizer, average = make_optimizer(model, recipe), EmaWeights(model, recipe.average)
    bf16, step, timesteps = uses_bf16(recipe, torch.device("cpu")), 0, 0
    batches, started = prefetch(mixture, 1), perf_counter()
    model.train()
    while (progress := _progress(recipe, step, perf_counter() - started)) < 1:
        [plan], [batch] = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, progress)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = loss(batch)
        (found * plan.share).backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        step, timesteps = step + 1, timesteps + plan.timesteps
        average.update(model, step)
    model.load_state_dict(average.values, strict=False)  # what is not trained stays
    return {"step": step, "timesteps": timesteps}


def _progress(recipe: TrainConfig, step: int, seconds: float) -> float:
    """How much of the training is done, 0 to 1."""
    of_steps = step / recipe.steps if recipe.steps else 0.0
    of_time = seconds / (60 * recipe.minutes) if recipe.minutes else 0.0
    return max(of_steps, of_time)
