"""A linear layer gives torch's numbers, however many rows it gets."""

import copy
import pickle
import platform

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from jatlab.model.linear import layer as layer_module
from jatlab.model.linear.layer import Linear, can_pack, pack


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def layer(request):
    torch.manual_seed(0)
    return Linear(24, 40, bias=request.param)


@pytest.mark.parametrize("shape", [(24,), (1, 24), (2, 24), (1, 2, 24), (3, 2, 24), (2, 5, 24)])
def test_the_numbers_are_torchs(layer, shape):
    x = torch.randn(shape)
    expected = F.linear(x, layer.weight, layer.bias)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(layer(x), expected, atol=0, rtol=0)


def test_only_a_few_rows_without_gradients_go_another_way(layer, monkeypatch):
    """float32 on a CPU: what was measured. Training keeps torch's own product."""
    usual, torchs = [], F.linear
    monkeypatch.setattr(F, "linear", lambda *given: usual.append(1) or torchs(*given))
    with torch.no_grad():
        layer(torch.randn(2, 24))
        assert not usual
        layer(torch.randn(1, 24)), layer(torch.randn(7, 24))
        assert len(usual) == 2
    layer(torch.randn(2, 24))
    assert len(usual) == 3


def test_other_precision_is_torchs_own(layer):
    half = Linear(24, 40).to(torch.bfloat16)
    x = torch.randn(2, 24, dtype=torch.bfloat16)
    with torch.no_grad():
        assert torch.equal(half(x), F.linear(x, half.weight, half.bias))


# --- packed weights


def packable(dtype=torch.float32):
    if not can_pack(torch.zeros(1, dtype=dtype)):
        pytest.skip(f"PyTorch has no packed products in {dtype} here")
    return dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(24,), (1, 24), (3, 2, 24), (130, 24), (0, 24)])
def test_packed_weights_give_the_same_numbers(layer, shape, dtype):
    packed = copy.deepcopy(layer).to(packable(dtype))
    x = torch.randn(shape).to(dtype)
    packed.pack()
    with torch.no_grad():
        found, expected = packed(x), F.linear(x, packed.weight, packed.bias)
    assert found.dtype == dtype and packed._packed is not None
    close = {"atol": 1e-6, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.02, "rtol": 0.02}
    torch.testing.assert_close(found, expected, **close)


def test_rows_in_any_order_of_memory_give_the_same_numbers(layer):
    packable()
    layer.pack()
    x = torch.randn(24, 3).T
    with torch.no_grad():
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


CHANGES = {
    "in place": lambda layer: layer.weight.mul_(2),
    "a row": lambda layer: layer.weight[3].zero_(),
    "loaded": lambda layer: layer.load_state_dict(
        {name: value + 1 for name, value in layer.state_dict().items()}
    ),
    "other memory": lambda layer: setattr(layer.weight, "data", layer.weight.data + 1),
    "another parameter": lambda layer: setattr(layer, "weight", nn.Parameter(layer.weight + 1)),
    "another precision": lambda layer: layer.double(),
    "uncounted, packed again": lambda layer: (layer.weight.data.zero_(), pack(layer)),
}


@pytest.mark.parametrize("change", CHANGES)
@torch.no_grad()
def test_changed_weights_count_at_once(layer, change):
    packable()
    changed = copy.deepcopy(layer)
    pack(changed)
    x = torch.randn(2, 24)
    before = changed(x)
    CHANGES[change](changed)
    x = x.to(changed.weight.dtype)
    torch.testing.assert_close(changed(x), F.linear(x, changed.weight, changed.bias))
    assert not torch.allclose(changed(x).float(), before) or change == "another precision"


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_of_the_optimizer_counts_at_once(fused):
    """A fused step changes the weights without raising their version."""
    packable()
    layer = Linear(24, 40)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=fused)
    layer.pack()
    layer(torch.randn(2, 24)).sum().backward()
    optimizer.step()
    x = torch.randn(2, 24)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_training_does_not_see_the_copy(layer):
    packable()
    layer.pack()
    x = torch.randn(2, 24, requires_grad=True)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    assert layer(x).requires_grad


def test_a_layer_is_copied_saved_and_sent_without_its_copy(layer):
    packable()
    layer.pack()
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert again._packed is None and torch.equal(again.weight, layer.weight)
    assert layer._packed is not None
    assert set(layer.state_dict()) == set(dict(layer.named_parameters()))


def test_weights_of_inference_are_packed():
    packable()
    with torch.inference_mode():
        layer = Linear(24, 40)
        layer.pack()
        x = torch.randn(2, 24)
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("missing", ["processor", "oneDNN", "operation", "switched off"])
def test_without_the_products_nothing_is_packed(layer, monkeypatch, missing):
    if missing == "processor":
        monkeypatch.setattr(platform, "machine", lambda: "arm64")
    elif missing == "oneDNN":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    elif missing == "operation":
        monkeypatch.setattr(layer_module, "PRODUCTS", ("_no_such_product",))
    elif missing == "switched off":
        torch._C._set_mkldnn_enabled(False)
    try:
        layer.pack()
    finally:
        torch._C._set_mkldnn_enabled(True)
    assert layer._packed is None
    x = torch.randn(2, 24)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
