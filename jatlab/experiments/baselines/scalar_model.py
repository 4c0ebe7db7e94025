"""A model with a token for each number, as in Gato, on JAT's trunk: for `jatlab ablate tokens`.

The tokens are those of `jatlab.experiments.baselines.gato_tokens`. A timestep is its observation, a
separator and its action. The numbers of an action are written one after another, and each sees the
ones before it. They are learnt by cross-entropy over 1,024 bins (Reed et al. 2022, section 2). As
in the recipe that it is compared with, a timestep does not see the actions of earlier timesteps. A
mission has as many tokens as the task's longest one.

Letters: B batch, T timesteps, K tokens of a timestep, of which P come before the action and A are
the action; L = T K, H hidden size.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.experiments.baselines import gato_tokens as gato
from jatlab.model.attention import visible_keys
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.model.transformer import Transformer
from jatlab.tasks import Task

Ids = TypeVar("Ids", np.ndarray, Tensor)


class Layout:
    """Where a task's numbers are among the K tokens of a timestep, and which ids they have.

    Ids are Gato's without the unused ones: integers and words from 0, then the bins of real
    numbers, then the separator.

    Args:
        task: what is played.
        tokenizer: of missions.
        words: tokens of a mission.

    Raises:
        ValueError: for a task of images or pictures, which have no scalars.
    """

    def __init__(self, task: Task, tokenizer: TextTokenizer, words: int = 0):
        if task.observation not in ("continuous", "discrete"):
            raise ValueError(
                f"{task.name} has observations of kind {task.observation}: "
                "a token for each number needs vectors or grids"
            )
        self.task, self.words = task, words
        self.first_bin = max(tokenizer.vocab_size, gato.BINS)
        self.vocab_size = self.first_bin + gato.BINS + 1
        self.actions = task.action_size if task.action == "continuous" else 1  # A
        self.choices = gato.BINS if task.action == "continuous" else task.action_size
        self.total = gato.timestep_tokens(task, words)  # K
        self.before = self.total - self.actions  # P

    def observation_ids(self, values: np.ndarray) -> np.ndarray:
        """Observations (…, n), as the model sees them, to ids (…, P) with the separator.

        Padding after the mission's words is cut off.
        """
        values = np.asarray(values)[..., : self.before - 1]
        if self.task.observation == "continuous":
            ids = self._move(gato.encode_observation(values))
        else:
            ids = values.astype(np.int64)
        separator = np.full((*ids.shape[:-1], 1), self.vocab_size - 1)
        return np.concatenate([ids, separator], axis=-1)

    def action_ids(self, actions: np.ndarray) -> np.ndarray:
        """Actions (…, A), or (…,) if they are discrete, to ids (…, A)."""
        if self.task.action == "continuous":
            return self._move(gato.encode_action(actions))
        return np.asarray(actions, np.int64)[..., None]

    def to_choices(self, ids: Ids) -> Ids:
        """An action's ids (…, A) to the number of each among its `choices`."""
        return ids - (self.first_bin if self.task.action == "continuous" else 0)

    def from_choices(self, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Chosen bins or actions (…, A) to their ids and to the environment's actions.

        Ids are (…, A), actions float32 (…, A) or int64 (…,).
        """
        if self.task.action == "continuous":
            return choices + self.first_bin, gato.from_bins(choices).astype(np.float32)
        return choices, choices[..., 0]

    def _move(self, ids: np.ndarray) -> np.ndarray:
        """Gato's ids of real numbers to ours."""
        return ids - gato.TEXT_IDS + self.first_bin


class ScalarModel(nn.Module):
    """Embeddings of tokens and of their place in the timestep, JAT's trunk, and a head.

    The trunk has global layers only. The head scores the choices for one number of an action.
    """

    def __init__(self, config: JatConfig, layout: Layout):
        super().__init__()
        self.config, self.layout = config, layout
        self.context = config.max_position_embeddings // layout.total  # timesteps
        if self.context < 2:
            raise ValueError(
                f"{config.max_position_embeddings} positions hold {self.context} timesteps "
                f"of {layout.total} tokens; at least 2 are needed"
            )
        self.embedding = nn.Embedding(layout.vocab_size, config.hidden_size)
        self.places = nn.Embedding(layout.total, config.hidden_size)
        self.trunk = Transformer(config)
        self.head = nn.Linear(config.hidden_size, layout.choices)
        for table in (self.embedding, self.places, self.trunk.positions):
            nn.init.normal_(table.weight, std=0.02)

    def embed(self, ids: Tensor, places: Tensor) -> Tensor:
        """Ids (…), and their places in the timestep, to vectors (…, H)."""
        return self.embedding(ids) + self.places(places)

    def forward(self, ids: Tensor, valid: Tensor) -> Tensor:
        """The mean cross-entropy of the actions' numbers: ids (B, T, K), valid (B, T)."""
        steps = ids.shape[1]
        places = torch.arange(self.layout.total, device=ids.device)
        x = self.embed(ids, places).flatten(1, 2)  # (B, T, K, H) -> (B, L, H)
        hidden = self.trunk(x, self.masks(steps, ids.device))[0]
        hidden = hidden.unflatten(1, (steps, -1))  # (B, T, K, H)
        # each number is predicted from the token before it: (B, T, A, choices)
        logits = self.head(hidden[:, :, self.layout.before - 1 : -1])
        targets = self.layout.to_choices(ids[:, :, self.layout.before :])
        return F.cross_entropy(logits[valid].flatten(0, 1).float(), targets[valid].flatten())

    def masks(self, steps: int, device: torch.device | None = None) -> dict[str, Tensor]:
        """No token sees the future, or an action of another timestep: (1, 1, L, L)."""
        index = torch.arange(steps * self.layout.total, device=device)
        time = index // self.layout.total
        is_action = index % self.layout.total >= self.layout.before
        mask = visible_keys(index, index) & ((time[:, None] == time) | ~is_action)
        return {"global": mask[None, None]}
