"""The figures of ablations: variants, joint training, the memory test, and specialists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.experiments.ablations.questions import reach_of
from jatlab.experiments.ablations.results import AblationResults, difference, side_by_side
from jatlab.model.config import JatConfig
from jatlab.tasks import short_name
from jatlab.viz.figures import panel, words
from jatlab.viz.plots import AGENT, CYCLE, GRID, INK, MUTED, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.3  # inches
BETTER, WORSE = "#2a9d6f", "#d1495b"
LIMITS = (-0.3, 1.3)  # of scores; the interval of two runs may be wider, and is cut here
DASHES = ("-", "--", "-", "-", "-")  # of the memory test's variants; the second one is global


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
    runs = len(results["seeds"])
    if runs > 1:
        over = f"Student's 95 % interval over {runs} runs"
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
    names, runs = [short_name(task) for task in tasks], len(results["seeds"])
    with panel(axes, 7.2, 2.9) as axes:
        for row, task in enumerate(tasks):
            found = results["summary"][task]
            alone = found[variants[frozenset([task])]]["runs"]
            groups = [frozenset([task, other]) for other in tasks] + [frozenset(tasks)]
            for column, group in enumerate(groups):
                joint = found[variants[group]]["runs"] if len(group) > 1 else None
                _draw_cell(axes, row, column, alone, joint)
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


def _draw_cell(
    axes: Axes, row: int, column: int, alone: list[float], joint: list[float] | None
) -> None:
    """A coloured cell with the change from ``alone`` to ``joint``; without it the score alone."""
    from matplotlib.patches import Rectangle

    color, strength, text, ink, weight = GRID, 0.5, f"{np.mean(alone):.2f}", MUTED, "normal"
    if joint is not None:
        change = float(np.mean(joint) - np.mean(alone))
        low, high = difference(alone, joint)[1] if len(joint) > 1 else (0, 0)
        text, ink, strength = f"{change:+.2f}", INK, 0.25
        if not low <= 0 <= high:  # a colour would make noise look like a finding
            color, weight = BETTER if change > 0 else WORSE, "bold"
            strength = min(abs(change) / 0.3, 1) * 0.75
    corner = (column - 0.47, row - 0.45)
    axes.add_patch(Rectangle(corner, 0.94, 0.9, facecolor=color, alpha=strength, linewidth=0))
    axes.text(column, row, text, ha="center", va="center", color=ink, weight=weight, size=9)


# --- the memory test ------------------------------------------------------------------------------


def recall_figure(results: AblationResults, axes: Axes | None = None) -> Figure:
    """The ablation "memory": the share of right answers over the time since the cue.

    Lines are means over runs. A dotted line shows how far a pattern of local layers can reach.
    """
    curves: dict[str, list[list[float]]] = {}
    for run in results["runs"]:
        curves.setdefault(run["variant"], []).append(run["tasks"]["recall"]["by_age"])
    models = {variant["name"]: variant["model"] for variant in results["variants"]}
    with panel(axes, 7.0, 3.0) as axes:
        for name, color, dash in zip(curves, CYCLE, DASHES, strict=False):
            _draw_curve(axes, curves[name], name, color, dash)
            _mark_reach(axes, models[name], color, len(curves[name][0]))
        _mark_chance(axes, max(len(runs[0]) for runs in curves.values()) - 1)
        axes.set_xlabel("timesteps since the cue was shown")
        axes.set_ylabel("right answers (share)")
        axes.set_ylim(0, 1.06)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        caption = (
            f"Who still knows the cue? Means of {len(results['seeds'])} run(s) (thin: each). "
            "Dotted: as far as information can travel through the layers."
        )
        alt = (
            "Curves of right answers over time since the cue: patterns with a global layer stay "
            "at 1, all-local ones fall to chance where their reach ends"
        )
        return words(axes, caption, alt)


def _draw_curve(axes: Axes, runs: list[list[float]], name: str, color: str, dash: str) -> None:
    ages = np.arange(len(runs[0]))
    axes.plot(ages, np.mean(runs, axis=0), dash, color=color, linewidth=1.8, label=name)
    for run in runs if len(runs) > 1 else ():
        axes.plot(ages, run, color=color, linewidth=0.6, alpha=0.4)


def _mark_reach(axes: Axes, model: dict[str, Any], color: str, steps: int) -> None:
    reach = reach_of(JatConfig.preset("nano", **model))
    if reach < steps:
        axes.axvline(reach + 0.5, color=color, linewidth=1, linestyle=":")


def _mark_chance(axes: Axes, end: int) -> None:
    axes.axhline(0.25, color=GRID, linewidth=1.2, zorder=0)
    axes.annotate(
        "chance",
        (end, 0.25),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        color=MUTED,
        size=8,
        annotation_clip=False,
    )


# --- specialists ----------------------------------------------------------------------------------


def specialists_figure(results: AblationResults) -> Figure:
    """The ablation "specialists": the score of each task over the minutes of training.

    A panel for each task; lines are means over runs, bars their 95 % intervals, and the dashed line
    is the agent that ships.
    """
    from matplotlib.figure import Figure

    tasks = list(results["summary"])
    with style():
        figure = Figure(figsize=(2.3 * len(tasks) + 0.6, 2.9), layout="constrained")
        panels = figure.subplots(1, len(tasks), squeeze=False)[0]
        for axes, task in zip(panels, tasks, strict=True):
            _draw_minutes(axes, results, task)
        panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    caption = (
        f"{results['question']} Points: means of {len(results['seeds'])} run(s) on one thread; "
        "bars: 95 % intervals; dashed: jatlab-mini as it ships. 0 is the random policy and 1 our "
        "teacher; of texts, how many times the perplexity is below the unigram's."
    )
    means = ", ".join(
        f"{name} {found['mean']:.2f}"
        for task in tasks[:1]
        for name, found in results["summary"][task].items()
    )
    return words(panels[0], caption, f"Scores over minutes of training; {means}")


def _draw_minutes(axes: Axes, results: AblationResults, task: str) -> None:
    """One task: the specialist's line, mini's line, and the agent that ships."""
    minutes = {variant["name"]: variant["value"] for variant in results["variants"]}
    lines: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for name, found in results["summary"][task].items():
        who = name.partition(": ")[2].partition(",")[0]
        if minutes[name] is None:
            axes.axhline(found["mean"], color=MUTED, linewidth=1, linestyle="--", label=who)
        else:
            lines.setdefault(who, []).append((minutes[name], found))
    for (who, points), color in zip(lines.items(), CYCLE[1::-1], strict=False):
        means = np.array([found["mean"] for _, found in points])
        bounds = np.array([found["interval"] for _, found in points]).T  # (2, points)
        below_above = np.abs(np.clip(bounds, *_limits(task)) - means)
        axes.errorbar(
            [x for x, _ in points], means, below_above, marker="o", color=color, label=who,
            markersize=4, linewidth=1.6, capsize=2,
        )  # fmt: skip
    axes.set_xscale("log")
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0), max(high, 1.05))  # a hundredth shall look like one
    axes.set_xlabel("minutes of training")
    axes.set_title(short_name(task), loc="left", size=9, color=INK)


def _limits(task: str) -> tuple[float, float]:
    """Between which an interval is drawn."""
    return LIMITS if task != "python-docs" else (0.0, np.inf)
