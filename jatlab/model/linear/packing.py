"""Copies of a matrix in the order in which a library reads it fastest, for acting on a CPU.

- `Blocks`, by oneDNN: for many rows, as in lockstep.
- `Halves`, by FBGEMM: for up to `FEW` rows, as in one environment. It reads float16 about as fast
  as the memory gives it. A float32 is stored as two float16: the nearest one, and what is left,
  times 2¹¹. Each has 11 bits of precision, so together they have the 22 to 24 bits of a float32
  (docs/results/speed.md).
"""

from __future__ import annotations

import platform
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS = 2  # of a step of one environment; for more rows another order is no faster
FEW = 3  # up to so many rows FBGEMM was faster, above it oneDNN
LEFT = 2.0**11  # by which what is left is multiplied
RANGE = 2.0**-12, 60_000.0  # of a matrix's largest number, for float16 to hold it
ONEDNN = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
FBGEMM = ("linear_prepack_fp16", "linear_dynamic_fp16")


class Packed(Protocol):
    """A copy of a matrix (out, in) for some number of rows."""

    dtype: torch.dtype  # of what is multiplied

    def serves(self, rows: int) -> bool:
        """Whether the copy was made for so many rows."""

    def product(self, x: Tensor, bias: Tensor | None, then: str = "none") -> Tensor:
        """The linear layer, (…, in) -> (…, out), of ``x`` in memory row by row.

        Args:
            x: two or more dimensions.
            bias: (out,), or None.
            then: "gelu" (tanh form) of each number, or "none".
        """

    def product_plus(self, x: Tensor, bias: Tensor | None, other: Tensor) -> Tensor:
        """``product(x, bias) + other``, where ``other`` is (…, out)."""


class Blocks:
    """Of oneDNN, for any number of rows.

    Args:
        weight: (out, in), float32 or bfloat16.
    """

    def __init__(self, weight: Tensor):
        self.dtype = weight.dtype
        self.matrix = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)

    def serves(self, rows: int) -> bool:
        """Always."""
        return True

    def product(self, x: Tensor, bias: Tensor | None, then: str = "none") -> Tensor:
        """See `Packed.product`."""
        form = "tanh" if then == "gelu" else ""
        return torch.ops.mkldnn._linear_pointwise(x, self.matrix, bias, then, [], form)

    def product_plus(self, x: Tensor, bias: Tensor | None, other: Tensor) -> Tensor:
        """See `Packed.product_plus`."""
        product = torch.ops.mkldnn._linear_pointwise.binary
        return product(x, other, self.matrix, bias, "add")


class Halves:
    """Of FBGEMM, in float16: two numbers for a float32, one for a bfloat16. Sums are in float32.

    A bfloat16 is kept to the last bit down to 6e-5, and to within 3e-8 below.

    Args:
        weight: (out, in), float32 or bfloat16.
    """

    def __init__(self, weight: Tensor):
        self.dtype = weight.dtype
        matrix = weight.float()
        if weight.dtype == torch.float32:
            nearest = matrix.half().float()
            matrix = torch.cat([nearest, LEFT * (matrix - nearest)])  # (2 out, in)
        self.matrix = torch.ops.quantized.linear_prepack_fp16(matrix, None)

    def serves(self, rows: int) -> bool:
        """Whether they are few."""
        return rows <= FEW

    def product(self, x: Tensor, bias: Tensor | None, then: str = "none") -> Tensor:
        """See `Packed.product`."""
        y = self._sum(x, bias)
        return (F.gelu(y, approximate="tanh") if then == "gelu" else y).to(self.dtype)

    def product_plus(self, x: Tensor, bias: Tensor | None, other: Tensor) -> Tensor:
        """See `Packed.product_plus`."""
        return self._sum(x, bias).add_(other).to(self.dtype)

    def _sum(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The layer in float32."""
        y = torch.ops.quantized.linear_dynamic_fp16(x.float(), self.matrix)
        if self.dtype == torch.float32:
            y = torch.add(*y.chunk(2, -1), alpha=1 / LEFT)
        return y if bias is None else y.add_(bias)


def packing(weight: Tensor, rows: int) -> type[Blocks | Halves] | None:
    """Which copy of a matrix is fastest for so many rows; None where there are no products."""
    if rows <= FEW and can_halve(weight):
        return Halves
    return Blocks if can_block(weight) else None


def can_halve(weight: Tensor) -> bool:
    """Whether FBGEMM has products for it: on x86, of numbers that float16 can hold."""
    if not _is_on_x86(weight) or weight.dtype not in (torch.float32, torch.bfloat16):
        return False
    if torch.backends.quantized.engine not in ("x86", "fbgemm"):
        return False
    if not all(hasattr(torch.ops.quantized, name) for name in FBGEMM):
        return False
    low, high = weight.aminmax()
    return RANGE[0] <= max(-float(low), float(high)) <= RANGE[1]


def can_block(weight: Tensor) -> bool:
    """Whether oneDNN has products for it: on x86, in float32 or bfloat16."""
    if not _is_on_x86(weight):
        return False
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return False
    operations: Any = torch.ops.mkldnn
    if not all(hasattr(operations, name) for name in ONEDNN):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(operations._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


def _is_on_x86(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and platform.machine() in ("x86_64", "AMD64")
