"""Training on a few demonstrations of a task."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from jatlab.experiments.recipes import stages

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.agents.settings import AgentSettings
    from jatlab.data.storage import EpisodeStore
    from jatlab.data.windows import WindowSource

TUNING: dict[str, Any] = {
    "batch": 256,  # timesteps
    "lr": 1e-3,
    "observations_predicted": 0.125,
}


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
    few = Objective(observations_predicted=TUNING["observations_predicted"])
    model.train().objective = few if model.config.hide_past_actions else EVERYTHING
    weights = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, TUNING["lr"], betas=(0.9, 0.95))
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / (steps - warmup + 1))
    )
    mixture, timesteps = Mixture([source], TUNING["batch"], seed=seed), 0
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


def window_source(store: EpisodeStore, agent: Agent, window: int) -> WindowSource:
    """The windows of some demonstrations, as an agent's model takes them.

    Args:
        store: the demonstrations.
        agent: of the model, with its tokenizer.
        window: timesteps of a window.
    """
    from jatlab.data.windows import source_for

    weight = 1.0
    if store.task.action == "continuous":
        spread = float(store.columns["continuous_actions"].std(0).mean())
        weight = stages.ACTION_SPREAD_WEIGHT / spread
    return source_for(store, agent.model.config, agent.tokenizer, window, True, weight)


def context_source(
    source: WindowSource, settings: AgentSettings, seed: int, encoder: Agent | None
) -> WindowSource:
    """The same demonstrations as queries, each behind what is retrieved from the others.

    Args:
        source: of the demonstrations.
        settings: of the in-context agent.
        seed: of what is retrieved from.
        encoder: of frames; None where there are none.
    """
    from jatlab.agents.retrieval.retrieve import frame_encoder
    from jatlab.data.retrieval.context import ContextSource

    encode = None if encoder is None else frame_encoder(encoder)
    return ContextSource(
        source, source.episodes, settings.retrieved, settings.sharpness, seed, encode
    )
