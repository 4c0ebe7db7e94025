"""Networks that people use in one domain alone, for `jatlab ablate specialists`.

- `Perceptron`: three linear layers, for the vectors of arms and bodies (Haarnoja et al. 2018,
  arXiv 1801.01290, appendix D: two hidden layers of 256).
- `Convolutions`: DQN's network, for the frames of Atari (Mnih et al. 2015, Nature 518, methods).
- `FilmGru`: BabyAI's, for grids with a mission (Chevalier-Boisvert et al. 2019, arXiv 1810.08272,
  section 4; integers are embedded as in Hui et al. 2020, arXiv 2007.12770). The mission is read by
  a GRU and scales the features of the view (FiLM); a second GRU remembers. Theirs has an LSTM
  there, and batch norm where this one has group norm.
- `TextLstm`: next tokens by an LSTM, as before transformers.

Each but the last is called with observations (B, T, …) and a state, and returns outputs (B, T, m)
and the next state; None is the first state, and that of a network without memory. Outputs are the
actions, or the logits of discrete ones.

Letters: B batch, T timesteps, n values, S tokens of a mission, C features, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from jatlab.model.config import GRID_CELLS, GRID_INTEGERS, JatConfig
from jatlab.model.inputs.batch import JatOutput
from jatlab.tasks import Task

HIDDEN = 256  # of the perceptron
FEATURES = 128  # of BabyAI's network: its convolutions, its mission, its memory
VALUES = 256  # more than any integer of a grid
WORDS, CELLS = 128, 512  # of the LSTM: features of a token, and units

State = Tensor | None


class Perceptron(nn.Module):
    """Three linear layers. Observations are normalised by the demonstrations' mean and spread.

    Args:
        task: its sizes.
        observations: of the demonstrations, (rows, n).
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, task: Task, observations: np.ndarray):
        super().__init__()
        mean, spread = observations.mean(0), observations.std(0)
        self.register_buffer("mean", torch.from_numpy(mean).float())
        self.register_buffer("spread", torch.from_numpy(np.maximum(spread, 1e-3)).float())
        self.layers = nn.Sequential(
            nn.Linear(task.observation_size, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, task.action_size),
        )

    def forward(self, observations: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, T, n) -> (B, T, m); it has no state."""
        return self.layers((observations - self.mean) / self.spread), None


class Convolutions(nn.Module):
    """DQN's three convolutions and two linear layers.

    Args:
        task: its number of actions.
    """

    def __init__(self, task: Task):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, 32, 8, 4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 512),
            nn.ReLU(),
            nn.Linear(512, task.action_size),
        )

    def forward(self, frames: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, T, 4, 84, 84) from -1 to 1 -> (B, T, m); it has no state."""
        return self.layers(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]), None


class Film(nn.Module):
    """A convolution whose features the mission scales and shifts (Perez et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.norm = nn.GroupNorm(8, FEATURES)
        self.scale, self.shift = (nn.Linear(FEATURES, FEATURES) for _ in range(2))

    def forward(self, x: Tensor, mission: Tensor) -> Tensor:
        """(B, C, 7, 7) and (B, C) -> (B, C, 7, 7)."""
        features = self.norm(self.convolution(x))
        scale, shift = (part(mission)[..., None, None] for part in (self.scale, self.shift))
        return x + torch.relu((1 + scale) * features + shift)


class FilmGru(nn.Module):
    """A GRU reads the mission, two FiLM layers look at the view, a second GRU remembers.

    Args:
        task: its number of actions.
        vocabulary: tokens that a mission may have.
        pad_id: fills up short missions.
    """

    def __init__(self, task: Task, vocabulary: int, pad_id: int):
        super().__init__()
        self.pad_id = pad_id
        self.words = nn.Embedding(vocabulary, FEATURES)
        self.read = nn.GRU(FEATURES, FEATURES, batch_first=True)
        # object, colour and state of a cell have tables of their own; a cell is their sum
        self.cells = nn.Embedding(3 * VALUES, FEATURES)
        self.directions = nn.Embedding(VALUES, FEATURES)
        self.first = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.films = nn.ModuleList([Film(), Film()])
        self.remember = nn.GRU(FEATURES, FEATURES, batch_first=True)
        self.head = nn.Linear(FEATURES, task.action_size)

    def forward(self, grids: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, T, 148 + S) and (1, B, C) -> (B, T, m), and the state after it."""
        length = grids.shape[1]
        mission = self.mission(grids[:, 0, GRID_INTEGERS:]).repeat_interleave(length, 0)  # (B T, C)
        x = torch.relu(self.first(self.view(grids[..., :GRID_INTEGERS].flatten(0, 1))))
        for film in self.films:
            x = film(x, mission)
        seen = x.amax((-1, -2)).unflatten(0, (-1, length))  # (B, T, C)
        remembered, state = self.remember(seen, state)
        return self.head(seen + remembered), state

    def mission(self, ids: Tensor) -> Tensor:
        """(B, S) -> (B, C): the GRU's state behind the last word."""
        states, _ = self.read(self.words(ids))
        last = ((ids != self.pad_id).sum(1) - 1).clamp(min=0)
        return states[torch.arange(len(ids), device=ids.device), last]

    def view(self, integers: Tensor) -> Tensor:
        """The direction and the view, (B, 148), to (B, C, 7, 7)."""
        cells = integers[:, 1:].unflatten(-1, (GRID_CELLS, 3))
        tables = torch.arange(3, device=integers.device) * VALUES
        features = self.cells(cells + tables).sum(2)  # (B, 49, C)
        features = features + self.directions(integers[:, :1])
        return features.transpose(1, 2).unflatten(-1, (7, 7))


class TextLstm(nn.Module):
    """Next tokens by an LSTM whose last layer shares its table with the first.

    Args:
        config: its vocabulary and its longest row.
    """

    def __init__(self, config: JatConfig):
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocab_size, WORDS)
        nn.init.normal_(self.words.weight, std=0.02)
        self.lstm = nn.LSTM(WORDS, CELLS, batch_first=True)
        self.narrow = nn.Linear(CELLS, WORDS)

    def forward(self, input_ids: Tensor, **others: object) -> JatOutput:
        """Tokens (B, S) -> logits (B, S, V) of the next ones; padding comes last and is read."""
        hidden, _ = self.lstm(self.words(input_ids))
        return JatOutput(logits=self.narrow(hidden) @ self.words.weight.T)
