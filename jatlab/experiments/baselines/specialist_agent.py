"""Specialists that are trained by imitation, and that act or read: `train_specialist`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.agents.sampling import tempered
from jatlab.data.mixture import Mixture
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import Batch, WindowSource, open_source, to_tensors
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
from jatlab.utils.checks import check_temperature


class SpecialistAgent:
    """A specialist that acts in its task, with the methods of `jatlab.Agent`.

    Args:
        model: one of `jatlab.experiments.baselines.specialists`.
        task: that it was trained on.
        tokenizer: of missions and texts.
        mission_tokens: of a grid.
        info: what is known about its training.
    """

    device = torch.device("cpu")

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        tokenizer: TextTokenizer,
        mission_tokens: int = 0,
        info: dict[str, Any] | None = None,
    ):
        self.model, self.task, self.tokenizer = model.eval(), task, tokenizer
        self.mission_tokens, self.info = mission_tokens, info or {}

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        """Forget everything, and prepare for ``n`` environments in lockstep.

        Raises ValueError for another task than the one that the agent was trained on.
        """
        if (get_task(task) if isinstance(task, str) else task) != self.task:
            raise ValueError(f"this agent was trained on {self.task.name} and cannot play {task}")
        self.state: State = None
        self.generators = [np.random.default_rng(row) for row in range(n)]
        self.started = False

    @torch.inference_mode()
    def act(
        self,
        observations: Sequence[Observation] | Observation,
        rewards: Sequence[float] | np.ndarray | float = 0.0,
        starts: Sequence[bool] | np.ndarray | bool | None = None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> Any:
        """The next action of each environment; see `jatlab.Agent.act`.

        Args:
            observations: n observations, or one.
            rewards: not used.
            starts: (n,), where an episode begins; None: at the first call after `reset`.
            greedy: take the likeliest action; else it is drawn.
            temperature: of the drawing, 0 for the likeliest action; None: 1.
            seeds: (n,), from which to draw where an episode begins.
        """
        if isinstance(observations, dict):
            first = None if starts is None else [bool(starts)]
            return self.act([observations], 0.0, first, greedy, temperature, seeds)[0]
        begins = np.full(len(observations), not self.started) if starts is None else starts
        self._begin(np.asarray(begins, bool), seeds)
        outputs, self.state = self.model(self._values(observations)[:, None], self.state)
        self.started = True
        if self.task.action == "continuous":
            return list(outputs[:, 0].numpy())
        warmth = 1.0 if temperature is None else check_temperature(temperature)
        return self._choose(outputs[:, 0], 0.0 if greedy else warmth)

    def _begin(self, starts: np.ndarray, seeds: Sequence[int | None] | None) -> None:
        if self.state is not None:
            self.state = self.state * torch.from_numpy(~starts)[None, :, None]
        for row in np.flatnonzero(starts).tolist():
            if seeds is not None and seeds[row] is not None:
                self.generators[row] = np.random.default_rng(seeds[row])

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

    def _choose(self, logits: Tensor, temperature: float) -> list[int]:
        """One choice for each row of logits (n, m)."""
        shares = tempered(logits, temperature).double().numpy()
        if temperature == 0:
            return shares.argmax(-1).tolist()
        draws = np.array([generator.random() for generator in self.generators])[:, None]
        below = shares.cumsum(-1) < draws * shares.sum(-1, keepdims=True)
        return below.sum(-1).clip(max=shares.shape[-1] - 1).tolist()


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
