"""Copies of matrices for few and for many rows: which is made where, and how exact it is."""

import platform

import pytest
import torch
import torch.nn.functional as F

from jatlab.model.linear import packing as module
from jatlab.model.linear.packing import FEW, Blocks, Halves, can_block, can_halve, packing

ONES = torch.ones(1, 1)
needs_halves = pytest.mark.skipif(not can_halve(ONES), reason="no products in float16 here")
needs_both = pytest.mark.skipif(
    not (can_halve(ONES) and can_block(ONES)), reason="not both products here"
)


@pytest.fixture
def weight():
    torch.manual_seed(0)
    return torch.randn(40, 96)


def error_of(found, x, weight, bias=0.0):
    """Relative to the numbers of the exact result."""
    wanted = x.double() @ weight.double().T + bias
    return ((found.double() - wanted).norm() / wanted.norm()).item()


@needs_both
def test_few_rows_are_halved_many_lie_in_blocks(weight):
    assert packing(weight, 1) is packing(weight, FEW) is Halves
    assert packing(weight, FEW + 1) is Blocks


@needs_halves
@pytest.mark.parametrize("scale", [1e-3, 0.02, 1.0, 1e3])
def test_two_halves_are_as_exact_as_float32(weight, scale):
    weight, x = scale * weight, torch.randn(2, 96)
    torchs = error_of(F.linear(x, weight), x, weight)
    assert error_of(Halves(weight).product(x, None), x, weight) < max(3 * torchs, 3e-7)


@needs_halves
def test_numbers_of_all_sizes_beside_each_other_are_exact(weight):
    weight = weight * 10.0 ** torch.randint(-6, 3, weight.shape)
    x = torch.randn(2, 96)
    assert error_of(Halves(weight).product(x, None), x, weight) < 3e-7


@needs_halves
def test_bfloat16_is_multiplied_exactly_and_rounded_once(weight):
    half, x = weight.bfloat16(), torch.randn(2, 96).bfloat16()
    bias = torch.randn(40).bfloat16()
    expected = F.linear(x.float(), half.float(), bias.float()).bfloat16()
    assert torch.equal(Halves(half).product(x, bias), expected)


KINDS = [pytest.param(kind, marks=needs_both) for kind in (Halves, Blocks)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("biased", [True, False])
def test_what_follows_the_product(weight, kind, biased):
    copied, x, other = kind(weight), torch.randn(1, 2, 96), torch.randn(1, 2, 40)
    bias = torch.randn(40) if biased else None
    plain = F.linear(x, weight, bias)
    close = {"atol": 2e-5, "rtol": 1e-5}
    torch.testing.assert_close(copied.product(x, bias), plain, **close)
    gelu = F.gelu(plain, approximate="tanh")
    torch.testing.assert_close(copied.product(x, bias, "gelu"), gelu, **close)
    kept = other.clone()
    torch.testing.assert_close(copied.product_plus(x, bias, other), plain + other, **close)
    assert torch.equal(other, kept)


@needs_both
@pytest.mark.parametrize("largest", [0.0, 1e-5, 1e5, float("inf"), float("nan")])
def test_numbers_that_float16_cannot_hold_are_not_halved(weight, largest):
    weight = weight.clamp(-1, 1) * min(largest, 1e-5) if largest < 1 else weight
    weight[3, 5] = largest
    assert packing(weight, FEW) is Blocks


MISSING = ["processor", "type", "oneDNN", "oneDNN's operation", "oneDNN, switched off"]
MISSING += ["engine", "FBGEMM's operation"]


@needs_both
@pytest.mark.parametrize("missing", MISSING)
def test_without_a_product_there_is_no_copy_for_it(weight, monkeypatch, missing):
    if missing == "processor":
        monkeypatch.setattr(platform, "machine", lambda: "arm64")
    elif missing == "type":
        weight = weight.double()
    elif missing == "oneDNN":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    elif missing == "oneDNN's operation":
        monkeypatch.setattr(module, "ONEDNN", ("_no_such_product",))
    elif missing == "FBGEMM's operation":
        monkeypatch.setattr(module, "FBGEMM", ("_no_such_product",))
    elif missing == "oneDNN, switched off":
        torch._C._set_mkldnn_enabled(False)
    engine = torch.backends.quantized.engine
    if missing == "engine":
        torch.backends.quantized.engine = "qnnpack"
    try:
        found = packing(weight, FEW), packing(weight, FEW + 1)
    finally:
        torch._C._set_mkldnn_enabled(True)
        torch.backends.quantized.engine = engine
    if missing in ("processor", "type"):
        assert found == (None, None)
    else:
        of_onednn = missing.startswith("oneDNN")
        assert found == ((Halves, None) if of_onednn else (Blocks, Blocks))
