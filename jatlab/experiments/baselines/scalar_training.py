"""Training an agent with a token for each number, the way `jatlab.training.trainer` trains JAT."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jatlab.data.mixture import Mixture
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import Batch, WindowSource, open_source
from jatlab.experiments.baselines.fitting import fit
from jatlab.experiments.baselines.scalar_agent import ScalarAgent
from jatlab.experiments.baselines.scalar_model import Layout, ScalarModel
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from jatlab.training.recipe import TrainConfig


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
    trained = fit(model, recipe, mixture, lambda batch: batch_loss(model, batch))
    size = sum(p.numel() for p in model.parameters())
    info = {**trained, "parameters": size, "context": model.context}
    return ScalarAgent(model, tokenizer, info)


def longest_mission(name: str, data: str, tokenizer: TextTokenizer) -> int:
    """Tokens of the longest mission among a task's demonstrations; 0 if it has no missions."""
    source = open_source(name, data, JatConfig.preset("nano"), tokenizer)
    if not isinstance(source, WindowSource) or source.text_ids is None:
        return 0
    return int((source.text_ids != tokenizer.pad_id).sum(1).max())


def batch_loss(model: ScalarModel, batch: Batch) -> Tensor:
    """The loss of one batch of windows, as `jatlab.data.windows.WindowSource` gives it."""
    layout = model.layout
    observations = layout.observation_ids(batch[f"{layout.task.observation}_observations"])
    actions = layout.action_ids(batch[f"{layout.task.action}_actions"])
    ids = np.concatenate([observations, actions], axis=-1)  # (B, T, K)
    valid = torch.from_numpy(batch["attention_mask"].astype(bool))
    return model(torch.from_numpy(ids), valid)
