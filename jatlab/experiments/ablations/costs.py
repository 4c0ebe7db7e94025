"""What the variants of an ablation cost: minutes, milliseconds, megabytes, things forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jatlab.experiments.ablations import specialists

Table = tuple[list[str], list[list[str]]]  # head and rows
COSTS = ("training_minutes", "timesteps", "parameters", "act_milliseconds")
GOOD = 0.8  # of our teacher's score: a good episode
NOTHING = "–"
UNSEEN = ("unseen", "unseen-bodies", "unseen-rooms", "unseen-game", "few-shown")


def costs(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What each variant cost, the mean over its runs.

    Returns {variant: {"training_minutes", "timesteps" of training, "megabytes" of float32 weights,
    "act_milliseconds" of a decision}}.
    """
    found = {}
    for variant in results["variants"]:
        runs = _runs(results, variant["name"])
        mean = {key: float(np.mean([run[key] for run in runs])) for key in COSTS}
        found[variant["name"]] = mean | {"megabytes": 4e-6 * mean.pop("parameters")}
    return found


def cost_table(results: Mapping[str, Any]) -> Table | None:
    """The table of costs of the ablations that have one, by `TABLES`; else None."""
    made = TABLES.get(results["name"])
    return None if made is None else made(results)


def minutes_to_a_good_episode(run: Mapping[str, Any]) -> list[float | None]:
    """How long each task of a run takes from the demonstrations to the first good episode.

    That is the training, and the decisions until an episode that reaches `GOOD` of our teacher has
    ended. None where no episode was so good.
    """
    found: list[float | None] = []
    for played in run["tasks"].values():
        good = np.flatnonzero(np.array(played["scores"]) >= GOOD)
        if len(good) == 0:
            found.append(None)
            continue
        decisions = sum(played["lengths"][: good[0] + 1])
        found.append(run["training_minutes"] + decisions * run["act_milliseconds"] / 60_000)
    return found


def _unseen_table(results: Mapping[str, Any]) -> Table:
    head = ["variant", "training, minutes", "to a good episode, minutes", "tasks with one"]
    head += ["ms a decision", "MB", "old tasks"]
    return head, [_unseen_row(results, name, cost) for name, cost in costs(results).items()]


def _unseen_row(results: Mapping[str, Any], name: str, cost: Mapping[str, float]) -> list[str]:
    runs = _runs(results, name)
    waited = [minutes for run in runs for minutes in minutes_to_a_good_episode(run)]
    reached = [minutes for minutes in waited if minutes is not None]
    old = [score for run in runs for score in run.get("old", {}).values()]
    return [
        name,
        f"{cost['training_minutes']:.2f}",
        f"{np.median(reached):.2f}" if reached else NOTHING,
        f"{len(reached)} of {len(waited)}",
        f"{cost['act_milliseconds']:.1f}",
        f"{cost['megabytes']:.2f}",
        f"{np.mean(old):.2f}" if old else NOTHING,
    ]


def _runs(results: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [run for run in results["runs"] if run["variant"] == name]


TABLES = {
    "specialists": specialists.costs_table,
    **dict.fromkeys(UNSEEN, _unseen_table),
}
