"""What follows from a recipe alone, and recipes that cannot be."""

from dataclasses import replace

import pytest
import torch

from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.training.recipe import (
    BF16_INSTRUCTIONS,
    TrainConfig,
    learning_rate,
    make_optimizer,
    uses_bf16,
)
from jatlab.training.setup import by_task
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


def test_weights_by_pattern():
    names = ["babyai-go-to-obj", "babyai-open-door", "metaworld-reach"]
    assert by_task({"babyai": 2, "*-door": 3}, names) == {
        "babyai-go-to-obj": 2,
        "babyai-open-door": 3,
    }
    with pytest.raises(ValueError, match="none of the tasks trained on"):
        by_task({"mujoco": 2}, names)
    with pytest.raises(ValueError, match="no task matches 'babbyai'"):
        by_task({"babbyai": 2}, names)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(steps=None), "say how long"),
        (dict(decay="step"), "decay is"),
        (dict(precision="fp16"), "precision is"),
        (dict(device="gpu"), "device is"),
        (dict(batch_timesteps=0), "batch_timesteps must be positive"),
        (dict(warmup=1.0), "warmup is a share"),
        (dict(preset="mini", start="a"), "preset is 'mini' and start is .*give one of the two"),
    ],
)
def test_impossible_recipes(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{"steps": 1, **changes})


class TestAutomaticPrecision:
    """Bfloat16 where the processor has instructions for it and torch may use them."""

    CPU = torch.device("cpu")

    def uses(self, monkeypatch, capability, instructions, precision="auto"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        for name in BF16_INSTRUCTIONS:
            known = name in instructions
            monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda known=known: known)
        return uses_bf16(TrainConfig(steps=1, precision=precision), self.CPU)

    @pytest.mark.parametrize("name", BF16_INSTRUCTIONS)
    def test_any_of_the_instructions_will_do(self, monkeypatch, name):
        assert self.uses(monkeypatch, "AVX512", [name])

    def test_none_without_instructions(self, monkeypatch):
        assert not self.uses(monkeypatch, "AVX512", [])

    def test_none_where_torch_is_held_to_avx2(self, monkeypatch):
        assert not self.uses(monkeypatch, "AVX2", BF16_INSTRUCTIONS)
        assert self.uses(monkeypatch, "AVX2", BF16_INSTRUCTIONS, precision="bf16")


def test_a_stream_cannot_leave_missions_out():
    with pytest.raises(ValueError, match="without_missions needs recorded episodes"):
        TrainConfig(steps=1, tasks="babyai-go-to", stream="a/b", without_missions=["box"])
