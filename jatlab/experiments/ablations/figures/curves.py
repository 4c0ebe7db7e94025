"""Figures of ablations over a number: the memory test, minutes of training, demonstrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.experiments.ablations.figures.variants import LIMITS
from jatlab.experiments.ablations.questions import reach_of
from jatlab.experiments.ablations.results import (
    AblationResults,
    over_tasks,
    run_counts,
)
from jatlab.model.config import JatConfig
from jatlab.tasks import short_name
from jatlab.viz.figures import panel, words
from jatlab.viz.plots import CYCLE, GRID, INK, MUTED, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = ("-", "--", "-", "-", "-")  # of the memory test's variants; the second one is global


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
            f"Who still knows the cue? Means of {run_counts(results)} run(s) (thin: each). "
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
        f"{results['question']} Points: means of {run_counts(results)} run(s) on one thread; "
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


# --- a few demonstrations -------------------------------------------------------------------------


def shown_figure(results: AblationResults, together: bool = False) -> Figure:
    """An ablation of few demonstrations: score against their number, a line for each method.

    Args:
        results: of "unseen" or "few-shown".
        together: draw the mean over the tasks, in place of a panel for each.

    Returns:
        The figure, with a caption and an alt text.
    """
    from matplotlib.figure import Figure

    summary = over_tasks(results) if together else results["summary"]
    number = {variant["name"]: variant["shown"] for variant in results["variants"]}
    with style():
        figure = Figure(figsize=(max(2.6 * len(summary), 7), 3.5), layout="constrained")
        panels = figure.subplots(1, len(summary), squeeze=False, sharey=True)[0]
        for axes, (task, found) in zip(panels, summary.items(), strict=True):
            _draw_shown(axes, found, number)
            title = "" if together else short_name(task)
            axes.set_title(title, loc="left", size=9, color=INK)
        low, high = panels[0].get_ylim()  # of all panels: they share it
        panels[0].set_ylim(min(low, 0), max(high, 1.02))
        panels[0].set_ylabel("score (0: random, 1: our teacher)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    runs, episodes = run_counts(results), _episodes(results)
    caption = (
        f"{results['question']} Points: means of {runs} run{'s' * (runs != '1')} of {episodes} "
        "episodes of each task, each run with other demonstrations; bars: 95 % intervals."
    )
    told = ", ".join(
        f"{name} {one['mean']:.2f}" for name, one in next(iter(summary.values())).items()
    )
    return words(panels[0], caption, f"Score against the number of demonstrations; {told}")


def _draw_shown(axes: Axes, found: dict[str, dict[str, Any]], number: dict[str, int]) -> None:
    """One panel: the methods' lines, beside each other, and the agent that was shown nothing."""
    methods = list(dict.fromkeys(name.partition(": ")[2] for name in found if number[name]))
    counts = sorted({number[name] for name in found if number[name]})
    for place, (method, color) in enumerate(zip(methods, CYCLE, strict=False)):
        names = [name for name in found if name.endswith(f": {method}")]
        aside = 0.06 * (place - (len(methods) - 1) / 2)
        xs = [counts.index(number[name]) + aside for name in names]
        means = np.array([found[name]["mean"] for name in names])
        bounds = np.clip([found[name]["interval"] for name in names], *LIMITS).T  # (2, numbers)
        axes.errorbar(
            xs, means, np.abs(bounds - means), fmt="o-", color=color, label=method,
            markersize=4, linewidth=1.2, capsize=2,
        )  # fmt: skip
    for name in (name for name in found if not number[name]):
        axes.axhline(found[name]["mean"], color=MUTED, linewidth=1, linestyle="--", label=name)
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    axes.set_xlabel("demonstrations of the task")


def _episodes(results: AblationResults) -> int:
    """How many episodes of a task each run played."""
    return len(next(iter(results["runs"][0]["tasks"].values()))["scores"])
