"""Acting one timestep at a time: what the model remembers of B episodes that are played in
lockstep.

Each step adds the last action and the new observation to a key/value cache. Two policies say what
happens when the context is full:

- `recompute`, ours: the window moves. The later half of its timesteps is encoded again from position 0, and play goes on.
- `published`, the authors': the oldest keys are dropped, the others keep the positions they had; a new token's position is the number
  of tokens in the cache, so it stays at the limit from then on. Each step feeds the last
observation a second time, at that position.

Until the first cut both equal a forward pass over the episode so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jatlab.model.attention import KeyValueCache
from jatlab.model.transformer import cache_masks

POLICIES = ("recompute", "published")


@dataclass
class Recall:
    """What one step gives: `observation` (B, H), the hidden state that predicts the action;
    `action` (B, H), that of the last action, which had predicted this observation; `attentions`,
    per layer (B, N, S), the observation's view of the cached tokens whose indices in their episode
    (or window) are `key_index` (B, S), -1 for none; `action_attentions`, the same of the last
    action, from the same pass.
    """

    observation: Tensor
    action: Tensor
    attentions: tuple[Tensor, ...]
    key_index: Tensor
    action_attentions: tuple[Tensor, ...] = ()


class Memory:
    """The memory of `batch` episodes. `context` is in timesteps: at most the model's positions,
    half of them under `published`.
    """

    def __init__(self, model, batch: int, policy: str = "recompute", context: int | None = None):
        if policy not in POLICIES:
            raise ValueError(f"unknown cache policy {policy!r}; there are {', '.join(POLICIES)}")
        config, weight = model.config, model.text_embedding.weight
        most = config.max_timesteps if policy == "recompute" else config.max_timesteps // 2
        self.context = most if context is None else context
        if not 1 < self.context <= config.max_timesteps:
            raise ValueError(
                f"a context of {self.context} timesteps: it must be from 2 to {config.max_timesteps}, the model's positions"
            )
        self.model, self.policy = model, policy
        self.blind = config.hide_past_actions
        capacity = 2 * self.context + (
            3 if policy == "published" else 0
        )  # the three fed beside those that are kept
        self.cache = KeyValueCache(
            config, batch, capacity, device=weight.device, dtype=weight.dtype
        )
        self.time = torch.zeros(
            batch, dtype=torch.long, device=weight.device
        )  # timesteps since the start, or in the window
        self.tokens = weight.new_zeros(
            batch, 2 * self.context, config.hidden_size
        )  # embeddings of the window, to recompute from

    @torch.no_grad()
    def step(
        self, observation: Tensor, last_action: Tensor, starts: Tensor, record: bool = False
    ) -> Recall:
        """Add one timestep: embeddings (B, H) of the observation and of the action before it; where
        `starts` (B,), the episode is new.
        """
        self.cache.forget(starts)
        self.time = torch.where(starts, 0, self.time)
        return (self._recompute if self.policy == "recompute" else self._published)(
            observation, last_action, record
        )

    def _recompute(self, observation: Tensor, last_action: Tensor, record: bool) -> Recall:
        self._store(2 * self.time - 1, last_action)
        full = (self.time == self.context).nonzero().squeeze(-1)
        if len(full):
            self._move_window(full)
        index = 2 * self.time[:, None] + torch.tensor(
            [-1, 0], device=self.time.device
        )  # (B, 2); -1 where the episode starts
        self._store(2 * self.time, observation)
        return self._feed(
            torch.stack([last_action, observation], dim=1), index, index.clamp(min=0), record
        )

    def _move_window(self, rows: Tensor) -> None:
        """Keep the later half of these rows' timesteps (the last of which still waits for its
        action to be fed), and encode them anew.
        """
        kept = self.context - self.context // 2  # timesteps
        self.tokens[rows, : 2 * kept] = self.tokens[rows, -2 * kept :]
        self.time[rows] = kept
        self.cache.forget(rows)
        index = torch.arange(2 * kept - 1, device=rows.device).expand(
            len(rows), -1
        )  # all but the last action
        self.cache.reserve(index, rows)
        self.model.trunk(
            self.tokens[rows, : 2 * kept - 1],
            cache_masks(self.model.config, index, self.cache, self.blind),
            index,
            self.cache,
        )

    def _published(self, observation: Tensor, last_action: Tensor, record: bool) -> Recall:
        index = 2 * self.time[:, None] + torch.tensor(
            [-2, -1, 0], device=self.time.device
        )  # (B, 3)
        positions = torch.where(
            index < 0, 0, index - (index[:, :1] - 2 * self.context).clamp(min=0)
        )
        fed = torch.stack([self.tokens[:, 0], last_action, observation], dim=1)
        self.tokens[:, 0] = observation
        return self._feed(fed, index.clamp(min=-1), positions, record)

    def _store(self, place: Tensor, token: Tensor) -> None:
        rows = (place >= 0).nonzero().squeeze(-1)
        self.tokens[rows, place[rows]] = token[rows]

    def _feed(self, tokens: Tensor, index: Tensor, positions: Tensor, record: bool) -> Recall:
        self.cache.reserve(index)
        masks = cache_masks(self.model.config, index, self.cache, self.blind)
        hidden, attentions, _ = self.model.trunk(tokens, masks, positions, self.cache, record)
        self.time = self.time + 1
        of_observation, of_action = (
            tuple(a[:, :, place] for a in attentions) for place in (-1, -2)
        )
        return Recall(
            hidden[:, -1], hidden[:, -2], of_observation, self.cache.key_index(), of_action
        )
