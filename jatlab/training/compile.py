"""Compiling the transformer's blocks with torch.compile, where that works.

Where there is no compiler, or it fails, training says so and goes on without. Only the blocks are
compiled: around them sizes depend on the data (distinct integers, valid timesteps), which a
compiler can do little with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch

from jatlab.model import JatModel
from jatlab.model.transformer import Block, sequence_masks


def compile_blocks(
    model: JatModel, device: torch.device, bf16: bool, say: Callable[[str], None] = print
) -> bool:
    """Compile every block, and try a forward and a backward pass.

    A later batch may need another compilation, for other sizes. If that fails in a forward pass,
    all blocks go on without. A failure in a backward pass ends the run: go on from its last
    checkpoint with ``compile=False``.

    Args:
        model: its blocks' ``forward`` is replaced.
        device: where the model will train.
        bf16: whether it will compute in bfloat16.
        say: gets the message if compiling fails.

    Returns:
        Whether the blocks are compiled.
    """
    for block in _blocks(model):
        block.forward = _with_fallback(model, block, say)  # type: ignore[method-assign]
    _try_blocks(model, device, bf16, say)
    return is_compiled(model)


def is_compiled(model: JatModel) -> bool:
    """Whether all blocks of the model are compiled."""
    return all("forward" in block.__dict__ for block in _blocks(model))


def _blocks(model: JatModel) -> list[Block]:
    """The blocks of the model's transformer, first to last."""
    return [cast(Block, block) for block in model.trunk.blocks]


def _with_fallback(model: JatModel, block: Block, say: Callable[[str], None]) -> Callable:
    """The block's compiled ``forward``; if it fails, all blocks go on without compilation."""
    compiled = torch.compile(block.forward, dynamic=True)

    def forward(*inputs: Any) -> Any:
        try:
            return compiled(*inputs)
        # Any error of the compiler and its tools. An error of the model itself comes again below.
        except Exception as error:
            _undo(model, error, say)
            return block.forward(*inputs)

    return forward


def _undo(model: JatModel, error: Exception, say: Callable[[str], None]) -> None:
    """Give all blocks their usual ``forward`` again, and say why."""
    for block in _blocks(model):
        block.__dict__.pop("forward", None)
    # the compiler's errors are pages long
    reason = " ".join(str(error).strip().splitlines()[:2])[:300]
    say(
        "torch.compile does not work here; training goes on without it "
        f"({type(error).__name__}: {reason})"
    )


def _try_blocks(
    model: JatModel, device: torch.device, bf16: bool, say: Callable[[str], None]
) -> None:
    """A forward and a backward pass through a block of each kind."""
    model.trunk.to(device)
    masks = sequence_masks(model.config, 4, device=device)
    for block in _blocks(model)[:2]:
        x = torch.zeros(2, 4, model.config.hidden_size, device=device, requires_grad=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            mixed = block(x, masks, None, False)[0]
        try:
            mixed.sum().backward()
        except Exception as error:
            _undo(model, error, say)
    model.trunk.zero_grad()
