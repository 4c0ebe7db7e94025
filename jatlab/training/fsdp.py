"""Fully sharded data parallel (FSDP): each process holds a part of every weight.

The same holds for gradients and AdamW's moments. A transformer block is gathered when it is
computed and freed afterwards; everything outside the blocks is one more such unit. Accelerate's
configuration chooses the settings (`accelerate config`, or ``ACCELERATE_USE_FSDP=true
FSDP_VERSION=2``); PyTorch's `fully_shard` carries them out, in the same way on CPUs and GPUs.

A process whose batch is Atari has no gradient for the BabyAI encoder, while another process may
have one in the same step. A sharded gradient must be summed by all processes or by none. So every
process gives each weight a gradient, zero if need be. Afterwards we remove the gradients of weights
that no process used, so that AdamW skips them, as it does in one process and under DDP.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard, cast

import torch
from torch import Tensor, nn

from jatlab.model import JatModel
from jatlab.model.transformer import Block

if TYPE_CHECKING:
    from accelerate import Accelerator, FullyShardedDataParallelPlugin
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


class LossOf(nn.Module):
    """The model as a module that returns its loss only.

    DDP waits for the gradients of everything that a module returns, and the model's other outputs
    get none.
    """

    def __init__(self, model: JatModel):
        super().__init__()
        self.model = model

    def forward(self, **inputs: Tensor) -> Tensor:
        """The loss of a batch, a scalar."""
        return self.model(**inputs).loss


class ShardedLoss(LossOf):
    """`LossOf` for a sharded model; `shard` makes one.

    Call `forget_unused` after the last backward pass of a step.
    """

    def __init__(self, model: JatModel):
        super().__init__(model)
        inside = {p for block in _blocks(model) for p in block.parameters()}
        # by name, because sharding replaces the parameters
        self.outside = [name for name, p in model.named_parameters() if p not in inside]
        self.used: set[str] = set()

    def forward(self, **inputs: Tensor) -> Tensor:
        """The loss of a batch, with a zero gradient for each weight that the batch leaves out."""
        loss = super().forward(**inputs)
        if not loss.requires_grad:
            return loss
        parameters = dict(self.model.named_parameters())  # the gathered ones
        outside, used = {name: parameters[name] for name in self.outside}, reached(loss)
        self.used |= {name for name, p in outside.items() if p in used}
        return loss + sum(0.0 * p.flatten()[0] for p in outside.values() if p not in used)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within the block, each process adds up whole gradients without communication."""
        sharded = cast("FSDPModule", self)  # `fully_shard` has changed the class
        sharded.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            sharded.set_requires_gradient_sync(True)

    def forget_unused(self) -> None:
        """Remove the gradients, all zero, of weights that no process's batch of this step used."""
        parameters = dict(self.model.named_parameters())
        used = [name in self.used for name in self.outside]
        device = local(parameters[self.outside[0]]).device
        flags = torch.tensor(used, dtype=torch.int32, device=device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        for name, flag in zip(self.outside, flags.tolist(), strict=True):
            if not flag:
                parameters[name].grad = None
        self.used = set()


def reached(loss: Tensor) -> set[Tensor]:
    """The leaves (parameters) that a backward pass from ``loss`` would give a gradient."""
    leaves, seen, ahead = set(), set(), [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(node.variable)
        ahead += [following for following, _ in node.next_functions]
    return leaves


def _blocks(model: nn.Module) -> list[Block]:
    return [module for module in model.modules() if isinstance(module, Block)]


# --- choosing and making shards -------------------------------------------------------------------


def sharding_plugin(accelerator: Accelerator) -> FullyShardedDataParallelPlugin | None:
    """Accelerate's FSDP settings if they were chosen and there are several processes, else None.

    We read the environment ourselves, because Accelerate ignores these settings on CPUs.

    Raises:
        ValueError: for settings that jatlab does not carry out.
    """
    chosen = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if accelerator.num_processes == 1 or not chosen:
        return None
    from accelerate import FullyShardedDataParallelPlugin

    if int(os.environ.get("FSDP_VERSION", "1")) != 2:
        raise ValueError(
            "jatlab shards with PyTorch's fully_shard: choose FSDP version 2 in "
            "`accelerate config` (fsdp_version: 2, or FSDP_VERSION=2)"
        )
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true":
        raise ValueError(
            "jatlab does not offload parameters to the CPU: choose no offloading "
            "(fsdp_offload_params: false). To save memory use --checkpoint-activations "
            "or more processes"
        )
    return FullyShardedDataParallelPlugin()


def shard(
    model: JatModel, plugin: FullyShardedDataParallelPlugin, device: torch.device
) -> ShardedLoss:
    """Cut the model, the same in all processes, into shards on their devices.

    Make the optimizer afterwards, because the parameters are new ones.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    scored = ShardedLoss(model.to(device))
    for block in _blocks(model):
        fully_shard(block, mesh=mesh, reshard_after_forward=plugin.reshard_after_forward)
    fully_shard(scored, mesh=mesh)
    scored.register_forward_hook(_free_gathered_weights)
    return scored


def _free_gathered_weights(scored: nn.Module, *_: object) -> None:
    """Free the gathered weights outside the blocks if no backward pass will.

    Otherwise they would stay, and be out of date after the next write to the shards.
    """
    if not torch.is_grad_enabled():
        cast("FSDPModule", scored).reshard()


# --- tensors, sharded or not ----------------------------------------------------------------------


def is_sharded(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether each process holds only a part of the tensor."""
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, sharing its memory; all of it if it is not sharded."""
    tensor = tensor.detach()
    return tensor.to_local() if is_sharded(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor. If it is sharded, every process must call this, in the same order."""
    tensor = tensor.detach()
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def cut_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole ``tensor``, which every process has, on the device and in the shards of ``like``."""
    from torch.distributed.tensor import distribute_tensor

    tensor = tensor.to(like.device)
    if not is_sharded(like):
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements)


def whole_model(model: JatModel, keep: bool = True) -> JatModel | None:
    """The model in one piece: itself if it is not sharded, else a copy on the CPU.

    If it is sharded, every process must call this; those with ``keep=False`` get None.
    """
    if not any(is_sharded(p) for p in model.parameters()):
        return model
    weights: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        value = whole(value)
        if keep:
            weights[name] = value.cpu()
    if not keep:
        return None
    with torch.device("meta"):
        copy = JatModel(model.config)
    copy.load_state_dict(weights, assign=True)
    return copy
