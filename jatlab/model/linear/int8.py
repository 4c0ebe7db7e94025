"""Weights as 8-bit integers, for acting on a processor of Intel's or AMD's.

Acting reads all weights of the trunk for a handful of rows, so a step takes as long as reading
them. A quarter of the bytes are read four times as fast (docs/results/speed.md). Only the trunk's
matrices are stored so; they are nearly all of what a step reads.

Each row of a matrix is stored as integers from -127 to 127 and one scale. Each row of what comes in
is divided by its largest value and rounded to 127 steps, so that a row's result does not depend on
the rows beside it.
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.model.linear.layer import Linear
from jatlab.utils.checks import require

LEVELS = 63  # of what comes in, on each side of 0: products of eight bits would overflow on AVX2
SMALLEST = 1e-30  # divides a row of zeros


class Integers:
    """A matrix of integers in FBGEMM's order, for any number of rows: see `Packed`.

    Args:
        weight: (out, in) integers.
        scale: (out,), by which each row is multiplied.
    """

    dtype = torch.float32

    def __init__(self, weight: Tensor, scale: Tensor):
        zeros = torch.zeros(len(scale), dtype=torch.long)
        with warnings.catch_warnings():  # its tensors of integers will be gone some day
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(
                weight.detach(), scale.double(), zeros, 0
            )
        self.matrix = torch.ops.quantized.linear_prepack(quantised, None)

    def serves(self, rows: int) -> bool:
        """Always."""
        return True

    def product(self, x: Tensor, bias: Tensor | None, then: str = "none") -> Tensor:
        """See `Packed.product`. Each row is rounded to integers by its own largest value."""
        largest = x.abs().amax(-1, keepdim=True)
        y = _product()(x / (largest + SMALLEST), 1 / LEVELS, LEVELS + 1, self.matrix)
        y = y * largest if bias is None else torch.addcmul(bias, y, largest)
        return F.gelu(y, approximate="tanh") if then == "gelu" else y

    def product_plus(self, x: Tensor, bias: Tensor | None, other: Tensor) -> Tensor:
        """See `Packed.product_plus`."""
        return self.product(x, bias).add_(other)


class Int8Linear(nn.Module):
    """A linear layer in 8-bit integers, for inference on a CPU.

    Args:
        weight: (out, in) integers.
        scale: (out,), by which each row is multiplied.
        bias: (out,), or None.
    """

    scale: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None):
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.register_buffer("scale", scale)
        self._integers: Integers | None = None  # made at the first call

    @classmethod
    def of(cls, linear: nn.Linear) -> Self:
        """The layer that is nearest to ``linear``."""
        weight = linear.weight.detach().float()  # (out, in)
        scale = weight.abs().amax(1).clamp(min=SMALLEST) / 127
        whole = (weight / scale[:, None]).round().to(torch.int8)
        return cls(whole, scale, None if linear.bias is None else linear.bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out) in float32. Raises `ValueError` where a gradient is asked for."""
        require(
            not (x.requires_grad and torch.is_grad_enabled()),
            "8-bit weights have no gradients: load the agent with dtype='float32'",
        )
        return self.integers().product(x.float(), self.bias)

    def integers(self) -> Integers:
        """The matrix in the library's order."""
        if self._integers is None:
            self._integers = Integers(self.weight, self.scale)
        return self._integers

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_integers": None}  # made again where it arrives


def to_int8(model: nn.Module) -> None:
    """Store the matrices of a model's trunk as 8-bit integers, in place; it can then only act.

    Raises:
        ValueError: the model is not on a CPU, or this processor or PyTorch has no such products.
    """
    place = next(model.parameters()).device.type
    require(
        place in ("cpu", "meta"),
        f"int8 weights act on a CPU, and the model is on {place}: load it with device='cpu', or "
        "with dtype='bfloat16'",
    )
    require(
        _has_products(),
        "int8 weights need a processor of Intel's or AMD's and PyTorch's products for it (FBGEMM), "
        "which are not here: load the agent with dtype='bfloat16' or 'float32'",
    )
    trunk = model.get_submodule("trunk")
    for name, layer in list(trunk.named_modules()):
        if isinstance(layer, Linear):
            parent, _, last = name.rpartition(".")
            setattr(trunk.get_submodule(parent), last, Int8Linear.of(layer))


def is_int8(model: nn.Module) -> bool:
    """Whether a model's trunk has 8-bit weights."""
    return any(isinstance(layer, Int8Linear) for layer in model.modules())


def _product() -> Any:
    """X in float32 times a packed matrix, with x rounded by a given scale and zero."""
    return torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32


def _has_products() -> bool:
    if not hasattr(torch, "_make_per_channel_quantized_tensor"):  # a newer PyTorch
        return False
    return bool({"fbgemm", "x86"} & set(torch.backends.quantized.supported_engines))
