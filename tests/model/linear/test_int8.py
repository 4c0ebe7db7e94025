"""Weights as 8-bit integers: nearly the same numbers, for acting alone."""

import pickle
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import jatlab
from jatlab.agents.rollout import rollout
from jatlab.cli import main
from jatlab.model import JatModel
from jatlab.model.attention import Linear
from jatlab.model.config import JatConfig
from jatlab.model.linear import int8
from jatlab.model.linear.int8 import Int8Linear, is_int8, to_int8
from jatlab.tasks import make_env
from tests.support.little_tasks import GRID, make_agent

HAS_PRODUCTS = int8._has_products()
needs_products = pytest.mark.skipif(not HAS_PRODUCTS, reason="no products of 8 bits here")


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Linear(96, 40)


def error_of(found, wanted):
    return ((found - wanted).norm() / wanted.norm()).item()


@needs_products
@pytest.mark.parametrize("shape", [(1, 96), (2, 96), (64, 96), (2, 3, 96)])
def test_the_product_is_nearly_the_same(layer, shape):
    x = 100 * torch.randn(shape)
    found, wanted = Int8Linear.of(layer)(x), F.linear(x, layer.weight, layer.bias)
    assert found.shape == wanted.shape and found.dtype == torch.float32
    assert 0.001 < error_of(found, wanted) < 0.03


@needs_products
def test_integers_within_the_range_are_multiplied_exactly():
    weight = torch.randint(-127, 128, (8, 16)).float()
    weight[:, 0] = 127  # the largest of each row, so that the scale is 1
    layer = Linear(16, 8, bias=False)
    layer.weight.data = weight
    x = torch.randint(-int8.LEVELS, int8.LEVELS + 1, (3, 16)).float()
    x[:, 0] = int8.LEVELS
    with torch.no_grad():
        found = Int8Linear.of(layer)(x)
    torch.testing.assert_close(found, x @ weight.T, rtol=1e-6, atol=1e-3)


@needs_products
@torch.no_grad()
def test_a_row_does_not_depend_on_those_beside_it(layer):
    packed, x = Int8Linear.of(layer), torch.randn(5, 96)
    alone = torch.cat([packed(row[None]) for row in x])
    assert torch.equal(packed(x), alone)
    assert torch.equal(packed(torch.cat([x, 1000 * x]))[:5], alone)


@needs_products
@torch.no_grad()
def test_zeros_give_the_bias(layer):
    layer.weight[3] = 0
    found = Int8Linear.of(layer)(torch.cat([torch.zeros(1, 96), torch.ones(1, 96)]))
    assert torch.equal(found[0], layer.bias)
    assert found[1, 3] == layer.bias[3] and found.isfinite().all()


@needs_products
def test_gradients_are_refused(layer):
    x = torch.randn(2, 96, requires_grad=True)
    with pytest.raises(ValueError, match="8-bit weights have no gradients"):
        Int8Linear.of(layer)(x)


@needs_products
def test_the_trunk_alone_is_changed_and_the_logits_hardly():
    torch.manual_seed(0)
    model = JatModel(JatConfig.preset("nano")).eval()
    ids = torch.randint(0, 500, (2, 12))
    with torch.inference_mode():
        wanted = model(input_ids=ids).logits
        parameters = sum(p.numel() for p in model.parameters())
        to_int8(model)
        found = model(input_ids=ids).logits
    assert is_int8(model) and error_of(found, wanted) < 0.05
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert not any(isinstance(one, Linear) for one in model.trunk.modules())
    assert model.token_decoder.weight.dtype == torch.float32


@needs_products
def test_an_agent_plays_travels_and_is_not_saved(tmp_path):
    folder = make_agent().save_pretrained(tmp_path / "agent")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent = jatlab.load_agent(folder, dtype="int8")
        env = make_env(GRID)
        episode = rollout(agent, env, seed=3)
        there = pickle.loads(pickle.dumps(agent))
        again = rollout(there, env, seed=3)
    assert is_int8(there.model)
    assert np.array_equal(episode["discrete_actions"], again["discrete_actions"])
    with pytest.raises(ValueError, match="for acting alone: load it without dtype='int8'"):
        agent.save_pretrained(tmp_path / "small")
    assert not (tmp_path / "small" / "model.safetensors").exists()


@needs_products
@pytest.mark.parametrize("name", ["untrained:nano", "jatlab-mini"])
def test_the_command_line(name, capsys):
    words = ["play", name, "metaworld-reach", "--dtype", "int8", "--seed", "1", "--max-steps", "5"]
    assert main(words) == 0
    assert "return" in capsys.readouterr().out


def test_where_it_cannot_be_a_sentence_says_so(monkeypatch, tmp_path):
    folder = make_agent().save_pretrained(tmp_path / "agent")
    monkeypatch.setattr(int8, "_has_products", lambda: False)
    with pytest.raises(ValueError, match="need a processor .* with dtype='bfloat16'"):
        jatlab.load_agent(folder, dtype="int8")
