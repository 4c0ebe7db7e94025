"""An agent's settings of play: `agent.json`, and the old form that had them in `config.json`."""

import json
import shutil

import pytest

import jatlab
from jatlab.agents.checkpoints import SHIPPED, read_config, save_agent
from jatlab.agents.settings import AgentSettings
from tests.support import ROOT

OLD = ROOT / "tests" / "support" / "old_config.json"  # jatlab-mini's third edition, of 0.1.0
THIRD = AgentSettings(temperature=0.5, windows={"babyai": 32, "metaworld": 8, "mujoco": 8})
FOURTH = THIRD.replace(windows={**THIRD.windows, "babyai": 64})


@pytest.fixture
def old_mini(tmp_path):
    """The shipped weights with the old form of the settings."""
    for file in ("model.safetensors", "tokenizer.json", "training.json"):
        shutil.copy(SHIPPED / "jatlab-mini" / file, tmp_path / file)
    shutil.copy(OLD, tmp_path / "config.json")
    return tmp_path


def test_settings_are_saved_and_loaded(tmp_path):
    agent = jatlab.Agent.untrained()
    agent.settings = AgentSettings(0.7, {"babyai": 5}, "published")
    save_agent(agent, tmp_path)
    assert jatlab.load_agent(tmp_path).settings == agent.settings
    assert jatlab.load_agent(tmp_path, cache_policy="recompute").cache_policy == "recompute"


def test_an_old_config_loads_as_the_new_one(old_mini):
    old, new = jatlab.load_agent(old_mini), jatlab.load_agent("jatlab-mini")
    assert old.model.config == new.model.config
    assert old.settings == THIRD and new.settings == FOURTH
    assert old.model.config.hide_past_actions and old.model.config.continuous_fourier_features


def test_an_old_share_of_hidden_actions_hides_none_in_play(tmp_path):
    """A share below 1 concerned training alone."""
    values = json.loads(OLD.read_text()) | {"past_action_dropout": 0.5}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert not read_config(tmp_path / "config.json").hide_past_actions


def test_an_old_export_keeps_its_policy(old_mini):
    """Exported agents had their cache policy in a section of `config.json`."""
    values = json.loads(OLD.read_text())
    values["jatlab"] = {"cache_policy": "published"}
    (old_mini / "config.json").write_text(json.dumps(values))
    assert jatlab.load_agent(old_mini).settings == THIRD.replace(cache_policy="published")


def test_an_old_agent_is_saved_in_the_new_form(old_mini, tmp_path):
    save_agent(jatlab.load_agent(old_mini), tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert config == json.loads((SHIPPED / "jatlab-mini" / "config.json").read_text())
    assert AgentSettings.load(tmp_path / "new") == THIRD


@pytest.mark.parametrize(
    "written, message",
    [
        ("{", "agent.json: Expecting"),
        ('{"temprature": 1}', "agent.json: no setting temprature; there are temperature, windows"),
        ('{"temperature": -1}', "agent.json: temperature is -1: expected 0 .*positive number"),
        ('{"cache_policy": "drop"}', "agent.json: unknown cache policy 'drop'"),
        ('{"windows": {"mujoco": 99999}}', "windows: 99999 timesteps of mujoco; expected 2 to 128"),
    ],
)
def test_damaged_settings_are_named(old_mini, written, message):
    (old_mini / "agent.json").write_text(written)
    with pytest.raises(ValueError, match=message):
        jatlab.load_agent(old_mini)
