"""Ablations, drawn: a row for each variant with every run and the interval, and how far back agents
remember.
"""

from __future__ import annotations

import numpy as np

from jatlab.experiments.ablations.registry import difference, reach_of, side_by_side
from jatlab.model.config import JatConfig
from jatlab.tasks import short_name
from jatlab.viz.figures import panel, words
from jatlab.viz.plots import AGENT, CYCLE, GRID, INK, MUTED, style

ROW = 0.3  # inches
BETTER, WORSE = "#2a9d6f", "#d1495b"
EDGES = (-0.3, 1.3)  # an interval of two runs may be wider than any score; it is cut here


def ablation_figure(results: dict, tasks=None, axes=None):
    """An ablation's results (`jatlab.experiments.ablations.registry.load`): a panel for each of
    ``tasks`` (all, unless given), a row for each variant.

    Light dots are runs, the dark one is their mean, the bar its 95 % interval; the grey line is the
    mean of the first variant. With ``axes`` one task is drawn there. Raises `ValueError` for a task
    that the ablation does not have.
    """
    results = results | {"summary": side_by_side(results)}
    tasks = (
        [tasks] if isinstance(tasks, str) else list(results["summary"] if tasks is None else tasks)
    )
    if unknown := [task for task in tasks if task not in results["summary"]]:
        raise ValueError(
            f"the ablation {results['name']} has no task {', '.join(unknown)}; it has {', '.join(results['summary'])}"
        )
    names = [variant["name"] for variant in results["variants"]]
    with style():
        panels = (
            [axes]
            if axes is not None
            else _panels(len(tasks), max(len(results["summary"][task]) for task in tasks))
        )
        for number, (one, task) in enumerate(zip(panels, tasks)):
            _draw_task(
                one,
                results["summary"][task],
                names,
                task,
                labelled=number == 0 or _differs(results, tasks),
            )
    return words(panels[0], _caption(results), _alt(results, tasks))


def _panels(columns: int, rows: int):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * columns + 1.2, ROW * rows + 0.9), layout="constrained")
    return figure.subplots(1, columns, squeeze=False)[0]


def _differs(results: dict, tasks: list[str]) -> bool:
    """Whether the tasks have different variants, so that each panel needs its own names."""
    return len({tuple(results["summary"][task]) for task in tasks}) > 1


def _draw_task(
    axes, variants: dict[str, dict], names: list[str], task: str, labelled: bool
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
    axes.set_xlim(max(low, EDGES[0]), min(high, EDGES[1]))
    axes.set_title(short_name(task), loc="left", size=9, color=INK)
    axes.set_xlabel("score (0: random, 1: our teacher)")


def _draw_variant(axes, row: int, result: dict) -> None:
    low, high = np.clip(result["interval"], *EDGES)
    axes.plot(
        [low, high],
        [row, row],
        color=AGENT,
        linewidth=2.2,
        solid_capstyle="butt",
        zorder=2,
        alpha=0.55,
    )
    axes.plot(
        result["runs"],
        [row] * len(result["runs"]),
        "o",
        markerfacecolor="white",
        markeredgecolor=AGENT,
        markersize=4.5,
        zorder=3,
    )
    axes.plot(result["mean"], row, "D", color=INK, markersize=5, zorder=4)


def _caption(results: dict) -> str:
    runs = len(results["seeds"])
    over = (
        f"Student's 95 % interval over {runs} runs"
        if runs > 1
        else "95 % interval over the episodes of one run: another run may differ by more"
    )
    return f"{results['question']} Circles: runs; diamond: mean; bar: {over}. Grey line: the first variant."


def _alt(results: dict, tasks: list[str]) -> str:
    means = ", ".join(f"{name} {v['mean']:.2f}" for name, v in results["summary"][tasks[0]].items())
    return (
        f"Scores of the variants of the ablation {results['name']}; {short_name(tasks[0])}: {means}"
    )


def joint_training_figure(results: dict, axes=None):
    """Of the ablation "generalists": how much better (green) or worse (red) each task is, a row,
    for having been learnt beside another, a column; bold where the 95 % interval of the difference
    leaves out 0. On the diagonal its score when learnt alone.
    """
    tasks = [variant["tasks"][0] for variant in results["variants"] if len(variant["tasks"]) == 1]
    by_task, groups = (
        results["summary"],
        {frozenset(variant["tasks"]): variant["name"] for variant in results["variants"]},
    )
    names = [short_name(task) for task in tasks]
    with panel(axes, 7.2, 2.9) as axes:
        for row, task in enumerate(tasks):
            alone = by_task[task][groups[frozenset([task])]]["runs"]
            companies = [frozenset([task, other]) for other in tasks] + [frozenset(tasks)]
            for column, company in enumerate(companies):
                _draw_joint_training(
                    axes,
                    row,
                    column,
                    alone,
                    by_task[task][groups[company]]["runs"],
                    alone_here=len(company) == 1,
                )
        _label_table(axes, names, [*(f"beside\n{name}" for name in names), "all\ntogether"])
        caption = f"{results['question']} Difference from the score when learnt alone (grey, on the diagonal), mean of {len(results['seeds'])} runs; bold: the 95 % interval leaves out 0."
        return words(
            axes,
            caption,
            f"Table of score differences: {', '.join(names)}, each learnt beside each of the others and all together",
        )


def _label_table(axes, rows: list[str], columns: list[str]) -> None:
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_joint_training(
    axes, row: int, column: int, alone: list[float], here: list[float], alone_here: bool
) -> None:
    from matplotlib.patches import Rectangle

    change = float(np.mean(here) - np.mean(alone))
    color = GRID if alone_here else BETTER if change > 0 else WORSE
    strength = 0.5 if alone_here else min(abs(change) / 0.3, 1) * 0.75
    axes.add_patch(
        Rectangle(
            (column - 0.47, row - 0.45), 0.94, 0.9, facecolor=color, alpha=strength, linewidth=0
        )
    )
    low, high = difference(alone, here)[1] if len(here) > 1 else (0, 0)
    text = f"{np.mean(alone):.2f}" if alone_here else f"{change:+.2f}"
    axes.text(
        column,
        row,
        text,
        ha="center",
        va="center",
        color=MUTED if alone_here else INK,
        weight="normal" if low <= 0 <= high else "bold",
        size=9,
    )


def recall_figure(results: dict, axes=None):
    """Of the ablation "memory": the share of right answers against how long ago the cue was, the
    mean over runs; dotted, how far each pattern of local layers can reach.
    """
    curves: dict[str, list] = {}
    for run in results["runs"]:
        curves.setdefault(run["variant"], []).append(run["tasks"]["recall"]["by_age"])
    models = {variant["name"]: variant["model"] for variant in results["variants"]}
    with panel(axes, 7.0, 3.0) as axes:
        for (name, runs), color, dash in zip(curves.items(), CYCLE, ("-", "--", "-", "-", "-")):
            ages = np.arange(len(runs[0]))
            axes.plot(ages, np.mean(runs, axis=0), dash, color=color, linewidth=1.8, label=name)
            for run in runs if len(runs) > 1 else ():
                axes.plot(ages, run, color=color, linewidth=0.6, alpha=0.4)
            _mark_reach(axes, models[name], color, len(ages))
        axes.axhline(0.25, color=GRID, linewidth=1.2, zorder=0)
        axes.annotate(
            "chance",
            (len(ages) - 1, 0.25),
            (8, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
            size=8,
            annotation_clip=False,
        )
        axes.set_xlabel("timesteps since the cue was shown")
        axes.set_ylabel("right answers (share)")
        axes.set_ylim(0, 1.06)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        caption = f"Who still knows the cue? Means of {len(results['seeds'])} run(s) (thin: each). Dotted: as far as information can travel through the layers."
        return words(
            axes,
            caption,
            "Curves of right answers over time since the cue: patterns with a global layer stay at 1, all-local ones fall to chance where their reach ends",
        )


def _mark_reach(axes, model: dict, color: str, steps: int) -> None:
    reach = reach_of(JatConfig.preset("nano", **model))
    if reach < steps:
        axes.axvline(reach + 0.5, color=color, linewidth=1, linestyle=":")
