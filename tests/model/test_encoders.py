"""Encoders and decoders: the shortcuts change no number, and wrong sizes are told."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from jatlab.experiments.benchmarks.algorithms import direct_encoder
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.encoders import DiscreteEncoder, fourier_features, repeat_to
from jatlab.model.objectives import Objective
from tests.support.helpers import small


def encoder(seed: int = 0) -> DiscreteEncoder:
    torch.manual_seed(seed)
    config = small()
    return DiscreteEncoder(config, nn.Embedding(config.vocab_size, config.hidden_size))


@given(
    batch=st.integers(1, 3),
    timesteps=st.integers(1, 12),
    classes=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_projecting_distinct_integers_equals_projecting_all(batch, timesteps, classes, seed):
    ours = encoder(seed)
    ids, rewards = torch.randint(0, classes, (batch, timesteps, 6)), torch.randn(batch, timesteps)
    gradients = []
    for function in (ours, lambda *inputs: direct_encoder(ours, *inputs)):
        ours.zero_grad(), ours._table[0].zero_grad()
        output = function(ids, rewards)
        output.square().sum().backward()
        gradients.append(
            [output.detach()]
            + [p.grad.clone() for p in (*ours.parameters(), ours._table[0].weight)]
        )
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_table_kept_for_acting_follows_the_weights():
    ours = encoder().eval()
    ids, rewards = torch.randint(0, 40, (1, 1, 6)), torch.zeros(1, 1)
    before = ours(ids, rewards)
    torch.testing.assert_close(before, direct_encoder(ours, ids, rewards))
    kept = ours._kept[1]
    ours(ids, rewards)
    assert ours._kept[1] is kept  # projected once
    ours._table[0].weight.mul_(2.0)
    torch.testing.assert_close(ours(ids, rewards), direct_encoder(ours, ids, rewards))
    ours.load_state_dict(
        {name: torch.randn_like(value) for name, value in ours.state_dict().items()}
    )
    torch.testing.assert_close(ours(ids, rewards), direct_encoder(ours, ids, rewards))
    assert not torch.allclose(ours(ids, rewards), before)


@given(values=st.lists(st.floats(-5, 5), min_size=1, max_size=8), size=st.integers(8, 40))
def test_a_vector_is_repeated_cyclically(values, size):
    repeated = repeat_to(torch.tensor(values), size)
    assert repeated.tolist() == [torch.tensor(values)[i % len(values)].item() for i in range(size)]


@given(values=st.lists(st.floats(-2, 2), min_size=1, max_size=8), size=st.integers(8, 80))
def test_copies_are_enlarged_or_sines_of_rising_frequency(values, size):
    spread = fourier_features(torch.tensor(values, dtype=torch.float64), size)
    for place in range(size):
        value, copy = values[place % len(values)], place // len(values) % 10
        octave = 2 ** (copy // 2 + 1)  # 4, 4, 8, 8, 16, 16, 32, 32 from the third copy on
        sine = (
            math.cos(value * octave * math.pi) if copy % 2 else math.sin(value * octave * math.pi)
        )
        expected = value if copy == 0 else max(-8.0, min(8.0, 8 * value)) if copy == 1 else sine
        assert spread[place].item() == pytest.approx(
            expected, abs=1e-4
        )  # the frequency is a float32


@pytest.mark.parametrize(
    "inputs, message",
    [
        (
            dict(
                continuous_observations=torch.zeros(1, 2, 9),
                discrete_actions=torch.zeros(1, 2, dtype=torch.long),
            ),
            "10 values .* larger than max_continuous_size 8",
        ),
        (
            dict(
                discrete_observations=torch.zeros(1, 2, 5, dtype=torch.long),
                discrete_actions=torch.zeros(1, 2, dtype=torch.long),
            ),
            r"discrete_observations has shape \(1, 2, 5\), expected \(B, T, 6\)",
        ),
        (
            dict(
                image_observations=torch.zeros(1, 2, 4, 80, 84),
                discrete_actions=torch.zeros(1, 2, dtype=torch.long),
            ),
            r"has shape \(1, 2, 4, 80, 84\), expected \(B, T, 4, 84, 84\)",
        ),
        (
            dict(
                pixel_values=torch.zeros(1, 3, 15, 16),
                input_ids=torch.zeros(1, 2, dtype=torch.long),
            ),
            r"has shape \(1, 3, 15, 16\), expected \(B, 3, 16, 16\)",
        ),
        (
            dict(continuous_observations=torch.zeros(1, 2, 3)),
            "exactly one of continuous_actions, discrete_actions; given: none",
        ),
        (dict(), "exactly one of continuous_observations"),
    ],
)
def test_wrong_inputs_are_told(inputs, message):
    with pytest.raises(ValueError, match=message):
        JatModel(small())(**inputs)


def test_the_next_grid_is_predicted_and_learnt():
    """Switched on, the 148 integers are scored; the loss is their cross-entropy, shifted by one
    timestep.
    """
    torch.manual_seed(0)
    config = small(
        max_discrete_value=150,
        predict_discrete_observations=True,
        discrete_decoder_size=4,
        discrete_bottleneck=1,
    )
    model = JatModel(config)
    observations = torch.randint(0, 8, (2, 5, 150))
    inputs = dict(
        discrete_observations=observations,
        discrete_actions=torch.randint(0, 7, (2, 5)),
        rewards=torch.zeros(2, 5),
    )
    output = model(**inputs)
    assert output.pred_observations.shape == (2, 5, 148, 8)
    expected = F.cross_entropy(
        output.pred_observations[:, :-1].flatten(0, 2), observations[:, 1:, :148].flatten()
    )
    torch.testing.assert_close(output.observation_loss, expected)
    output.observation_loss.backward()
    assert model.discrete_decoder.expand.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_grid_gates_treat_cells_alike_and_use_the_mission():
    """What a cell contributes depends on the cell and the mission, not on where it is, until the
    last layer sorts by place.
    """
    torch.manual_seed(0)
    gates = DiscreteEncoder(
        small(max_discrete_value=152, discrete_gates=6, initializer_range=0.5), nn.Embedding(40, 32)
    ).gates
    features, place = torch.rand(1, 1, 152, 2), nn.Identity()
    gates.mix = place
    seen = gates(features).unflatten(-1, (49, 2))
    moved = features.clone()
    moved[..., 1:148, :] = (
        features[..., 1:148, :].unflatten(-2, (49, 3)).roll(5, dims=-3).flatten(-3, -2)
    )
    torch.testing.assert_close(gates(moved).unflatten(-1, (49, 2)), seen.roll(5, dims=-2))
    features[..., 148:, :] += 1
    assert not torch.allclose(gates(features).unflatten(-1, (49, 2)), seen)


def test_positions_in_metres_keep_their_millimetres_in_bfloat16():
    """Under autocast the continuous encoder computes in float32: two hands 1 mm apart stay apart,
    as far as without it.
    """
    torch.manual_seed(0)
    encoder = JatModel(small()).continuous_encoder
    hands = torch.tensor([[[0.700, 0.3, 0.1]], [[0.701, 0.3, 0.1]]])
    apart = encoder(hands).diff(dim=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(encoder(hands).diff(dim=0), apart)


@pytest.mark.parametrize("pool", [None, 5])
def test_images_in_and_out(pool):
    config = small(image_channels=(8, 8, 16), image_pool=pool)
    model = JatModel(config)
    inputs = dict(
        image_observations=torch.rand(1, 3, 4, 84, 84) * 2 - 1,
        discrete_actions=torch.zeros(1, 3, dtype=torch.long),
        rewards=torch.zeros(1, 3),
    )
    output = model(**inputs)
    assert (
        output.pred_observations.shape == (1, 3, 4, 84, 84)
        and output.pred_observations.abs().max() <= 1
    )
    expected = (
        (output.pred_observations[:, :-1] - inputs["image_observations"][:, 1:]).square().mean()
    )
    torch.testing.assert_close(output.observation_loss, expected)


def test_hidden_past_actions_change_no_later_action():
    """With every past action hidden, changing one changes no later action, only the predicted
    observations.
    """
    torch.manual_seed(0)
    model = JatModel(small(hide_past_actions=True)).eval()
    observations, actions = torch.randn(1, 8, 3), torch.randn(1, 8, 2)
    changed = actions.clone()
    changed[:, 2] += 1
    a, b = (
        model(continuous_observations=observations, continuous_actions=x)
        for x in (actions, changed)
    )
    torch.testing.assert_close(a.pred_actions, b.pred_actions)
    assert not torch.allclose(a.pred_observations[:, 2:], b.pred_observations[:, 2:])
    torch.testing.assert_close(a.pred_observations[:, :2], b.pred_observations[:, :2])


def test_partial_dropout_is_drawn_in_training_only():
    torch.manual_seed(0)
    model = JatModel(small())
    model.objective = Objective(past_action_dropout=0.5)
    inputs = dict(
        continuous_observations=torch.randn(1, 8, 3).expand(64, -1, -1),
        continuous_actions=torch.randn(1, 8, 2).expand(64, -1, -1),
    )
    trained = model.train()(**inputs).pred_actions[:, -1].detach()
    kinds = torch.unique((trained * 1e4).round(), dim=0)
    assert len(kinds) == 2  # some sequences see past actions, some do not
    acted = model.eval()(**inputs).pred_actions[:, -1].detach()
    torch.testing.assert_close(acted, acted[:1].expand_as(acted))


def test_the_published_size_to_the_unit():
    with torch.device("meta"):
        model = JatModel(JatConfig.preset("paper"))
    assert sum(p.numel() for p in model.parameters()) == 192_701_771


@pytest.mark.parametrize(
    "name, hidden, layers, heads, positions",
    [("medium", 2048, 24, 16, 1024), ("large", 2560, 32, 20, 2048)],
)
def test_the_larger_presets(name, hidden, layers, heads, positions):
    config = JatConfig.preset(name)
    assert (
        config.hidden_size,
        config.num_layers,
        config.num_heads,
        config.max_position_embeddings,
    ) == (hidden, layers, heads, positions)
    assert config.attention_layers == ["global", "local"] * (layers // 2)


@pytest.mark.slow
def test_some_frames_are_predicted_in_training_and_all_otherwise():
    """The mean over many draws is the loss over all timesteps; without training, or without a loss,
    everything is predicted.
    """
    torch.manual_seed(1)
    model = JatModel(small(image_channels=(8, 8, 16)))
    model.objective = Objective(frames_predicted=0.3)
    inputs = dict(
        image_observations=torch.rand(2, 7, 4, 84, 84) * 2 - 1,
        discrete_actions=torch.zeros(2, 7, dtype=torch.long),
        rewards=torch.zeros(2, 7),
    )
    inputs["attention_mask"] = torch.ones(2, 7, dtype=torch.long)
    decoded = []
    model.image_decoder.register_forward_pre_hook(
        lambda module, given: decoded.append(given[0].shape[1])
    )
    with torch.no_grad():
        drawn = torch.stack([model(**inputs).observation_loss for _ in range(300)])
        assert (
            set(decoded) == {2} and model(**inputs).pred_observations is None
        )  # 0.3 of 6, rounded up
        assert model(**inputs, return_loss=False).pred_observations.shape == (2, 7, 4, 84, 84)
        whole = model.eval()(**inputs)
    assert whole.pred_observations.shape == (2, 7, 4, 84, 84) and drawn.std() > 0
    assert (drawn.mean() - whole.observation_loss).abs() < 4 * drawn.std() / 300**0.5


def test_grids_are_read_by_weights_of_inference():
    """An agent may be loaded under `torch.inference_mode`, where no changes are counted."""
    usual, ids, rewards = encoder().eval(), torch.randint(0, 9, (2, 3, 6)), torch.randn(2, 3)
    with torch.inference_mode():
        there = encoder().eval()
        torch.testing.assert_close(there(ids, rewards), usual(ids, rewards))
