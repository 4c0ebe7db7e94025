"""An agent with a token for each number: `ScalarModel` acts, with a cache of keys and values.

For the letters see `jatlab.experiments.baselines.scalar_model`; n is the number of environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jatlab.agents.sampling import draw, tempered
from jatlab.experiments.baselines.acting import BaselineAgent
from jatlab.experiments.baselines.scalar_model import ScalarModel
from jatlab.model.attention import KeyValueCache, visible_keys
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks.task import Observation


class ScalarAgent(BaselineAgent):
    """A `ScalarModel` that acts.

    An action takes one pass for the observation, and one for each further number of the action.
    """

    def __init__(
        self, model: ScalarModel, tokenizer: TextTokenizer, info: dict[str, Any] | None = None
    ):
        super().__init__(model, model.layout.task, tokenizer, info)
        self.model: ScalarModel = model
        self.layout = model.layout

    def _prepare(self, n: int) -> None:
        context = self.model.context
        self.cache = KeyValueCache(self.model.config, n, context * self.layout.total)
        # observations, from which a window that moves is encoded again
        self.seen = torch.zeros(n, context, self.layout.before, dtype=torch.long)
        self.time = torch.zeros(n, dtype=torch.long)

    def _forget(self, starts: np.ndarray) -> None:
        rows = torch.from_numpy(starts)
        self.cache.forget(rows)
        self.time[rows] = 0

    def _answer(self, observations: Sequence[Observation], temperature: float) -> list[Any]:
        hidden = self._see(self._ids(observations))
        chosen: list[np.ndarray] = []
        for number in range(self.layout.actions):
            if number > 0:
                ids, _ = self.layout.from_choices(chosen[-1])
                place = self.layout.before + number - 1
                hidden = self._feed(torch.from_numpy(ids)[:, None], place)
            shares = tempered(self.model.head(hidden), temperature).double().numpy()
            chosen.append(draw(shares, self.generators))
        self._forget_action()
        self.time = self.time + 1
        return list(self.layout.from_choices(np.stack(chosen, axis=-1))[1])

    def _ids(self, observations: Sequence[Observation]) -> Tensor:
        """The tokens of n observations, (n, P)."""
        task = self.layout.task
        values = np.stack([o[f"{task.observation}_observation"] for o in observations])
        if task.observation == "discrete":
            texts = [observation["text_observation"] for observation in observations]
            missions = self.tokenizer.encode_batch(texts, self.layout.words)
            values = np.concatenate([values, missions], axis=1)
        return torch.from_numpy(self.layout.observation_ids(values))

    def _see(self, ids: Tensor) -> Tensor:
        """Observations' tokens (n, P) of now to the separator's hidden state (n, H)."""
        full = (self.time == self.model.context).nonzero().squeeze(-1)
        if len(full):
            self._move_window(full)
        self.seen[torch.arange(len(ids)), self.time] = ids
        return self._feed(ids, 0)

    def _move_window(self, rows: Tensor) -> None:
        """Keep the later half of these rows' timesteps, and encode them again from position 0."""
        kept = self.model.context // 2
        self.seen[rows, :kept] = self.seen[rows, -kept:]
        self.time[rows] = kept
        self.cache.forget(rows)
        first = torch.arange(kept)[:, None] * self.layout.total
        index = (first + torch.arange(self.layout.before)).flatten().expand(len(rows), -1)
        self._pass(self.seen[rows, :kept].flatten(1), index, rows)  # (rows, kept P)

    def _feed(self, ids: Tensor, place: int) -> Tensor:
        """Tokens (n, l) of now to the hidden state (n, H) of the last one.

        ``place`` is the first token's place in the timestep.
        """
        first = self.time[:, None] * self.layout.total + place
        return self._pass(ids, first + torch.arange(ids.shape[1]))[:, -1]

    def _pass(self, ids: Tensor, index: Tensor, rows: Tensor | None = None) -> Tensor:
        """Tokens (n, l) with these positions to hidden states (n, l, H)."""
        self.cache.reserve(index, rows)
        masks = {"global": visible_keys(index, self.cache.key_index())[:, None]}
        x = self.model.embed(ids, index % self.layout.total)
        return self.model.trunk(x, masks, index, self.cache)[0]

    def _forget_action(self) -> None:
        """Later timesteps do not see this action."""
        held = self.cache.index
        held[held % self.layout.total >= self.layout.before] = -1
