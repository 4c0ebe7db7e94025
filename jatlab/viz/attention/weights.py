"""The attention weights of one decision: chosen heads, and what they are in timesteps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def reduce_heads(
    attentions: ArrayLike, layer: int | None = None, head: int | None = None
) -> np.ndarray:
    """One decision's weights (layers, N, tokens) -> (tokens,).

    They are those of one layer and head, or the mean where None.

    Raises:
        ValueError: There is no such layer or head, or the weights have another shape.
    """
    weights = np.asarray(attentions, dtype=np.float32)
    if weights.ndim != 3 or weights.shape[-1] == 0:
        raise ValueError(
            "attentions of one decision have shape (layers, heads, tokens), "
            f"not {weights.shape}: take one entry of episode['attentions']"
        )
    for axis, (name, chosen) in enumerate((("layer", layer), ("head", head))):
        last = weights.shape[axis] - 1
        if chosen is not None and not 0 <= chosen <= last:
            raise ValueError(f"{name} {chosen}: there are {name}s 0 to {last}")
    layers = slice(None) if layer is None else [layer]
    heads = slice(None) if head is None else [head]
    return weights[layers][:, heads].mean((0, 1))


def by_timestep(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of tokens -> those of observations and of actions, each (timesteps,), oldest first.

    The weights (tokens,) are oldest first too, with the observation of now last. The timestep of
    now has no action yet, so its action has weight 0. So has a token that was dropped from a full
    context.
    """
    newest_first = weights[::-1]
    steps = len(weights) // 2 + 1
    observations, actions = np.zeros(steps, weights.dtype), np.zeros(steps, weights.dtype)
    observations[: len(newest_first[::2])] = newest_first[::2]
    actions[1 : 1 + len(newest_first[1::2])] = newest_first[1::2]
    return observations[::-1], actions[::-1]


def whose(layer: int | None, head: int | None) -> str:
    """What the weights of `reduce_heads` are, in words."""
    layers = "mean of all layers" if layer is None else f"layer {layer}"
    return f"{layers}, {'mean of all heads' if head is None else f'head {head}'}"
