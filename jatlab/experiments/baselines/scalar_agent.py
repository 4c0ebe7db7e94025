"""An agent with a token for each number: `ScalarModel` acts, with a cache of keys and values.

For the letters see `jatlab.experiments.baselines.scalar_model`; n is the number of environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jatlab.agents.sampling import tempered
from jatlab.experiments.baselines.scalar_model import ScalarModel
from jatlab.model.attention import KeyValueCache, visible_keys
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import Task, get_task
from jatlab.tasks.task import Observation
from jatlab.utils.checks import check_temperature


class ScalarAgent:
    """A `ScalarModel` that acts, with the methods of `jatlab.Agent`.

    An action takes one pass for the observation, and one for each further number of the action.
    """

    def __init__(
        self, model: ScalarModel, tokenizer: TextTokenizer, info: dict[str, Any] | None = None
    ):
        self.model, self.tokenizer, self.info = model.eval(), tokenizer, info or {}
        self.layout = model.layout

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        """Forget everything, and prepare for ``n`` environments in lockstep.

        Raises ValueError for another task than the one that the agent was trained on.
        """
        trained = self.layout.task
        if (get_task(task) if isinstance(task, str) else task) != trained:
            raise ValueError(f"this agent was trained on {trained.name} and cannot play {task}")
        context = self.model.context
        self.cache = KeyValueCache(self.model.config, n, context * self.layout.total)
        # observations, from which a window that moves is encoded again
        self.seen = torch.zeros(n, context, self.layout.before, dtype=torch.long)
        self.time = torch.zeros(n, dtype=torch.long)
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
            greedy: take the likeliest bin of each number; else it is drawn, as in Gato.
            temperature: of the drawing, 0 for the likeliest bin; None: 1.
            seeds: (n,), from which to draw where an episode begins.
        """
        if isinstance(observations, dict):
            first = None if starts is None else [bool(starts)]
            return self.act([observations], 0.0, first, greedy, temperature, seeds)[0]
        if starts is None:
            starts = np.full(len(observations), not self.started)
        self._begin(np.asarray(starts, bool), seeds)
        warmth = 1.0 if temperature is None else check_temperature(temperature)
        hidden = self._see(self._ids(observations))
        chosen: list[np.ndarray] = []
        for number in range(self.layout.actions):
            if number > 0:
                ids, _ = self.layout.from_choices(chosen[-1])
                place = self.layout.before + number - 1
                hidden = self._feed(torch.from_numpy(ids)[:, None], place)
            chosen.append(self._choose(self.model.head(hidden), greedy, warmth))
        self._forget_action()
        self.time, self.started = self.time + 1, True
        return list(self.layout.from_choices(np.stack(chosen, axis=-1))[1])

    def _begin(self, starts: np.ndarray, seeds: Sequence[int | None] | None) -> None:
        for row in map(int, np.flatnonzero(starts)):
            self.cache.forget(torch.tensor([row]))
            self.time[row] = 0
            if seeds is not None and seeds[row] is not None:
                self.generators[row] = np.random.default_rng(seeds[row])

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

    def _choose(self, logits: Tensor, greedy: bool, temperature: float) -> np.ndarray:
        """One choice (n,) of each row of logits (n, choices)."""
        shares = tempered(logits, temperature).double().numpy()
        if greedy or temperature == 0:
            return shares.argmax(-1)
        draws = np.array([generator.random() for generator in self.generators])[:, None]
        below = shares.cumsum(-1) < draws * shares.sum(-1, keepdims=True)
        return below.sum(-1).clip(max=shares.shape[-1] - 1)
