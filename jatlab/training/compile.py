"""torch.compile for the transformer's blocks, as an offer: where there is no compiler, or it fails,
training says so and goes on without.

Only the blocks are compiled. Around them sizes follow from the data (distinct integers, valid
timesteps), which a compiler can do little with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from jatlab.model import JatModel
from jatlab.model.transformer import Block, sequence_masks


def compile_blocks(
    model: JatModel, device: torch.device, bf16: bool, say: Callable[[str], None] = print
) -> bool:
    """Compile every block and try a forward and a backward pass; return whether that went well.

    A later batch may need another compilation, for other sizes. If that fails in a forward pass,
    all blocks go on without. A failure in a backward pass ends the run; it goes on from its last
    checkpoint with ``compile=False``.
    """
    for block in model.trunk.blocks:
        block.forward = _attempt(model, block, say)
    _try_blocks(model, device, bf16, say)
    return is_compiled(model)


def is_compiled(model: JatModel) -> bool:
    return all("forward" in block.__dict__ for block in model.trunk.blocks)


def _attempt(model: JatModel, block: Block, say: Callable[[str], None]) -> Callable:
    compiled = torch.compile(block.forward, dynamic=True)

    def forward(*inputs):
        try:
            return compiled(*inputs)
        # whatever the compiler and its tools come up with; the model's own errors come again below
        except Exception as error:
            _give_up(model, error, say)
            return block.forward(*inputs)

    return forward


def _give_up(model: JatModel, error: Exception, say: Callable[[str], None]) -> None:
    for block in model.trunk.blocks:
        block.__dict__.pop("forward", None)
    reason = " ".join(str(error).strip().splitlines()[:2])[
        :300
    ]  # the compiler's errors are pages long
    say(
        f"torch.compile does not work here; training goes on without it ({type(error).__name__}: {reason})"
    )


def _try_blocks(
    model: JatModel, device: torch.device, bf16: bool, say: Callable[[str], None]
) -> None:
    """A forward and a backward pass through a block of each kind."""
    trunk: nn.Module = model.trunk.to(device)
    masks = sequence_masks(model.config, 4, device=device)
    for block in trunk.blocks[:2]:
        x = torch.zeros(2, 4, model.config.hidden_size, device=device, requires_grad=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            mixed = block(x, masks, None, False)[0]
        try:
            mixed.sum().backward()
        except Exception as error:
            _give_up(model, error, say)
    trunk.zero_grad()
