"""The trunk: GPT-Neo's pre-LayerNorm blocks under dual attention, with learned absolute positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from jatlab.model.attention import DualAttention, KeyValueCache, hide_past_actions, visible_keys
from jatlab.model.config import JatConfig


class MLP(nn.Module):
    """Two linear layers with GELU (tanh form) between them."""

    def __init__(self, config: JatConfig):
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.mlp_size)
        self.down = nn.Linear(config.mlp_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    """Attention, then MLP; each reads a normalised copy of the stream (B, L, H) and adds to it."""

    def __init__(self, config: JatConfig, layer: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.attention = DualAttention(config, layer)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.resid_dropout)

    def forward(
        self, x: Tensor, masks: dict, cache: KeyValueCache | None, record: bool
    ) -> tuple[Tensor, Tensor | None]:
        mixed, weights = self.attention(self.attention_norm(x), masks, cache, record)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.mlp(self.mlp_norm(x))), weights


class Transformer(nn.Module):
    """Positions, blocks, final norm: token embeddings (B, L, H) -> hidden states (B, L, H)."""

    def __init__(self, config: JatConfig):
        super().__init__()
        self.config = config
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.dropout = nn.Dropout(config.embed_dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        # in training, keep only each block's input and compute the rest again
        self.checkpoint_activations = False

    def forward(
        self,
        embeddings: Tensor,
        masks: dict,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
        record: bool = False,
    ) -> tuple[Tensor, tuple, tuple]:
        """Hidden states (B, L, H); with `record` also the weights of each layer, (B, N, L, S), and
        the stream before each block and after the norm.

        `masks` comes from `sequence_masks` or `cache_masks`, `positions` (B, L) counts from 0
        unless given. Raises `ValueError` when the sequence is longer than the positions.
        """
        if positions is None:
            positions = torch.arange(self.fitting(embeddings.shape[1]), device=embeddings.device)
        x = self.dropout(embeddings + self.positions(positions))
        attentions, streams = [], []
        for block in self.blocks:
            streams.append(x)
            x, weights = self._run(block, x, masks, cache, record)
            attentions.append(weights)
        x = self.norm(x)
        return x, (tuple(attentions) if record else ()), ((*streams, x) if record else ())

    def _run(
        self, block: Block, x: Tensor, masks: dict, cache: KeyValueCache | None, record: bool
    ) -> tuple[Tensor, Tensor | None]:
        if (
            self.checkpoint_activations
            and self.training
            and torch.is_grad_enabled()
            and cache is None
        ):
            return checkpoint(block, x, masks, None, record, use_reentrant=False)
        return block(x, masks, cache, record)

    def fitting(self, length: int) -> int:
        """The length, if there are positions for so many tokens; `ValueError` if not."""
        if length > self.config.max_position_embeddings:
            raise ValueError(
                f"a sequence of {length} tokens is longer than the model's {self.config.max_position_embeddings} positions: cut it into "
                f"windows of at most {self.config.max_timesteps} timesteps, or raise max_position_embeddings"
            )
        return length


def sequence_masks(
    config: JatConfig,
    length: int,
    padding: Tensor | None = None,
    blind: Tensor | None = None,
    device=None,
) -> dict[str, Tensor]:
    """The masks of both kinds of layer for whole sequences, (1 or B, 1, L, L).

    `padding` (B, L) is 1 for real tokens. `blind` (B,) says in which sequences observations cannot
    see past actions.
    """
    index = torch.arange(length, device=device)
    keys = index[None] if padding is None else torch.where(padding.bool(), index, -1)  # (1 or B, L)
    masks = _both(config, index.expand(keys.shape), keys, blind)
    if padding is None:
        return masks
    itself = torch.eye(
        length, dtype=torch.bool, device=device
    )  # for padding out of reach of all real tokens: an empty row would be NaN
    return {kind: mask | (itself & ~mask.any(-1, keepdim=True)) for kind, mask in masks.items()}


def cache_masks(
    config: JatConfig, index: Tensor, cache: KeyValueCache, blind: bool
) -> dict[str, Tensor]:
    """The masks for new tokens `index` (B, L) over everything that the cache holds, (B, 1, L, S)."""
    keys = cache.key_index()
    rows = torch.full(index.shape[:1], blind, device=index.device)
    masks = _both(config, index, keys, rows if blind else None)
    absent = (index < 0)[:, None, :, None]  # a token left out sees everything, and nobody sees it
    return {kind: mask | absent for kind, mask in masks.items()}


def _both(
    config: JatConfig, queries: Tensor, keys: Tensor, blind: Tensor | None
) -> dict[str, Tensor]:
    masks = {
        "global": visible_keys(queries, keys),
        "local": visible_keys(queries, keys, config.window_size),
    }  # (B, L, S)
    if blind is not None:
        masks = {
            kind: torch.where(blind[:, None, None], hide_past_actions(mask, queries, keys), mask)
            for kind, mask in masks.items()
        }
    return {kind: mask[:, None] for kind, mask in masks.items()}  # one mask for all heads
