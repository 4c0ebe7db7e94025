"""Muon, an optimizer for the matrices of encoders and trunk (Jordan and others, 2024).

The averaged gradient of a matrix has a few strong directions, and plain steps follow these. Muon
replaces it by the nearest matrix whose singular values are all 1, so that rare directions are
learnt as fast as frequent ones. A few products of matrices come near enough (Newton and Schulz's
iteration; the coefficients are the authors'). The step is as long as AdamW's in the mean
(Liu and others, arXiv 2502.16982, section 2.2), so one learning rate serves both.

PyTorch's own Muon computes in bfloat16, which takes five times as long where the processor has no
such instructions. This one keeps the precision of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
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
        """One step of all parameters that have a gradient."""
        group = self.param_groups[0]
        gradients = {p: p.grad for p in group["params"] if p.grad is not None}
        for parameter in gradients:
            parameter.grad = None  # AdamW passes by what has none
        super().step()
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
            self._move(parameter, gradient, group["lr"], group["weight_decay"])

    def _move(self, matrix: Tensor, gradient: Tensor, lr: float, decay: float) -> None:
        state, skip = self.state[matrix], getattr(self, "found_inf", None)
        if not state:
            state["exp_avg"] = torch.zeros_like(matrix)
        if skip is not None:  # 1 where the gradient is not a number, as AdamW's fused kernel has it
            gradient = torch.where(skip > 0, 0.0, gradient)
        average = state["exp_avg"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(average, MOMENTUM)  # Nesterov's
        direction = cut_like(orthogonal(whole(ahead)), matrix)
        step = lr * (LENGTH * max(matrix.shape) ** 0.5 * direction + decay * matrix)
        matrix.sub_(step if skip is None else step * (1 - skip))


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly U V^T of a matrix (m, n) = U S V^T: its singular values lie between 0.7 and 1.2."""
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-7)  # no singular value is above 1
    a, b, c = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T
