"""The losses, as published (fact sheet of the paper's release; paper, section 3.3).

`mask` and `weight` are (B, T). Both errors are averaged over valid timesteps; `weight` enters each
in its own way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jatlab.model.config import GRID_INTEGERS
from jatlab.model.encoders import repeat_to, symlog
from jatlab.model.inputs.batch import Timesteps, with_reward


def squared_error(prediction: Tensor, target: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared error of (B, T, …).

    Each timestep's mean times its weight, summed, divided by the number of valid timesteps.
    """
    error = (prediction.float() - target.float()).square().flatten(2).mean(-1)  # (B, T)
    return (error * weight * mask).sum() / mask.sum().clamp(min=1)


def cross_entropy(logits: Tensor, target: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy of logits (B, T, …, classes).

    Its mean over valid timesteps, times the mean weight over valid timesteps.
    """
    error = F.cross_entropy(logits.float().flatten(0, -2), target.flatten(), reduction="none").view(
        *mask.shape, -1
    )  # (B, T, …)
    count = mask.sum().clamp(min=1)
    return (error.mean(-1) * mask).sum() / count * (weight * mask).sum() / count


def next_token_loss(logits: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of each token given those before it.

    Args:
        logits: (B, S, vocabulary).
        input_ids: (B, S).
        mask: (B, S), 1 where there is a token.

    Returns:
        A number; 0 where no token follows another.
    """
    if input_ids.shape[1] < 2:
        return 0.0 * logits.float().sum()  # of the model, so that it has a gradient
    ones = mask[:, 1:].float()
    return cross_entropy(logits[:, :-1], input_ids[:, 1:], ones, ones)


def action_loss(batch: Timesteps, features: Tensor) -> Tensor:
    """The loss of the decoded actions: repeated values (B, T, 377) or logits (B, T, V)."""
    mask, weight = batch.loss_mask, batch.loss_weight
    if batch.action_name == "discrete_actions":
        return cross_entropy(features, batch.actions, mask, weight)
    target = repeat_to(batch.actions, features.shape[-1], batch.action_sizes)
    return squared_error(features, target, mask, weight)


def observation_loss(
    batch: Timesteps, features: Tensor | None, kept: Tensor | None, as_symlog: bool
) -> Tensor:
    """The loss of the observation that follows each action.

    Args:
        batch: the timesteps.
        features: what the model decoded, (B, T, …), or (B, K, …) of the timesteps ``kept``; None
            where it predicts no observations.
        kept: (K,), the timesteps whose next observation is predicted; None: all.
        as_symlog: compare vectors as their symlog.

    Returns:
        A number; 0 where there is nothing to predict.
    """
    if features is None or batch.rewards.shape[1] < 2:
        return batch.rewards.new_zeros((), dtype=torch.float)
    features = features[:, :-1] if kept is None else features
    after = slice(1, None) if kept is None else kept + 1
    mask, weight, target = (
        batch.loss_mask[:, after],
        batch.loss_weight[:, after],
        batch.observations,
    )
    if batch.observation_name == "discrete_observations":
        target = target[:, after, : min(GRID_INTEGERS, target.shape[-1])]
        return cross_entropy(features, target, mask, weight)
    if batch.observation_name == "continuous_observations":
        vectors, sizes = with_reward(target, batch.rewards, batch.observation_sizes)
        vectors = symlog(vectors) if as_symlog else vectors
        target = repeat_to(vectors, features.shape[-1], sizes)
    return squared_error(features, target[:, after], mask, weight)
