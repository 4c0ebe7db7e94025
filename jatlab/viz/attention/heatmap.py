"""Who looks at whom over an episode: queries by keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jatlab.viz.figures import colour_bar, panel, words
from jatlab.viz.plots import JAT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def attention_heatmap(
    weights: ArrayLike,
    window: int | None = None,
    axes: Axes | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Who looks at whom: queries by keys.

    Args:
        weights: (L, L), of one head or the mean of some.
        window: Tokens that a local layer sees, the token itself included; its edge is drawn.
        axes: Where to draw; a new figure unless given.
        names: The names of the L tokens; o0, a0, o1 … unless given.

    Raises:
        ValueError: The weights are not square.
    """
    matrix = np.asarray(weights, dtype=np.float32)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"a heat map takes weights of shape (L, L), not {matrix.shape}: "
            "choose a layer and a head, or their mean"
        )
    size = len(matrix)
    with panel(axes, 4.8, 4.0) as axes:
        _draw_percent(axes, 100 * matrix)
        if window is not None and window < size:
            _draw_window(axes, size, window)
        _label_tokens(axes, size, names)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("token looked at (key)")
        axes.set_ylabel("token that looks (query)")
    caption = (
        "Each row is a token and adds up to 100 % (of what it sees); "
        "above the diagonal is the future."
    )
    if window is not None:
        caption += (
            f" The orange line is the edge of the window of {window} tokens: "
            "left of it nothing is seen."
        )
    return words(axes, caption, f"Heat map of attention, {size} queries by {size} keys.")


def _draw_percent(axes: Axes, percent: np.ndarray) -> None:
    """Draw weights (L, L) in per cent, without the future.

    Colours follow the root of a weight: small ones stay visible beside a large one.
    """
    from matplotlib.colors import PowerNorm

    future = np.triu(np.ones_like(percent, bool), 1)
    look: Any = dict(cmap="cividis", norm=PowerNorm(0.5, 0, percent.max()))
    image = axes.imshow(np.ma.masked_where(future, percent), interpolation="nearest", **look)
    colour_bar(axes, image, "attention (%)", 0.85)


def _draw_window(axes: Axes, size: int, window: int) -> None:
    """A staircase between the last key out of reach and the first in reach."""
    rows = np.arange(window, size)
    x = np.repeat(rows - window + 0.5, 2)
    y = np.stack([rows - 0.5, rows + 0.5], axis=1).ravel()
    axes.plot(x, y, color=JAT, linewidth=1.6, label=f"window of {window}")


def _label_tokens(axes: Axes, size: int, names: Sequence[str] | None) -> None:
    names = [f"{'oa'[i % 2]}{i // 2}" for i in range(size)] if names is None else names
    every = next(step for step in (1, 2, 4, 8, 16, 32, 10**6) if size / step <= 16)
    places = range(0, size, every)
    labels = [names[place] for place in places]
    crowded = size / every > 10 or max(map(len, names)) > 3
    axes.set_xticks(places, labels, rotation=90 if crowded else 0)
    axes.set_yticks(places, labels)
