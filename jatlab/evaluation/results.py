"""From episodes to scores: `assemble` makes the results that `evaluate` returns.

A return is given as it is and on three scales, where 0 is the random policy and 1 a reference: our
own measured teacher, the published expert and, for Atari, published human play. Only the published
scales may be compared with the published JAT. Tasks without a scale stay out of its averages, and
the results name them with the reason.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from typing import Any

import numpy as np

from jatlab.evaluation.records import Record
from jatlab.evaluation.statistics import (
    DRAWS,
    bootstrap_interval,
    iqm,
    success_interval,
    task_mean,
    task_median,
)
from jatlab.tasks import get_task, normalise, task_scores
from jatlab.utils.machine import installed_version

SCALES = ("teacher", "expert", "human")
PUBLISHED_SCALES = ("expert", "human")  # the only ones on which the published JAT has scores
REFERENCE_NAMES = {
    "teacher": "measured teacher",
    "expert": "published expert",
    "human": "human score",
}
PUBLISHED_SOURCE = (
    "arXiv 2402.09844 and the card of jat-project/jat: 10 episodes a task; "
    "Bowling and Venture count as 1"
)
# What JAT's authors report of whole domains, as shares of the reference.
PUBLISHED: dict[str, dict[str, Any]] = {
    "atari": {
        "tasks": 57,
        "by_expert": {"mean": 0.269, "iqm": 0.141, "median": 0.12},
        "by_human": {"iqm": 0.376},
    },
    "babyai": {"tasks": 39, "by_expert": {"mean": 0.853, "iqm": 0.990, "median": 0.96}},
    "metaworld": {"tasks": 50, "by_expert": {"mean": 0.600, "iqm": 0.655, "median": 0.74}},
    "mujoco": {"tasks": 11, "by_expert": {"mean": 0.735, "iqm": 0.848, "median": 0.89}},
}
STATISTICS = {"mean": task_mean, "iqm": iqm, "median": task_median}
PACKAGES = ("jatlab", "torch", "numpy", "gymnasium", "minigrid", "metaworld", "mujoco", "ale-py")

# Dicts that JSON can hold; `assemble` describes their keys.
Results = dict[str, Any]
TaskResults = dict[str, Any]
DomainResults = dict[str, Any]
LanguageScores = dict[str, Any]  # of one task; see `jatlab.evaluation.language`


def assemble(records: dict[str, Record], about: dict[str, Any] | None = None) -> Results:
    """The results of an evaluation, as `report.json` holds them.

    Args:
        records: the record of each task that was played.
        about: what the results say of the whole evaluation: `agent`, `settings`, `command`, `date`,
            `seconds`; `failed`, task -> error; `without_video`, task -> why it could not be drawn;
            `language`, task -> scores of text and pictures.

    Returns:
        What `about` holds, `versions`, `bootstrap_draws`, and:

        - `tasks[name]`: `returns`, `lengths`, `successes`, `missions` and `seeds` by episode;
          `return` {mean, std, interval}; `by_teacher`, `by_expert` and `by_human`, each {mean, std,
          interval, scores} or {left_out: why}; `success` {rate, interval} or None; `references`
          (random, teacher, expert, human, jat); `jat_by_expert` and `jat_by_human`.
        - `domains[domain]`: `tasks`, `success_rate` and, on each scale, {tasks, left_out, mean,
          iqm, median, each with its interval}. The two published scales also have `jat`, `jat_iqm`
          and `jat_median`: the published JAT over the same tasks. Its IQM is over the means of
          tasks, because its single episodes were not published.

    Raises:
        ValueError: there is no result at all, or the tasks' episodes differ in number.
    """
    about = about or {}
    if not records and not about.get("language"):
        raise ValueError("there are no results: no task was evaluated")
    counts = {name: len(record["episodes"]) for name, record in records.items()}
    if len(set(counts.values())) > 1 or not all(counts.values()):
        raise ValueError(
            f"every task needs the same number of episodes, at least one; got {counts}"
        )
    first = next(iter(records.values()), about)
    tasks = {name: task_results(name, record["episodes"]) for name, record in records.items()}
    domains: dict[str, dict[str, TaskResults]] = {}
    for name, task in tasks.items():
        domains.setdefault(task["domain"], {})[name] = task
    results = {
        "agent": first["agent"],
        "settings": first["settings"],
        "bootstrap_draws": DRAWS,
        "failed": {},
        "without_video": {},
        "language": {},
        **about,
        "versions": versions(),
        "domains": {domain: domain_results(found) for domain, found in domains.items()},
        "tasks": tasks,
    }
    # exactly what report.json will give back: lists, no tuples
    return json.loads(json.dumps(results, allow_nan=False))


def task_results(name: str, episodes: list[dict[str, Any]]) -> TaskResults:
    """The results of one task from its episodes (dicts with the fields of `playing.Episode`)."""
    task, scores = get_task(name), task_scores(name)
    returns = np.array([episode["total"] for episode in episodes])
    successes = [episode["success"] for episode in episodes]
    cut = [episode["length"] for episode in episodes if episode["cut"]]
    return {
        "domain": task.domain,
        "note": task.note,
        "return": {
            "mean": float(returns.mean()),
            "std": float(returns.std()),
            "interval": bootstrap_interval(returns),
        },
        **{f"by_{scale}": _scaled(name, returns, scale, cut) for scale in SCALES},
        **{f"jat_by_{scale}": _published_jat(name, scale) for scale in PUBLISHED_SCALES},
        "success": _success(successes),
        "references": {who: score and asdict(score) for who, score in vars(scores).items()},
        "seeds": [episode["seed"] for episode in episodes],
        "returns": returns.tolist(),
        "lengths": [episode["length"] for episode in episodes],
        "successes": successes,
        "missions": [episode.get("mission", "") for episode in episodes],
        "cut": len(cut),
    }


def domain_results(tasks: dict[str, TaskResults]) -> DomainResults:
    """The averages over the tasks of one domain, on each scale."""
    results: DomainResults = {"tasks": list(tasks)}
    results |= {f"by_{scale}": _average(tasks, f"by_{scale}") for scale in SCALES}
    for scale in PUBLISHED_SCALES:
        average = results[f"by_{scale}"]
        average |= _jat_averages([tasks[name][f"jat_by_{scale}"] for name in average["tasks"]])
    known = [task["success"]["rate"] for task in tasks.values() if task["success"]]
    results["success_rate"] = float(np.mean(known)) if len(known) == len(tasks) else None
    return results


def _published_jat(name: str, scale: str) -> float | None:
    jat = task_scores(name).jat
    score = None if jat is None else normalise(name, [jat.mean], scale)
    return None if score is None else float(score[0])


def _jat_averages(scores: list[float | None]) -> dict[str, float | None]:
    """`jat`, `jat_iqm` and `jat_median` of the published JAT's mean scores of tasks.

    None each unless all scores are known.
    """
    known = bool(scores) and None not in scores
    averages = {
        key: float(statistic(np.array([scores]))) if known else None
        for key, statistic in STATISTICS.items()
    }
    return {"jat": averages["mean"], "jat_iqm": averages["iqm"], "jat_median": averages["median"]}


def why_not(name: str, by: str) -> str:
    """Why a task has no score on this scale, in words; "" if it has one."""
    if normalise(name, [0.0], by) is not None:
        return ""
    scores = task_scores(name)
    random = scores.random if by == "teacher" else scores.published_random
    reference, called = getattr(scores, by), REFERENCE_NAMES[by]
    if reference is None:
        return f"no {called}"
    if random is None or (by == "teacher" and random.source != "measured"):
        return f"no {'measured' if by == 'teacher' else 'published'} random policy"
    return (
        f"the {called} ({reference.mean:.4g}) is no better than the random policy "
        f"({random.mean:.4g})"
    )


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that scores depend on, and the machine."""
    machine = f"{platform.system()} {platform.machine()}"
    found = {"python": platform.python_version(), "machine": machine}
    versions = {package: installed_version(package) for package in PACKAGES}
    return found | {package: known for package, known in versions.items() if known}


def _scaled(name: str, returns: np.ndarray, by: str, cut: list[int]) -> dict[str, Any]:
    """The returns (episodes,) on one scale, or why they are left out of it.

    `cut` has the lengths of the episodes that a limit ended.
    """
    scores = normalise(name, returns, by)
    if scores is None:
        return {"left_out": why_not(name, by)}
    # Half an episode cannot be compared with a whole one: Pong stands at 0 before anyone has lost.
    if cut:
        how = f"cut short after {max(cut):,} steps"
        return {"left_out": f"{len(cut)} of {len(returns)} episodes were {how}"}
    return {
        "mean": float(scores.mean()),
        "std": float(scores.std()),
        "interval": bootstrap_interval(scores),
        "scores": scores.tolist(),
    }


def _success(successes: list[bool | None]) -> dict[str, Any] | None:
    """The share of episodes that succeed, with its interval; None where a task cannot tell."""
    if None in successes:
        return None
    count, episodes = sum(map(bool, successes)), len(successes)
    return {"rate": count / episodes, "interval": success_interval(count, episodes)}


def _average(tasks: dict[str, TaskResults], scale: str) -> dict[str, Any]:
    """Mean, IQM and median of the tasks that have this scale, with stratified bootstrap intervals.

    None each where no task has it.
    """
    left_out = {
        name: task[scale]["left_out"] for name, task in tasks.items() if "left_out" in task[scale]
    }
    kept = [name for name in tasks if name not in left_out]
    average: dict[str, Any] = {"tasks": kept, "left_out": left_out}
    matrix = np.array([tasks[name][scale]["scores"] for name in kept]).T  # (episodes, tasks)
    for key, statistic in STATISTICS.items():
        average[key] = float(statistic(matrix)) if kept else None
        average[f"{key}_interval"] = bootstrap_interval(matrix, statistic) if kept else None
    return average
