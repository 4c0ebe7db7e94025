"""A linear layer gives torch's numbers, however many rows it gets."""

import pytest
import torch
import torch.nn.functional as F

from jatlab.model.linear.layer import Linear


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
