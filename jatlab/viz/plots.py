"""Figures of scores and of learning, in the house's style.

The colours are those of Okabe and Ito, which colour-blind readers can tell apart, and every axis
has its unit. Each function returns a matplotlib `Figure` that no window owns; `to_svg` and `to_png`
write it.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jatlab.tasks import short_name
from jatlab.utils.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1c1e22", "#6a6f77", "#e2e4e7", "#ffffff"
AGENT, TINT, JAT = "#0072b2", "#a9cfe6", "#d55e00"
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5fb5", "#6a6f77")
LABELLED = len(CYCLE)  # with more tasks than colours, lines are not told apart
EDGE = (-0.25, 1.5)  # normalised scores beyond are drawn at the edge, with their value
ROW = 0.26  # inches, height of a task's row
WIDTH = 4.4  # inches, width of a panel: readable on a phone, and half a page wide elsewhere
LEARNING_HEIGHT = 2.6  # inches
MEAN = "mean of tasks"
SCALES = {"by_teacher": "teacher", "by_expert": "published expert", "by_human": "human"}
STYLE: Any = {  # Any: the type that matplotlib asks for lists every setting there is
    "font.size": 8.5,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "xtick.color": MUTED,
    "xtick.labelsize": 8,
    "xtick.major.size": 0,
    "ytick.color": MUTED,
    "ytick.labelsize": 8,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "svg.fonttype": "none",
    "figure.facecolor": "none",
}
# ids that matplotlib counts up: two figures on one page would have the same
SVG_IDS = re.compile(
    r'id="(?:figure|axes|patch|matplotlib|text|line2d|xtick|ytick|LineCollection'
    r'|PathCollection|PolyCollection)[\w.]*"'
)

Curves = dict[str, np.ndarray]  # task -> (points, 2): millions of timesteps, loss


@contextmanager
def style() -> Iterator[None]:
    """Give matplotlib the house's settings for the length of a block."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


# --- scores ---


class ScoreRow(NamedTuple):
    """A row of a score figure."""

    label: str
    score: Mapping[str, Any]  # mean and interval, or left_out: why there is none
    jat: float | None  # the published JAT's score on the same scale


def score_figure(
    tasks: Mapping[str, Mapping[str, Any]],
    scales: Sequence[str] = ("by_teacher", "by_expert"),
    averages: Mapping[str, Any] | None = None,
) -> Figure:
    """A bar for each task from random (0) towards the reference (1), with its 95 % interval.

    A task without a score on a scale says so in its row.

    Args:
        tasks: The tasks of one domain in `evaluate`'s results.
        scales: A panel for each: "by_teacher", "by_expert" or "by_human". On the last two a
            diamond shows the published JAT.
        averages: The domain's entry in the results. Its mean becomes the last row.

    Raises:
        ValueError: There are no tasks.
    """
    if not tasks:
        raise ValueError("a score figure needs at least one task")
    with style():
        figure, panels = _subplots(WIDTH * len(scales), ROW * (len(tasks) + 1) + 0.72, len(scales))
        for axes, scale in zip(panels, scales, strict=True):
            _draw_scores(axes, _rows(tasks, scale, (averages or {}).get(scale)), SCALES[scale])
    return figure


def _rows(
    tasks: Mapping[str, Mapping[str, Any]], scale: str, average: Mapping[str, Any] | None
) -> list[ScoreRow]:
    """A row for each task, and for their mean, if there is more than one."""
    rows = [
        ScoreRow(short_name(name), task[scale], task.get(f"jat_{scale}"))
        for name, task in tasks.items()
    ]
    if average and len(average["tasks"]) > 1:
        mean = {"mean": average["mean"], "interval": average["mean_interval"]}
        rows.append(ScoreRow(MEAN, mean, average.get("jat")))
    return rows


def _draw_scores(axes: Axes, rows: list[ScoreRow], reference: str) -> None:
    """Draw the rows from the top down, and lines at the random policy and at the reference."""
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=8.5)
    axes.grid(axis="y", visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlim(*_limits(rows))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_xlabel(f"normalised return (0: random, 1: {reference})")
    mark(axes, 0, "random")
    mark(axes, 1, reference)
    for place, row in enumerate(rows):
        _draw_score(axes, place, row)


def _limits(rows: list[ScoreRow]) -> tuple[float, float]:
    values = [-0.02, 1.02]
    for _, score, jat in rows:
        if "mean" in score:
            values += [score["mean"], *score["interval"], jat or 0]
    return np.clip(min(values), *EDGE) - 0.03, np.clip(max(values), *EDGE) + 0.05


def _draw_score(axes: Axes, place: int, row: ScoreRow) -> None:
    _, score, jat = row
    if "left_out" in score:
        words = "not on this scale"
        axes.text(0.03, place, words, va="center", color=MUTED, style="italic", size=8)
        return
    strong = row.label == MEAN
    line, fill = (INK, AGENT) if strong else (AGENT, TINT)
    mean, interval = score["mean"], np.clip(score["interval"], *EDGE)
    shown = np.clip(mean, *EDGE)
    axes.barh(place, shown, height=0.52, color=fill, zorder=2)
    axes.plot(interval, [place] * 2, color=line, linewidth=2.2, solid_capstyle="butt", zorder=3)
    axes.plot(shown, place, "o", color=line, markersize=4.5, zorder=4)
    if jat is not None:
        outline(axes, np.clip(jat, *EDGE), place, "D", JAT, 1.4, markersize=5, zorder=5)
    if shown != mean:
        side = "right" if mean > EDGE[1] else "left"
        note(axes, f"{mean:.3g}", (shown, place), (0, 7), ha=side, color=INK, size=7.5)


def mark(axes: Axes, place: float, name: str, linewidth: float = 0.8) -> None:
    """Draw a vertical line at `place`, with its name above the axes."""
    axes.axvline(place, color=MUTED, linewidth=linewidth, zorder=1.5)
    above = ("data", "axes fraction")
    note(axes, name, (place, 1), (0, 3), xycoords=above, ha="center", color=MUTED, size=8)


# --- learning ---


def learning_figure(
    log: Sequence[Mapping[str, Any]],
    domain: str | None = None,
    domains: Mapping[str, str] | None = None,
) -> Figure:
    """Loss by task against the timesteps trained on: thin lines while training, dots held out.

    Args:
        log: The lines of `log.jsonl`.
        domain: Draw only the tasks of this domain.
        domains: The domain of each task. Default: what comes before the first hyphen.

    Raises:
        ValueError: The log holds no loss (of this domain).
    """
    losses = _curves(log, "loss", domain, domains)
    held_out = _curves(log, "validation", domain, domains)
    if not losses:
        raise ValueError(
            f"the log holds no loss{f' of {domain}' if domain else ''}: "
            "expected lines with 'timesteps' and 'loss' by task"
        )
    with style():
        figure, [axes] = _subplots(WIDTH, LEARNING_HEIGHT)
        axes.set_yscale("log")
        if len(losses) <= LABELLED:
            _draw_labelled(axes, losses, held_out)
        else:
            _draw_many(axes, losses)
        axes.set_xlabel("timesteps trained on (millions)")
        axes.set_ylabel("loss (log scale)")
        axes.set_xlim(left=0)
        label_decades(axes.yaxis)
        axes.grid(axis="x", visible=False)
    return figure


def _curves(
    log: Sequence[Mapping[str, Any]],
    kind: str,
    domain: str | None,
    domains: Mapping[str, str] | None,
) -> Curves:
    """The curve of each task; a line of the log has only the tasks trained on since the last."""
    points = defaultdict(list)
    for line in log:
        for task, loss in line.get(kind, {}).items():
            if domain in (None, (domains or {}).get(task, task.partition("-")[0])):
                points[task].append((line["timesteps"] / 1e6, loss))
    return {task: np.array(values) for task, values in sorted(points.items())}


def label_decades(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5, also within one decade."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Running mean over up to `window` neighbours, fewer at the ends: (points,) -> (points,)."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    index = np.arange(len(values))
    low, high = np.maximum(index - window // 2, 0), np.minimum(index + window // 2 + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _draw_labelled(axes: Axes, losses: Curves, held_out: Curves) -> None:
    """Draw a colour for each task, and its name beside the end of its line."""
    ends = []
    for (name, curve), color in zip(losses.items(), CYCLE, strict=False):
        x, y = curve.T
        axes.plot(x, smooth(y, max(1, len(y) // 40)), color=color, linewidth=1.4)
        ends.append((y[-max(1, len(y) // 20) :].mean(), name, color))
        if name in held_out:
            x, y = held_out[name].T
            axes.plot(x, y, "o", color=color, markersize=3.2, markeredgecolor="none")
    _label_ends(axes, ends)


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right edge, moved apart where they would overlap, in the order of the lines."""
    low, high = np.log(axes.get_ylim())
    height = LEARNING_HEIGHT * 72 * 0.78  # points, of the axes
    place, floor = {}, -np.inf
    for value, name, _ in sorted(ends):
        floor = place[name] = max((np.log(value) - low) / (high - low), floor + 11 / height)
    shift = max(0.0, floor - 1)
    for _, name, color in ends:
        look = dict(xycoords="axes fraction", va="center", color=color, size=8)
        note(axes, short_name(name), (1, place[name] - shift), (6, 0), **look)


def _draw_many(axes: Axes, losses: Curves) -> None:
    """Draw a faint line for each of too many tasks for colours, and their median strongly."""
    places = np.concatenate([curve[:, 0] for curve in losses.values()])
    grid = np.linspace(places.min(), places.max(), 200)
    smoothed = []
    for x, y in (curve.T for curve in losses.values()):
        y = smooth(y, max(1, len(y) // 40))
        axes.plot(x, y, color=TINT, linewidth=0.7)
        smoothed.append(np.interp(grid, x, y))
    median = np.median(smoothed, axis=0)
    axes.plot(grid, median, color=AGENT, linewidth=2)
    name = f"median of {len(losses)} tasks"
    note(axes, name, (grid[-1], median[-1]), (-4, 8), ha="right", color=AGENT)


# --- pieces ---


def note(
    axes: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], **look: Any
) -> None:
    """Write `text` near `place`, moved by `offset` points; `look` is matplotlib's."""
    axes.annotate(text, place, offset, textcoords="offset points", **look)


def outline(
    axes: Axes, x: ArrayLike, y: ArrayLike, marker: str, color: str, width: float, **look: Any
) -> None:
    """Draw empty markers whose edge has this colour and width; `look` is matplotlib's."""
    edge: Any = dict(markerfacecolor="none", markeredgecolor=color, markeredgewidth=width)
    axes.plot(x, y, marker, **edge, **look)


# --- files ---


def to_svg(figure: Figure, salt: str) -> str:
    """The figure as an `<svg>` element; `salt` keeps its ids apart from those of other figures."""
    import matplotlib

    buffer, nothing = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return SVG_IDS.sub("", svg)


def to_png(figure: Figure, path: str | Path, dpi: int = 160) -> Path:
    """Write the figure as PNG on white; the file is complete or not there."""
    with style(), atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, facecolor=PAPER)
    return Path(path)


def _subplots(width: float, height: float, panels: int = 1) -> tuple[Figure, np.ndarray]:
    """A figure of so many inches, and its panels (panels,), side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]
