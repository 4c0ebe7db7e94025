"""Choosing from logits: what a temperature means, wherever one is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

# below it logits divided by the temperature may leave float32
SMALL, SMALLEST = 1e-6, 1e-300


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Logits (…, choices) -> probabilities (…, choices) at a temperature, their divisor.

    At 0 the likeliest choice has probability 1, the first one if several are likeliest.
    """
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    if temperature < SMALL:
        below = (logits - logits.amax(-1, keepdim=True)).double()  # the likeliest has 0
        return (below / max(temperature, SMALLEST)).softmax(-1).to(logits.dtype)
    return (logits / temperature).softmax(-1)


def draw(probabilities: np.ndarray, generators: Sequence[np.random.Generator]) -> np.ndarray:
    """One choice (n,) of each row (n, choices), each from its generator.

    It inverts the distribution function. What has probability 0 is never chosen.
    """
    draws = np.array([generator.random() for generator in generators])[:, None]
    below = probabilities.cumsum(-1) <= draws * probabilities.sum(-1, keepdims=True)
    return below.sum(-1).clip(max=probabilities.shape[-1] - 1)
