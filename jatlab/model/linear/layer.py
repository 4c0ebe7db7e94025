"""`Linear`: torch's, with a faster product of a few rows on a CPU.

Acting multiplies two rows with each matrix, so a step takes as long as reading the weights, and
F.linear reads them at a fifth to a third of the memory's speed (docs/results/speed.md). Agents that
play read copies of the weights (`jatlab.model.packed`); this product is for all else, and for
processors without those.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = 6  # for two to so many rows, PyTorch's own product of x and W transposed reads W slowly


class Linear(nn.Linear):
    """`torch.nn.Linear`, faster on a CPU for a few rows in float32 where no gradient is asked for.

    They are multiplied as W times x transposed, which reads the weights faster than x times W
    transposed, if x lies in memory row by row. The numbers agree to rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
            return F.linear(x, self.weight, self.bias)
        rows = x.reshape(-1, self.in_features)
        if not 1 < len(rows) <= FEW:
            return F.linear(x, self.weight, self.bias)
        y = (self.weight @ rows.contiguous().T).T.contiguous()  # transposed already, it is slow
        return (y if self.bias is None else y + self.bias).view(*x.shape[:-1], self.out_features)


def version_of(weight: Tensor) -> int:
    """How often a weight was changed in place; 0 where PyTorch does not count it."""
    return 0 if weight.is_inference() else weight._version
