"""Acting one timestep at a time: what the model remembers of B episodes played in lockstep.

Each step adds the last action and the new observation to a key/value cache. Two policies say what
happens when the context is full:

- `recompute`, ours: the window moves. The later half of its timesteps is encoded again from
  position 0, and play goes on.
- `published`, the authors': the oldest keys are dropped, and the others keep their positions. The
  position of a new token is the number of tokens in the cache, so it stays at the limit from then
  on. Each step feeds the last observation a second time, at that position.

Until the first cut both equal a forward pass over the episode so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jatlab.model.attention import KeyValueCache
from jatlab.model.inputs.door import Door
from jatlab.model.packed import PackedTrunk
from jatlab.model.transformer import cache_masks
from jatlab.utils.checks import require, whole_number

if TYPE_CHECKING:
    from jatlab.model.jat import JatModel

POLICIES = ("recompute", "published")


@dataclass
class Recall:
    """What one step gives, for B episodes.

    Attributes:
        observation: (B, H), the hidden state that predicts the action.
        action: (B, H), the hidden state of the last action, which had predicted this observation.
        attentions: per layer (B, N, S), how the observation weighs the tokens in the cache.
        key_index: (B, S), the places of these tokens in their episode (or window), -1 for none.
        action_attentions: per layer (B, N, S), how the last action weighs them, in the same pass.
    """

    observation: Tensor
    action: Tensor
    attentions: tuple[Tensor, ...]
    key_index: Tensor
    action_attentions: tuple[Tensor, ...] = ()


class Memory:
    """The memory of several episodes.

    Args:
        model: whose trunk encodes the tokens.
        batch: B, episodes.
        policy: one of `POLICIES`.
        context: timesteps to remember; None: the model's positions, half of them under `published`.

    Raises:
        ValueError: for an unknown policy, or a context that does not fit.
    """

    def __init__(
        self,
        model: JatModel,
        batch: int,
        policy: str = "recompute",
        context: int | None = None,
    ):
        require(
            policy in POLICIES,
            f"unknown cache policy {policy!r}; there are {', '.join(POLICIES)}",
        )
        config, weight = model.config, model.text_embedding.weight
        longest = config.max_timesteps if policy == "recompute" else config.max_timesteps // 2
        batch = whole_number(batch, "batch", 1)
        self.context = longest if context is None else whole_number(context, "context", None)
        require(
            1 < self.context <= config.max_timesteps,
            f"a context of {self.context} timesteps: it must be from 2 to {config.max_timesteps}, "
            "the model's positions",
        )
        self.model, self.policy = model, policy
        tokens = 2 if policy == "recompute" else 3  # fed at each step
        self.trunk = PackedTrunk(model.trunk, tokens * batch)
        # `published` feeds three tokens beside those that are kept
        capacity = 2 * self.context + (3 if policy == "published" else 0)
        self.cache = KeyValueCache(config, batch, capacity, weight.device, weight.dtype)
        # timesteps since the start of the episode, or in the window
        self.time = torch.zeros(batch, dtype=torch.long, device=weight.device)
        # embeddings of the window, to recompute from
        self.tokens = weight.new_zeros(batch, 2 * self.context, config.hidden_size)

    @torch.no_grad()
    def step(
        self, observation: Tensor, last_action: Tensor, starts: Tensor, record: bool = False
    ) -> Recall:
        """Add one timestep.

        Args:
            observation: (B, H), the embeddings of the observations.
            last_action: (B, H), those of the actions before them.
            starts: (B,), True where a new episode begins.
            record: return the attention weights too.

        Raises:
            ValueError: for a wrong shape, type or value.
        """
        if self.model.check_inputs:
            self._check(observation, last_action, starts)
        self.cache.forget(starts)
        self.time = torch.where(starts, 0, self.time)
        feed = self._recompute if self.policy == "recompute" else self._published
        return feed(observation, last_action, record)

    def _check(self, observation: Tensor, last_action: Tensor, starts: Tensor) -> None:
        door, size = Door(self.model.config, self.time.device), self.model.config.hidden_size
        door.looks = door.looks and self.time.device.type == "cpu"  # a GPU is not waited for
        for name, value in (("observation", observation), ("last_action", last_action)):
            door.embedding(name, value, (len(self.time), size))
        door.tensor("starts", starts, (len(self.time),), {torch.bool}, "booleans")
        door.check_values()

    def _recompute(self, observation: Tensor, last_action: Tensor, record: bool) -> Recall:
        self._store(2 * self.time - 1, last_action)
        full = (self.time == self.context).nonzero().squeeze(-1)
        if len(full):
            self._move_window(full)
        # places of the two tokens, (B, 2); -1 for the action where the episode starts
        index = 2 * self.time[:, None] + torch.tensor([-1, 0], device=self.time.device)
        self._store(2 * self.time, observation)
        tokens = torch.stack([last_action, observation], dim=1)
        return self._feed(tokens, index, index.clamp(min=0), record)

    def _move_window(self, rows: Tensor) -> None:
        """Keep the later half of these rows' timesteps, and encode them anew."""
        kept = self.context - self.context // 2  # timesteps
        self.tokens[rows, : 2 * kept] = self.tokens[rows, -2 * kept :]
        self.time[rows] = kept
        self.cache.forget(rows)
        # all but the last action, which is still to be fed
        index = torch.arange(2 * kept - 1, device=rows.device).expand(len(rows), -1)
        self.cache.reserve(index, rows)
        tokens = self.tokens[rows, : 2 * kept - 1]
        self.model.trunk(tokens, self._masks(index), index, self.cache)

    def _published(self, observation: Tensor, last_action: Tensor, record: bool) -> Recall:
        # places of the three tokens, (B, 3)
        index = 2 * self.time[:, None] + torch.tensor([-2, -1, 0], device=self.time.device)
        dropped = (index[:, :1] - 2 * self.context).clamp(min=0)
        positions = torch.where(index < 0, 0, index - dropped)
        fed = torch.stack([self.tokens[:, 0], last_action, observation], dim=1)
        self.tokens[:, 0] = observation
        return self._feed(fed, index.clamp(min=-1), positions, record)

    def _store(self, place: Tensor, token: Tensor) -> None:
        rows = (place >= 0).nonzero().squeeze(-1)
        self.tokens[rows, place[rows]] = token[rows]

    def _feed(self, tokens: Tensor, index: Tensor, positions: Tensor, record: bool) -> Recall:
        self.cache.reserve(index)
        masks = self._masks(index)
        hidden, attentions = self.trunk(tokens, masks, positions, self.cache, record)
        self.time = self.time + 1
        action, observation = (tuple(a[:, :, place] for a in attentions) for place in (-2, -1))
        return Recall(hidden[:, -1], hidden[:, -2], observation, self.cache.key_index(), action)

    def _masks(self, index: Tensor) -> dict[str, Tensor]:
        config = self.model.config
        return cache_masks(config, index, self.cache, config.hide_past_actions)
