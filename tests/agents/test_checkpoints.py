"""Agents on disk: whole, or an error that says what is wrong."""

from inspect import signature

import pytest
import torch
from safetensors.torch import load_file

import jatlab
from jatlab.agents.checkpoints import save_agent, shipped_agents
from jatlab.cli import main
from tests.support.helpers import small


@pytest.fixture
def model():
    torch.manual_seed(0)
    return jatlab.JatModel(small())


def same(a, b) -> bool:
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_there_and_back(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = jatlab.JatModel.from_pretrained(tmp_path)
    assert again.config == model.config and same(again, model)
    card = (tmp_path / "README.md").read_text()
    assert "library_name: jatlab" in card and "More Information Needed" not in card
    assert not list(tmp_path.glob("*.tmp*"))


def test_the_dtype_may_be_named_and_must_be_one_that_loads(tmp_path):
    agent = jatlab.Agent.untrained("nano")
    for dtype in ("bfloat16", torch.bfloat16):
        stored = save_file_of(agent, tmp_path / str(dtype), dtype)
        assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    for dtype in ("int8", torch.int8, torch.float16, "half"):
        with pytest.raises(ValueError, match="weights are kept in float32 or bfloat16"):
            save_agent(agent, tmp_path / "other", dtype)
    assert not (tmp_path / "other" / "model.safetensors").exists()


def save_file_of(agent, folder, dtype):
    """The tensors of the file that `save_agent` writes."""
    return load_file(save_agent(agent, folder, dtype) / "model.safetensors")


def test_an_agent_there_and_back_in_bfloat16(tmp_path):
    layers = dict(num_layers=2, attention_types=[[["global", "local"], 1]])
    model = jatlab.JatModel(jatlab.JatConfig.preset("nano", **layers))
    agent = jatlab.Agent(model, info={"steps": 7})
    save_agent(agent, tmp_path / "a", torch.bfloat16)
    again = jatlab.load_agent(tmp_path / "a")
    assert again.info == {"name": "a", "steps": 7}
    for ours, loaded in zip(agent.model.parameters(), again.model.parameters(), strict=True):
        assert loaded.dtype == torch.float32
        torch.testing.assert_close(loaded, ours.bfloat16().float())


def test_a_missing_agent_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no agent 'nobody'"):
        jatlab.load_agent("nobody")
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        jatlab.load_agent(tmp_path)


def test_the_agent_that_ships_is_the_default():
    assert shipped_agents() == ["jatlab-mini"]
    assert signature(jatlab.load_agent).parameters["name_or_folder"].default == "jatlab-mini"
    assert signature(jatlab.generate).parameters["agent"].default == "jatlab-mini"


def test_the_demos_agent_is_made_and_does_not_ship(capsys):
    with pytest.raises(FileNotFoundError, match=r"`jatlab demo` .*load_agent\('runs/demo/agent'\)"):
        jatlab.load_agent("demo")
    assert main(["play", "demo", "babyai-go-to-obj"]) == 2
    assert "jatlab play runs/demo/agent" in capsys.readouterr().err
