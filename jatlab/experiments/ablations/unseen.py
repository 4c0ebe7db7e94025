"""Runs of `jatlab ablate unseen`: a few demonstrations of a task that the agent was never shown.

A small agent learns 45 of Meta-World's 50 tasks, and an in-context agent of the same size learns
them too. Each variant then gets some demonstrations of each of the other five, makes an agent of
them, and plays: nothing is done (zero-shot), the nearest demonstrated timestep is repeated
(retrieve), a model is trained on them, from random weights (clone) or from the small agent's
(fine-tune, lora), or the in-context agent acts from them, as it is (in-context) or trained on
(in-context-tuned).

`jatlab ablate few-shown` asks the same of tasks outside the benchmarks, which jatlab-mini was not
shown: a variant that starts from jatlab-mini has it in place of the small agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jatlab.agents.retrieval.retrieve import RetrieveAndPlay
from jatlab.data.storage import EpisodeStore
from jatlab.experiments.ablations.lora import add_lora, merge_lora
from jatlab.experiments.ablations.runs import demonstrate, milliseconds_to_act, play
from jatlab.experiments.ablations.variants import (
    UNSEEN_BASE,
    UNSEEN_CONTEXT,
    UNSEEN_MODEL,
    UNSEEN_TUNING,
    Variant,
)
from jatlab.experiments.recipes import mini, stages
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
        seed: of the training, and of which demonstrations are shown.
        episodes: to play of each task.
        data: the folder of the demonstrations; missing ones are recorded.

    Returns:
        As `jatlab.experiments.ablations.runs.run_point`; of a tuned agent, and of the one that it
        was tuned from, also "old": the scores of two tasks that it had learnt.
    """
    started = perf_counter()
    tasks, facts, old = {}, [], None
    for task in variant.tasks:
        demonstrate(task, data)
        shown = Shown(task, variant, seed, Path(data))
        agent, fact = _METHODS[variant.method or ""](shown)
        tasks[task] = play(agent, task, episodes)
        facts.append(fact | {"act_milliseconds": milliseconds_to_act(agent, task)})
        if old is None and variant.method in ("zero-shot", "fine-tune", "lora"):
            old = {name: play(agent, name, OLD_EPISODES)["mean"] for name in OLD_TASKS}
    means = {key: round(float(np.mean([fact[key] for fact in facts])), 5) for key in facts[0]}
    run = {"variant": variant.name, "seed": seed, **means, "tasks": tasks}
    minutes = round((perf_counter() - started) / 60, 2)
    return run | {"minutes": minutes} | ({} if old is None else {"old": old})


@dataclass(frozen=True)
class Shown:
    """What one agent is made of.

    Attributes:
        task: that is new to it.
        variant: what is done with its demonstrations, and how many there are.
        seed: of the training, and of which demonstrations are shown.
        data: the folder of the demonstrations.
    """

    task: str
    variant: Variant
    seed: int
    data: Path

    @property
    def folder(self) -> Path:
        """Where the agents of the other tasks are."""
        return self.data.parent / "unseen"

    def store(self) -> EpisodeStore:
        """The demonstrations: each seed has others, as long as there are enough."""
        from jatlab.data.episodes import read_episodes

        episodes = read_episodes(self.data / self.task / "train", get_task(self.task))
        count = self.variant.shown or len(episodes)
        first = self.seed * count
        chosen = [episodes[(first + i) % len(episodes)] for i in range(count)]
        return EpisodeStore.of_episodes(get_task(self.task), chosen)


# --- the agents that were not shown the tasks


def known_agent(shown: Shown) -> Agent:
    """The agent of other tasks that a variant starts from."""
    from jatlab.agents.checkpoints import load_agent

    if shown.variant.start is None:
        return base_agent(shown.folder)
    agent = load_agent(shown.variant.start)
    window = {get_task(shown.task).domain: UNSEEN_TUNING["window"]}
    agent.settings = agent.settings.replace(windows={**(agent.settings.windows or {}), **window})
    return agent


def base_agent(folder: Path) -> Agent:
    """The small agent of the other 45 tasks; it is trained where it is missing."""
    return _trained(folder, "agent", {"windows": {"metaworld": UNSEEN_TUNING["window"]}})


def context_agent(folder: Path) -> Agent:
    """The in-context agent of the other 45 tasks; it is trained where it is missing."""
    return _trained(folder, "in-context", {"in_context": True})


def _trained(folder: Path, name: str, fields: dict[str, Any]) -> Agent:
    from jatlab.agents.checkpoints import load_agent
    from jatlab.data.recording.record import record

    names = remaining(task_names("metaworld"), ["ml45"])
    if not (folder / name / "training.json").exists():
        record(names, folder / "data", UNSEEN_BASE["episodes"], noise=UNSEEN_BASE["noise"])
        stages.train_once(other_tasks_recipe(names, folder, name, fields))
    return load_agent(folder / name)


def other_tasks_recipe(
    names: list[str], folder: Path, name: str, fields: dict[str, Any]
) -> TrainConfig:
    """How an agent of the other tasks is trained.

    Args:
        names: of the tasks.
        folder: has their recordings.
        name: of the agent.
        fields: of the recipe, that are this agent's own.
    """
    from jatlab.training.recipe import TrainConfig

    own = UNSEEN_CONTEXT if "in_context" in fields else _base_training()
    return TrainConfig(
        data=str(folder / "data"),
        output=str(folder / name),
        tasks=names,
        mix=True,
        average=0.99,
        model=UNSEEN_MODEL,
        loss_weights=stages.loss_weights(names, folder / "data"),
        val_fraction=0.0,
        save_every=250,
        **own,
        **fields,
    )


def _base_training() -> dict[str, Any]:
    """The fields of the small agent's own recipe."""
    return {
        "steps": UNSEEN_BASE["steps"],
        "batch_timesteps": 512,
        "accumulate": 2,
        "random_start": True,
        "observations_predicted": UNSEEN_TUNING["observations_predicted"],
    }


# --- the methods: what is shown -> an agent and its costs

Made = tuple[Any, dict[str, float]]


def _zero_shot(shown: Shown) -> Made:
    base = known_agent(shown)
    return base, {"training_minutes": 0.0, "timesteps": 0, "parameters": _size(base.model)}


def _retrieve(shown: Shown) -> Made:
    agent = RetrieveAndPlay(shown.task, shown.store())
    return agent, {
        "training_minutes": 0.0,
        "timesteps": len(agent.index),
        "parameters": _stored(agent.index),
    }


def _in_context(shown: Shown) -> Made:
    from jatlab.agents.retrieval.in_context import InContextAgent

    agent = InContextAgent(context_agent(shown.folder), shown.task, shown.store())
    costs = {"training_minutes": 0.0, "timesteps": len(agent.index)}
    return agent, costs | {"parameters": _size(agent.model) + _stored(agent.index)}


def _in_context_tuned(shown: Shown) -> Made:
    from jatlab.agents.agent import Agent
    from jatlab.agents.retrieval.in_context import InContextAgent

    agent, store = context_agent(shown.folder), shown.store()
    model = _copy(agent)
    fact = _tune(model, context_source(store, agent, shown.seed), shown)
    tuned = Agent(model, agent.tokenizer, {"name": shown.variant.name}, agent.settings)
    player = InContextAgent(tuned, shown.task, store)
    return player, fact | {"parameters": _size(model) + _stored(player.index)}


def _tuned(shown: Shown) -> Made:
    """Behaviour cloning, from random weights or from those of the agent of other tasks."""
    from jatlab.agents.agent import Agent

    method = shown.variant.method
    base = untrained(shown) if method == "clone" else known_agent(shown)
    model = _copy(base)
    torch.manual_seed(shown.seed)
    adapted = add_lora(model) if method == "lora" else []
    fact = _tune(model, _source(shown.store(), base), shown)
    merge_lora(adapted)
    return Agent(model, base.tokenizer, {"name": shown.variant.name}, base.settings), fact


_METHODS = {
    "zero-shot": _zero_shot,
    "retrieve": _retrieve,
    "clone": _tuned,
    "in-context": _in_context,
    "fine-tune": _tuned,
    "lora": _tuned,
    "in-context-tuned": _in_context_tuned,
}


def untrained(shown: Shown) -> Agent:
    """An agent with random weights, of the size of the one that knows other tasks."""
    from jatlab.agents.agent import Agent
    from jatlab.agents.settings import AgentSettings
    from jatlab.model import JatModel
    from jatlab.model.config import JatConfig

    torch.manual_seed(shown.seed)
    preset, fields = ("mini", mini.MODEL) if shown.variant.start else ("nano", UNSEEN_MODEL)
    window = {get_task(shown.task).domain: UNSEEN_TUNING["window"]}
    model = JatModel(JatConfig.preset(preset, **fields))
    return Agent(model, settings=AgentSettings(windows=window))


def _copy(agent: Agent) -> Any:
    from jatlab.model import JatModel

    model = JatModel(agent.model.config)
    model.load_state_dict(agent.model.state_dict())
    return model


def _size(model: Any) -> int:
    return sum(weights.numel() for weights in model.parameters())


def _stored(index: Any) -> int:
    """The numbers that an index stores in place of weights."""
    return len(index) * (index.task.observation_size + index.task.action_size)


# --- training on the demonstrations


def _tune(model: Any, source: WindowSource, shown: Shown) -> dict[str, float]:
    """Train a model on what is shown; returns what that cost."""
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    started = perf_counter()
    timesteps = tune(model, source, shown.variant.steps, shown.seed)
    minutes = (perf_counter() - started) / 60
    parameters = sum(weights.numel() for weights in trained)
    return {"training_minutes": minutes, "timesteps": timesteps, "parameters": parameters}


def tune(model: Any, source: WindowSource, steps: int, seed: int) -> int:
    """Train a model on some demonstrations; returns how many timesteps its batches had.

    Args:
        model: its weights with a gradient are trained.
        source: of the demonstrations' windows.
        steps: of training.
        seed: of the batches.
    """
    from jatlab.data.mixture import Mixture
    from jatlab.data.windows import to_tensors
    from jatlab.model.objectives import EVERYTHING, Objective

    torch.manual_seed(seed)
    few = Objective(observations_predicted=UNSEEN_TUNING["observations_predicted"])
    model.train().objective = few if model.config.hide_past_actions else EVERYTHING
    weights = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, UNSEEN_TUNING["lr"], betas=(0.9, 0.95))
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / (steps - warmup + 1))
    )
    mixture, timesteps = Mixture([source], UNSEEN_TUNING["batch"], seed=seed), 0
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


def _source(store: EpisodeStore, agent: Agent) -> WindowSource:
    """The windows of some demonstrations, as an agent's model takes them."""
    from jatlab.data.windows import source_for

    weight, window = 1.0, UNSEEN_TUNING["window"]
    if store.task.action == "continuous":
        spread = float(store.columns["continuous_actions"].std(0).mean())
        weight = stages.ACTION_SPREAD_WEIGHT / spread
    return source_for(store, agent.model.config, agent.tokenizer, window, True, weight)


def context_source(store: EpisodeStore, agent: Agent, seed: int) -> WindowSource:
    """The same demonstrations as queries, each behind what is retrieved from the others."""
    from jatlab.data.retrieval.context import ContextSource

    source, settings = _source(store, agent), agent.settings
    return ContextSource(source, source.episodes, settings.retrieved, settings.sharpness, seed)
