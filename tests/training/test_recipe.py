"""What follows from a recipe alone, and recipes that cannot be."""

import re
from pathlib import Path

import pytest
import torch

from jatlab.training.recipe import BF16_INSTRUCTIONS, TrainConfig, uses_bf16
from jatlab.training.setup import by_task


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


def test_paths_may_be_paths():
    recipe = TrainConfig(steps=1, frame_encoder=Path("~/encoder"), start=Path("agent"))
    assert recipe.frame_encoder == str(Path.home() / "encoder") and recipe.start == "agent"
    assert TrainConfig(steps=1).frame_encoder is None


@pytest.mark.parametrize("pattern", ["(", "red [box", "*"])
def test_a_wrong_regular_expression_is_named(pattern):
    named = f"without_missions: {re.escape(repr(pattern))} is no regular expression"
    with pytest.raises(ValueError, match=named):
        TrainConfig(steps=1, without_missions=["pick up", pattern])
    assert TrainConfig(steps=1, without_missions=[r"\("]).without_missions == [r"\("]
