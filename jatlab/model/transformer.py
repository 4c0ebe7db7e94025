"""The trunk: GPT-Neo's pre-LayerNorm blocks with dual attention and learnt positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from jatlab.model.attention import (
    DualAttention,
    KeyValueCache,
    block_size,
    blocks_of_places,
    hide_past_actions,
    visible_keys,
)
from jatlab.model.config import JatConfig
from jatlab.model.linear.layer import Linear

Masks = dict[str, Tensor]  # the kind of a layer, "global" or "local" -> who sees whom
LayerMasks = Mapping[str, Tensor | None]  # the same; None: causal attention


class MLP(nn.Module):
    """Two linear layers with GELU (tanh form) between them."""

    def __init__(self, config: JatConfig):
        super().__init__()
        self.up = Linear(config.hidden_size, config.mlp_size)
        self.down = Linear(config.mlp_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(…, H) -> (…, H)."""
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
        self, x: Tensor, masks: LayerMasks, cache: KeyValueCache | None, record: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The stream after this block, and the attention weights; see `DualAttention.forward`."""
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
        # copies of the weights for acting, made by `jatlab.model.packed` for few and for many rows
        self.copies: dict[bool, Any] = {}

    def forward(
        self,
        embeddings: Tensor,
        masks: LayerMasks,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
        record: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Run the tokens through all blocks.

        Args:
            embeddings: (B, L, H).
            masks: from `sequence_masks` or `cache_masks`.
            positions: (L,) or (B, L), those of the tokens; None: 0, 1, 2, …
            cache: the keys and values of earlier tokens, to which these are added.
            record: return the attention weights and the streams too.

        Returns:
            The hidden states (B, L, H); with ``record`` also each layer's weights, (B, N, L, S),
            and the stream (B, L, H) before each block and after the norm, else two empty tuples.

        Raises:
            ValueError: if the sequence is longer than the positions.
        """
        if self.copies and torch.is_grad_enabled():
            self.copies = {}  # a step of training may follow, and a fused one raises no version
        if positions is None:
            positions = torch.arange(self.fitting(embeddings.shape[1]), device=embeddings.device)
        x = self.dropout(embeddings + self.positions(positions))
        attentions, streams = [], []
        for block in self.blocks:
            streams.append(x)
            x, weights = self._run(block, x, masks, cache, record)
            attentions.append(weights)
        x = self.norm(x)
        return (x, tuple(attentions), (*streams, x)) if record else (x, (), ())

    def _run(
        self,
        block: nn.Module,
        x: Tensor,
        masks: LayerMasks,
        cache: KeyValueCache | None,
        record: bool,
    ) -> tuple[Tensor, Tensor]:
        recompute = self.checkpoint_activations and self.training and torch.is_grad_enabled()
        if recompute and cache is None:
            return checkpoint(block, x, masks, None, record, use_reentrant=False)
        return block(x, masks, cache, record)

    def __getstate__(self) -> dict[str, Any]:
        """Without the copies, which are made again where the trunk arrives."""
        return self.__dict__ | {"copies": {}}

    def fitting(self, length: int) -> int:
        """``length``, if there are positions for so many tokens. Raises `ValueError` if not."""
        if length > self.config.max_position_embeddings:
            raise ValueError(
                f"a sequence of {length} tokens is longer than the model's "
                f"{self.config.max_position_embeddings} positions: cut it into windows of at most "
                f"{self.config.max_timesteps} timesteps, or raise max_position_embeddings"
            )
        return length


def sequence_masks(
    config: JatConfig,
    length: int,
    padding: Tensor | None = None,
    hidden_actions: Tensor | None = None,
    device: torch.device | None = None,
    every: int = 1,
    in_blocks: bool = False,
) -> Masks:
    """The masks of both kinds of layer for whole sequences.

    Args:
        config: the model's, for its window size.
        length: tokens of the sequence.
        padding: (B, length), 1 for real tokens and 0 for padding; None: no padding.
        hidden_actions: (B,), True where observations cannot see past actions; None: nowhere.
        device: of the masks.
        every: 2 leaves the second of each pair of tokens out; L is what is left of ``length``.
        in_blocks: make the local mask in blocks, where the sequence is long enough to gain by it
            (`jatlab.model.attention`, its last section).

    Returns:
        {"global", "local"}: booleans (1 or B, 1, L, L); in blocks (1 or B, 1, n, W, 2 W).
    """
    index = torch.arange(0, length, every, device=device)
    keys = index[None] if padding is None else torch.where(padding[:, ::every].bool(), index, -1)
    queries = index.expand(keys.shape)  # (1 or B, L)
    size = block_size(config.window_size, every, len(index)) if in_blocks else None
    masks = _both(config, queries, keys, hidden_actions, size)
    if padding is None and size is None:
        return masks
    # padding that no real token precedes sees itself: the softmax of an empty row would be NaN
    return {kind: _never_empty(mask) for kind, mask in masks.items()}


def _never_empty(mask: Tensor) -> Tensor:
    """(…, L, S), in which a query that sees nobody sees the key of its own number."""
    itself = torch.eye(*mask.shape[-2:], dtype=torch.bool, device=mask.device)
    return mask | (itself & ~mask.any(-1, keepdim=True))


def cache_masks(
    config: JatConfig, index: Tensor, cache: KeyValueCache, hide_actions: bool
) -> Masks:
    """The masks of both kinds of layer for new tokens over everything in the cache.

    Args:
        config: the model's, for its window size.
        index: (B, L), the new tokens' places in their sequences; negative for a token left out.
        cache: in which the tokens have been reserved.
        hide_actions: observations cannot see past actions.

    Returns:
        {"global", "local"}: booleans (B, 1, L, S).
    """
    hidden = torch.full(index.shape[:1], True, device=index.device) if hide_actions else None
    masks = _both(config, index, cache.key_index(), hidden)
    absent = (index < 0)[:, None, :, None]  # a token left out sees everything, and nobody sees it
    return {kind: mask | absent for kind, mask in masks.items()}


def _both(
    config: JatConfig,
    queries: Tensor,
    keys: Tensor,
    hidden: Tensor | None,
    block: int | None = None,
) -> Masks:
    """The masks (B, 1, L, S); the local one in blocks of ``block`` tokens, if that is given."""
    near = (queries, keys) if block is None else blocks_of_places(queries, keys, block)
    masks = {
        "global": _visible(queries, keys, hidden),  # (B, L, S)
        "local": _visible(*near, hidden, config.window_size),
    }
    return {kind: mask[:, None] for kind, mask in masks.items()}  # one mask for all heads


def _visible(
    queries: Tensor, keys: Tensor, hidden: Tensor | None, window: int | None = None
) -> Tensor:
    """Who sees whom, (B, …, L, S), of places (B, …, L) and (B, …, S)."""
    mask = visible_keys(queries, keys, window)
    if hidden is None:
        return mask
    rows = hidden.view(-1, *[1] * (mask.ndim - 1))
    return torch.where(rows, hide_past_actions(mask, queries, keys), mask)
