"""Tasks never seen: adapters leave a model as it is until they learn, and runs hold their costs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from jatlab import Agent
from jatlab.experiments.ablations import ABLATIONS, unseen
from jatlab.experiments.ablations.lora import RANK, add_lora, merge_lora
from jatlab.experiments.ablations.variants import RECORDINGS, Variant
from jatlab.experiments.recipes.splits import ML45
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from tests.support.synthetic import write_task

TASK = "mujoco-pendulum"


def little_model(**changes):
    torch.manual_seed(0)
    return JatModel(
        JatConfig.preset(
            "nano",
            hidden_size=48,
            num_heads=2,
            num_layers=2,
            attention_types=[[["global", "local"], 1]],
            **changes,
        )
    )


def answer(model):
    """The actions of a few timesteps."""
    torch.manual_seed(1)
    observations, rewards = torch.randn(2, 4, 4), torch.zeros(2, 4)
    with torch.no_grad():
        return model.eval()(
            continuous_observations=observations,
            continuous_actions=torch.zeros(2, 4, 1),
            rewards=rewards,
            return_loss=False,
        ).pred_actions


def test_adapters_change_nothing_until_they_learn():
    model = little_model()
    before = answer(model)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    layers = add_lora(model)
    torch.testing.assert_close(answer(model), before)
    learnt = [name for name, value in model.named_parameters() if value.requires_grad]
    assert learnt and all(name.endswith((".a", ".b")) for name in learnt)
    merge_lora(layers)
    assert model.state_dict().keys() == weights.keys()


def test_merged_adapters_act_as_before_the_merge():
    model = little_model()
    layers = add_lora(model)
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight[0].b.normal_(std=0.05)
    weight = layers[3].weight.detach().clone()
    original = layers[3].parametrizations.weight.original
    assert torch.linalg.matrix_rank(weight - original) == min(RANK, *weight.shape)
    with_adapters = answer(model)
    merge_lora(layers)
    torch.testing.assert_close(answer(model), with_adapters)


def test_variants_are_of_tasks_held_out():
    variants = ABLATIONS["unseen"].variants
    assert all(variant.tasks == ML45 and variant.method for variant in variants)
    assert {variant.method for variant in variants} == set(unseen._METHODS)
    assert variants[0].method == "zero-shot"


def test_what_ships_is_compared_with_random_weights_of_its_size():
    variants = ABLATIONS["few-shown"].variants
    assert {variant.start for variant in variants} == {"jatlab-mini"}
    shown = unseen.Shown("metaworld-reach", variants[-1], 0, Path("data"))
    known, new = unseen.known_agent(shown), unseen.untrained(shown)
    sizes = [sum(w.numel() for w in agent.model.parameters()) for agent in (known, new)]
    assert sizes[0] == sizes[1]
    assert known.settings.windows["metaworld"] == new.settings.windows["metaworld"] == 8
    assert known.settings.windows["babyai"] > 8


def test_each_seed_shows_other_demonstrations(tmp_path):
    episodes = write_task(tmp_path, TASK, [5] * 7)
    begins = [episode["continuous_observations"][0].tolist() for episode in episodes]
    shown = {}
    for seed in range(4):
        variant = Variant("v", (TASK,), method="retrieve", shown=2)
        store = unseen.Shown(TASK, variant, seed, tmp_path).store()
        firsts = store.columns["continuous_observations"][::5].tolist()
        shown[seed] = [begins.index(first) for first in firsts]
    assert shown == {0: [0, 1], 1: [2, 3], 2: [4, 5], 3: [6, 0]}


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(unseen._METHODS))
def test_a_run_of_each_method(monkeypatch, tmp_path, method):
    monkeypatch.setitem(RECORDINGS, TASK, (3, 0.0))
    monkeypatch.setattr(unseen, "OLD_TASKS", (TASK,))
    monkeypatch.setattr(unseen, "OLD_EPISODES", 1)
    base = Agent(little_model(hide_past_actions="in-context" not in method))
    if "in-context" in method:
        base.settings = base.settings.replace(retrieved=3)
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    monkeypatch.setattr(unseen, "base_agent", lambda folder: base)
    monkeypatch.setattr(unseen, "context_agent", lambda folder: base)
    monkeypatch.setattr(unseen, "untrained", lambda shown: base)
    variant = Variant("v", (TASK,), steps=3, method=method, shown=2)
    run = unseen.run_unseen(variant, 0, 2, tmp_path / "data")
    assert len(run["tasks"][TASK]["scores"]) == 2 and np.isfinite(run["act_milliseconds"])
    assert ("old" in run) == (method in ("zero-shot", "fine-tune", "lora"))
    trained = ("clone", "fine-tune", "lora", "in-context-tuned")
    assert (run["training_minutes"] > 0) == (method in trained)
    for name, value in base.model.state_dict().items():  # it is not trained itself
        torch.testing.assert_close(value, before[name])
