"""A linear layer that is as fast for the two tokens of a step as its weights can be read."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = range(2, 7)  # rows for which PyTorch's own product of x and W transposed reads W slowly


class Linear(nn.Linear):
    """`torch.nn.Linear`, with another order of the product for a few rows on a CPU.

    Acting multiplies two rows with each matrix, and F.linear reads the weights at a third of the
    memory's speed then. W times x transposed is the same product and reads them two to three times
    as fast (docs/results/speed.md). The numbers agree to rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        few = x.numel() // self.in_features in FEW and x.dtype == torch.float32
        if not few or x.device.type != "cpu" or torch.is_grad_enabled():
            return F.linear(x, self.weight, self.bias)
        y = (self.weight @ x.reshape(-1, self.in_features).T).T.reshape(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias
