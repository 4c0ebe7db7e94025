"""How sure the agent was, over an episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jatlab.viz.figures import panel, words
from jatlab.viz.plots import INK


def action_probabilities(probabilities, actions, names: Sequence[str], axes=None):
    """A row for each action, a column for each timestep, brighter the likelier; a ring on the
    action taken.

    `probabilities` (T, A) as `rollout(..., record_predictions=True)` keeps them, `actions` (T,)
    integers, `names` of the A actions. Raises `ValueError` where these do not fit together.
    """
    probabilities, actions = np.asarray(probabilities, np.float32), np.asarray(actions)
    if (
        probabilities.ndim != 2
        or actions.shape != probabilities.shape[:1]
        or len(names) != probabilities.shape[1]
    ):
        raise ValueError(
            f"probabilities {probabilities.shape}, actions {actions.shape} and {len(names)} names: expected (T, A), (T,) and A"
        )
    steps, count = probabilities.shape
    taken = probabilities[np.arange(steps), actions]
    with panel(axes, min(9.0, 2.2 + max(0.12 * steps, 2.0)), 0.24 * count + 0.85) as axes:
        image = axes.imshow(
            100 * probabilities.T,
            aspect="auto",
            cmap="cividis",
            vmin=0,
            vmax=100,
            interpolation="nearest",
        )
        for color, width in (
            ("white", 2.4),
            (INK, 1.0),
        ):  # a dark ring on a light one: seen on every colour
            ring = {"markerfacecolor": "none", "markeredgecolor": color, "markeredgewidth": width}
            axes.plot(
                np.arange(steps), actions, "o", markersize=min(7.0, 300 / steps + 2.5), **ring
            )
        axes.set_yticks(range(count), names)
        axes.set_xlabel("timestep")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.figure.colorbar(image, ax=axes, label="probability (%)").outline.set_visible(False)
    caption = f"What the agent thought of doing, and did (rings). The action taken had {100 * taken.mean():.0f} % on average, "
    caption += f"{100 * taken.min():.0f} % at timestep {taken.argmin()}, the least."
    return words(
        axes,
        caption,
        f"Heat map of {count} actions over {steps} timesteps; the action taken had {100 * taken.mean():.0f} % on average.",
    )
