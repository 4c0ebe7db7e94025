"""A step of acting through the trunk: the computation of `Transformer.forward`, in fewer calls.

In a small model a step spends more time between the matrix products than in them: to call a module
takes as long as what it computes. Here a block is a few calls of PyTorch in a row, on packed
weights, with GELU and both additions inside the products (docs/results/speed.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks

from jatlab.model.attention import FEW, DualAttention, attend
from jatlab.model.linear.layer import Linear, pack

EVERYWHERE = (_global_forward_hooks, _global_forward_pre_hooks)  # of all modules

if TYPE_CHECKING:
    from jatlab.model.attention import KeyValueCache
    from jatlab.model.transformer import Block, LayerMasks, Transformer


class PackedTrunk:
    """A trunk for acting, whose weights are packed (`jatlab.model.linear.layer.pack`).

    The trunk itself computes where this way is not open: where a processor has no packed products,
    for more than `FEW` tokens, after a change of the weights, and where a module has been replaced
    or is watched by hooks. The numbers agree to rounding.

    Args:
        trunk: the model's. Its weights are packed as they are now.
    """

    def __init__(self, trunk: Transformer):
        pack(trunk)
        self.trunk, modules = trunk, list(trunk.modules())
        self.layers = [module for module in modules if isinstance(module, Linear)]
        self.as_built = all(map(_is_as_built, trunk.blocks))
        blocks = cast("list[Block]", list(trunk.blocks)) if self.as_built else []
        self.blocks = [PackedBlock(block) for block in blocks]
        self.own = [vars(module) for module in modules]
        # what each module is made of, and what it is made of now
        self.parts = [(dict(module._modules), module._modules) for module in modules]
        self.hooks = [*EVERYWHERE, *(module._forward_hooks for module in modules)]
        self.hooks += [module._forward_pre_hooks for module in modules]

    def __call__(
        self, tokens: Tensor, masks: LayerMasks, positions: Tensor, cache: KeyValueCache
    ) -> Tensor:
        """The hidden states (B, L, H) of new tokens, as `Transformer.forward` without recording.

        Args:
            tokens: (B, L, H), the embeddings.
            masks: from `cache_masks`.
            positions: (B, L) or (L,), those of the tokens.
            cache: the keys and values of earlier tokens, to which these are added.
        """
        if not self._fits(tokens):
            return self.trunk(tokens, masks, positions, cache)[0]
        x = tokens + F.embedding(positions, self.trunk.positions.weight)
        for block in self.blocks:
            x = block(x, masks, cache)
        return _normalised(self.trunk.norm, x)

    def _fits(self, tokens: Tensor) -> bool:
        """Whether these tokens can take the short way."""
        if not self.as_built or tokens.shape[1] > FEW or self.trunk.training:
            return False
        if torch.is_grad_enabled() or any(self.hooks) or any("forward" in own for own in self.own):
            return False
        if any(before != now for before, now in self.parts):
            return False
        return all(layer.is_packed(tokens.dtype) for layer in self.layers)


class PackedBlock:
    """A block of the trunk. It holds the block's modules, since a module finds its own slowly.

    Args:
        block: of the trunk.
    """

    def __init__(self, block: Block):
        attention = block.attention
        self.layer, self.kind, self.split = attention.layer, attention.kind, attention.split
        self.projections = (attention.query, attention.key, attention.value)
        self.attention_norm, self.mlp_norm = block.attention_norm, block.mlp_norm
        self.output, self.up, self.down = attention.output, block.mlp.up, block.mlp.down

    def __call__(self, x: Tensor, masks: LayerMasks, cache: KeyValueCache) -> Tensor:
        """`Block.forward`: the stream (B, L, H) after it."""
        read = _normalised(self.attention_norm, x)
        query, key, value = (self.split(layer.product(read)) for layer in self.projections)
        key, value = cache.extend(self.layer, key, value)
        mixed, _ = attend(query, key, value, masks[self.kind])
        x = self.output.product_plus(mixed.transpose(1, 2).flatten(2), x)
        wide = self.up.product(_normalised(self.mlp_norm, x), then="gelu")
        return self.down.product_plus(wide, x)


def _normalised(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return torch.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _is_as_built(block: nn.Module) -> bool:
    """Whether a block has the modules that `Block` gives it."""
    from jatlab.model.transformer import MLP, Block

    kinds = [Block, nn.LayerNorm, DualAttention, *[Linear] * 4, nn.LayerNorm, MLP, Linear, Linear]
    return [type(module) for module in block.modules()] == [*kinds, nn.Dropout]
