"""What the model expected beside what came: grids, frames, vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jatlab.model.config import GRID_INTEGERS
from jatlab.viz.figures import bare, panel, words
from jatlab.viz.plots import CYCLE, GRID, INK, JAT, MUTED

SIDE = 7  # cells of a grid
THINGS = {4: "door", 5: "key", 6: "ball", 7: "box"}  # MiniGrid's numbers
UNSEEN, EMPTY, WALL = 0, 1, 2
COLOURS = {
    0: ("red", "#d9483b"),
    1: ("green", "#3c9a5f"),
    2: ("blue", "#3b6fd9"),
    3: ("purple", "#8d5fc0"),
    4: ("yellow", "#d9b23b"),
    5: ("grey", "#9aa0a8"),
}
GROUNDS = {UNSEEN: "#3a3d44", EMPTY: "#f4f4f2", WALL: "#8b9098"}
DIRECTIONS = ("right", "down", "left", "up")
DOORS = ("open", "closed", "locked")


def compare_grids(predicted, real, axes=None):
    """Two BabyAI observations side by side, cells that differ framed: what was expected, what came.

    `predicted` and `real` (148,) integers: the direction, then 7 x 7 cells of object, colour,
    state; or (148, 8) logits for `predicted`. Things are drawn and written, so that no colour has
    to be told. Raises `ValueError` for other shapes.
    """
    predicted, real = _grid(predicted), _grid(real)
    wrong = (predicted[1:].reshape(SIDE, SIDE, 3) != real[1:].reshape(SIDE, SIDE, 3)).any(-1)
    with panel(axes, 7.4, 4.0) as axes:
        bare(axes)
        for name, grid, left in (("expected", predicted, 0.0), ("came", real, SIDE + 1.0)):
            draw_grid(axes, grid[1:].reshape(SIDE, SIDE, 3), left)
            axes.text(
                left,
                -0.25,
                f"{name}: facing {_direction(grid[0])}",
                color=INK,
                size=8.5,
                va="bottom",
            )
        for column, row in np.argwhere(wrong):
            axes.add_patch(
                _square(column, row, facecolor="none", edgecolor=JAT, linewidth=2.2, zorder=5)
            )
        axes.set_xlim(-0.05, 2 * SIDE + 1.05)
        axes.set_ylim(SIDE + 0.1, -1)
        axes.set_aspect("equal")
    right = int((predicted == real).sum())
    caption = f"The grid that was expected, and the one that came: {right} of {GRID_INTEGERS} integers agree; "
    caption += f"{int(wrong.sum())} of {SIDE * SIDE} cells are wrong (framed). The agent stands below the middle column and looks up; dark cells are out of sight."
    return words(
        axes,
        caption,
        f"Two grids of 7 by 7 cells. Expected: {_things(predicted)}. Came: {_things(real)}.",
    )


def _grid(values) -> np.ndarray:
    values = np.asarray(values)
    values = values.argmax(-1) if values.ndim == 2 else values
    if values.shape != (GRID_INTEGERS,):
        raise ValueError(
            f"a grid is {GRID_INTEGERS} integers (or their logits), not an array of shape {values.shape}"
        )
    return values.astype(int)


def _direction(number: int) -> str:
    return DIRECTIONS[number] if 0 <= number < 4 else f"nowhere ({number})"


def _things(grid: np.ndarray) -> str:
    found = [
        f"{COLOURS.get(colour, ('unknown',))[0]} {THINGS[thing]}"
        for thing, colour, _ in grid[1:].reshape(-1, 3)
        if thing in THINGS
    ]
    return ", ".join(found) or "nothing"


def _square(column: float, row: float, **style):
    from matplotlib.patches import Rectangle

    return Rectangle((column + 0.03, row + 0.03), 0.94, 0.94, **style)


def draw_grid(axes, cells: np.ndarray, left: float) -> None:
    """`cells` (7, 7, 3), column by row, at `left`."""
    for column in range(SIDE):
        for row in range(SIDE):
            thing, colour, state = cells[column, row]
            axes.add_patch(
                _square(
                    left + column, row, facecolor=GROUNDS.get(thing, GROUNDS[EMPTY]), linewidth=0
                )
            )
            if thing in THINGS:
                _draw_thing(
                    axes,
                    THINGS[thing],
                    *COLOURS.get(colour, ("?", INK)),
                    state,
                    left + column + 0.5,
                    row + 0.5,
                )
            elif thing not in GROUNDS:
                axes.text(
                    left + column + 0.5,
                    row + 0.5,
                    str(thing),
                    ha="center",
                    va="center",
                    size=7,
                    color=MUTED,
                )


def _draw_thing(axes, thing: str, name: str, colour: str, state: int, x: float, y: float) -> None:
    marker, size = {"ball": ("o", 9), "box": ("s", 9), "key": ("P", 9), "door": ("s", 13)}[thing]
    filled = thing != "door" or state != 0
    axes.plot(
        x,
        y - 0.17,
        marker,
        color=colour,
        markersize=size,
        markerfacecolor=colour if filled else "none",
        markeredgewidth=1.6,
        zorder=3,
    )
    label = DOORS[state] if thing == "door" and 0 <= state < 3 else thing
    axes.text(x, y + 0.18, name, ha="center", va="center", size=6, color=INK, zorder=4)
    axes.text(x, y + 0.37, label, ha="center", va="center", size=6, color=INK, zorder=4)


# --- frames
# -------------------------------------------------------------------------------------------------------------------


def compare_frames(predicted, real, axes=None):
    """The newest of four stacked frames: expected, came, and the difference. Each (4, 84, 84):
    uint8, or real numbers in [-1, 1].
    """
    predicted, real = _newest(predicted), _newest(real)
    gap = np.full((predicted.shape[0], 6), np.nan)
    with panel(axes, 6.4, 2.5) as axes:
        bare(axes)
        side = predicted.shape[1] + gap.shape[1]
        axes.imshow(
            np.hstack([predicted, gap, real]),
            cmap="gray",
            vmin=-1,
            vmax=1,
            extent=(0, 2 * side - 6, 84, 0),
            interpolation="nearest",
        )
        difference = axes.imshow(
            np.abs(predicted - real),
            cmap="cividis",
            vmin=0,
            vmax=2,
            extent=(2 * side, 2 * side + 84, 84, 0),
            interpolation="nearest",
        )
        axes.set_xlim(0, 2 * side + 84)
        axes.set_ylim(84, -12)
        for place, name in enumerate(("expected", "came", "difference")):
            axes.text(place * side, -2, name, size=8.5, color=INK, va="bottom")
        axes.figure.colorbar(
            difference, ax=axes, label="|difference| (black to white: 2)", shrink=0.9
        ).outline.set_visible(False)
    error = float(np.square(predicted - real).mean())
    caption = f"The frame that was expected, the one that came, and where they differ; mean squared error {error:.3f} on the scale from -1 (black) to 1 (white)."
    return words(
        axes, caption, f"Two grey frames and their difference, mean squared error {error:.3f}."
    )


def _newest(frames) -> np.ndarray:
    frames = np.asarray(frames)
    if frames.ndim == 3:
        frames = frames[-1]
    if frames.ndim != 2:
        raise ValueError(f"a stack of frames has shape (4, 84, 84), not {frames.shape}")
    return frames / 127.5 - 1 if frames.dtype == np.uint8 else frames.astype(np.float32)


# --- vectors
# ------------------------------------------------------------------------------------------------------------------


def compare_vectors(predicted, real, names: Sequence[str] | None = None, axes=None):
    """Values expected and values that came: (n,) as points, or (T, n) as curves over the timesteps,
    at most six.

    `names` of the n values. Raises `ValueError` for shapes that differ.
    """
    predicted, real = np.asarray(predicted, np.float32), np.asarray(real, np.float32)
    if predicted.shape != real.shape or predicted.ndim not in (1, 2):
        raise ValueError(
            f"expected {predicted.shape} against {real.shape}: two vectors (n,), or two of them over time (T, n), alike in size"
        )
    names = [str(i) for i in range(predicted.shape[-1])] if names is None else list(names)
    if len(names) != predicted.shape[-1]:
        raise ValueError(f"{len(names)} names for {predicted.shape[-1]} values")
    return (_points if predicted.ndim == 1 else _curves)(predicted, real, names, axes)


def _points(predicted: np.ndarray, real: np.ndarray, names: list[str], axes):
    places = np.arange(len(names))
    with panel(axes, max(4.0, 0.16 * len(names) + 1), 2.5) as axes:
        axes.vlines(places, predicted, real, color=GRID, linewidth=3, zorder=1)
        axes.plot(places, real, "o", color=INK, markersize=4, label="came", zorder=2)
        axes.plot(
            places,
            predicted,
            "o",
            color=JAT,
            markersize=6.5,
            markerfacecolor="none",
            markeredgewidth=1.3,
            label="expected",
            zorder=3,
        )
        long = max(map(len, names)) > 2
        axes.set_xticks(places, names, rotation=90 if long or len(names) > 25 else 0, fontsize=7)
        axes.set_xlabel("value of the observation")
        axes.set_ylabel("its size (the task's units)")
        axes.grid(axis="x", visible=False)
        axes.legend(frameon=False, fontsize=8, ncol=2, loc="lower right", bbox_to_anchor=(1, 1))
    off = int(np.abs(predicted - real).argmax())
    caption = f"Each value of the next observation, expected (ring) and as it came (dot). Farthest off: {names[off]}, by {abs(predicted[off] - real[off]):.3g}."
    return words(
        axes,
        caption,
        f"Points for {len(names)} values; mean absolute difference {np.abs(predicted - real).mean():.3g}.",
    )


def _curves(predicted: np.ndarray, real: np.ndarray, names: list[str], axes):
    if len(names) > 6:
        raise ValueError(f"{len(names)} curves cannot be told apart: choose at most six columns")
    with panel(axes, 6.0, 2.6) as axes:
        for index, (name, color) in enumerate(zip(names, CYCLE, strict=False)):
            axes.plot(real[:, index], color=color, linewidth=1.6, label=name)
            axes.plot(predicted[:, index], color=color, linewidth=1.2, linestyle=(0, (2, 1.5)))
        axes.set_xlabel("timestep")
        axes.set_ylabel("value (the task's units)")
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    error = np.abs(predicted - real).mean()
    caption = f"Solid: what came; dashed: what had been expected one timestep earlier. Mean absolute difference {error:.3g}."
    return words(
        axes,
        caption,
        f"Curves of {', '.join(names)} over {len(real)} timesteps, expected and real.",
    )
