"""The methods: what is shown of a task -> an agent, and its costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jatlab.agents.retrieval.retrieve import RetrieveAndPlay
from jatlab.data.storage import EpisodeStore
from jatlab.experiments.ablations.unseen.known import (
    MODEL,
    Known,
    base_agent,
    context_agent,
    known_to,
)
from jatlab.experiments.ablations.unseen.lora import add_lora, merge_lora
from jatlab.experiments.ablations.unseen.tuning import context_source, tune, window_source
from jatlab.experiments.recipes import mini
from jatlab.tasks import get_task

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.data.retrieval.index import DemonstrationIndex
    from jatlab.data.windows import WindowSource
    from jatlab.experiments.ablations.variants import Variant

Made = tuple[Any, dict[str, float]]


@dataclass(frozen=True)
class Shown:
    """What one agent is made of.

    Attributes:
        task: that is new to it.
        variant: what is done with its demonstrations, and how many there are.
        seed: of all training, and of which demonstrations are shown.
        folder: of the demonstrations, in shown, and of the agents that know other tasks.
    """

    task: str
    variant: Variant
    seed: int
    folder: Path

    @property
    def known(self) -> Known:
        """What an agent knows that the task is new to."""
        return known_to(self.task)

    @property
    def windows(self) -> dict[str, int]:
        """The memory of an agent that is made of the demonstrations."""
        return {get_task(self.task).domain: self.known.window}

    def store(self) -> EpisodeStore:
        """The demonstrations: each seed has others, as long as there are enough."""
        store = EpisodeStore.open(get_task(self.task), self.folder / "shown")
        have = len(store.lengths)
        count = self.variant.shown or have
        return store.part((self.seed % have * count + np.arange(count)) % have)


# --- the agents to begin with


def known_agent(shown: Shown) -> Agent:
    """The agent of other tasks that a variant starts from."""
    from jatlab.agents.checkpoints import load_agent

    if shown.variant.start is None:
        agent = base_agent(shown.known, shown.folder, shown.seed)
    else:
        agent = load_agent(shown.variant.start)
    windows = {**(agent.settings.windows or {}), **shown.windows}
    agent.settings = agent.settings.replace(windows=windows)
    return agent


def frames_by(shown: Shown) -> Agent | None:
    """The agent whose encoder compares a task's frames: one that was not shown it either."""
    return known_agent(shown) if get_task(shown.task).observation == "image" else None


def untrained(shown: Shown) -> Agent:
    """An agent with random weights, of the size of the one that knows other tasks."""
    from jatlab.agents.agent import Agent
    from jatlab.agents.settings import AgentSettings
    from jatlab.model import JatModel
    from jatlab.model.config import JatConfig

    torch.manual_seed(shown.seed)
    preset, fields = ("mini", mini.MODEL) if shown.variant.start else ("nano", MODEL)
    model = JatModel(JatConfig.preset(preset, **fields))
    return Agent(model, settings=AgentSettings(windows=shown.windows))


def _copy(agent: Agent) -> Any:
    from jatlab.model import JatModel

    model = JatModel(agent.model.config)
    model.load_state_dict(agent.model.state_dict())
    return model


def _size(model: Any) -> int:
    return sum(weights.numel() for weights in model.parameters())


def _stored(index: DemonstrationIndex, encoder: Agent | None) -> int:
    """The numbers that an index compares and repeats, in place of weights: of frames, features."""
    seen = index.task.observation_size if encoder is None else encoder.model.config.hidden_size
    return len(index) * (seen + index.task.action_size)


# --- the methods


def _zero_shot(shown: Shown) -> Made:
    base = known_agent(shown)
    return base, {"training_minutes": 0.0, "timesteps": 0, "parameters": _size(base.model)}


def _retrieve(shown: Shown) -> Made:
    encoder = frames_by(shown)
    agent = RetrieveAndPlay(shown.task, shown.store(), encoder=encoder)
    return agent, {
        "training_minutes": 0.0,
        "timesteps": len(agent.index),
        "parameters": _stored(agent.index, encoder),
    }


def _in_context(shown: Shown) -> Made:
    from jatlab.agents.retrieval.in_context import InContextAgent

    known, encoder = context_agent(shown.known, shown.folder, shown.seed), frames_by(shown)
    agent = InContextAgent(known, shown.task, shown.store(), encoder=encoder)
    costs = {"training_minutes": 0.0, "timesteps": len(agent.index)}
    return agent, costs | {"parameters": _size(agent.model) + _stored(agent.index, encoder)}


def _in_context_tuned(shown: Shown) -> Made:
    from jatlab.agents.agent import Agent
    from jatlab.agents.retrieval.in_context import InContextAgent

    agent, store = context_agent(shown.known, shown.folder, shown.seed), shown.store()
    model, source = _copy(agent), window_source(store, agent, shown.known.window)
    encoder = frames_by(shown)
    fact = _tune(model, context_source(source, agent.settings, shown.seed, encoder), shown)
    tuned = Agent(model, agent.tokenizer, {"name": shown.variant.name}, agent.settings)
    player = InContextAgent(tuned, shown.task, store, encoder=encoder)
    return player, fact | {"parameters": _size(model) + _stored(player.index, encoder)}


def _tuned(shown: Shown) -> Made:
    """Behaviour cloning, from random weights or from those of the agent of other tasks."""
    from jatlab.agents.agent import Agent

    method = shown.variant.method
    base = untrained(shown) if method == "clone" else known_agent(shown)
    model = _copy(base)
    torch.manual_seed(shown.seed)
    adapted = add_lora(model) if method == "lora" else []
    fact = _tune(model, window_source(shown.store(), base, shown.known.window), shown)
    merge_lora(adapted)
    return Agent(model, base.tokenizer, {"name": shown.variant.name}, base.settings), fact


def _tune(model: Any, source: WindowSource, shown: Shown) -> dict[str, float]:
    """Train a model on what is shown; returns what that cost."""
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    started = perf_counter()
    timesteps = tune(model, source, shown.variant.steps, shown.seed)
    minutes = (perf_counter() - started) / 60
    parameters = sum(weights.numel() for weights in trained)
    return {"training_minutes": minutes, "timesteps": timesteps, "parameters": parameters}


METHODS = {
    "zero-shot": _zero_shot,
    "retrieve": _retrieve,
    "clone": _tuned,
    "in-context": _in_context,
    "fine-tune": _tuned,
    "lora": _tuned,
    "in-context-tuned": _in_context_tuned,
}
