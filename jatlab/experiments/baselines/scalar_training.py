"""Training an agent with a token for each number, the way `jatlab.training.trainer` trains JAT."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from jatlab.data.mixture import BatchPlan, Mixture, prefetch
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import Batch, WindowSource, open_source
from jatlab.experiments.baselines.scalar_agent import ScalarAgent
from jatlab.experiments.baselines.scalar_model import Layout, ScalarModel
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from jatlab.training.recipe import TrainConfig, learning_rate, make_optimizer, uses_bf16
from jatlab.training.state import EmaWeights


def train_scalar(recipe: TrainConfig) -> ScalarAgent:
    """Train on the recipe's only task, for its steps.

    Windows, optimizer, schedule, averaging and symmetries are the trainer's. The agent's ``info``
    is {"step", "timesteps", "parameters", "context"}.

    Raises:
        ValueError: the recipe has several tasks, or gives no steps.
    """
    if recipe.tasks is None or len(recipe.tasks) != 1 or recipe.steps is None:
        raise ValueError(
            "an agent of scalars trains on one task for a number of steps, "
            f"got tasks {recipe.tasks} and steps {recipe.steps}"
        )
    [name] = recipe.tasks
    torch.manual_seed(recipe.seed)
    tokenizer = TextTokenizer.load()
    config = JatConfig.preset(recipe.size, **recipe.model)
    layout = Layout(get_task(name), tokenizer, longest_mission(name, recipe.data, tokenizer))
    model = ScalarModel(config, layout)
    source = open_source(name, recipe.data, config, tokenizer, model.context)
    symmetries = GridSymmetries(tokenizer) if recipe.symmetries else None
    mixture = Mixture([source], recipe.batch_timesteps, {}, recipe.seed, symmetries)
    batches = islice(prefetch(mixture, 1), recipe.steps)
    info = {
        "step": recipe.steps,
        "timesteps": _fit(model, recipe, recipe.steps, batches),
        "parameters": sum(p.numel() for p in model.parameters()),
        "context": model.context,
    }
    return ScalarAgent(model, tokenizer, info)


def longest_mission(name: str, data: str, tokenizer: TextTokenizer) -> int:
    """Tokens of the longest mission among a task's demonstrations; 0 if it has no missions."""
    source = open_source(name, data, JatConfig.preset("nano"), tokenizer)
    if not isinstance(source, WindowSource) or source.text_ids is None:
        return 0
    return int((source.text_ids != tokenizer.pad_id).sum(1).max())


def _fit(
    model: ScalarModel,
    recipe: TrainConfig,
    steps: int,
    batches: Iterable[tuple[list[BatchPlan], list[Batch]]],
) -> int:
    """The training loop: the model gets its averaged weights. Returns the timesteps seen."""
    optimizer, average = make_optimizer(model, recipe), EmaWeights(model, recipe.average)
    bf16, timesteps = uses_bf16(recipe, torch.device("cpu")), 0
    for step, ([plan], [batch]) in enumerate(batches, start=1):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, (step - 1) / steps)
        (batch_loss(model, batch, bf16) * plan.share).backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        average.update(model, step)
        timesteps += plan.timesteps
    model.load_state_dict(average.values)
    return timesteps


def batch_loss(model: ScalarModel, batch: Batch, bf16: bool) -> Tensor:
    """The loss of one batch of windows, as `jatlab.data.windows.WindowSource` gives it."""
    layout = model.layout
    observations = layout.observation_ids(batch[f"{layout.task.observation}_observations"])
    actions = layout.action_ids(batch[f"{layout.task.action}_actions"])
    ids = np.concatenate([observations, actions], axis=-1)  # (B, T, K)
    valid = torch.from_numpy(batch["attention_mask"].astype(bool))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return model(torch.from_numpy(ids), valid)
