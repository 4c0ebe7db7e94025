"""LoRA (Hu and others, arXiv 2106.09685): train a low-rank addition to each matrix, not the matrix.

`add_lora` freezes a model and adds adapters; `merge_lora` adds what they learnt to the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

RANK = 8


class LowRank(nn.Module):
    """Adds B A to a weight (m, n), with A (rank, n) drawn at random and B (m, rank) zero at first.

    So the model starts out unchanged.
    """

    def __init__(self, weight: Tensor, rank: int = RANK):
        super().__init__()
        rows, columns = weight.shape
        self.a = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its addition."""
        return weight + self.b @ self.a


def add_lora(model: nn.Module, rank: int = RANK) -> list[nn.Linear]:
    """Freeze a model, and give each of its linear layers an adapter; returns these layers."""
    model.requires_grad_(False)
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))
    return layers


def merge_lora(layers: list[nn.Linear]) -> None:
    """Add what the adapters learnt to the weights, and remove the adapters."""
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
