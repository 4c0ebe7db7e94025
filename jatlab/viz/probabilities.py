"""How sure the agent was, over an episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jatlab.viz.figures import colour_bar, panel, words
from jatlab.viz.plots import INK, outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def action_probabilities(
    probabilities: ArrayLike,
    actions: ArrayLike,
    names: Sequence[str],
    axes: Axes | None = None,
) -> Figure:
    """A row for each action, a column for each timestep; a ring marks the action taken.

    Args:
        probabilities: (T, A), as `rollout(..., record_predictions=True)` keeps them.
        actions: (T,), the numbers of the actions taken.
        names: The names of the A actions.
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: These do not fit together.
    """
    shares, chosen = np.asarray(probabilities, np.float32), np.asarray(actions)
    if shares.ndim != 2 or chosen.shape != shares.shape[:1] or len(names) != shares.shape[1]:
        raise ValueError(
            f"probabilities {shares.shape}, actions {chosen.shape} and {len(names)} names: "
            "expected (T, A), (T,) and A"
        )
    steps, count = shares.shape
    width, height = min(9.0, 2.2 + max(0.12 * steps, 2.0)), 0.24 * count + 0.85
    with panel(axes, width, height) as axes:
        image = axes.imshow(
            100 * shares.T, cmap="cividis", vmin=0, vmax=100, aspect="auto", interpolation="nearest"
        )
        _draw_rings(axes, chosen)
        axes.set_yticks(range(count), names)
        axes.set_xlabel("timestep")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.locator_params(axis="x", integer=True)
        colour_bar(axes, image, "probability (%)")
    taken = 100 * shares[np.arange(steps), chosen]
    caption = (
        "What the agent thought of doing, and did (rings). "
        f"The action taken had {taken.mean():.0f} % on average, "
        f"{taken.min():.0f} % at timestep {taken.argmin()}, the least."
    )
    alt = (
        f"Heat map of {count} actions over {steps} timesteps; "
        f"the action taken had {taken.mean():.0f} % on average."
    )
    return words(axes, caption, alt)


def _draw_rings(axes: Axes, chosen: np.ndarray) -> None:
    """Draw a dark ring on a light one, so that it is seen on every colour."""
    size = min(7.0, 300 / len(chosen) + 2.5)
    for color, width in (("white", 2.4), (INK, 1.0)):
        outline(axes, np.arange(len(chosen)), chosen, "o", color, width, markersize=size)
