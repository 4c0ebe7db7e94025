"""All heads at a glance: how far back each looks, and how spread it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jatlab.agents.attention_record import square
from jatlab.viz.figures import panel, words
from jatlab.viz.plots import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {"global": "o", "local": "s"}


def head_summary(
    weights: ArrayLike | Mapping[str, Any],
    kinds: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """A point for each head: how far back it looks, and how spread it is.

    How far: the mean distance in timesteps. How spread: the entropy in bits. Only observation
    tokens count, from the second timestep on, so that there is something to look back at.

    Args:
        weights: (layers, N, L, L), or an episode with recorded attention.
        kinds: "global" or "local" for each layer (`config.attention_layers`): chooses the marks.
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: The weights have another shape.
    """
    squares = square(weights) if isinstance(weights, dict) else np.asarray(weights, np.float32)
    if squares.ndim != 4 or squares.shape[-1] < 3:
        raise ValueError(
            "head_summary takes weights of shape (layers, heads, L, L) "
            f"over at least two timesteps, not {squares.shape}"
        )
    distance, bits = distance_and_entropy(squares)
    with panel(axes, 4.6, 2.9) as axes:
        for layer, (x, y) in enumerate(zip(distance, bits, strict=True)):
            label, mark = f"layer {layer}", MARKS["global"]
            if kinds is not None:
                label, mark = f"{label}, {kinds[layer]}", MARKS[kinds[layer]]
            look: Any = dict(markersize=6, alpha=0.9, markeredgecolor="none")
            axes.plot(x, y, mark, color=CYCLE[layer % len(CYCLE)], label=label, **look)
        axes.set_xlabel("how far back: mean distance (timesteps)")
        axes.set_ylabel("how spread: entropy (bits)")
        axes.set_xlim(left=min(0, axes.get_xlim()[0]))
        axes.legend(frameon=False, fontsize=7.5, loc="upper left", bbox_to_anchor=(1, 1))
    far = np.unravel_index(distance.argmax(), distance.shape)
    sharp = np.unravel_index(bits.argmin(), bits.shape)
    caption = (
        f"Each point is a head. Farthest back: layer {far[0]}, head {far[1]} "
        f"({distance[far]:.1f} timesteps); sharpest: layer {sharp[0]}, head {sharp[1]} "
        f"({bits[sharp]:.1f} bits, as if spread evenly over {2 ** bits[sharp]:.1f} tokens)."
    )
    alt = (
        f"Scatter of {distance.size} heads: "
        f"mean distance {distance.min():.1f} to {distance.max():.1f} timesteps, "
        f"entropy {bits.min():.1f} to {bits.max():.1f} bits."
    )
    return words(axes, caption, alt)


def distance_and_entropy(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of weights (layers, N, L, L): mean distance (timesteps) and entropy (bits), each (layers, N).

    Both are over observation tokens from the second timestep on.
    """
    queries = np.arange(2, weights.shape[-1], 2)
    rows = weights[:, :, queries]
    rows = rows / np.maximum(rows.sum(-1, keepdims=True), 1e-9)
    apart = (queries[:, None] // 2 - np.arange(weights.shape[-1])[None] // 2).clip(0)  # timesteps
    bits = -(rows * np.log2(np.maximum(rows, 1e-12))).sum(-1)
    return (rows * apart).sum(-1).mean(-1), bits.mean(-1)
