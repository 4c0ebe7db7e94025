"""Our numbers are the published implementation's."""

import pytest
import torch

from jatlab.model.checkpoint.names import official_name
from jatlab.model.memory import Memory
from tests.support.golden import REFERENCE, golden_case

CASES = list(REFERENCE["scalars"])
GRADIENTS = [name for name in CASES if "grad_norms" in REFERENCE["scalars"][name]]


def published_view(key, name, inputs, output):
    """The part of our output that the case recorded under `key`."""
    if key.startswith("attention_layer"):
        return output.attentions[int(key.removeprefix("attention_layer"))]
    value = getattr(output, key)
    if key == "pred_actions" and "discrete_actions" in inputs:
        return value[..., :32]
    return value[..., ::6, ::6] if (key, name) == ("pred_observations", "image_discrete") else value


def test_every_tensor_has_its_official_name_and_shape(golden):
    ours = {official_name(name): list(value.shape) for name, value in golden.state_dict().items()}
    assert ours == REFERENCE["shapes"]


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_outputs(golden, name):
    inputs, recorded = golden_case(name)
    output = golden(**inputs, output_attentions=True, output_hidden_states=True)
    assert len(recorded) >= 5
    for key, expected in recorded.items():
        torch.testing.assert_close(
            published_view(key, name, inputs, output),
            expected,
            atol=1e-4,
            rtol=0,
            msg=f"{key}: {{}}".format,
        )
    torch.testing.assert_close(
        output.hidden_states[-1], recorded["last_hidden_state"], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_without_recording_the_numbers_are_the_same(golden, name):
    inputs, recorded = golden_case(name)
    output = golden(**inputs)
    assert output.attentions is None and output.hidden_states is None
    torch.testing.assert_close(
        output.last_hidden_state, recorded["last_hidden_state"], atol=1e-4, rtol=0
    )
    torch.testing.assert_close(output.loss, recorded["loss"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_losses(golden, name):
    output = golden(**golden_case(name)[0])
    scalars = REFERENCE["scalars"][name]
    for key in ("loss", "action_loss", "observation_loss"):
        if scalars[key] is None:
            assert getattr(output, key) is None
        else:
            assert getattr(output, key).item() == pytest.approx(scalars[key], abs=1e-4)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_norms(golden, name):
    golden.zero_grad()
    golden(**golden_case(name)[0]).loss.backward()
    ours = {
        official_name(n): p.grad.norm().item()
        for n, p in golden.named_parameters()
        if p.grad is not None
    }
    for key, expected in REFERENCE["scalars"][name]["grad_norms"].items():
        assert ours.get(key, 0.0) == pytest.approx(expected, rel=1e-3, abs=1e-5), key
    reached = {key for key, norm in ours.items() if norm > 0}
    assert reached <= set(REFERENCE["scalars"][name]["grad_norms"])


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
@pytest.mark.parametrize(
    "policy, context, suffix",
    [("published", 8, "_cut"), ("published", 16, ""), ("recompute", 16, "")],
)
@torch.no_grad()
def test_stepwise_acting(golden, kind, policy, context, suffix):
    """One observation at a time, each action fed back: with the whole past, and with the authors'
    cut at 16 tokens.
    """
    inputs, recorded = golden_case(f"rollout_{kind}{suffix}")
    memory = Memory(golden, 1, policy, context)
    action = torch.zeros(1, 3) if kind == "continuous" else torch.zeros(1, dtype=torch.long)
    for t, expected in enumerate(recorded["actions"]):
        reward = inputs["rewards"][None, None, t] * (t > 0)
        observed = golden.embed_observations(
            f"{kind}_observations", inputs["observations"][None, None, t], reward
        )[:, 0]
        acted = golden.embed_actions(f"{kind}_actions", action[:, None])[:, 0]
        hidden = memory.step(observed, acted, torch.tensor([t == 0])).observation
        if kind == "continuous":
            action = golden.continuous_decoder(hidden)[:, :3]
            torch.testing.assert_close(action[0], expected, atol=1e-4, rtol=0)
        else:
            action = golden.token_decoder(hidden)[:, :18].argmax(-1)
            assert action.item() == expected.item(), f"timestep {t}"
