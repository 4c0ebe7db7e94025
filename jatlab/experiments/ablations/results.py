"""What an ablation found: summaries with intervals, differences between variants, costs.

The interval of several runs is Student's over the runs' means: it says what another training run
would give. If there is one run, it is the bootstrap over its episodes, and describes that agent
only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from jatlab.evaluation.statistics import bootstrap_interval
from jatlab.experiments.ablations.questions import ABLATIONS, Ablation
from jatlab.experiments.ablations.variants import (
    AVERAGE,
    BATCH,
    EPISODES,
    Variant,
    demonstrations,
    recipe,
)
from jatlab.utils.files import ASSETS

AblationResults = dict[str, Any]  # of an ablation, as in its JSON file
Summary = dict[str, dict[str, dict[str, Any]]]  # {task: {variant: {"mean", "interval", …}}}

SHIPPED = ASSETS / "ablations"
ALL_TASKS = "all tasks"  # together, in `over_tasks`
# Student's t, 97.5 %, for 1 to 9 degrees of freedom
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


# --- from runs to results -------------------------------------------------------------------------


def assemble(
    ablation: Ablation,
    variants: Sequence[Variant],
    runs: Sequence[dict[str, Any]],
) -> AblationResults:
    """The results of an ablation, ready for JSON.

    Args:
        ablation: what was asked.
        variants: what was trained; those without a run are left out.
        runs: of the variants, from `jatlab.experiments.ablations.runs.run_point`, each variant's in
            the order of their seeds.

    Returns:
        {"name", "question", "command", "date", "versions", "seeds", "minutes", "recipe",
        "variants", "summary", "runs"}.
    """
    from jatlab.evaluation.results import versions

    made = {run["variant"] for run in runs}
    variants = [variant for variant in variants if variant.name in made]
    return {
        "name": ablation.name,
        "question": ablation.question,
        "command": _command(ablation, runs),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "seeds": sorted({run["seed"] for run in runs}),
        "minutes": round(sum(run["minutes"] for run in runs), 1),
        "recipe": _common_recipe(variants),
        "variants": [asdict(variant) for variant in variants],
        "summary": summary(runs),
        "runs": [{key: run[key] for key in run if key != "settings"} for run in runs],
    }


def _command(ablation: Ablation, runs: Sequence[dict[str, Any]]) -> str:
    """What makes these runs again, with the options that are not the command's own."""
    seeds = tuple(sorted({run["seed"] for run in runs}))
    episodes = max(len(played["scores"]) for run in runs for played in run["tasks"].values())
    words = ["jatlab ablate", ablation.name]
    if seeds != ablation.seeds:
        words += ["--seeds", *map(str, seeds)]
    if episodes != EPISODES:
        words += ["--episodes", str(episodes)]
    return " ".join(words)


def _common_recipe(variants: Sequence[Variant]) -> dict[str, Any]:
    """What all variants share, and the demonstrations of every task."""
    common = recipe(replace(variants[0], model={}), 0, "", "")
    tasks = [task for variant in variants for task in variant.tasks]
    return {
        "preset": common.size,
        "model": json.loads(json.dumps(common.model)),
        "batch_timesteps": BATCH,
        "lr": common.lr,
        "average": AVERAGE,
        "recordings": {task: demonstrations(task) for task in tasks},
    }


def summary(runs: Iterable[dict[str, Any]]) -> Summary:
    """The mean and its 95 % interval for each task and variant.

    Returns {task: {variant: {"mean", "interval", "interval_over": "runs" or "episodes" (of the only
    run), "runs": the runs' means}}}.
    """
    by_task: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for run in runs:
        for task, result in run["tasks"].items():
            by_task.setdefault(task, {}).setdefault(run["variant"], []).append(result)
    return {
        task: {name: _summarise_results(results) for name, results in variants.items()}
        for task, variants in by_task.items()
    }


def _summarise_results(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of a variant's results in one task."""
    scores = [np.array(result["scores"]) for result in results]
    return _summarise(scores, [result["mean"] for result in results])


def _summarise(scores: list[np.ndarray], means: list[float] | None = None) -> dict[str, Any]:
    """The summary of runs from their scores (episodes,) or (episodes, tasks)."""
    means = [round(float(one.mean()), 4) for one in scores] if means is None else means
    if len(means) == 1 or _is_one_run(scores):
        over, interval = "episodes", bootstrap_interval(scores[0])
    else:
        over, interval = "runs", student_interval(means)
    return {
        "mean": round(float(np.mean(means)), 4),
        "interval": [round(float(bound), 4) for bound in interval],
        "interval_over": over,
        "runs": means,
    }


def _is_one_run(scores: list[np.ndarray]) -> bool:
    """Whether runs are equal number for number, since no training or choice differs.

    Episodes that all have one score, such as a perfect one, do not show that.
    """
    return all(np.array_equal(one, scores[0]) for one in scores) and bool(np.ptp(scores[0]) > 0)


def student_interval(means: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean over all possible runs, from the means of some runs.

    It is mean ± t s / sqrt(n), with Student's t for n - 1 degrees of freedom. Raises ValueError for
    fewer than two runs or more than ten.
    """
    values = np.asarray(means, float)
    if not 2 <= len(values) <= len(T_975) + 1:
        raise ValueError(
            f"an interval over runs needs 2 to {len(T_975) + 1} of them, got {len(values)}"
        )
    half = T_975[len(values) - 2] * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


# --- reading results ------------------------------------------------------------------------------


def load(name: str, folder: str | Path | None = None) -> AblationResults:
    """The results of an ablation that ship, or that `jatlab ablate` wrote into ``folder``.

    Raises FileNotFoundError if there are none.
    """
    path = (SHIPPED if folder is None else Path(folder)) / f"{name}.json"
    if not path.exists():
        where = "ship with the package" if folder is None else f"are in {folder}"
        raise FileNotFoundError(
            f"no results of the ablation {name!r} {where}; make them: jatlab ablate {name}"
        )
    return json.loads(path.read_text())


def shipped() -> list[str]:
    """Names of the ablations whose results ship, in the order of `ABLATIONS`."""
    return [name for name in ABLATIONS if (SHIPPED / f"{name}.json").exists()]


def summary_table(results: AblationResults) -> str:
    """An ablation's results as a table: mean, interval and runs of each task and variant."""
    lines = [results["question"]]
    for task, variants in results["summary"].items():
        lines += ["", f"{task}, {scored_as(task)}"]
        for name, found in variants.items():
            low, high = found["interval"]
            row = f"  {name:<24} {found['mean']:.3f}  [{low:.3f}, {high:.3f}]"
            lines.append(f"{row}  {len(found['runs'])} run(s)")
    return "\n".join(lines)


def run_counts(results: AblationResults) -> str:
    """How many runs the variants have: "3", or "1 to 3"."""
    counts = Counter(run["variant"] for run in results["runs"]).values()
    fewest, most = min(counts), max(counts)
    return str(most) if fewest == most else f"{fewest} to {most}"


def scored_as(task: str) -> str:
    """What a score of a task is."""
    from jatlab.tasks import task_names

    read = task in task_names("text")
    return "times less perplexed than the unigram" if read else "score of our teacher"


def side_by_side(results: AblationResults) -> Summary:
    """The summary by task and variant.

    If each variant has a task of its own (finer and coarser time), they count as one task.
    """
    by_task: Summary = results["summary"]
    if len(by_task) == 1 or any(len(variants) > 1 for variants in by_task.values()):
        return by_task
    together = {name: found for variants in by_task.values() for name, found in variants.items()}
    return {next(iter(by_task)): together}


def difference(
    first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray
) -> tuple[float, tuple[float, float]]:
    """How much better the second variant's runs are than the first's, seed by seed.

    Returns the mean difference and its 95 % interval.
    """
    ours, theirs = np.asarray(first, float), np.asarray(second, float)
    if ours.shape != theirs.shape:
        raise ValueError(
            f"runs are compared seed by seed: {len(ours)} and {len(theirs)} of them do not pair up"
        )
    return float((theirs - ours).mean()), student_interval(theirs - ours)


def paired(
    results: AblationResults, task: str, first: str, second: str
) -> tuple[list[float], list[float]]:
    """The means of two variants' runs, seed by seed, for the seeds that both have.

    Args:
        results: of the ablation.
        task: as in `side_by_side`, or "all tasks", as in `over_tasks`.
        first: a variant.
        second: another one.

    Returns:
        Two lists of one length, in the order of the seeds; empty where no seed is shared.
    """
    ours, theirs = (_means_by_seed(results, task, one) for one in (first, second))
    seeds = sorted(ours.keys() & theirs.keys())
    return [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]


def differences(results: AblationResults) -> list[str]:
    """A line for each task and variant: its difference from the first variant, and a verdict.

    Intervals are over the seeds that both variants have, if there are several. Of one seed they are
    over its episodes, which have the same seeds for all variants, and describe these agents only.
    Without a common seed there is no difference, and the line says so.
    """
    return [
        f"{task}: {name} {_compared(results, task, base, name)}"
        for task, (base, *others) in side_by_side(results).items()
        for name in others
    ]


def _compared(results: AblationResults, task: str, base: str, name: str) -> str:
    """How a variant differs from the first one, in words."""
    means = paired(results, task, base, name)
    if not means[0]:
        return f"and {base} have no seed in common: not compared"
    mean, (low, high) = (
        difference(*means) if len(means[0]) > 1 else _of_episodes(results, task, base, name)
    )
    verdict = "better" if low > 0 else "worse" if high < 0 else "cannot be told apart"
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] against {base}: {verdict}"


def _of_episodes(
    results: AblationResults, task: str, base: str, name: str
) -> tuple[float, tuple[float, float]]:
    """The mean difference between the episodes of two runs with the only common seed."""
    ours, theirs = (_by_seed(results, task, one) for one in (base, name))
    [seed] = ours.keys() & theirs.keys()
    scores = [np.array(one[seed]["scores"]) for one in (ours, theirs)]
    episodes = min(map(len, scores))
    apart = scores[1][:episodes] - scores[0][:episodes]
    return float(apart.mean()), bootstrap_interval(apart)


def _by_seed(results: AblationResults, task: str, variant: str) -> dict[int, dict[str, Any]]:
    """A variant's results by seed, on ``task`` or the only task that it has."""
    runs = {run["seed"]: run["tasks"] for run in results["runs"] if run["variant"] == variant}
    return {seed: tasks.get(task) or next(iter(tasks.values())) for seed, tasks in runs.items()}


def _means_by_seed(results: AblationResults, task: str, variant: str) -> dict[int, float]:
    if task != ALL_TASKS:
        return {seed: one["mean"] for seed, one in _by_seed(results, task, variant).items()}
    runs = {run["seed"]: run["tasks"] for run in results["runs"] if run["variant"] == variant}
    return {seed: round(float(_of_all(tasks, tasks).mean()), 4) for seed, tasks in runs.items()}


def over_tasks(results: AblationResults, tasks: Sequence[str] | None = None) -> Summary:
    """How each variant does on several tasks together.

    A run's mean is taken over the tasks. The interval is over the runs; of the only run it is the
    stratified bootstrap over its episodes.

    Args:
        results: of the ablation.
        tasks: that count; None: all.

    Returns:
        {"all tasks": {variant: as `summary` gives it}}.
    """
    found: dict[str, list[np.ndarray]] = {}
    for run in results["runs"]:
        names = run["tasks"] if tasks is None else tasks
        found.setdefault(run["variant"], []).append(_of_all(run["tasks"], names))
    names = [variant["name"] for variant in results["variants"]]
    return {ALL_TASKS: {name: _summarise(found[name]) for name in names}}


def _of_all(tasks: dict[str, dict[str, Any]], names: Iterable[str]) -> np.ndarray:
    """A run's scores in these tasks, (episodes, tasks)."""
    return np.stack([tasks[name]["scores"] for name in names], axis=1)
