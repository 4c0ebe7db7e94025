"""A step of acting through the trunk: the computation of `Transformer.forward`, in fewer calls.

A step multiplies two rows with each matrix of the trunk, so it takes as long as reading them. It
reads copies, in the order in which a library reads them fastest (`jatlab.model.linear.packing`);
query, key and value are one product. In a small model a step spends more time between the products
than in them: to call a module takes as long as what it computes. Here a block is a few calls of
PyTorch in a row (docs/results/speed.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks

from jatlab.model.attention import FEW as FEW_TOKENS
from jatlab.model.attention import DualAttention, attend
from jatlab.model.linear.int8 import Int8Linear, Integers
from jatlab.model.linear.layer import Linear, version_of
from jatlab.model.linear.packing import FEW, Packed, packing

EVERYWHERE = (_global_forward_hooks, _global_forward_pre_hooks)  # of all modules
LINEAR = (Linear, Int8Linear)

if TYPE_CHECKING:
    from jatlab.model.attention import KeyValueCache
    from jatlab.model.transformer import Block, LayerMasks, Transformer


class PackedTrunk:
    """A trunk for acting, on copies of its weights as they are now.

    The trunk itself computes where this way is not open: where a processor has no packed products,
    for more than a few tokens, after a change of the weights, and where a module has been replaced
    or is watched by hooks. The numbers agree to rounding.

    The copies take as much memory as the trunk's matrices. They stay with the trunk, so a second
    `PackedTrunk` finds them. A change of the weights is seen at once, except one through
    ``weight.data[...]``, which PyTorch does not count: that one is seen by the next `PackedTrunk`,
    so by `Agent.reset`.

    Args:
        trunk: the model's.
        rows: tokens that are fed at once, of all episodes.
    """

    def __init__(self, trunk: Transformer, rows: int):
        self.trunk, self.few = trunk, rows <= FEW
        self.copies = copies_of(trunk, rows)

    def __call__(
        self,
        tokens: Tensor,
        masks: LayerMasks,
        positions: Tensor,
        cache: KeyValueCache,
        record: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run new tokens through all blocks, as `Transformer.forward` does.

        Args:
            tokens: (B, L, H), the embeddings.
            masks: from `cache_masks`.
            positions: (B, L) or (L,), those of the tokens.
            cache: the keys and values of earlier tokens, to which these are added.
            record: return the attention weights too.

        Returns:
            The hidden states (B, L, H), and with ``record`` each layer's weights (B, N, L, S).
        """
        if not self._fits(tokens):
            return self.trunk(tokens, masks, positions, cache, record)[:2]
        x = tokens + F.embedding(positions, self.trunk.positions.weight)
        attentions: list[Tensor] = []
        for block in self.copies.blocks:
            x, weights = block(x, masks, cache, record)
            attentions += [] if weights is None else [weights]
        return _normalised(self.trunk.norm, x), tuple(attentions)

    def _fits(self, tokens: Tensor) -> bool:
        """Whether these tokens can take the short way."""
        if tokens.shape[1] > FEW_TOKENS or self.trunk.training or torch.is_grad_enabled():
            return False
        if self.trunk.copies.get(self.few) is not self.copies:  # thrown away, or made anew
            return False
        return self.copies.serve(tokens)


class Copies:
    """The blocks of a trunk on copies of its matrices, as they are now.

    Args:
        trunk: the model's.
        rows: that will be multiplied at once.
    """

    def __init__(self, trunk: Transformer, rows: int):
        as_built = all(map(_is_as_built, trunk.blocks))
        blocks = cast("list[Block]", list(trunk.blocks)) if as_built else []
        self.blocks = [PackedBlock(block, rows) for block in blocks]
        self.packed = [one for block in self.blocks for one in block.packed if one is not None]
        self.complete = 0 < len(self.packed) == sum(len(block.packed) for block in self.blocks)
        layers = [layer for layer in trunk.modules() if isinstance(layer, LINEAR)]
        self.sources = [Source(layer) for layer in layers] if self.complete else []
        modules = list(trunk.modules())
        self.own = [vars(module) for module in modules]
        # what each module was made of, and what it is made of now
        self.parts = [(dict(module._modules), module._modules) for module in modules]
        self.hooks = [*EVERYWHERE, *(module._forward_hooks for module in modules)]
        self.hooks += [module._forward_pre_hooks for module in modules]

    def serve(self, tokens: Tensor) -> bool:
        """Whether they are for so many tokens (B, L, H) of this type, and of today's trunk."""
        if not self._are_unchanged() or any(self.hooks) or any("forward" in o for o in self.own):
            return False
        rows = len(tokens) * tokens.shape[1]
        return all(one.dtype == tokens.dtype and one.serves(rows) for one in self.packed)

    def are_current(self) -> bool:
        """Whether they are of today's trunk, whatever way its weights were changed."""
        return self._are_unchanged() and not any(one.differs() for one in self.sources)

    def _are_unchanged(self) -> bool:
        """Whether they are of today's modules, and no change of the weights was counted."""
        if not self.complete or any(before != now for before, now in self.parts):
            return False
        return not any(one.has_changed() for one in self.sources)


class Source:
    """What a layer's weights were when they were copied.

    Args:
        layer: of the trunk.
    """

    def __init__(self, layer: nn.Module):
        self.own = layer._parameters
        self.weight = cast(Tensor, self.own["weight"])
        self.place, self.version = self.weight.data_ptr(), version_of(self.weight)
        self.fingerprint = _fingerprint(self.weight)

    def has_changed(self) -> bool:
        """Whether they lie elsewhere now, or a change was counted."""
        weight = self.weight
        if self.own["weight"] is not weight or self.place != weight.data_ptr():
            return True
        return self.version != version_of(weight)

    def differs(self) -> bool:
        """Whether the numbers are others."""
        return not torch.equal(self.fingerprint, _fingerprint(self.weight))


class PackedBlock:
    """A block of the trunk, on copies of its matrices.

    Args:
        block: of the trunk, as built.
        rows: that will be multiplied at once.
    """

    def __init__(self, block: Block, rows: int):
        attention = block.attention
        self.layer, self.kind, self.heads = attention.layer, attention.kind, attention.num_heads
        self.attention_norm, self.mlp_norm = block.attention_norm, block.mlp_norm
        # their biases are read, not copied
        self.output, self.up, self.down = attention.output, block.mlp.up, block.mlp.down
        layers = [[attention.query, attention.key, attention.value]]
        layers += [[self.output], [self.up], [self.down]]
        self.packed = [_packed(together, rows) for together in layers]

    def __call__(
        self, x: Tensor, masks: LayerMasks, cache: KeyValueCache, record: bool
    ) -> tuple[Tensor, Tensor | None]:
        """`Block.forward`: the stream (B, L, H) after it, and the attention weights."""
        three, output, up, down = cast("list[Packed]", self.packed)
        read = three.product(_normalised(self.attention_norm, x), None)  # (B, L, 3 H)
        heads = read.view(*x.shape[:2], 3, self.heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (B, N, L, D) each
        key, value = cache.extend(self.layer, key, value)
        mixed, weights = attend(query, key, value, masks[self.kind], record=record)
        x = output.product_plus(mixed.transpose(1, 2).flatten(2), self.output.bias, x)
        wide = up.product(_normalised(self.mlp_norm, x), self.up.bias, then="gelu")
        return down.product_plus(wide, self.down.bias, x), weights


def copies_of(trunk: Transformer, rows: int) -> Copies:
    """The trunk's copies for so many rows: those that it has, if they are of today's weights.

    To make them takes up to a tenth of a second for jatlab-mini, to find them a few milliseconds.
    """
    few = rows <= FEW
    found = trunk.copies.get(few)
    if found is None or not found.are_current():
        found = trunk.copies[few] = Copies(trunk, rows)
    return found


def _packed(layers: Sequence[nn.Module], rows: int) -> Packed | None:
    """One copy of the matrices of layers that read the same (…, in)."""
    first = layers[0]
    if isinstance(first, Int8Linear) and len(layers) == 1:
        return first.integers()
    weights = [cast(Tensor, layer.weight).detach() for layer in layers]
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    if isinstance(first, Int8Linear):
        return Integers(weight, torch.cat([cast(Tensor, layer.scale) for layer in layers]))
    kind = packing(weight, rows)
    return None if kind is None else kind(weight)


def _fingerprint(weight: Tensor) -> Tensor:
    """What tells a matrix (out, in) from others: its product with a fixed vector, (out,)."""
    fixed = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(0))
    return torch.mv(weight.detach().float(), fixed)


def _normalised(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return torch.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _is_as_built(block: nn.Module) -> bool:
    """Whether a block has the modules that `Block` gives it, with weights of one form."""
    from jatlab.model.transformer import MLP, Block

    found = [type(module) for module in block.modules()]
    for linear in LINEAR:
        kinds = [Block, nn.LayerNorm, DualAttention, *[linear] * 4, nn.LayerNorm, MLP]
        if found == [*kinds, linear, linear, nn.Dropout]:
            return True
    return False
