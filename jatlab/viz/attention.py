"""Attention, seen: over the past timesteps of one decision, as a film strip, as a heat map, and
head by head.

All weights are those of the very pass that acted (`rollout(..., record_attention=True)`); nothing
here runs a model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jatlab.agents.attention_record import square
from jatlab.viz.figures import bare, panel, words
from jatlab.viz.plots import CYCLE, INK, JAT, MUTED

OBSERVATION, ACTION = CYCLE[0], CYCLE[1]
MARKS = {"global": "o", "local": "s"}


def reduce_heads(attentions, layer: int | None = None, head: int | None = None) -> np.ndarray:
    """One decision's weights (layers, N, tokens) -> (tokens,): of one layer and head, or their mean
    where None. Raises `ValueError` for what is not there.
    """
    weights = np.asarray(attentions, dtype=np.float32)
    if weights.ndim != 3 or weights.shape[-1] == 0:
        raise ValueError(
            f"attentions of one decision have shape (layers, heads, tokens), not {weights.shape}: take one entry of episode['attentions']"
        )
    for name, chosen, size in (
        ("layer", layer, weights.shape[0]),
        ("head", head, weights.shape[1]),
    ):
        if chosen is not None and not 0 <= chosen < size:
            raise ValueError(f"{name} {chosen}: there are {name}s 0 to {size - 1}")
    weights = weights[slice(None) if layer is None else [layer]][
        :, slice(None) if head is None else [head]
    ]
    return weights.mean((0, 1))


def by_timestep(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of tokens, oldest first and the observation of now last, (tokens,) -> of observations
    and of actions, each (timesteps,), oldest first.

    The timestep of now has no action yet, its weight is 0; so has one whose token was dropped from
    a full context.
    """
    newest_first = weights[::-1]
    steps = len(weights) // 2 + 1
    observations, actions = np.zeros(steps, weights.dtype), np.zeros(steps, weights.dtype)
    observations[: len(newest_first[::2])] = newest_first[::2]
    actions[1 : 1 + len(newest_first[1::2])] = newest_first[1::2]
    return observations[::-1], actions[::-1]


def attention_timeline(attentions, layer: int | None = None, head: int | None = None, axes=None):
    """Bars over the past: how much of one decision's attention goes to each timestep's observation
    and action.

    `attentions` (layers, N, tokens), an entry of `episode["attentions"]`; the mean over layers and
    heads unless one is chosen.
    """
    observations, actions = by_timestep(reduce_heads(attentions, layer, head))
    ago = np.arange(1 - len(observations), 1)
    with panel(axes, 6.0, 2.3) as axes:
        axes.bar(ago - 0.2, 100 * observations, 0.4, color=OBSERVATION, label="observation")
        axes.bar(ago + 0.2, 100 * actions, 0.4, color=ACTION, label="action")
        axes.set_xlim(min(ago[0], -4) - 0.7, 0.7)
        axes.set_xlabel("timestep (0: now)")
        axes.set_ylabel("attention (%)")
        axes.set_title(_whose(layer, head), loc="left", size=8.5, color=MUTED)
        axes.legend(
            frameon=False,
            fontsize=8,
            ncol=2,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0.2,
        )
        axes.grid(axis="x", visible=False)
        _whole_steps(axes.xaxis)
    blind = len(actions) > 1 and not actions.any()
    most = ago[observations.argmax()]
    now, past, acted = (
        100 * share for share in (observations[-1], observations[:-1].sum(), actions.sum())
    )
    caption = f"Where one decision looks, {_whose(layer, head)}: {now:.0f} % at the observation of now, {past:.0f} % at past observations, "
    caption += f"{acted:.0f} % at past actions" + (
        " (this agent's observations do not see them)." if blind else "."
    )
    alt = f"Bars of attention over {len(ago)} timesteps up to now; the tallest is the observation of timestep {most}, {100 * observations.max():.0f} %."
    return words(axes, caption, alt)


def attention_strip(
    frames: Sequence[np.ndarray],
    attentions,
    layer: int | None = None,
    head: int | None = None,
    count: int = 10,
    axes=None,
):
    """Past frames in a row, each with the weight that its observation's token gets: dim is little,
    a long bar is much.

    `frames` (h, w, 3) uint8 up to the moment of the decision, the last of them what it sees; of
    more than `count` the most attended are shown, in order. Raises `ValueError` for fewer frames
    than timesteps remembered.
    """
    weights = by_timestep(reduce_heads(attentions, layer, head))[0]
    if len(frames) < len(weights):
        raise ValueError(
            f"{len(frames)} frames for {len(weights)} timesteps remembered: give episode['frames'][: t + 1] for the decision at timestep t"
        )
    frames = frames[len(frames) - len(weights) :]
    shown = np.sort([len(weights) - 1, *np.argsort(-weights[:-1], kind="stable")[: count - 1]])
    ratio = frames[0].shape[1] / frames[0].shape[0]
    with panel(axes, max(3.0, 0.78 * len(shown) * ratio), 1.35) as axes:
        bare(axes)
        for place, step in enumerate(shown):
            _strip_frame(
                axes,
                place * 1.06 * ratio,
                ratio,
                frames[step],
                weights[step],
                weights.max(),
                step - len(weights) + 1,
            )
        axes.set_xlim(-0.03, len(shown) * 1.06 * ratio)
        axes.set_ylim(-0.55, 1.03)
        axes.set_aspect("equal")
    chosen = (
        f"the {len(shown)} most attended of {len(weights)} frames"
        if len(shown) < len(weights)
        else f"all {len(shown)} frames"
    )
    caption = (
        f"What one decision looks back at, {_whose(layer, head)}: {chosen}, oldest on the left. "
    )
    caption += "Below each, how many timesteps ago and its share of the attention."
    alt = (
        "Film strip: "
        + ", ".join(
            f"timestep {step - len(weights) + 1}: {100 * weights[step]:.0f} %" for step in shown
        )
        + "."
    )
    return words(axes, caption, alt)


def _strip_frame(
    axes, left: float, width: float, frame: np.ndarray, weight: float, most: float, ago: int
) -> None:
    share = float(weight / max(most, 1e-9))
    axes.imshow(
        frame,
        extent=(left, left + width, 0, 1),
        alpha=0.25 + 0.75 * share,
        interpolation="antialiased",
        zorder=1,
    )
    axes.barh(-0.09, width * share, 0.1, left, color=OBSERVATION, zorder=2)
    axes.plot([left, left + width], [-0.15, -0.15], color="#c9ccd1", linewidth=0.8, zorder=1)
    axes.text(
        left + width / 2,
        -0.2,
        "now" if ago == 0 else f"−{-ago}",
        ha="center",
        va="top",
        size=7.5,
        color=INK,
    )
    axes.text(
        left + width / 2,
        -0.38,
        f"{100 * weight:.0f} %",
        ha="center",
        va="top",
        size=7.5,
        color=MUTED,
    )


def attention_heatmap(
    weights, window: int | None = None, axes=None, names: Sequence[str] | None = None
):
    """Who looks at whom: weights (L, L), queries by keys, with the edge of a local `window` (in
    tokens, the token itself included) drawn in.

    `names` of the tokens label both sides; without them o0, a0, o1 … Raises `ValueError` for
    weights that are not square.
    """
    weights = np.asarray(weights, dtype=np.float32)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise ValueError(
            f"a heat map takes weights of shape (L, L), not {weights.shape}: choose a layer and a head, or their mean"
        )
    size = len(weights)
    future = np.triu(np.ones_like(weights, bool), 1)
    with panel(axes, 4.8, 4.0) as axes:
        image = axes.imshow(
            np.ma.masked_where(future, 100 * weights),
            cmap="cividis",
            norm=_roots(100 * weights.max()),
            interpolation="nearest",
        )
        axes.figure.colorbar(
            image, ax=axes, label="attention (%)", shrink=0.85
        ).outline.set_visible(False)
        if window is not None and window < size:
            _draw_window(axes, size, window)
        _label_tokens(axes, size, names)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("token looked at (key)")
        axes.set_ylabel("token that looks (query)")
    within = (
        ""
        if window is None
        else f" The orange line is the edge of the window of {window} tokens: left of it nothing is seen."
    )
    caption = f"Each row is a token and adds up to 100 % (of what it sees); above the diagonal is the future.{within}"
    return words(axes, caption, f"Heat map of attention, {size} queries by {size} keys.")


def _roots(most: float):
    """Colours follow the root of a weight: small ones stay visible beside a large one."""
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, 0, most)


def _draw_window(axes, size: int, window: int) -> None:
    """A staircase between the last key out of reach and the first in reach."""
    rows = np.arange(window, size)
    x = np.repeat(rows - window + 0.5, 2)
    y = np.stack([rows - 0.5, rows + 0.5], axis=1).ravel()
    axes.plot(x, y, color=JAT, linewidth=1.6, label=f"window of {window}")


def _label_tokens(axes, size: int, names: Sequence[str] | None) -> None:
    names = [f"{'oa'[i % 2]}{i // 2}" for i in range(size)] if names is None else names
    every = next(step for step in (1, 2, 4, 8, 16, 32, 10**6) if size / step <= 16)
    places = range(0, size, every)
    axes.set_xticks(
        places,
        [names[i] for i in places],
        rotation=90 if size / every > 10 or max(map(len, names)) > 3 else 0,
    )
    axes.set_yticks(places, [names[i] for i in places])


def head_summary(weights, kinds: Sequence[str] | None = None, axes=None):
    """A point for each head: how far back it looks (mean distance, timesteps) and how spread it is
    (entropy, bits).

    `weights` (layers, N, L, L), or an episode with recorded attention. `kinds`, "global" or "local"
    for each layer (`config.attention_layers`), choose the marks. Observation tokens alone are
    counted, from the second timestep on, so that there is something to look back at.
    """
    weights = (
        square(weights) if isinstance(weights, dict) else np.asarray(weights, dtype=np.float32)
    )
    if weights.ndim != 4 or weights.shape[-1] < 3:
        raise ValueError(
            f"head_summary takes weights of shape (layers, heads, L, L) over at least two timesteps, not {weights.shape}"
        )
    distance, bits = distance_and_entropy(weights)
    with panel(axes, 4.6, 2.9) as axes:
        for layer in range(len(weights)):
            kind = kinds[layer] if kinds is not None else "global"
            label = f"layer {layer}" + (f", {kind}" if kinds is not None else "")
            axes.plot(
                distance[layer],
                bits[layer],
                MARKS[kind],
                color=CYCLE[layer % len(CYCLE)],
                markersize=6,
                alpha=0.9,
                label=label,
                markeredgecolor="none",
            )
        axes.set_xlabel("how far back: mean distance (timesteps)")
        axes.set_ylabel("how spread: entropy (bits)")
        axes.set_xlim(left=min(0, axes.get_xlim()[0]))
        axes.legend(frameon=False, fontsize=7.5, loc="upper left", bbox_to_anchor=(1, 1))
    far, sharp = (
        np.unravel_index(distance.argmax(), distance.shape),
        np.unravel_index(bits.argmin(), bits.shape),
    )
    caption = f"Each point is a head. Farthest back: layer {far[0]}, head {far[1]} ({distance[far]:.1f} timesteps); sharpest: layer {sharp[0]}, "
    caption += f"head {sharp[1]} ({bits[sharp]:.1f} bits, as if spread evenly over {2 ** bits[sharp]:.1f} tokens)."
    ranges = f"mean distance {distance.min():.1f} to {distance.max():.1f} timesteps, entropy {bits.min():.1f} to {bits.max():.1f} bits"
    return words(axes, caption, f"Scatter of {distance.size} heads: {ranges}.")


def distance_and_entropy(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of weights (layers, N, L, L): mean distance in timesteps and entropy in bits, each (layers,
    N), over observation tokens from the second timestep on.
    """
    queries = np.arange(2, weights.shape[-1], 2)
    rows = weights[:, :, queries]
    rows = rows / np.maximum(rows.sum(-1, keepdims=True), 1e-9)
    apart = (queries[:, None] // 2 - np.arange(weights.shape[-1])[None] // 2).clip(0)  # timesteps
    bits = -(rows * np.log2(np.maximum(rows, 1e-12))).sum(-1)
    return (rows * apart).sum(-1).mean(-1), bits.mean(-1)


def bertviz_frame(arguments: dict, height: int | None = None):
    """bertviz's head view in a frame of its own, to be a cell's last line:
    `bertviz_frame(agent.attention_for_bertviz(episode))`.

    Its scripts come from a content network; without one the frame says so, and the page around it
    is not disturbed. Raises `ImportError` without bertviz.
    """
    import html

    from IPython.display import HTML

    try:
        from bertviz import head_view
    except ImportError as error:
        raise ImportError(
            'this view needs bertviz: pip install "jatlab[notebooks]". attention_heatmap shows the same without it'
        ) from error
    page = f"{FRAME_HEAD}{head_view(**arguments, html_action='return').data}"
    height = 23 * len(arguments["tokens"]) + 150 if height is None else height  # pixels
    return HTML(
        f'<div><iframe title="{FRAME_TITLE}" srcdoc="{html.escape(page)}" width="100%" height="{height}" style="border: 0; background: white"></iframe></div>'
    )


FRAME_TITLE = "bertviz: lines of attention between tokens"
FRAME_HEAD = """<style>body {font-family: sans-serif; font-size: 13px}</style>
<p id="words">Point at a token to see its lines alone.</p>
<script>window.onerror = () => {
  document.getElementById("words").innerText = "bertviz's scripts could not be loaded from their content network: without it these lines cannot be drawn.";
  return true;  // told; the page around need not hear of it
}</script>"""


def _whose(layer: int | None, head: int | None) -> str:
    return f"{'mean of all layers' if layer is None else f'layer {layer}'}, {'mean of all heads' if head is None else f'head {head}'}"


def _whole_steps(axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(9, integer=True))
