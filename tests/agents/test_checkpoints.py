"""Weights and agents on disk: whole, or an error that says what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import jatlab
from jatlab.agents.checkpoints import save_agent
from jatlab.model.checkpoint.weights import load_weights, save_weights
from tests.support import ROOT
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
    assert not list(tmp_path.glob("*.tmp*"))


def test_an_agent_there_and_back_in_bfloat16(tmp_path):
    agent = jatlab.Agent(
        jatlab.JatModel(
            jatlab.JatConfig.preset(
                "nano", num_layers=2, attention_types=[[["global", "local"], 1]]
            )
        ),
        info={"steps": 7},
    )
    save_agent(agent, tmp_path / "a", torch.bfloat16)
    again = jatlab.load_agent(tmp_path / "a")
    assert again.info == {"name": "a", "steps": 7}
    for ours, loaded in zip(agent.model.parameters(), again.model.parameters()):
        assert loaded.dtype == torch.float32
        torch.testing.assert_close(loaded, ours.bfloat16().float())


def test_another_configuration_is_told_tensor_by_tensor(model, tmp_path):
    save_weights(model, tmp_path / "w.safetensors")
    with pytest.raises(
        ValueError,
        match=r"another configuration.*trunk.positions.weight is \[32, 32\] in the file and \[64, 32\] in the model",
    ):
        load_weights(jatlab.JatModel(small(max_position_embeddings=64)), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="missing trunk.blocks.2.*"):
        load_weights(
            jatlab.JatModel(small(num_layers=4, attention_types=[[["global", "local"], 2]])),
            tmp_path / "w.safetensors",
        )


def test_a_truncated_file_is_told(model, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(model, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or cut short"):
        load_weights(model, path)


def test_a_missing_agent_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no agent 'nobody'"):
        jatlab.load_agent("nobody")
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        jatlab.load_agent(tmp_path)


def test_a_damaged_configuration_is_told(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 3')
    with pytest.raises(ValueError, match="config.json: Expecting"):
        jatlab.load_agent(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"hiden_size": 3}))
    with pytest.raises(ValueError, match="no field hiden_size"):
        jatlab.load_agent(tmp_path)


def test_a_full_disk_leaves_what_was_there(model, tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_weights(model, path)
    before = path.read_bytes()

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jatlab.model.checkpoint.weights.save_file", full)
    with pytest.raises(OSError, match="No space left.*unchanged"):
        save_weights(model, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.safetensors"]


def test_killed_while_saving_leaves_a_whole_file(tmp_path):
    """A process that does nothing but save is killed in the middle of it; what it leaves loads."""
    code = (
        "import sys; from pathlib import Path; from tests.support.helpers import small; from jatlab.model import JatModel; from jatlab.model.checkpoint.weights import save_weights\n"
        "model = JatModel(small(hidden_size=256)); path = Path(sys.argv[1])\n"
        "while True: save_weights(model, path); print('saved', flush=True)\n"
    )
    path = tmp_path / "w.safetensors"
    saver = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert saver.stdout.readline() == "saved\n"
    time.sleep(0.3)
    saver.send_signal(signal.SIGKILL)
    saver.wait()
    load_weights(jatlab.JatModel(small(hidden_size=256)), path)
