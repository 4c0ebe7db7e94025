"""Tasks never seen: adapters leave a model as it is until they learn, and runs hold their costs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jatlab import Agent
from jatlab.experiments.ablations import ABLATIONS
from jatlab.experiments.ablations.tasks import register_all
from jatlab.experiments.ablations.unseen import known, methods, run_unseen, runs
from jatlab.experiments.ablations.unseen.lora import RANK, add_lora, merge_lora
from jatlab.experiments.ablations.variants import SHOWN, Variant
from jatlab.experiments.recipes import mini
from jatlab.experiments.recipes.splits import ML45, find_split
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


HELD_OUT = {
    "unseen": (*ML45,),
    "unseen-bodies": ("mujoco-halfcheetah", "mujoco-hopper"),
    "unseen-rooms": ("babyai-unlock-pickup", "pickup-box"),
    "unseen-game": ("atari-pong",),
}


@pytest.mark.parametrize("name", HELD_OUT)
def test_variants_are_of_tasks_held_out(name):
    register_all()
    variants = ABLATIONS[name].variants
    assert all(variant.tasks == HELD_OUT[name] and variant.method for variant in variants)
    assert {variant.method for variant in variants} == set(methods.METHODS)
    assert variants[0].method == "zero-shot"
    trained = {variant.steps for variant in variants[1:]}
    assert trained == {600 if name == "unseen-bodies" else 150}
    first, *rest = (known.known_to(task) for task in HELD_OUT[name])
    assert all(other == first for other in rest)
    others = set(first.tasks())
    assert not others & set(HELD_OUT[name]) and set(first.old) < others
    assert others < set(mini.all_tasks())


def test_agents_of_other_rooms_never_see_missions_held_out(tmp_path):
    rooms = known.known_to("babyai-go-to-obj")
    fields = known.TRAINING | rooms.training | {"seed": 3}
    recipe = known.recipe(rooms, tmp_path, "agent-3", fields)
    assert len(recipe.tasks) == 37 and recipe.without_missions == list(
        find_split("verb-object").missions
    )
    assert recipe.seed == 3 and recipe.optimizer == "muon" and recipe.output.endswith("agent-3")


def test_a_run_depends_on_what_was_known_before():
    """Where nothing was, it does not."""
    variants = {variant.method: variant for variant in ABLATIONS["unseen"].variants}
    parts = {method: runs.ingredients(variant) for method, variant in variants.items()}
    assert parts["retrieve"] == parts["clone"]
    assert parts["fine-tune"] == parts["lora"] == parts["zero-shot"]
    assert parts["in-context"] == parts["in-context-tuned"]
    assert len({str(parts[method]) for method in ("clone", "lora", "in-context")}) == 3
    games = {variant.method: variant for variant in ABLATIONS["unseen-game"].variants}
    # frames are compared by the encoder of an agent that knows other games
    assert runs.ingredients(games["retrieve"]) == runs.ingredients(games["lora"])


def test_what_ships_is_compared_with_random_weights_of_its_size():
    variants = ABLATIONS["few-shown"].variants
    assert {variant.start for variant in variants} == {"jatlab-mini"}
    shown = methods.Shown("metaworld-reach", variants[-1], 0, Path("data"))
    ships, new = methods.known_agent(shown), methods.untrained(shown)
    sizes = [sum(w.numel() for w in agent.model.parameters()) for agent in (ships, new)]
    assert sizes[0] == sizes[1]
    assert ships.settings.windows["metaworld"] == new.settings.windows["metaworld"] == 8
    assert ships.settings.windows["babyai"] > 8


def test_each_seed_shows_other_demonstrations(tmp_path):
    episodes = write_task(tmp_path / "shown", TASK, [5] * 7)
    begins = [episode["continuous_observations"][0].tolist() for episode in episodes]
    shown = {}
    for seed in range(4):
        variant = Variant("v", (TASK,), method="retrieve", shown=2)
        store = methods.Shown(TASK, variant, seed, tmp_path).store()
        firsts = store.columns["continuous_observations"][::5].tolist()
        shown[seed] = [begins.index(first) for first in firsts]
    assert shown == {0: [0, 1], 1: [2, 3], 2: [4, 5], 3: [6, 0]}


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(methods.METHODS))
def test_a_run_of_each_method(monkeypatch, tmp_path, method):
    monkeypatch.setitem(SHOWN, TASK, (3, 0.0))
    bodies = replace(known.known_to(TASK), old=(TASK, TASK))
    monkeypatch.setattr(known, "KNOWN", (bodies,))
    monkeypatch.setattr(runs, "OLD_EPISODES", 1)
    base = Agent(little_model(hide_past_actions="in-context" not in method))
    if "in-context" in method:
        base.settings = base.settings.replace(retrieved=3)
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    for name in ("base_agent", "context_agent"):
        monkeypatch.setattr(methods, name, lambda *made_of: base)
    monkeypatch.setattr(methods, "untrained", lambda shown: base)
    variant = Variant("v", (TASK,), steps=3, method=method, shown=2)
    run = run_unseen(variant, 0, 2, tmp_path / "data")
    assert len(run["tasks"][TASK]["scores"]) == 2 and np.isfinite(run["act_milliseconds"])
    assert ("old" in run) == (method in ("zero-shot", "fine-tune", "lora"))
    trained = ("clone", "fine-tune", "lora", "in-context-tuned")
    assert (run["training_minutes"] > 0) == (method in trained)
    for name, value in base.model.state_dict().items():  # it is not trained itself
        torch.testing.assert_close(value, before[name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [known.base_agent, known.context_agent])
def test_agents_of_other_tasks_are_trained_once_for_each_seed(monkeypatch, tmp_path, kind):
    """In a little domain: one body of those that are left, a few steps."""
    quick = {"steps": 2, "batch_timesteps": 42, "accumulate": 1}
    bodies = replace(
        known.known_to(TASK), episodes=3, training=quick, in_context={**quick, "retrieved": 5}
    )
    monkeypatch.setattr(known.Known, "tasks", lambda self: [TASK])
    agents = [kind(bodies, tmp_path, seed) for seed in (0, 1)]
    folders = sorted(path.parent for path in (tmp_path / "mujoco").glob("*/training.json"))
    assert [folder.name[-2:] for folder in folders] == ["-0", "-1"]
    first, second = (agent.model.state_dict() for agent in agents)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    written = (folders[1] / "model.safetensors").stat().st_mtime_ns
    kind(bodies, tmp_path, 1)
    assert (folders[1] / "model.safetensors").stat().st_mtime_ns == written
