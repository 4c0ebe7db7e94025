"""The losses, as published (fact sheet of the paper's release; paper, section 3.3).

`mask` and `weight` are (B, T). Both errors are averaged over valid timesteps; `weight` enters each
in its own way.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def squared_error(prediction: Tensor, target: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of (B, T, …): each timestep's mean times its weight, summed, divided by
    the number of valid timesteps.
    """
    error = (prediction.float() - target.float()).square().flatten(2).mean(-1)  # (B, T)
    return (error * weight * mask).sum() / mask.sum().clamp(min=1)


def cross_entropy(logits: Tensor, target: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of logits (B, T, …, classes): its mean over valid timesteps times the mean
    weight over valid timesteps.
    """
    valid = mask.bool()
    if not valid.any():
        return logits.sum() * 0.0
    return (
        F.cross_entropy(logits[valid].float().flatten(0, -2), target[valid].flatten())
        * weight[valid].mean()
    )


def next_token_loss(logits: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of each token given those before it: logits (B, S, vocabulary), `input_ids` and
    `mask` (B, S).
    """
    ones = mask[:, 1:].float()
    return cross_entropy(logits[:, :-1], input_ids[:, 1:], ones, ones)
