"""Runs of `jatlab ablate specialists`: JAT against the network of each domain, in equal minutes.

A variant is one task, one network and so many minutes of training on one thread. Texts are not
played; their score is how many times the perplexity is below the unigram's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jatlab.experiments.ablations.runs import demonstrate, play
from jatlab.experiments.ablations.variants import Variant, demonstrations, recipe
from jatlab.tasks import get_task, make_env, short_name

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.experiments.baselines.specialist_agent import SpecialistAgent

ENVIRONMENTS = (1, 64)  # for which acting is measured
DECISIONS = 30  # that are measured, with the memory full


def run_specialist(variant: Variant, seed: int, episodes: int, data: str | Path) -> dict[str, Any]:
    """Train one network on one task for the variant's minutes, and let it play or read.

    Args:
        variant: with one task, a start and minutes.
        seed: of the training.
        episodes: to play.
        data: the folder of the demonstrations; missing ones are recorded.

    Returns:
        As `jatlab.experiments.ablations.runs.run_point`; also, for tasks that are played, "acting":
        for 1 and 64 environments {"milliseconds" of a step, "megabytes" of weights and of what is
        remembered}.
    """
    started = perf_counter()
    [task] = variant.tasks
    show(task, data)
    agent, facts = _made(variant, seed, data)
    if get_task(task).playable:
        tasks = {task: play(agent, task, episodes)}
        facts["acting"] = {str(n): acting(agent, task, n) for n in ENVIRONMENTS}
    else:
        tasks = {task: read(agent, task, data)}
    minutes = round((perf_counter() - started) / 60, 2)
    return {"variant": variant.name, "seed": seed, **facts, "minutes": minutes, "tasks": tasks}


def show(task: str, data: str | Path) -> None:
    """Record what a network learns the task from, unless it exists."""
    from jatlab.data.recording.record import record

    if get_task(task).playable:
        demonstrate(task, data)
    else:
        record([task], data, demonstrations(task)[0], workers=1, progress=False)


def _made(
    variant: Variant, seed: int, data: str | Path
) -> tuple[Agent | SpecialistAgent, dict[str, Any]]:
    """The agent, and {"steps", "timesteps", "training_minutes", "parameters"}."""
    from jatlab.agents.checkpoints import load_agent
    from jatlab.experiments.baselines.specialist_agent import train_specialist
    from jatlab.training.trainer import train

    if variant.start == "jatlab-mini":  # as it is
        agent = load_agent("jatlab-mini")
        size = sum(weights.numel() for weights in agent.model.parameters())
        return agent, {"steps": 0, "timesteps": 0, "training_minutes": 0.0, "parameters": size}
    budget: dict[str, Any] = {"steps": None, "minutes": variant.minutes} if variant.minutes else {}
    started = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        choices = replace(recipe(variant, seed, data, folder), **budget)
        own = variant.start == "specialist"
        made: Any = train_specialist(choices) if own else load_agent(train(choices))
    minutes = round((perf_counter() - started) / 60, 4)
    facts = {"steps": made.info["step"], "timesteps": made.info["timesteps"]}
    return made, facts | {"training_minutes": minutes, "parameters": made.info["parameters"]}


def read(agent: Agent | SpecialistAgent, task: str, data: str | Path) -> dict[str, Any]:
    """How well an agent predicts the held-out texts of a task, in the form of `play`."""
    from jatlab.evaluation.language import perplexity

    found = perplexity(agent, task, data)  # type: ignore[arg-type]  # a model and a tokenizer do
    score = round(found["unigram"] / found["perplexity"], 4)
    return {
        "mean": score,
        "success": None,
        "scores": [score],
        "perplexity": round(found["perplexity"], 2),
        "unigram": round(found["unigram"], 2),
    }


# --- what acting costs


@torch.inference_mode()
def acting(agent: Any, task: str, n: int) -> dict[str, float]:
    """The median time of a step of n environments in lockstep, and what it needs.

    Args:
        agent: who acts.
        task: that is played.
        n: environments; all see the observations of one.

    Returns:
        {"milliseconds", "megabytes"}: of a step when the memory is full, and of weights and memory.
    """
    env, times = make_env(task, render_mode=None), []
    agent.reset(n, task)
    observation, _ = env.reset(seed=0)
    env.close()
    context = agent.memory.context if hasattr(agent, "memory") else 0
    for step in range(context + DECISIONS):
        started = perf_counter()
        agent.act([observation] * n, [0.0] * n, [step == 0] * n)
        times.append(1000 * (perf_counter() - started))
    held = sum(tensor.nbytes for tensor in (*agent.model.parameters(), *_remembered(agent)))
    median = float(np.median(times[-DECISIONS:]))
    return {"milliseconds": round(median, 3), "megabytes": round(held / 1e6, 2)}


def _remembered(agent: Any) -> list[torch.Tensor]:
    """What an agent holds of the episodes that it plays."""
    if not hasattr(agent, "memory"):
        return [] if agent.state is None else [agent.state]
    cache = agent.memory.cache
    return [*cache.keys, *cache.values]


# --- what a run cost, beside the others


def minutes_to_reach(points: Mapping[float, float], score: float) -> float | None:
    """The minutes of training at which a score is reached, between two of them by interpolation.

    Args:
        points: minutes of training -> the mean score.
        score: to reach.

    Returns:
        The minutes, on a logarithmic scale between two points; None where it is not reached.
    """
    before: tuple[float, float] | None = None
    for minutes, mean in sorted(points.items()):
        if mean >= score and before is None:
            return minutes
        if mean >= score and before is not None:
            share = (score - before[1]) / (mean - before[1])
            return float(before[0] * (minutes / before[0]) ** share)
        before = (minutes, mean)
    return None


def costs_table(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """What each network costs on each task: the head and the rows of a table.

    "to 90 %" is the training after which it has 90 % of the task's best score of all networks.
    """
    head = ["task", "network", "parameters", "best score", "minutes to 90 %"]
    head += [f"ms, {n}" for n in ENVIRONMENTS] + [f"MB, {n}" for n in ENVIRONMENTS]
    rows = []
    for task, summary in results["summary"].items():
        best = max(found["mean"] for found in summary.values())
        for who, names in _by_network(results, task).items():
            rows.append([short_name(task), who, *_costs(results, task, names, best)])
    return head, rows


def _by_network(results: Mapping[str, Any], task: str) -> dict[str, list[str]]:
    """The variants of a task by network."""
    found: dict[str, list[str]] = {}
    for name in results["summary"][task]:
        found.setdefault(name.partition(": ")[2].partition(",")[0], []).append(name)
    return found


def _costs(results: Mapping[str, Any], task: str, names: list[str], best: float) -> list[str]:
    """The cells of one network's row."""
    summary = results["summary"][task]
    minutes = {variant["name"]: variant["value"] for variant in results["variants"]}
    points = {minutes[name]: summary[name]["mean"] for name in names if minutes[name]}
    reached = minutes_to_reach(points, 0.9 * best) if points else None
    never = f"over {max(points):g}" if points else "–"
    runs = [run for run in results["runs"] if run["variant"] in names]
    cells = [
        f"{runs[0]['parameters']:,}",
        f"{max(summary[name]['mean'] for name in names):.2f}",
        never if reached is None else f"{reached:.1f}",
    ]
    for quantity in ("milliseconds", "megabytes"):
        for n in ENVIRONMENTS:
            held = [run["acting"][str(n)][quantity] for run in runs if "acting" in run]
            cells.append(_short(float(np.median(held))) if held else "–")
    return cells


def _short(value: float) -> str:
    """Two digits after the point of what is below 1, else one."""
    return f"{value:.2f}" if value < 1 else f"{value:,.1f}"
