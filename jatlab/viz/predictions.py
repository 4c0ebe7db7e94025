"""What the model expected beside what came: grids, frames, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jatlab.model.config import GRID_INTEGERS
from jatlab.viz.figures import bare, colour_bar, panel, words
from jatlab.viz.plots import CYCLE, GRID, INK, JAT, MUTED, outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 7  # cells of a grid
THINGS = {4: "door", 5: "key", 6: "ball", 7: "box"}  # MiniGrid's numbers
MARKERS = {"ball": ("o", 9), "box": ("s", 9), "key": ("P", 9), "door": ("s", 13)}
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
FRAME, GAP = 84, 6  # pixels: a frame's side, the gap between two frames

# --- grids ---


def compare_grids(predicted: ArrayLike, real: ArrayLike, axes: Axes | None = None) -> Figure:
    """Two BabyAI observations side by side, expected and real; cells that differ are framed.

    Things are drawn and written, so that no colour has to be told apart.

    Args:
        predicted: (148,) integers, the direction, then 7 x 7 cells of object, colour and state; or
            (148, 8) logits.
        real: (148,) integers.
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: An array has another shape.
    """
    expected, came = _grid(predicted), _grid(real)
    wrong = (_cells(expected) != _cells(came)).any(-1)
    with panel(axes, 7.4, 4.0) as axes:
        bare(axes)
        for name, grid, left in (("expected", expected, 0.0), ("came", came, SIDE + 1.0)):
            draw_grid(axes, _cells(grid), left)
            title = f"{name}: facing {_direction(grid[0])}"
            axes.text(left, -0.25, title, color=INK, size=8.5, va="bottom")
        for column, row in np.argwhere(wrong):
            frame = dict(facecolor="none", edgecolor=JAT, linewidth=2.2, zorder=5)
            _draw_square(axes, column, row, **frame)
        axes.set_xlim(-0.05, 2 * SIDE + 1.05)
        axes.set_ylim(SIDE + 0.1, -1)
        axes.set_aspect("equal")
    right = int((expected == came).sum())
    caption = (
        f"The grid that was expected, and the one that came: {right} of {GRID_INTEGERS} "
        f"integers agree; {int(wrong.sum())} of {SIDE * SIDE} cells are wrong (framed). "
        "The agent stands below the middle column and looks up; dark cells are out of sight."
    )
    alt = f"Two grids of 7 by 7 cells. Expected: {_things(expected)}. Came: {_things(came)}."
    return words(axes, caption, alt)


def _grid(values: ArrayLike) -> np.ndarray:
    grid = np.asarray(values)
    grid = grid.argmax(-1) if grid.ndim == 2 else grid
    if grid.shape != (GRID_INTEGERS,):
        raise ValueError(
            f"a grid is {GRID_INTEGERS} integers (or their logits), "
            f"not an array of shape {grid.shape}"
        )
    return grid.astype(int)


def _cells(grid: np.ndarray) -> np.ndarray:
    """(148,) -> (7, 7, 3): column, row, (object, colour, state)."""
    return grid[1:].reshape(SIDE, SIDE, 3)


def _direction(number: int) -> str:
    return DIRECTIONS[number] if 0 <= number < 4 else f"nowhere ({number})"


def _things(grid: np.ndarray) -> str:
    found = [
        f"{COLOURS.get(colour, ('unknown',))[0]} {THINGS[thing]}"
        for thing, colour, _ in grid[1:].reshape(-1, 3)
        if thing in THINGS
    ]
    return ", ".join(found) or "nothing"


def draw_grid(axes: Axes, cells: np.ndarray, left: float) -> None:
    """Draw `cells` (7, 7, 3), column by row, from `left` on."""
    for column in range(SIDE):
        for row in range(SIDE):
            thing = cells[column, row, 0]
            ground = GROUNDS.get(thing, GROUNDS[EMPTY])
            _draw_square(axes, left + column, row, facecolor=ground, linewidth=0)
            x, y = left + column + 0.5, row + 0.5
            if thing in THINGS:
                _draw_thing(axes, cells[column, row], x, y)
            elif thing not in GROUNDS:
                axes.text(x, y, str(thing), ha="center", va="center", size=7, color=MUTED)


def _draw_square(axes: Axes, column: float, row: float, **look: Any) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((column + 0.03, row + 0.03), 0.94, 0.94, **look))


def _draw_thing(axes: Axes, cell: np.ndarray, x: float, y: float) -> None:
    """Draw the marker of a cell (3,) with its centre at (x, y), and its colour and name below."""
    thing, (name, colour), state = THINGS[cell[0]], COLOURS.get(cell[1], ("?", INK)), cell[2]
    marker, size = MARKERS[thing]
    fill = colour if thing != "door" or state != 0 else "none"  # an open door is a frame
    look: Any = dict(color=colour, markerfacecolor=fill, markeredgewidth=1.6, zorder=3)
    axes.plot(x, y - 0.17, marker, markersize=size, **look)
    label = DOORS[state] if thing == "door" and 0 <= state < 3 else thing
    for below, text in ((0.18, name), (0.37, label)):
        axes.text(x, y + below, text, ha="center", va="center", size=6, color=INK, zorder=4)


# --- frames ---


def compare_frames(predicted: ArrayLike, real: ArrayLike, axes: Axes | None = None) -> Figure:
    """The newest of four stacked frames: expected, real, and the difference.

    Args:
        predicted: (4, 84, 84), uint8 or real numbers in [-1, 1].
        real: The same.
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: An array has no frame.
    """
    expected, came = _newest(predicted), _newest(real)
    pair = np.hstack([expected, np.full((len(expected), GAP), np.nan), came])
    step = expected.shape[1] + GAP  # from one frame to the next
    look: Any = dict(interpolation="nearest")
    with panel(axes, 6.4, 2.5) as axes:
        bare(axes)
        extent = (0, 2 * step - GAP, FRAME, 0)
        axes.imshow(pair, cmap="gray", vmin=-1, vmax=1, extent=extent, **look)
        gap, extent = np.abs(expected - came), (2 * step, 2 * step + FRAME, FRAME, 0)
        image = axes.imshow(gap, cmap="cividis", vmin=0, vmax=2, extent=extent, **look)
        axes.set_xlim(0, 2 * step + FRAME)
        axes.set_ylim(FRAME, -12)
        for place, name in enumerate(("expected", "came", "difference")):
            axes.text(place * step, -2, name, size=8.5, color=INK, va="bottom")
        colour_bar(axes, image, "|difference| (black to white: 2)", 0.9)
    error = float(np.square(expected - came).mean())
    caption = (
        "The frame that was expected, the one that came, and where they differ; "
        f"mean squared error {error:.3f} on the scale from -1 (black) to 1 (white)."
    )
    alt = f"Two grey frames and their difference, mean squared error {error:.3f}."
    return words(axes, caption, alt)


def _newest(stack: ArrayLike) -> np.ndarray:
    frame = np.asarray(stack)
    if frame.ndim == 3:
        frame = frame[-1]
    if frame.ndim != 2:
        raise ValueError(f"a stack of frames has shape (4, 84, 84), not {frame.shape}")
    return frame / 127.5 - 1 if frame.dtype == np.uint8 else frame.astype(np.float32)


# --- vectors ---


def compare_vectors(
    predicted: ArrayLike,
    real: ArrayLike,
    names: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Expected and real values: points for one timestep, curves for an episode.

    Args:
        predicted: (n,) for points, or (T, n) for curves over the timesteps, at most six.
        real: The same.
        names: The names of the n values; their places unless given.
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: The shapes differ, or there are other than n names or more than six curves.
    """
    expected, came = np.asarray(predicted, np.float32), np.asarray(real, np.float32)
    if expected.shape != came.shape or expected.ndim not in (1, 2):
        raise ValueError(
            f"expected {expected.shape} against {came.shape}: two vectors (n,), "
            "or two of them over time (T, n), alike in size"
        )
    count = expected.shape[-1]
    names = [str(i) for i in range(count)] if names is None else list(names)
    if len(names) != count:
        raise ValueError(f"{len(names)} names for {count} values")
    return (_points if expected.ndim == 1 else _curves)(expected, came, names, axes)


def _points(expected: np.ndarray, came: np.ndarray, names: list[str], axes: Axes | None) -> Figure:
    places = np.arange(len(names))
    upright = max(map(len, names)) <= 2 and len(names) <= 25
    with panel(axes, max(4.0, 0.16 * len(names) + 1), 2.5) as axes:
        axes.vlines(places, expected, came, color=GRID, linewidth=3, zorder=1)
        axes.plot(places, came, "o", color=INK, markersize=4, label="came", zorder=2)
        ring = dict(markersize=6.5, label="expected", zorder=3)
        outline(axes, places, expected, "o", JAT, 1.3, **ring)
        axes.set_xticks(places, names, rotation=0 if upright else 90, fontsize=7)
        axes.set_xlabel("value of the observation")
        axes.set_ylabel("its size (the task's units)")
        axes.grid(axis="x", visible=False)
        place: Any = dict(loc="lower right", bbox_to_anchor=(1, 1))
        axes.legend(frameon=False, fontsize=8, ncol=2, **place)
    gap = np.abs(expected - came)
    farthest = int(gap.argmax())
    caption = (
        "Each value of the next observation, expected (ring) and as it came (dot). "
        f"Farthest off: {names[farthest]}, by {gap[farthest]:.3g}."
    )
    alt = f"Points for {len(names)} values; mean absolute difference {gap.mean():.3g}."
    return words(axes, caption, alt)


def _curves(expected: np.ndarray, came: np.ndarray, names: list[str], axes: Axes | None) -> Figure:
    if len(names) > 6:
        raise ValueError(f"{len(names)} curves cannot be told apart: choose at most six columns")
    dashes = (0, (2, 1.5))
    with panel(axes, 6.0, 2.6) as axes:
        for index, (name, color) in enumerate(zip(names, CYCLE, strict=False)):
            axes.plot(came[:, index], color=color, linewidth=1.6, label=name)
            axes.plot(expected[:, index], color=color, linewidth=1.2, linestyle=dashes)
        axes.set_xlabel("timestep")
        axes.set_ylabel("value (the task's units)")
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    caption = (
        "Solid: what came; dashed: what had been expected one timestep earlier. "
        f"Mean absolute difference {np.abs(expected - came).mean():.3g}."
    )
    alt = f"Curves of {', '.join(names)} over {len(came)} timesteps, expected and real."
    return words(axes, caption, alt)
