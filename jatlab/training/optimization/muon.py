"""Muon, an optimizer for the matrices of encoders and trunk (Jordan and others, 2024).

The averaged gradient of a matrix has a few strong directions, and plain steps follow these. Muon
replaces it by the nearest matrix whose singular values are all 1, so that rare directions are
learnt as fast as frequent ones. A few products of matrices come near enough (Newton and Schulz's
iteration; the coefficients are the authors'). The step is as long as AdamW's in the mean (Liu and
others, arXiv 2502.16982, section 2.2), so one learning rate serves both. The authors leave first
layers to AdamW; our encoders gained by Muon (docs/results/log.md).

PyTorch's own Muon computes in bfloat16, which takes five times as long where the processor has no
such instructions. This one keeps the precision of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from jatlab.training.fsdp import cut_like, whole

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
LENGTH = 0.2  # the root mean square of AdamW's steps, as measured by Liu and others


class Muon(torch.optim.AdamW):
    """Muon for some matrices, AdamW for all other parameters.

    Args:
        matrices: the parameters that Muon moves, all of two dimensions.
        groups: AdamW's groups of parameters.
        lr: the learning rate of both.
        weight_decay: of the matrices.
        betas: AdamW's decays.
    """

    def __init__(
        self,
        matrices: list[torch.nn.Parameter],
        groups: Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float,
        betas: tuple[float, float],
    ) -> None:
        first = {"params": matrices, "weight_decay": weight_decay}
        super().__init__([first, *groups], lr=lr, betas=betas, fused=True)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of all parameters that have a gradient. All processes must call this."""
        group = self.param_groups[0]
        gradients = {p: p.grad for p in group["params"] if p.grad is not None}
        for parameter in gradients:
            parameter.grad = None  # AdamW passes by what has none
        super().step()
        ahead = [whole(self._ahead(p, gradient)) for p, gradient in gradients.items()]
        for (parameter, gradient), direction in zip(
            gradients.items(), directions(ahead), strict=True
        ):
            parameter.grad = gradient
            self._move(parameter, cut_like(direction, parameter), group)

    def _ahead(self, matrix: Tensor, gradient: Tensor) -> Tensor:
        """The averaged gradient, and a part of the newest on top (Nesterov)."""
        state, skip = self.state[matrix], getattr(self, "found_inf", None)
        if not state:
            state["exp_avg"] = torch.zeros_like(matrix)
        if skip is not None:  # 1 where the gradient is not a number, as AdamW's fused kernel has it
            gradient = torch.where(skip > 0, 0.0, gradient)
        average = state["exp_avg"].lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(average, MOMENTUM)

    def _move(self, matrix: Tensor, direction: Tensor, group: dict[str, Any]) -> None:
        length, skip = LENGTH * max(matrix.shape) ** 0.5, getattr(self, "found_inf", None)
        step = group["lr"] * (length * direction + group["weight_decay"] * matrix)
        matrix.sub_(step if skip is None else step * (1 - skip))


def directions(matrices: list[Tensor]) -> list[Tensor]:
    """`orthogonal` of each; processes, which have the same matrices, divide the work."""
    if not (matrices and dist.is_available() and dist.is_initialized()):
        return [orthogonal(matrix) for matrix in matrices]
    process, processes = dist.get_rank(), dist.get_world_size()
    mine = [
        orthogonal(matrix) if number % processes == process else torch.zeros_like(matrix)
        for number, matrix in enumerate(matrices)
    ]
    shared = torch.cat([matrix.flatten() for matrix in mine])
    dist.all_reduce(shared)  # adds zeros to each of them
    parts = shared.split([matrix.numel() for matrix in matrices])
    return [part.view_as(matrix) for part, matrix in zip(parts, matrices, strict=True)]


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly U V^T of a matrix (m, n) = U S V^T.

    Singular values that were not tiny beside the largest lie between 0.65 and 1.25 afterwards.
    """
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-7)  # no singular value is above 1
    a, b, c = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T
