"""A recipe, resolved: what is inherited from the agent to start from, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch

import jatlab
from jatlab.agents.checkpoints import save_agent
from jatlab.agents.settings import AgentSettings
from jatlab.model import JatModel, Objective
from jatlab.model.config import JatConfig
from jatlab.training.recipe import TrainConfig
from jatlab.training.setup import build_model, resolve
from jatlab.training.state import newest
from jatlab.training.trainer import train
from tests.support.synthetic import write_task
from tests.support.training import TINY

PLAY = AgentSettings(temperature=0.5, windows={"metaworld": 4}, cache_policy="published")


@pytest.fixture
def recipe(tmp_path):
    torch.set_num_threads(1)
    write_task(tmp_path / "data", "metaworld-reach", [9, 9])
    return TrainConfig(
        data=str(tmp_path / "data"),
        output=str(tmp_path / "run"),
        model=TINY,
        steps=2,
        device="cpu",
        precision="fp32",
        progress=False,
    )


@pytest.fixture
def agent(tmp_path):
    model = JatModel(JatConfig.preset("nano", **TINY))
    return save_agent(jatlab.Agent(model, settings=PLAY), tmp_path / "agent")


def test_settings_of_play_are_inherited_unless_given(recipe, agent):
    recipe = replace(recipe, start=str(agent), model={})
    inherited = resolve(recipe)
    assert inherited.settings == PLAY.replace(cache_policy="recompute")
    assert inherited.max_timesteps == {"metaworld-reach": 4}
    assert inherited.objective == Objective()  # what concerns training alone is not
    given = resolve(replace(recipe, windows={"metaworld": 3}, temperature=2.0))
    assert given.settings == AgentSettings(2.0, {"metaworld": 3})
    assert given.max_timesteps == {"metaworld-reach": 3}
    assert resolve(replace(recipe, max_timesteps=7)).max_timesteps == {"metaworld-reach": 7}


def test_the_agent_knows_how_it_was_trained_to_play(recipe):
    folder = train(replace(recipe, windows={"metaworld": 3}, temperature=0.7))
    assert jatlab.load_agent(folder).settings == AgentSettings(0.7, {"metaworld": 3})
    assert "windows" not in json.loads((folder / "config.json").read_text())
    resumed = TrainConfig.of_run(folder, steps=4)
    assert (resumed.windows, resumed.temperature) == ({"metaworld": 3}, 0.7)


def test_the_model_has_the_objective(recipe):
    recipe = replace(recipe, frames_predicted=0.3, past_action_dropout=0.2)
    model = build_model(resolve(recipe), recipe)
    assert model.objective == Objective(frames_predicted=0.3, past_action_dropout=0.2)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"observations_predicted": 0.5}, "need observations that never see past actions"),
        ({"windows": {"metaworld": 99}}, "windows: 99 timesteps of metaworld; expected 2 to 16"),
        ({"model": {"hiden_size": 3}}, "JatConfig has no field hiden_size"),
    ],
)
def test_contradictions_are_told(recipe, changes, message):
    with pytest.raises(ValueError, match=message):
        resolve(replace(recipe, **changes))


@pytest.mark.parametrize(
    "field, instead",
    [
        ("past_action_dropout", "TrainConfig.past_action_dropout, or hide_past_actions=True"),
        ("windows", "TrainConfig.windows"),
        ("continuous_waves", "continuous_fourier_features"),
    ],
)
def test_fields_that_have_moved_are_told(field, instead):
    with pytest.raises(ValueError, match=f"{field}: no field of the model any more; use {instead}"):
        TrainConfig(steps=1, model={field: 1})


def test_a_run_of_an_older_release_is_not_resumed(recipe):
    folder = newest(train(recipe))
    state = json.loads((folder / "state.json").read_text())
    del state["recipe"]["frames_predicted"]
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(ValueError, match="saved by an older release.*begin a new run with its"):
        TrainConfig.of_run(recipe.output)
