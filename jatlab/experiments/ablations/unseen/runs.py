"""A run: an agent for each task that is held out, what it cost, and how it plays."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.experiments.ablations.runs import demonstrate, milliseconds_to_act, play
from jatlab.experiments.ablations.unseen.known import IN_CONTEXT, MODEL, TRAINING, known_to
from jatlab.experiments.ablations.unseen.methods import METHODS, Shown
from jatlab.experiments.ablations.unseen.tuning import TUNING
from jatlab.experiments.ablations.variants import shown_demonstrations

if TYPE_CHECKING:
    from jatlab.experiments.ablations.variants import Variant

OLD_EPISODES = 10
FORGETFUL = ("zero-shot", "fine-tune", "lora")  # methods whose agent had learnt other tasks


def run_unseen(variant: Variant, seed: int, episodes: int, data: str | Path) -> dict[str, Any]:
    """One variant and seed: an agent for each of its tasks, and how each plays.

    Args:
        variant: with a method, and how many demonstrations it is shown.
        seed: of all training, and of which demonstrations are shown.
        episodes: to play of each task.
        data: the folder of the ablations' demonstrations. Those shown here lie beside it, in
            unseen/shown, and the agents of other tasks in unseen; missing ones are made.

    Returns:
        As `jatlab.experiments.ablations.runs.run_point`; of a tuned agent, and of the one that it
        was tuned from, also "old": the scores of two tasks that it had learnt.
    """
    started, folder = perf_counter(), Path(data).parent / "unseen"
    tasks, facts, old = {}, [], None
    for task in variant.tasks:
        demonstrate(task, folder / "shown", shown_demonstrations)
        agent, fact = METHODS[variant.method or ""](Shown(task, variant, seed, folder))
        tasks[task] = play(agent, task, episodes)
        facts.append(fact | {"act_milliseconds": milliseconds_to_act(agent, task)})
        if old is None and variant.method in FORGETFUL:
            old = {name: play(agent, name, OLD_EPISODES)["mean"] for name in known_to(task).old}
    means = {key: round(float(np.mean([fact[key] for fact in facts])), 5) for key in facts[0]}
    run = {"variant": variant.name, "seed": seed, **means, "tasks": tasks}
    minutes = round((perf_counter() - started) / 60, 2)
    return run | {"minutes": minutes} | ({} if old is None else {"old": old})


def ingredients(variant: Variant) -> list[Any]:
    """What the runs of a variant depend on beside it: demonstrations, other tasks, and recipes.

    Args:
        variant: with a method.
    """
    shown = {task: shown_demonstrations(task) for task in variant.tasks}
    known = known_to(variant.tasks[0])
    alone = not known.frames and variant.method in ("retrieve", "clone")
    knows = variant.start is None and not alone
    in_context = variant.method in ("in-context", "in-context-tuned")
    learnt = [asdict(known), IN_CONTEXT if in_context else TRAINING] if knows else [known.window]
    return [MODEL, shown, TUNING, *learnt]
