"""`--device` and `--dtype` of every command that has a model."""

import pickle
from types import SimpleNamespace

import pytest
import torch

import jatlab
from jatlab.cli import main
from jatlab.cli.options import load
from jatlab.training.recipe import TrainConfig, make_accelerator
from tests.cli.test_main import commands

WITH_MODEL = {
    "evaluate": "evaluate jatlab-mini --tasks babyai-go-to-obj --output OUT",
    "play": "play jatlab-mini babyai-go-to-obj",
    "generate": "generate jatlab-mini",
    "relabel": "relabel jatlab-mini babyai-go-to-obj --episodes 1 --output OUT",
}


@pytest.mark.parametrize("command", [*WITH_MODEL, "train"])
def test_a_device_that_is_not_there_is_refused(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if command == "train":
        with pytest.raises(ValueError, match="no device 'cuda:1' here: torch finds cpu"):
            make_accelerator(TrainConfig(steps=1, device="cuda:1"))
        return
    line = WITH_MODEL[command].replace("OUT", str(tmp_path / "out"))
    assert main([*line.split(), "--device", "cuda:1"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: there is no device 'cuda:1' here: torch finds cpu")
    assert list(tmp_path.iterdir()) == []


def test_every_command_with_a_model_has_the_options():
    for name in WITH_MODEL:
        options = {text for action in commands()[name]._actions for text in action.option_strings}
        assert {"--device", "--dtype"} <= options
    assert "--dtype" in {
        text for action in commands()["export"]._actions for text in action.option_strings
    }


@pytest.mark.parametrize("name", ["jatlab-mini", "untrained:nano"])
def test_weights_of_a_named_type(name):
    weight = load(name, "bfloat16", "auto" if not torch.cuda.is_available() else "cpu").model
    assert {parameter.dtype for parameter in weight.parameters()} == {torch.bfloat16}


def test_an_agent_goes_where_it_is_told(monkeypatch):
    """The meta device stands for a GPU: it has shapes and no numbers."""
    monkeypatch.setattr("jatlab.agents.checkpoints.choose_device", torch.device)
    assert jatlab.load_agent("jatlab-mini", device="meta").device.type == "meta"
    assert load("jatlab-mini").device.type == "cpu"


def test_a_worker_process_keeps_the_device(monkeypatch):
    moved = []
    agent = jatlab.Agent.untrained("nano")
    monkeypatch.setattr(type(agent), "device", property(lambda self: torch.device("cuda:1")))
    rebuild, arguments, _ = agent.__reduce__()
    monkeypatch.setattr(type(agent.model), "to", lambda self, device: moved.append(device) or self)
    rebuild(*pickle.loads(pickle.dumps(arguments)))
    assert moved == ["cuda:1"]


@pytest.fixture
def accelerate(monkeypatch):
    """Accelerate on a machine with two GPUs: it takes the device that its variable names."""
    import os

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def make(**_):
        return SimpleNamespace(
            num_processes=int(os.environ.get("WORLD_SIZE", 1)),
            distributed_type=SimpleNamespace(value="NO"),
            device=torch.device(os.environ.get("ACCELERATE_TORCH_DEVICE", "cuda:0")),
        )

    monkeypatch.setattr("accelerate.Accelerator", make)
    return monkeypatch


@pytest.mark.parametrize(
    "name, taken", [("auto", "cuda:0"), ("cuda", "cuda"), ("cuda:1", "cuda:1")]
)
def test_training_takes_the_device_of_the_recipe(accelerate, name, taken):
    import os

    for before in (None, "cuda:0"):
        if before:
            accelerate.setenv("ACCELERATE_TORCH_DEVICE", before)
        accelerator = make_accelerator(TrainConfig(steps=1, device=name))
        assert accelerator.device == torch.device(taken)
        assert os.environ.get("ACCELERATE_TORCH_DEVICE") == before


def test_one_device_for_several_processes_is_refused(accelerate):
    accelerate.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 processes were started, each for a device"):
        make_accelerator(TrainConfig(steps=1, device="cuda:1"))
    assert make_accelerator(TrainConfig(steps=1, device="cuda")).device.type == "cuda"


def test_a_device_that_accelerate_does_not_take_is_refused(accelerate):
    with pytest.raises(ValueError, match="device is 'cpu', but Accelerate computes on cuda:0"):
        make_accelerator(TrainConfig(steps=1, device="cpu"))


@pytest.mark.slow
def test_accelerate_takes_the_device_of_its_variable():
    """What the mocked tests above rely on, in a process of its own."""
    import os
    import subprocess
    import sys

    code = "from accelerate import Accelerator; print(Accelerator(cpu=False).device)"
    environment = os.environ | {"ACCELERATE_TORCH_DEVICE": "meta"}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout == "meta\n"
