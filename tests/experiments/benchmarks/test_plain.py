"""The plain model that speeds are compared with is the published one, and trains."""

import pytest
import torch

from jatlab.experiments.benchmarks.cost import KINDS, full_window, parameters
from jatlab.experiments.benchmarks.device import made_up
from jatlab.model import JatModel
from jatlab.model.checkpoint.names import official_name
from jatlab.model.config import JatConfig

pytestmark = pytest.mark.slow  # to import transformers takes seconds

CPU = torch.device("cpu")
WITHOUT_VARIANTS = dict(  # what the plain model ignores
    continuous_fourier_features=False,
    discrete_gates=0,
    discrete_encoder_layers=0,
    hide_past_actions=False,
)


def plain_model(config):
    pytest.importorskip("transformers")
    from jatlab.experiments.benchmarks.reference.plain import PlainJat

    return PlainJat(config)


def small(**changes):
    layers = dict(num_layers=2, attention_types=[[["global", "local"], 1]], window_size=8)
    return JatConfig.preset("nano", **layers, **changes)


def batch_of(config, kind, rows=2):
    torch.manual_seed(0)
    batch = made_up(config, full_window(config, kind, 6 if kind != "picture" else 56), rows, CPU)
    if "input_ids" not in batch:
        batch["rewards"] = torch.randn(rows, 6)
    return batch


def with_padding(batch):
    """The last two timesteps, or tokens, of the first row are padding; timesteps have weights."""
    steps = batch["input_ids" if "input_ids" in batch else "rewards"].shape
    batch["attention_mask"] = torch.ones(steps, dtype=torch.long)
    batch["attention_mask"][0, -2:] = 0
    if "rewards" in batch:
        batch["loss_weight"] = torch.rand(steps)
    return batch


def plain_name(name):
    """The plain model's name for a parameter of `JatModel`."""
    if name.startswith(("trunk.", "text_embedding.")):
        return official_name(name)
    return name.replace("continuous_encoder.linear.", "continuous_encoder.")


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_weights_have_the_same_loss_and_gradients(kind, padded):
    torch.manual_seed(0)
    model = JatModel(small(**WITHOUT_VARIANTS))
    plain = plain_model(model.config)
    plain.load_state_dict({plain_name(name): x for name, x in model.state_dict().items()})
    batch = batch_of(model.config, kind)
    batch = with_padding(batch) if padded else batch
    ours, theirs = model(**batch).loss, plain(**batch).loss
    torch.testing.assert_close(theirs, ours)
    ours.backward()
    theirs.backward()
    gradients = {name: x.grad for name, x in plain.named_parameters()}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(
                gradients[plain_name(name)], parameter.grad, rtol=1e-3, atol=1e-5, msg=name
            )


def test_every_parameter_is_reached_by_some_kind():
    plain = plain_model(small())
    for kind in KINDS:
        loss = plain(**batch_of(plain.config, kind)).loss
        assert loss.isfinite()
        loss.backward()
    assert [name for name, x in plain.named_parameters() if x.grad is None] == []


def test_it_predicts_grids_only_where_the_preset_does():
    """The published model has a decoder of grids that it does not use."""
    plain = plain_model(small(predict_discrete_observations=False))
    output = plain(**batch_of(plain.config, "discrete"))
    assert output.observation_loss == 0
    output.loss.backward()
    assert plain.discrete_decoder.expand.weight.grad is None


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_a_batch_in_bfloat16(kind):
    torch.manual_seed(0)
    plain = plain_model(small())
    batch = batch_of(plain.config, kind)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, fused=True)
    losses = []
    for _ in range(5):
        with torch.autocast("cpu", torch.bfloat16):
            loss = plain(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0], losses


def test_the_paper_s_size_is_the_published_one():
    with torch.device("meta"):
        plain = plain_model(JatConfig.preset("paper"))
    assert count(plain) == sum(parameters(plain.config).values()) == 192_701_771


@pytest.mark.parametrize("preset", ["nano", "mini"])
def test_a_small_one_lacks_the_variants_parameters_alone(preset):
    with torch.device("meta"):
        plain, model = plain_model(JatConfig.preset(preset)), JatModel(JatConfig.preset(preset))
    variants = count(model.discrete_encoder.gates) + count(model.discrete_encoder.layers)
    assert count(plain) == count(model) - variants
    assert variants < 0.2 * count(model)
