"""The learning rate of a recipe, and which optimizer moves which weights."""

from dataclasses import replace

import pytest

from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.training.optimization.muon import Muon
from jatlab.training.optimization.optimizer import learning_rate, make_optimizer
from jatlab.training.recipe import TrainConfig
from tests.support.helpers import small
from tests.support.training import TINY


@pytest.mark.parametrize(
    "decay, half, end", [("cosine", 0.5, 0), ("linear", 0.5, 0), ("constant", 1, 1)]
)
def test_learning_rate(decay, half, end):
    config = TrainConfig(steps=1, lr=2.0, warmup=0.2, decay=decay)
    rates = [learning_rate(config, p) / 2 for p in (0, 0.1, 0.2, 0.6, 1, 1.1)]
    assert rates == pytest.approx([0, 0.5, 1, half, end, end])
    assert learning_rate(replace(config, warmup=0), 0) == 2.0


def test_weight_decay_is_on_matrices_alone():
    model = JatModel(JatConfig.preset("nano", **TINY))
    decayed, others = make_optimizer(model, TrainConfig(steps=1, weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0)
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, others = ({names[id(p)] for p in group["params"]} for group in (decayed, others))
    assert decayed | others == set(names.values()) and not decayed & others
    assert "text_embedding.weight" in others and all(name.endswith("weight") for name in decayed)
    assert all(
        name in others for name in names.values() if name.endswith("bias") or "norm" in name.lower()
    )


def test_muon_moves_the_matrices_of_encoders_and_trunk():
    model = JatModel(small())
    optimizer = make_optimizer(model, TrainConfig(steps=1, optimizer="muon", weight_decay=0.3))
    assert isinstance(optimizer, Muon)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = [{names[id(p)] for p in group["params"]} for group in optimizer.param_groups]
    trunk = {name for name, p in model.named_parameters() if "blocks" in name and p.ndim == 2}
    encoders = {"continuous_encoder.linear", "discrete_encoder.project", "discrete_encoder.mix"}
    encoders |= {"image_encoder.linear"} | {
        f"image_encoder.gates.{i}.{part}" for i in range(3) for part in ("squeeze", "excite")
    }
    assert groups[0] == trunk | {f"{name}.weight" for name in encoders} and len(trunk) == 12
    assert set().union(*groups) == set(names.values())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.3, 0.0]


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="optimizer is one of 'adamw', 'muon', not 'sgd'"):
        TrainConfig(steps=1, optimizer="sgd")
