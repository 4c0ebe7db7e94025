"""Figures of scores and of learning: calm, colour-blind-safe (Okabe and Ito), with units on every
axis.

Each function returns a matplotlib `Figure` that no window owns; `to_svg` and `to_png` write it.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jatlab.tasks import short_name
from jatlab.utils.files import atomic_write

INK, MUTED, GRID, PAPER = "#1c1e22", "#6a6f77", "#e2e4e7", "#ffffff"
AGENT, TINT, JAT = "#0072b2", "#a9cfe6", "#d55e00"
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5fb5", "#6a6f77")
LABELLED = len(CYCLE)  # with more tasks than colours, lines are not told apart
EDGE = (-0.25, 1.5)  # normalised scores beyond are drawn at the edge, with their value
ROW, WIDTH = (
    0.26,
    4.4,
    # inches: height of a task's row; width of one panel, readable on a phone and half a page wide
    # elsewhere
)
MEAN = "mean of tasks"
SCALES = {"by_teacher": "teacher", "by_expert": "published expert", "by_human": "human"}
STYLE = {
    "font.size": 8.5, "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": MUTED, "axes.labelsize": 8.5, "axes.edgecolor": GRID,
    "axes.spines.top": False, "axes.spines.right": False, "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "xtick.major.size": 0, "ytick.major.size": 0, "ytick.minor.size": 0, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8,
    "axes.axisbelow": True, "svg.fonttype": "none", "figure.facecolor": "none", "axes.facecolor": "none",
}  # fmt: skip


@contextmanager
def style():
    """matplotlib with the house's settings, for the length of a block."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def score_figure(
    tasks: dict[str, dict],
    scales: Sequence[str] = ("by_teacher", "by_expert"),
    averages: dict[str, dict] | None = None,
):
    """One bar a task, with its 95 % interval, from random (0) towards the reference (1): a panel
    for each scale.

    `tasks` are those of one domain in `evaluate`'s results, `scales` of "by_teacher", "by_expert"
    and "by_human"; the last two also show the published JAT, as a diamond. `averages` is the
    domain's entry: a last row. A task without that scale says so instead. Raises `ValueError` for
    no tasks.
    """
    if not tasks:
        raise ValueError("a score figure needs at least one task")
    with style():
        figure, panels = _subplots(WIDTH * len(scales), ROW * (len(tasks) + 1) + 0.72, len(scales))
        for axes, scale in zip(panels, scales, strict=True):
            _draw_scores(axes, _rows(tasks, scale, (averages or {}).get(scale)), SCALES[scale])
    return figure


def learning_figure(
    log: Sequence[dict], domain: str | None = None, domains: dict[str, str] | None = None
):
    """Loss by task against the timesteps trained on, from the lines of `log.jsonl`: thin lines
    while training, dots on held-out episodes.

    `domains` maps tasks to domains (default: what comes before the first hyphen). Raises
    `ValueError` when the log holds no loss.
    """
    curves = {kind: _curves(log, kind, domain, domains) for kind in ("loss", "validation")}
    if not curves["loss"]:
        raise ValueError(
            f"the log holds no loss{f' of {domain}' if domain else ''}: expected lines with 'timesteps' and 'loss' by task"
        )
    names = list(curves["loss"])
    with style():
        figure, [axes] = _subplots(WIDTH, 2.6)
        axes.set_yscale("log")
        draw = _draw_labelled if len(names) <= LABELLED else _draw_many
        draw(axes, curves, names)
        axes.set_xlabel("timesteps trained on (millions)")
        axes.set_ylabel("loss (log scale)")
        axes.set_xlim(left=0)
        label_decades(axes.yaxis)
        axes.grid(axis="x", visible=False)
    return figure


def to_svg(figure, salt: str) -> str:
    """The figure as an `<svg>` element. `salt` keeps its ids apart from those of other figures on
    the page.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure.savefig(
            buffer,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return re.sub(
        r'id="(?:figure|axes|patch|matplotlib|text|line2d|xtick|ytick|LineCollection|PathCollection|PolyCollection)[\w.]*"',
        "",
        svg,
    )


def to_png(figure, path: str | Path, dpi: int = 160) -> Path:
    """Write the figure as PNG on white, in one piece."""
    with style(), atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, facecolor=PAPER)
    return Path(path)


def _subplots(width: float, height: float, panels: int = 1):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


# --- scores
# -------------------------------------------------------------------------------------------------------------------


def _rows(
    tasks: dict[str, dict], scale: str, average: dict | None
) -> list[tuple[str, dict, float | None]]:
    """(label, score, published JAT) of each task; of their mean, if there is more than one."""
    rows = [
        (short_name(name), task[scale], task.get(f"jat_{scale}")) for name, task in tasks.items()
    ]
    if average and len(average["tasks"]) > 1:
        rows.append(
            (
                MEAN,
                {"mean": average["mean"], "interval": average["mean_interval"]},
                average.get("jat"),
            )
        )
    return rows


def _draw_scores(axes, rows: list[tuple], reference: str) -> None:
    """Rows from the top down, labelled; vertical lines at the random policy and at the reference."""
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=8.5)
    axes.grid(axis="y", visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    values = [
        value
        for _, score, jat in rows
        if "mean" in score
        for value in (score["mean"], *score["interval"], jat or 0)
    ]
    axes.set_xlim(
        np.clip(min([-0.02, *values]), *EDGE) - 0.03, np.clip(max([1.02, *values]), *EDGE) + 0.05
    )
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.set_xlabel(f"normalised return (0: random, 1: {reference})")
    for place, name in [(0, "random"), (1, reference)]:
        axes.axvline(place, color=MUTED, linewidth=0.8, zorder=1.5)
        axes.annotate(
            name,
            (place, 1),
            (0, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            color=MUTED,
            size=8,
        )
    for row, (label, score, jat) in enumerate(rows):
        _score_row(axes, row, score, jat, strong=label == MEAN)


def _score_row(axes, row: int, score: dict, jat: float | None, strong: bool) -> None:
    if "left_out" in score:
        axes.text(0.03, row, "not on this scale", va="center", color=MUTED, style="italic", size=8)
        return
    mean, (low, high) = score["mean"], np.clip(score["interval"], *EDGE)
    axes.barh(row, np.clip(mean, *EDGE), height=0.52, color=AGENT if strong else TINT, zorder=2)
    axes.plot(
        [low, high],
        [row, row],
        color=INK if strong else AGENT,
        linewidth=2.2,
        solid_capstyle="butt",
        zorder=3,
    )
    axes.plot(
        np.clip(mean, *EDGE), row, "o", color=INK if strong else AGENT, markersize=4.5, zorder=4
    )
    if jat is not None:
        axes.plot(
            np.clip(jat, *EDGE),
            row,
            "D",
            markerfacecolor="none",
            markeredgecolor=JAT,
            markeredgewidth=1.4,
            markersize=5,
            zorder=5,
        )
    if not EDGE[0] <= mean <= EDGE[1]:
        side = "right" if mean > EDGE[1] else "left"
        axes.annotate(
            f"{mean:.3g}",
            (np.clip(mean, *EDGE), row),
            (0, 7),
            textcoords="offset points",
            ha=side,
            color=INK,
            size=7.5,
        )


# --- learning
# -----------------------------------------------------------------------------------------------------------------


def _curves(
    log: Sequence[dict], kind: str, domain: str | None, domains: dict[str, str] | None
) -> dict[str, np.ndarray]:
    """{task: (points, 2)} of millions of timesteps and loss; a line of the log holds only the tasks
    that were trained on since the last.
    """
    points = defaultdict(list)
    for line in log:
        for task, loss in line.get(kind, {}).items():
            if domain in (None, (domains or {}).get(task, task.partition("-")[0])):
                points[task].append((line["timesteps"] / 1e6, loss))
    return {task: np.array(values) for task, values in sorted(points.items())}


def label_decades(axis) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5, so that there are labels within one
    decade too.
    """
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


def _draw_labelled(axes, curves: dict[str, dict], names: list[str]) -> None:
    """A colour for each task, its name beside the end of its line."""
    ends = []
    for name, color in zip(names, CYCLE, strict=False):
        x, y = curves["loss"][name].T
        axes.plot(x, smooth(y, max(1, len(y) // 40)), color=color, linewidth=1.4)
        ends.append((y[-max(1, len(y) // 20) :].mean(), name, color))
        if name in curves["validation"]:
            axes.plot(
                *curves["validation"][name].T,
                "o",
                color=color,
                markersize=3.2,
                markeredgecolor="none",
            )
    _label_ends(axes, ends)


def _label_ends(axes, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right edge, moved apart where they would overlap, in the order of the lines."""
    low, high = np.log(axes.get_ylim())
    height = axes.figure.get_size_inches()[1] * 72 * 0.78
    place, floor = {}, -np.inf
    for value, name, _ in sorted(ends):
        floor = place[name] = max((np.log(value) - low) / (high - low), floor + 11 / height)
    shift = max(0.0, floor - 1)
    for _, name, color in ends:
        axes.annotate(
            short_name(name),
            (1, place[name] - shift),
            (6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=color,
            size=8,
        )


def _draw_many(axes, curves: dict[str, dict], names: list[str]) -> None:
    """Too many tasks for colours: each a faint line, the middle one drawn strongly."""
    ends = np.concatenate([curves["loss"][name][:, 0] for name in names])
    grid = np.linspace(ends.min(), ends.max(), 200)
    smoothed = []
    for name in names:
        x, y = curves["loss"][name].T
        y = smooth(y, max(1, len(y) // 40))
        axes.plot(x, y, color=TINT, linewidth=0.7)
        smoothed.append(np.interp(grid, x, y))
    axes.plot(grid, np.median(smoothed, axis=0), color=AGENT, linewidth=2)
    axes.annotate(
        f"median of {len(names)} tasks",
        (grid[-1], np.median(smoothed, axis=0)[-1]),
        (-4, 8),
        textcoords="offset points",
        ha="right",
        color=AGENT,
    )
