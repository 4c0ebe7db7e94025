"""`Linear` and `pack`: a few rows times large matrices, as acting needs it, fast on a CPU.

Acting multiplies two rows with each matrix, so a step takes as long as reading the weights, and
F.linear reads them at a fifth to a third of the memory's speed (docs/results/speed.md).
"""

from __future__ import annotations

import platform
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = 6  # for two to so many rows, PyTorch's own product of x and W transposed reads W slowly
PRODUCTS = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
ROWS = 2  # for which packed weights are arranged: those of a step of one environment


class Linear(nn.Linear):
    """`torch.nn.Linear`, with faster products on a CPU where no gradient is asked for.

    After `pack` it has a second copy of its weights, in the order in which oneDNN reads them. The
    copy is used until the weights change, or a gradient is asked for. Without one, a few rows are
    multiplied as W times x transposed, which reads the weights faster than x times W transposed, if
    x lies in memory row by row. The numbers agree to rounding.
    """

    _packed: Tensor | None = None
    # the weight that was copied, which keeps its place in memory, and its version then
    _packed_from: tuple[Tensor, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        if torch.is_grad_enabled():
            self.unpack()  # a step of training may follow, and a fused one raises no version
            return F.linear(x, self.weight, self.bias)
        if x.device.type != "cpu":
            return F.linear(x, self.weight, self.bias)
        if self.is_packed(x.dtype):
            return self.product(x.contiguous())
        if x.dtype != torch.float32 or not 1 < x.numel() // self.in_features <= FEW:
            return F.linear(x, self.weight, self.bias)
        rows = x.reshape(-1, self.in_features).contiguous()  # transposed already, it is slow
        y = (self.weight @ rows.T).T.contiguous().view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias

    def pack(self) -> None:
        """Copy the weights as they are now, where this processor's PyTorch has products for it."""
        weight = self.weight.detach()
        if can_pack(weight):
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
            self._packed_from = weight, version_of(weight)
        else:
            self.unpack()

    def unpack(self) -> None:
        """Throw the copy away."""
        if self._packed is not None:
            self._packed = self._packed_from = None

    def is_packed(self, dtype: torch.dtype) -> bool:
        """Whether there is a copy of this type, of the weights as they are."""
        if self._packed is None or self._packed_from is None or self._packed.dtype != dtype:
            return False
        (before, version), weight = self._packed_from, self.weight
        return before.data_ptr() == weight.data_ptr() and version == version_of(weight)

    def product(self, x: Tensor, then: str = "none") -> Tensor:
        """What `forward` gives, (…, in) -> (…, out), by the packed copy.

        Args:
            x: in memory row by row, of the copy's type.
            then: "gelu" (tanh form) of each number, or "none".
        """
        form = "tanh" if then == "gelu" else ""
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, then, [], form)

    def product_plus(self, x: Tensor, other: Tensor) -> Tensor:
        """``product(x) + other``, where ``other`` is (…, out)."""
        product = torch.ops.mkldnn._linear_pointwise.binary
        return product(x, other, self._packed, self.bias, "add")

    def __getstate__(self) -> dict[str, Any]:
        """Without the copy, which is made again where the layer arrives."""
        return self.__dict__ | {"_packed": None, "_packed_from": None}


def pack(module: nn.Module) -> None:
    """Pack all `Linear` layers of a module, for acting: see `Linear.pack`.

    It costs a few milliseconds for jatlab-mini, and so much memory again as these weights take. A
    change of the weights afterwards is seen, except one through ``weight.data[...]``: PyTorch does
    not count these. Pack again after one; `Agent.reset` does.
    """
    for layer in module.modules():
        if isinstance(layer, Linear):
            layer.pack()


def can_pack(weight: Tensor) -> bool:
    """Whether there are oneDNN's products for such a weight: on x86, in float32 or bfloat16."""
    if weight.device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return False
    operations = torch.ops.mkldnn
    if not all(hasattr(operations, name) for name in PRODUCTS):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(operations._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


def version_of(weight: Tensor) -> int:
    """How often a weight was changed in place; 0 where PyTorch does not count it."""
    return 0 if weight.is_inference() else weight._version
