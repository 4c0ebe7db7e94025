"""Specialists that are trained by imitation, and that act or read: `train_specialist`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.agents.sampling import draw, tempered
from jatlab.data.mixture import Mixture
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import Batch, WindowSource, open_source, to_tensors
from jatlab.experiments.baselines.acting import BaselineAgent
from jatlab.experiments.baselines.fitting import fit
from jatlab.experiments.baselines.specialists import (
    Convolutions,
    FilmGru,
    Perceptron,
    State,
    TextLstm,
)
from jatlab.model.config import JatConfig
from jatlab.model.losses import next_token_loss
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import Task, get_task
from jatlab.tasks.task import Observation
from jatlab.training.recipe import TrainConfig


class SpecialistAgent(BaselineAgent):
    """A specialist that acts in its task.

    Args:
        model: one of `jatlab.experiments.baselines.specialists`.
        task: that it was trained on.
        tokenizer: of missions and texts.
        mission_tokens: of a grid.
        info: what is known about its training.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        tokenizer: TextTokenizer,
        mission_tokens: int = 0,
        info: dict[str, Any] | None = None,
    ):
        super().__init__(model, task, tokenizer, info)
        self.mission_tokens = mission_tokens

    def _prepare(self, n: int) -> None:
        self.state: State = None

    def _forget(self, starts: np.ndarray) -> None:
        if self.state is not None:
            self.state = self.state * torch.from_numpy(~starts)[None, :, None]

    def _answer(self, observations: Sequence[Observation], temperature: float) -> list[Any]:
        outputs, self.state = self.model(self._values(observations)[:, None], self.state)
        if self.task.action == "continuous":
            return list(outputs[:, 0].numpy())
        shares = tempered(outputs[:, 0], temperature).double().numpy()
        return draw(shares, self.generators).tolist()

    def _values(self, observations: Sequence[Observation]) -> Tensor:
        """(n, …), as the network is trained on."""
        values = np.stack([o[f"{self.task.observation}_observation"] for o in observations])
        if self.task.observation == "discrete":
            texts = [observation["text_observation"] for observation in observations]
            missions = self.tokenizer.encode_batch(texts, self.mission_tokens)
            return torch.from_numpy(np.concatenate([values, missions], axis=1))
        if self.task.observation == "image":
            return torch.from_numpy(values).float() / 127.5 - 1
        return torch.from_numpy(values).float()


# --- training


def train_specialist(recipe: TrainConfig) -> SpecialistAgent:
    """Train the specialist of the recipe's only task, for its steps or minutes.

    Windows, batches, optimizer, schedule, averaging and symmetries are the trainer's. The agent's
    ``info`` is {"step", "timesteps", "parameters"}.

    Raises:
        ValueError: the recipe has several tasks, or a task of pictures.
    """
    if recipe.tasks is None or len(recipe.tasks) != 1:
        raise ValueError(f"a specialist trains on one task, got tasks {recipe.tasks}")
    torch.manual_seed(recipe.seed)
    task, tokenizer = get_task(recipe.tasks[0]), TextTokenizer.load()
    config = JatConfig.preset(recipe.size, **recipe.model)
    window = (recipe.windows or {}).get(task.domain)
    source = open_source(task.name, recipe.data, config, tokenizer, window, random_start=True)
    model = specialist(task, config, tokenizer, source)
    symmetries = GridSymmetries(tokenizer) if recipe.symmetries else None
    mixture = Mixture([source], recipe.batch_timesteps, {}, recipe.seed, symmetries)
    loss = text_loss if isinstance(model, TextLstm) else imitation_loss
    trained = fit(model, recipe, mixture, lambda batch: loss(model, batch))
    info = {**trained, "parameters": sum(p.numel() for p in model.parameters())}
    return SpecialistAgent(model, task, tokenizer, config.max_text_tokens, info)


def specialist(task: Task, config: JatConfig, tokenizer: TextTokenizer, source: Any) -> nn.Module:
    """The network for a task, with random weights.

    Args:
        task: what is played or read.
        config: its vocabulary is used, and for texts its longest row.
        tokenizer: of missions.
        source: the demonstrations, by which vectors are normalised.

    Raises:
        ValueError: for a task of pictures, which has no specialist here.
    """
    if task.observation == "image":
        return Convolutions(task)
    if task.observation == "discrete":
        return FilmGru(task, config.vocab_size, tokenizer.pad_id)
    if task.observation == "continuous" and isinstance(source, WindowSource):
        return Perceptron(task, source.store.columns["continuous_observations"])
    if task.observation == "text":
        return TextLstm(config)
    raise ValueError(f"{task.name} has observations of kind {task.observation}: no specialist")


def imitation_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The error of the demonstrated actions: squared, or the cross-entropy of discrete ones."""
    tensors = to_tensors(batch)
    [name] = [one for one in tensors if one.endswith("_observations")]
    valid = tensors["attention_mask"].bool()  # (B, T)
    outputs = model(tensors[name])[0][valid].float()  # (timesteps, m)
    if "discrete_actions" in tensors:
        return F.cross_entropy(outputs, tensors["discrete_actions"][valid])
    return F.mse_loss(outputs, tensors["continuous_actions"][valid])


def text_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The cross-entropy of the next tokens."""
    tensors = to_tensors(batch)
    ids, mask = tensors["input_ids"], tensors["attention_mask"]
    return next_token_loss(model(input_ids=ids).logits, ids, mask)
