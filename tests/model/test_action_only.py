"""Batches without action tokens, and observations seen and predicted as symlog."""

import pytest
import torch

from jatlab.model import JatModel
from jatlab.model.encoders import repeat_to, symexp, symlog
from jatlab.model.losses import squared_error
from jatlab.model.objectives import Objective
from tests.support.helpers import small

B, T = 2, 7
KINDS = {
    "continuous": lambda: dict(
        continuous_observations=torch.randn(B, T, 4), continuous_actions=torch.randn(B, T, 2)
    ),
    "discrete": lambda: dict(
        discrete_observations=torch.randint(0, 8, (B, T, 6)),
        discrete_actions=torch.randint(0, 7, (B, T)),
    ),
    "image": lambda: dict(
        image_observations=torch.rand(B, T, 4, 84, 84) * 2 - 1,
        discrete_actions=torch.randint(0, 7, (B, T)),
    ),
}


def model_of(share, **changes):
    torch.manual_seed(0)
    changes = (
        dict(image_channels=(8, 8, 16), predict_discrete_observations=True, hide_past_actions=True)
        | changes
    )
    model = JatModel(small(**changes)).train()
    model.objective = Objective(observations_predicted=share)
    return model


def inputs_of(kind):
    torch.manual_seed(1)
    mask = torch.ones(B, T, dtype=torch.long)
    mask[1, 5:] = 0
    return KINDS[kind]() | dict(
        rewards=torch.randn(B, T), attention_mask=mask, loss_weight=torch.full((B, T), 2.0)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_actions_are_the_same_with_action_tokens_and_without(kind):
    inputs, found = inputs_of(kind), []
    for share in (1.0, 1e-12):  # always, and as good as never
        model = model_of(share)
        output = model(**inputs)
        output.action_loss.backward()
        found.append((output, model.trunk.blocks[0].mlp.up.weight.grad.clone()))
    (whole, there), (alone, here) = found
    valid = inputs["attention_mask"].bool()
    torch.testing.assert_close(alone.pred_actions[valid], whole.pred_actions[valid])
    torch.testing.assert_close(here, there)
    assert (
        whole.pred_observations is not None
        and alone.pred_observations is None
        and alone.last_hidden_state.shape[1] == T
    )


def test_the_loss_is_the_same_on_average_and_complete_in_play():
    inputs, model, whole = inputs_of("continuous"), model_of(0.25), model_of(1.0)
    expected = whole(**inputs).loss.item()
    torch.manual_seed(2)
    with torch.no_grad():
        drawn = torch.stack([model(**inputs).loss for _ in range(400)])
        assert model(**inputs, return_loss=False).pred_observations is not None
        assert model.eval()(**inputs).loss.item() == pytest.approx(expected)
    assert len(drawn.unique()) == 2  # with observations and without
    assert abs(drawn.mean().item() - expected) < 4 * drawn.std().item() / 20


def test_symlog_keeps_small_values_and_comes_back():
    x = torch.tensor([-2777.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 2777.0])
    assert symlog(x).abs().max() < 8 and (symlog(x)[2:5] - x[2:5]).abs().max() < 1e-6
    torch.testing.assert_close(symexp(symlog(x)), x)


def test_symlog_observations_are_predicted_in_their_units():
    plain, squashed = model_of(1.0), model_of(1.0, continuous_symlog=True)
    inputs = inputs_of("continuous")
    inputs["continuous_observations"] = inputs["continuous_observations"] * 1000
    output = squashed(**inputs)
    seen = plain(
        **(
            inputs
            | dict(
                continuous_observations=symlog(inputs["continuous_observations"]),
                rewards=symlog(inputs["rewards"]),
                continuous_actions=symlog(inputs["continuous_actions"]),
            )
        )
    )
    torch.testing.assert_close(output.last_hidden_state, seen.last_hidden_state)
    torch.testing.assert_close(output.pred_observations, symexp(seen.pred_observations))
    torch.testing.assert_close(output.observation_loss, seen.observation_loss)
    target = repeat_to(inputs["continuous_actions"], 8)  # actions stay as they are
    features = squashed.continuous_decoder(output.last_hidden_state[:, ::2])
    torch.testing.assert_close(
        output.action_loss,
        squared_error(features, target, inputs["attention_mask"].float(), inputs["loss_weight"]),
    )
