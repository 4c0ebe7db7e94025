"""Runs of `jatlab ablate unseen`: a few demonstrations of a task that the agent was never shown.

A small agent learns 45 of Meta-World's 50 tasks. Each variant then gets some demonstrations of each
of the other five, makes an agent of them, and plays: nothing is done (zero-shot), the nearest
demonstrated timestep is repeated (retrieve), or a model is trained on them, from random weights
(clone) or from the small agent's (fine-tune, lora).
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jatlab.agents.retrieve import RetrieveAndPlay
from jatlab.data.storage import EpisodeStore
from jatlab.experiments.ablations.lora import add_lora, merge_lora
from jatlab.experiments.ablations.runs import demonstrate, milliseconds_to_act, play
from jatlab.experiments.ablations.variants import UNSEEN_BASE, UNSEEN_TUNING, Variant
from jatlab.experiments.recipes import stages
from jatlab.experiments.recipes.splits import remaining
from jatlab.tasks import get_task, task_names

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.data.windows import WindowSource
    from jatlab.training.recipe import TrainConfig

OLD_TASKS = ("metaworld-reach", "metaworld-drawer-open")  # that a tuned agent may have forgotten
OLD_EPISODES = 10


def run_unseen(variant: Variant, seed: int, episodes: int, data: str | Path) -> dict[str, Any]:
    """One variant and seed: an agent for each of its tasks, and how each plays.

    Args:
        variant: with a method, and how many demonstrations it is shown.
        seed: of the training.
        episodes: to play of each task.
        data: the folder of the demonstrations; missing ones are recorded.

    Returns:
        As `jatlab.experiments.ablations.runs.run_point`; of a tuned agent, and of the one that it
        was tuned from, also "old": the scores of two tasks that it had learnt.
    """
    started = perf_counter()
    base = base_agent(Path(data).parent / "unseen")
    tasks, facts, old = {}, [], None
    for task in variant.tasks:
        demonstrate(task, data)
        agent, fact = _METHODS[variant.method or ""](base, task, variant, seed, data)
        tasks[task] = play(agent, task, episodes)
        facts.append(fact | {"act_milliseconds": milliseconds_to_act(agent, task)})
        if old is None and variant.method in ("zero-shot", "fine-tune", "lora"):
            old = {name: play(agent, name, OLD_EPISODES)["mean"] for name in OLD_TASKS}
    means = {key: round(float(np.mean([fact[key] for fact in facts])), 3) for key in facts[0]}
    run = {"variant": variant.name, "seed": seed, **means, "tasks": tasks}
    minutes = round((perf_counter() - started) / 60, 2)
    return run | {"minutes": minutes} | ({} if old is None else {"old": old})


# --- the agent that was not shown the tasks


def base_agent(folder: Path) -> Agent:
    """The small agent of the other 45 tasks; it is trained where it is missing."""
    from jatlab.agents.checkpoints import load_agent
    from jatlab.data.recording.record import record

    names = remaining(task_names("metaworld"), ["ml45"])
    if not (folder / "agent" / "training.json").exists():
        record(names, folder / "data", UNSEEN_BASE["episodes"], noise=UNSEEN_BASE["noise"])
        stages.train_once(base_recipe(names, folder))
    return load_agent(folder / "agent")


def base_recipe(names: list[str], folder: Path) -> TrainConfig:
    """How the small agent is trained."""
    from jatlab.training.recipe import TrainConfig

    return TrainConfig(
        data=str(folder / "data"),
        output=str(folder / "agent"),
        tasks=names,
        steps=UNSEEN_BASE["steps"],
        batch_timesteps=512,
        accumulate=2,
        mix=True,
        average=0.99,
        random_start=True,
        model={"continuous_symlog": True},
        windows={"metaworld": UNSEEN_TUNING["window"]},
        observations_predicted=UNSEEN_TUNING["observations_predicted"],
        loss_weights=stages.loss_weights(names, folder / "data"),
        val_fraction=0.0,
        save_every=250,
    )


# --- the methods: the small agent, a task, its variant, a seed, the data -> an agent and its costs


def _zero_shot(
    base: Agent, task: str, variant: Variant, seed: int, data: str | Path
) -> tuple[Any, dict[str, float]]:
    parameters = sum(weights.numel() for weights in base.model.parameters())
    return base, {"training_minutes": 0.0, "timesteps": 0, "parameters": parameters}


def _retrieve(
    base: Agent, task: str, variant: Variant, seed: int, data: str | Path
) -> tuple[Any, dict[str, float]]:
    agent = RetrieveAndPlay(task, data, variant.shown)
    # it stores numbers in place of weights
    stored = len(agent.index) * (get_task(task).observation_size + get_task(task).action_size)
    return agent, {"training_minutes": 0.0, "timesteps": len(agent.index), "parameters": stored}


def _tuned(
    base: Agent, task: str, variant: Variant, seed: int, data: str | Path
) -> tuple[Any, dict[str, float]]:
    """Behaviour cloning, from random weights or from the small agent's."""
    from jatlab.agents.agent import Agent
    from jatlab.model import JatModel

    torch.manual_seed(seed)
    model = JatModel(base.model.config)
    if variant.method != "clone":
        model.load_state_dict(base.model.state_dict())
    store = _store(task, data, variant.shown)
    started = perf_counter()
    adapted = add_lora(model) if variant.method == "lora" else []
    parameters = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    timesteps = tune(model, store, base, variant.steps, seed)
    merge_lora(adapted)
    minutes = (perf_counter() - started) / 60
    agent = Agent(model, base.tokenizer, {"name": variant.name}, base.settings)
    return agent, {
        "training_minutes": minutes,
        "timesteps": timesteps,
        "parameters": parameters,
    }


_METHODS = {
    "zero-shot": _zero_shot,
    "retrieve": _retrieve,
    "clone": _tuned,
    "fine-tune": _tuned,
    "lora": _tuned,
}


def tune(model: Any, store: EpisodeStore, base: Agent, steps: int, seed: int) -> int:
    """Train a model on some demonstrations; returns how many timesteps its batches had.

    Args:
        model: its weights with a gradient are trained.
        store: the demonstrations.
        base: the agent whose windows and tokenizer are used.
        steps: of training.
        seed: of the batches.
    """
    from jatlab.data.mixture import Mixture
    from jatlab.data.windows import to_tensors
    from jatlab.model.objectives import Objective

    torch.manual_seed(seed)
    model.train().objective = Objective(
        observations_predicted=UNSEEN_TUNING["observations_predicted"]
    )
    weights = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, UNSEEN_TUNING["lr"], betas=(0.9, 0.95))
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / (steps - warmup + 1))
    )
    mixture, timesteps = Mixture([_source(store, base)], UNSEEN_TUNING["batch"], seed=seed), 0
    for plan in islice(mixture, steps):
        batch = plan.load()
        loss = model(**to_tensors(batch)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        timesteps += int(batch["attention_mask"].sum())
    model.eval()
    return timesteps


def _source(store: EpisodeStore, base: Agent) -> WindowSource:
    from jatlab.data.windows import source_for

    spread = float(store.columns["continuous_actions"].std(0).mean())
    weight, window = stages.ACTION_SPREAD_WEIGHT / spread, UNSEEN_TUNING["window"]
    return source_for(store, base.model.config, base.tokenizer, window, True, weight)


def _store(task: str, data: str | Path, count: int | None) -> EpisodeStore:
    from jatlab.data.episodes import read_episodes

    episodes = read_episodes(Path(data) / task / "train", get_task(task))
    return EpisodeStore.of_episodes(get_task(task), episodes[:count])
