"""The golden cases on a GPU: the same numbers as the published implementation's, in float32."""

import pytest
import torch

from jatlab.model.checkpoint.names import official_name
from tests.model.test_golden import CASES, GRADIENTS, published_view
from tests.support.golden import REFERENCE, golden_case, golden_model

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="no CUDA device here: the golden cases ran on the CPU alone (test_golden.py)",
)


@pytest.fixture(scope="module")
def on_gpu():
    # TF32 keeps ten bits
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return golden_model().cuda()


def case(name):
    inputs, recorded = golden_case(name)
    return {key: value.cuda() for key, value in inputs.items()}, recorded


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_outputs_and_losses(on_gpu, name):
    inputs, recorded = case(name)
    output = on_gpu(**inputs, output_attentions=True, output_hidden_states=True)
    for key, expected in recorded.items():
        torch.testing.assert_close(
            published_view(key, name, inputs, output).cpu(),
            expected,
            atol=1e-4,
            rtol=1e-4,
            msg=f"{key}: {{}}".format,
        )
    assert output.loss.item() == pytest.approx(REFERENCE["scalars"][name]["loss"], abs=1e-4)
    torch.testing.assert_close(
        on_gpu(**inputs).last_hidden_state.cpu(),
        recorded["last_hidden_state"],
        atol=1e-4,
        rtol=1e-4,
    )  # the fused attention


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_norms(on_gpu, name):
    on_gpu.zero_grad()
    on_gpu(**case(name)[0]).loss.backward()
    ours = {
        official_name(n): p.grad.norm().item()
        for n, p in on_gpu.named_parameters()
        if p.grad is not None
    }
    for key, expected in REFERENCE["scalars"][name]["grad_norms"].items():
        assert ours.get(key, 0.0) == pytest.approx(expected, rel=1e-3, abs=1e-5), key
