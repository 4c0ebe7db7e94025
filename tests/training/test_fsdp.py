"""Sharding's parts, in one process: which weights a batch uses, and which settings are allowed."""

from types import SimpleNamespace

import pytest
import torch

from jatlab.model import JatModel
from jatlab.training.fsdp import (
    ShardedLoss,
    cut_like,
    local,
    reached,
    sharding_plugin,
    whole,
    whole_model,
)
from jatlab.training.recipe import TrainConfig, make_accelerator
from tests.support.helpers import small

REWARDS = torch.zeros(2, 3)
BATCHES = {
    "continuous": dict(
        rewards=REWARDS,
        continuous_observations=torch.randn(2, 3, 5),
        continuous_actions=torch.randn(2, 3, 2),
    ),
    "mixed": dict(
        rewards=REWARDS,
        continuous_observations=torch.randn(2, 3, 5),
        discrete_actions=torch.randint(0, 4, (2, 3)),
    ),
    "discrete": dict(
        rewards=REWARDS,
        discrete_observations=torch.randint(0, 8, (2, 3, 6)),
        discrete_actions=torch.randint(0, 4, (2, 3)),
    ),
    "one timestep": dict(
        continuous_observations=torch.randn(2, 1, 5), discrete_actions=torch.randint(0, 4, (2, 1))
    ),
    "image": dict(
        image_observations=torch.rand(1, 2, 4, 84, 84) * 2 - 1,
        discrete_actions=torch.randint(0, 4, (1, 2)),
    ),
    "picture": dict(pixel_values=torch.randn(2, 3, 16, 16), input_ids=torch.randint(0, 40, (2, 5))),
    "text": dict(input_ids=torch.randint(0, 40, (2, 5))),
}


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("checkpointed", [False, True])
def test_the_weights_reached_are_those_that_get_a_gradient(kind, checkpointed):
    model = JatModel(small()).train()
    model.trunk.checkpoint_activations = checkpointed
    loss = model(**BATCHES[kind]).loss
    found = {name for name, p in model.named_parameters() if p in reached(loss)}
    loss.backward()
    assert found == {name for name, p in model.named_parameters() if p.grad is not None}
    assert 20 < len(found) < len(dict(model.named_parameters()))


def test_weights_outside_the_blocks_get_zero_gradients():
    torch.manual_seed(0)
    model = JatModel(small()).train()
    scored = ShardedLoss(model)
    plain = model(**BATCHES["text"]).loss
    plain.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    loss = scored(**BATCHES["text"])
    loss.backward()
    assert loss.item() == plain.item()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, gradients.get(name, torch.zeros_like(parameter))), name
    outside = {name for name in gradients if ".blocks." not in name}
    assert scored.used == outside < set(scored.outside)


def test_a_model_in_one_piece_is_left_alone():
    model, tensor = JatModel(small()), torch.randn(3)
    assert whole_model(model) is model
    assert torch.equal(whole(tensor), tensor) and torch.equal(cut_like(tensor, tensor), tensor)
    assert local(tensor).data_ptr() == tensor.data_ptr()


FSDP = {"ACCELERATE_USE_FSDP": "true"}
FSDP_2 = FSDP | {"FSDP_VERSION": "2"}
SETTINGS = ("FSDP_VERSION", "FSDP_OFFLOAD_PARAMS", "FSDP_RESHARD_AFTER_FORWARD")


@pytest.mark.parametrize(
    "processes, environment, outcome",
    [
        (1, FSDP | {"FSDP_VERSION": "1"}, None),
        (2, {}, None),
        (2, FSDP_2, True),
        (2, FSDP_2 | {"FSDP_RESHARD_AFTER_FORWARD": "false"}, False),
        (2, FSDP, "choose FSDP version 2 in `accelerate config`"),
        (2, FSDP_2 | {"FSDP_OFFLOAD_PARAMS": "true"}, "choose no offloading"),
    ],
)
def test_accelerates_settings(processes, environment, outcome, monkeypatch):
    for name in (*FSDP, *SETTINGS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    accelerator = SimpleNamespace(num_processes=processes)
    if isinstance(outcome, str):
        with pytest.raises(ValueError, match=outcome):
            sharding_plugin(accelerator)
    else:
        assert getattr(sharding_plugin(accelerator), "reshard_after_forward", None) == outcome


def test_processes_that_would_train_alone_are_refused(monkeypatch):
    """Each would train on all the data and write the same files."""
    one_process = SimpleNamespace(num_processes=1, distributed_type=SimpleNamespace(value="NO"))
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setattr("accelerate.Accelerator", lambda **_: one_process)
    with pytest.raises(ValueError, match="4 processes were started, but each would train alone"):
        make_accelerator(TrainConfig(steps=1))
