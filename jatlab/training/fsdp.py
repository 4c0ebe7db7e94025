"""One model in shards: each process holds its part of every weight, gradient and moment (fully
sharded data parallel, FSDP).

A transformer block is gathered when its turn comes, and let go again; what is outside the blocks is
one more such unit. Chosen and tuned by Accelerate's configuration (`accelerate config`, or
``ACCELERATE_USE_FSDP=true FSDP_VERSION=2``); carried out by PyTorch's `fully_shard`, by the same
lines on CPUs and GPUs.

A process whose batch is Atari has no gradient for the BabyAI encoder, which another one may have at
the same step. Sharded gradients must be summed by all or by none: so here every process gives each
weight a gradient, zero if need be, and afterwards the weights that no process had a use for are
left without one. AdamW then passes them over, as it does in one process or under DDP.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from jatlab.model import JatModel
from jatlab.model.transformer import Block


class LossOf(nn.Module):
    """The model seen as inputs -> loss: DDP must know of nothing else that comes out of it, or it
    waits for gradients that never come.
    """

    def __init__(self, model: JatModel):
        super().__init__()
        self.model = model

    def forward(self, **inputs) -> Tensor:
        return self.model(**inputs).loss


class ShardedLoss(LossOf):
    """As `LossOf`, for shards: `shard` makes one. Call `forget_unused` after the last backward pass
    of a step.
    """

    def __init__(self, model: JatModel):
        super().__init__(model)
        inside = {p for block in _blocks(model) for p in block.parameters()}
        self.outside = [
            name for name, p in model.named_parameters() if p not in inside
        ]  # by name: sharding replaces the parameters
        self.used: set[str] = set()

    def forward(self, **inputs) -> Tensor:
        loss = super().forward(**inputs)
        if not loss.requires_grad:
            return loss
        parameters = dict(self.model.named_parameters())  # gathered at this moment
        outside, used = {name: parameters[name] for name in self.outside}, reached(loss)
        self.used |= {name for name, p in outside.items() if p in used}
        return loss + sum(0.0 * p.flatten()[0] for p in outside.values() if p not in used)

    @contextmanager
    def no_sync(self):
        """Within the block, backward passes add up whole gradients in each process, without a word
        to the others.
        """
        self.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self.set_requires_gradient_sync(True)

    def forget_unused(self) -> None:
        """Take the gradients, all zero, from the weights that no process's batches of this step
        reached.
        """
        parameters = dict(self.model.named_parameters())
        flags = torch.tensor(
            [name in self.used for name in self.outside],
            dtype=torch.int32,
            device=local(parameters[self.outside[0]]).device,
        )
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
        leaves |= {node.variable} if hasattr(node, "variable") else set()
        ahead += [following for following, _ in node.next_functions]
    return leaves


def _blocks(model: nn.Module) -> list[Block]:
    return [module for module in model.modules() if isinstance(module, Block)]


# --- choosing and making shards
# ----------------------------------------------------------------------------------------------


def sharding_plugin(accelerator):
    """Accelerate's FSDP settings where they were chosen and there are several processes, else None.

    Raises ValueError for settings that are not carried out here. (On CPUs Accelerate itself ignores
    them.)
    """
    if (
        accelerator.num_processes == 1
        or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() != "true"
    ):
        return None
    from accelerate import FullyShardedDataParallelPlugin

    if int(os.environ.get("FSDP_VERSION", "1")) != 2:
        raise ValueError(
            "FSDP is done by PyTorch's fully_shard: choose FSDP version 2 in `accelerate config` (fsdp_version: 2, or FSDP_VERSION=2)"
        )
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true":
        raise ValueError(
            "FSDP with parameters offloaded to the CPU is not built: choose no offloading (fsdp_offload_params: false), and --checkpoint-activations or more processes"
        )
    return FullyShardedDataParallelPlugin()


def shard(model: JatModel, plugin, device: torch.device) -> ShardedLoss:
    """Cut the model, alike in all processes, into shards on their devices. An optimizer must be
    made after it: the parameters are new ones.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    scored = ShardedLoss(model.to(device))
    for block in _blocks(model):
        fully_shard(block, mesh=mesh, reshard_after_forward=plugin.reshard_after_forward)
    fully_shard(scored, mesh=mesh)
    scored.register_forward_hook(_let_go)
    return scored


def _let_go(scored: ShardedLoss, *_) -> None:
    """Without a backward pass to come, what lies outside the blocks would stay gathered, and be old
    after the next write to the shards.
    """
    if not torch.is_grad_enabled():
        scored.reshard()


# --- tensors, sharded or not
# -------------------------------------------------------------------------------------------------


def is_sharded(tensor: Tensor) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, sharing its memory; all of it where it is not sharded."""
    return tensor.detach().to_local() if is_sharded(tensor) else tensor.detach()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor. Where it is sharded every process must ask, in the same order."""
    return tensor.detach().full_tensor() if is_sharded(tensor) else tensor.detach()


def cut_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole ``tensor``, which every process has, on the device and in the shards of ``like``."""
    from torch.distributed.tensor import distribute_tensor

    tensor = tensor.to(like.device)
    return (
        distribute_tensor(tensor, like.device_mesh, like.placements) if is_sharded(like) else tensor
    )


def whole_model(model: JatModel, keep: bool = True) -> JatModel | None:
    """The model itself; or, where it is sharded, its copy in one piece on the CPU of processes that
    ``keep`` it (None in others).

    Where it is sharded every process must ask.
    """
    if not any(is_sharded(p) for p in model.parameters()):
        return model
    weights = {}
    for name, value in model.state_dict().items():
        value = whole(value)
        weights |= {name: value.cpu()} if keep else {}
    if not keep:
        return None
    with torch.device("meta"):
        copy = JatModel(model.config)
    copy.load_state_dict(weights, assign=True)
    return copy
