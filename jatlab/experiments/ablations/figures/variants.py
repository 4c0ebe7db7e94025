"""Figures of ablations whose variants stand beside each other: scores, and joint training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.experiments.ablations.results import (
    AblationResults,
    difference,
    paired,
    run_counts,
    side_by_side,
)
from jatlab.tasks import short_name
from jatlab.viz.figures import panel, words
from jatlab.viz.plots import AGENT, GRID, INK, MUTED, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.3  # inches
LIMITS = (-0.3, 1.3)  # of scores; the interval of two runs may be wider, and is cut here
BETTER, WORSE = "#2a9d6f", "#d1495b"


# --- scores of the variants -----------------------------------------------------------------------


def ablation_figure(
    results: AblationResults, tasks: str | Sequence[str] | None = None, axes: Axes | None = None
) -> Figure:
    """An ablation's results: a panel for each task, a row for each variant.

    Circles are runs, the diamond is their mean, the bar its 95 % interval; the grey line is the
    mean of the first variant.

    Args:
        results: of the ablation, see `jatlab.experiments.ablations.load`.
        tasks: a panel for each; None for all.
        axes: where to draw the first task; None for a new figure.

    Returns:
        The figure, with a caption and an alt text.

    Raises:
        ValueError: the ablation does not have a task.
    """
    results = results | {"summary": side_by_side(results)}
    summary = results["summary"]
    shown = [tasks] if isinstance(tasks, str) else list(summary if tasks is None else tasks)
    if unknown := [task for task in shown if task not in summary]:
        raise ValueError(
            f"the ablation {results['name']} has no task {', '.join(unknown)}; "
            f"it has {', '.join(summary)}"
        )
    names = [variant["name"] for variant in results["variants"]]
    rows = max(len(summary[task]) for task in shown)
    with style():
        panels = _panels(len(shown), rows) if axes is None else [axes]
        for number, (one, task) in enumerate(zip(panels, shown, strict=False)):
            labelled = number == 0 or _differ(results, shown)
            _draw_task(one, summary[task], names, task, labelled)
    return words(panels[0], _caption(results), _alt(results, shown))


def _panels(columns: int, rows: int) -> Sequence[Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * columns + 1.2, ROW * rows + 0.9), layout="constrained")
    return figure.subplots(1, columns, squeeze=False)[0]


def _differ(results: AblationResults, tasks: list[str]) -> bool:
    """Whether the tasks have different variants, so that each panel needs its own names."""
    return len({tuple(results["summary"][task]) for task in tasks}) > 1


def _draw_task(
    axes: Axes, variants: dict[str, dict[str, Any]], names: list[str], task: str, labelled: bool
) -> None:
    names = [name for name in names if name in variants]
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names if labelled else [""] * len(names))
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(axis="y", visible=False)
    axes.axvline(variants[names[0]]["mean"], color=MUTED, linewidth=0.8, zorder=1)
    for row, name in enumerate(names):
        _draw_variant(axes, row, variants[name])
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, LIMITS[0]), min(high, LIMITS[1]))
    axes.set_title(short_name(task), loc="left", size=9, color=INK)
    axes.set_xlabel("score (0: random, 1: our teacher)")


def _draw_variant(axes: Axes, row: int, found: dict[str, Any]) -> None:
    runs, (low, high) = found["runs"], np.clip(found["interval"], *LIMITS)
    [bar] = axes.plot([low, high], [row, row], color=AGENT, linewidth=2.2, alpha=0.55, zorder=2)
    bar.set_solid_capstyle("butt")
    [circles] = axes.plot(runs, [row] * len(runs), "o", color=AGENT, markersize=4.5, zorder=3)
    circles.set_markerfacecolor("white")
    axes.plot(found["mean"], row, "D", color=INK, markersize=5, zorder=4)


def _caption(results: AblationResults) -> str:
    if len(results["seeds"]) > 1:
        over = f"Student's 95 % interval over {run_counts(results)} runs"
    else:
        over = "95 % interval over the episodes of one run: another run may differ by more"
    legend = f"Circles: runs; diamond: mean; bar: {over}. Grey line: the first variant."
    return f"{results['question']} {legend}"


def _alt(results: AblationResults, tasks: list[str]) -> str:
    task, name = tasks[0], results["name"]
    means = ", ".join(
        f"{variant} {found['mean']:.2f}" for variant, found in results["summary"][task].items()
    )
    return f"Scores of the variants of the ablation {name}; {short_name(task)}: {means}"


# --- joint training -------------------------------------------------------------------------------


def joint_training_figure(results: AblationResults, axes: Axes | None = None) -> Figure:
    """The ablation "generalists": how each task (row) changes when learnt with others (column).

    A change whose 95 % interval excludes 0 is bold and coloured, green for better and red for
    worse; all others are grey. The diagonal shows the score of each task when it is learnt alone.
    """
    tasks = [variant["tasks"][0] for variant in results["variants"] if len(variant["tasks"]) == 1]
    variants = {frozenset(variant["tasks"]): variant["name"] for variant in results["variants"]}
    names, runs = [short_name(task) for task in tasks], run_counts(results)
    with panel(axes, 7.2, 2.9) as axes:
        for row, task in enumerate(tasks):
            alone = variants[frozenset([task])]
            groups = [frozenset([task, other]) for other in tasks] + [frozenset(tasks)]
            for column, group in enumerate(groups):
                if len(group) > 1:
                    means = paired(results, task, alone, variants[group])
                    _draw_change(axes, row, column, *means)
                else:
                    score = np.mean(results["summary"][task][alone]["runs"])
                    _draw_cell(axes, row, column, f"{score:.2f}", color=MUTED)
        _label_table(axes, names, [*(f"with\n{name}" for name in names), "all\ntogether"])
        caption = (
            f"{results['question']} Difference from the score when learnt alone (on the diagonal), "
            f"mean of {runs} runs. Coloured and bold where the 95 % interval excludes 0, else grey."
        )
        alt = (
            f"Table of score differences: {', '.join(names)}, "
            "each learnt with each of the others and all together"
        )
        return words(axes, caption, alt)


def _label_table(axes: Axes, rows: list[str], columns: list[str]) -> None:
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_change(
    axes: Axes, row: int, column: int, alone: Sequence[float], joint: Sequence[float]
) -> None:
    """A cell with the change from ``alone`` to ``joint``, runs of the same seeds."""
    if not len(alone):
        _draw_cell(axes, row, column, "no common\nseed", color=MUTED)
        return
    change = float(np.mean(joint) - np.mean(alone))
    low, high = difference(alone, joint)[1] if len(joint) > 1 else (0, 0)
    if low <= 0 <= high:  # a colour would make noise look like a finding
        _draw_cell(axes, row, column, f"{change:+.2f}", alpha=0.25)
        return
    better = BETTER if change > 0 else WORSE
    strength = min(abs(change) / 0.3, 1) * 0.75
    _draw_cell(axes, row, column, f"{change:+.2f}", better, strength, weight="bold")


def _draw_cell(
    axes: Axes,
    row: int,
    column: int,
    text: str,
    face: str = GRID,
    alpha: float = 0.5,
    color: str = INK,
    weight: str = "normal",
) -> None:
    """A coloured cell with a text in its middle."""
    from matplotlib.patches import Rectangle

    corner = (column - 0.47, row - 0.45)
    axes.add_patch(Rectangle(corner, 0.94, 0.9, facecolor=face, alpha=alpha, linewidth=0))
    axes.text(column, row, text, ha="center", va="center", color=color, weight=weight, size=9)
