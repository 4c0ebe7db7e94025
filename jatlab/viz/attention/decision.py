"""Where one decision looks: bars over the past timesteps, and a strip of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jatlab.viz.attention.weights import by_timestep, reduce_heads, whose
from jatlab.viz.figures import bare, panel, words
from jatlab.viz.plots import CYCLE, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OBSERVATION, ACTION = CYCLE[0], CYCLE[1]


def attention_timeline(
    attentions: ArrayLike,
    layer: int | None = None,
    head: int | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Bars over the past: one decision's attention to each timestep's observation and action.

    Args:
        attentions: (layers, N, tokens), an entry of `episode["attentions"]`.
        layer: Whose attention; the mean unless given.
        head: Whose attention; the mean unless given.
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: As `reduce_heads` does.
    """
    observations, actions = by_timestep(100 * reduce_heads(attentions, layer, head))
    ago, heads = np.arange(1 - len(observations), 1), whose(layer, head)
    with panel(axes, 6.0, 2.3) as axes:
        axes.bar(ago - 0.2, observations, 0.4, color=OBSERVATION, label="observation")
        axes.bar(ago + 0.2, actions, 0.4, color=ACTION, label="action")
        axes.set_xlim(min(ago[0], -4) - 0.7, 0.7)
        axes.set_xlabel("timestep (0: now)")
        axes.set_ylabel("attention (%)")
        axes.set_title(heads, loc="left", size=8.5, color=MUTED)
        place: Any = dict(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
        axes.legend(frameon=False, fontsize=8, ncol=2, **place)
        axes.grid(axis="x", visible=False)
        _label_whole_steps(axes)
    hidden = " (this agent's observations do not see them)"
    caption = (
        f"Where one decision looks, {heads}: {observations[-1]:.0f} % at the observation of now, "
        f"{observations[:-1].sum():.0f} % at past observations, "
        f"{actions.sum():.0f} % at past actions"
        f"{hidden if len(actions) > 1 and not actions.any() else ''}."
    )
    tallest = observations.argmax()
    alt = (
        f"Bars of attention over {len(ago)} timesteps up to now; the tallest is the observation "
        f"of timestep {ago[tallest]}, {observations[tallest]:.0f} %."
    )
    return words(axes, caption, alt)


def _label_whole_steps(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))


def attention_strip(
    frames: Sequence[np.ndarray],
    attentions: ArrayLike,
    layer: int | None = None,
    head: int | None = None,
    count: int = 10,
    axes: Axes | None = None,
) -> Figure:
    """Past frames in a row, each with the weight that its observation's token gets.

    A dim frame gets little, a long bar is much.

    Args:
        frames: (h, w, 3) uint8 up to the moment of the decision, the last of them what it sees.
        attentions: (layers, N, tokens), an entry of `episode["attentions"]`.
        layer: Whose attention; the mean unless given.
        head: Whose attention; the mean unless given.
        count: The most frames. Of more the most attended are shown, in order.
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: There are fewer frames than timesteps remembered; also as `reduce_heads` does.
    """
    weights = by_timestep(reduce_heads(attentions, layer, head))[0]
    total = len(weights)
    if len(frames) < total:
        raise ValueError(
            f"{len(frames)} frames for {total} timesteps remembered: "
            "give episode['frames'][: t + 1] for the decision at timestep t"
        )
    frames = frames[len(frames) - total :]
    most_attended = np.argsort(-weights[:-1], kind="stable")[: count - 1]
    shown = np.sort([total - 1, *most_attended])
    width = frames[0].shape[1] / frames[0].shape[0]  # of a frame, which is 1 high
    with panel(axes, max(3.0, 0.78 * len(shown) * width), 1.35) as axes:
        bare(axes)
        for place, step in enumerate(shown):
            left, share = place * 1.06 * width, weights[step] / max(weights.max(), 1e-9)
            _draw_frame(axes, frames[step], left, width, float(share))
            ago = total - 1 - step
            _label_frame(axes, left + width / 2, "now" if ago == 0 else f"−{ago}", weights[step])
        axes.set_xlim(-0.03, len(shown) * 1.06 * width)
        axes.set_ylim(-0.55, 1.03)
        axes.set_aspect("equal")
    chosen = f"all {total} frames"
    if len(shown) < total:
        chosen = f"the {len(shown)} most attended of {total} frames"
    caption = (
        f"What one decision looks back at, {whose(layer, head)}: {chosen}, oldest on the left. "
        "Below each, how many timesteps ago and its share of the attention."
    )
    steps = [f"timestep {step - total + 1}: {100 * weights[step]:.0f} %" for step in shown]
    return words(axes, caption, f"Film strip: {', '.join(steps)}.")


def _draw_frame(axes: Axes, frame: np.ndarray, left: float, width: float, share: float) -> None:
    """Draw a frame as bright as its share (0 to 1), and a bar as long below it."""
    look: Any = dict(alpha=0.25 + 0.75 * share, interpolation="antialiased", zorder=1)
    axes.imshow(frame, extent=(left, left + width, 0, 1), **look)
    axes.barh(-0.09, width * share, 0.1, left, color=OBSERVATION, zorder=2)
    axes.plot([left, left + width], [-0.15, -0.15], color="#c9ccd1", linewidth=0.8, zorder=1)


def _label_frame(axes: Axes, middle: float, when: str, weight: float) -> None:
    for top, text, color in ((-0.2, when, INK), (-0.38, f"{100 * weight:.0f} %", MUTED)):
        axes.text(middle, top, text, ha="center", va="top", size=7.5, color=color)
