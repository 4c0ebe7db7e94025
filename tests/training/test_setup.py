"""A recipe, resolved: what is inherited from the agent to start from, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch

import jatlab
from jatlab.agents.checkpoints import save_agent
from jatlab.agents.settings import AgentSettings
from jatlab.cli import main
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
    assert inherited.settings == PLAY
    assert inherited.max_timesteps == {"metaworld-reach": 4}
    assert inherited.objective == Objective()  # what concerns training alone is not
    given = resolve(replace(recipe, windows={"metaworld": 3}, temperature=2.0))
    assert given.settings == AgentSettings(2.0, {"metaworld": 3}, cache_policy="published")
    assert given.max_timesteps == {"metaworld-reach": 3}
    assert resolve(replace(recipe, max_timesteps=7)).max_timesteps == {"metaworld-reach": 7}


def test_settings_of_retrieval_are_inherited_unless_given(recipe, tmp_path):
    play = AgentSettings(retrieved=3, sharpness=2.0, frame_encoder="/some/where")
    agent = jatlab.Agent(JatModel(JatConfig.preset("nano", **TINY)), settings=play)
    start = str(save_agent(agent, tmp_path / "in-context"))
    recipe = replace(recipe, start=start, model={}, in_context=True)
    assert resolve(recipe).settings == play
    given = replace(recipe, retrieved=5, sharpness=0.0, frame_encoder="jatlab-mini")
    assert resolve(given).settings == AgentSettings(
        retrieved=5, sharpness=0.0, frame_encoder="jatlab-mini"
    )
    assert resolve(replace(recipe, in_context=False)).settings == play.replace(retrieved=0)


def test_retrieval_has_its_defaults_without_an_in_context_agent(recipe, agent):
    roomy = replace(recipe, in_context=True, model=TINY | {"max_position_embeddings": 64})
    assert resolve(roomy).settings == AgentSettings(retrieved=20, sharpness=10.0)
    tuned = replace(roomy, start=str(agent), model={"max_position_embeddings": 32})
    with pytest.raises(ValueError, match="retrieved is 20: .* the model has room for 16"):
        resolve(tuned)
    assert resolve(replace(tuned, retrieved=2)).settings == PLAY.replace(retrieved=2)


def test_a_window_of_a_domain_that_the_start_knows_is_accepted(recipe, tmp_path):
    play = AgentSettings(windows={"elsewhere": 4})
    agent = jatlab.Agent(JatModel(JatConfig.preset("nano", **TINY)), settings=play)
    start = str(save_agent(agent, tmp_path / "travelled"))
    recipe = replace(recipe, start=start, model={}, windows={"elsewhere": 3, "babyai": 5})
    assert resolve(recipe).settings.windows == {"elsewhere": 3, "babyai": 5}


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
        ({"windows": {"mujoco": 99}}, "windows: 99 timesteps of mujoco; expected 2 to 16"),
        ({"windows": {"babyia": 4}}, "windows names 'babyia': expected domains .* atari, babyai"),
        ({"windows": {"text": 4}}, "windows names 'text': expected domains of tasks that are pl"),
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


def test_a_run_that_goes_on_stays_in_its_folder(recipe, tmp_path, capsys):
    folder = train(recipe)
    stays = rf"output is '{tmp_path}/b', but a run that goes on stays in its folder, {folder}: "
    with pytest.raises(ValueError, match=stays + "leave output out"):
        TrainConfig.of_run(folder, steps=4, output=tmp_path / "b")
    with pytest.raises(ValueError, match="resume is False, but this is how"):
        TrainConfig.of_run(folder, steps=4, resume=False)
    same = TrainConfig.of_run(folder, steps=4, output=f"{folder}/../{folder.name}", resume=True)
    assert (same.output, same.steps, same.resume) == (str(folder), 4, True)
    command = ["train", "--resume", str(folder), "--output", str(tmp_path / "b"), "--steps", "4"]
    assert main(command) == 2 and "stays in its folder" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
