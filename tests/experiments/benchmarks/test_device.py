"""The table of a device's speed, measured on the CPU with short windows.

A GPU is measured by the same code.
"""

import json

import pytest
import torch

from jatlab.cli import main
from jatlab.experiments.benchmarks.cost import KINDS, full_window
from jatlab.experiments.benchmarks.device import Speed, as_table, made_up, run_on, training_step
from jatlab.experiments.benchmarks.hardware import published_peak
from jatlab.model import JatModel
from jatlab.model.config import JatConfig

ENCODERS = {
    "continuous": "continuous_encoder",
    "discrete": "discrete_encoder",
    "image": "image_encoder",
    "text": "text_embedding",
    "picture": "patch_encoder",
}


@pytest.mark.slow
def test_a_table_of_the_cpu(tmp_path):
    path, command = tmp_path / "speeds.json", "jatlab bench --device cpu"
    lines = run_on("cpu", ["nano"], command, path, ("continuous",), timesteps=8).splitlines()
    assert lines[0].startswith("CPU, ") and f"`{command}`" in lines[0] and "| nano" in lines[-1]
    [speed] = json.loads(path.read_text())["speeds"]
    assert speed["tokens"] == 16 and speed["tokens_per_second"] > 0
    assert 0 < speed["tflops"] < 1.5 * speed["peak"]
    assert 0.05 < speed["memory"] < 3  # a process with torch and a small model


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_batch_trains(kind):
    torch.set_num_threads(1)
    config = JatConfig.preset("nano", num_layers=2, attention_types=[[["global", "local"], 1]])
    window = full_window(config, kind, {"image": 2, "picture": 60}.get(kind, 6))
    model = JatModel(config).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    training_step(model, made_up(config, window, 1, torch.device("cpu")))()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert any(name.startswith(ENCODERS[kind]) for name in changed)
    assert any(name.startswith("trunk") for name in changed)


def test_utilisation_needs_a_known_peak():
    speed = Speed("mini", "text", 8, 256, 1e6, 50.0, published_peak("NVIDIA A100-SXM4-80GB"), 1.0)
    assert speed.utilisation == pytest.approx(50 / 312)
    names = ("NVIDIA L4", "Tesla T4", "NVIDIA GeForce RTX 4090", "NVIDIA H100 80GB HBM3")
    assert [published_peak(name) for name in names] == [121, 65, 165, 989]
    assert published_peak("NVIDIA L40S") is None and published_peak("NVIDIA H100 PCIe") is None
    assert "unknown" in as_table([Speed("mini", "text", 8, 256, 1e6, 50.0, None, 1.0)])


def test_a_device_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["bench", "--gpu"]) == 2
    assert "no CUDA device that torch can use" in capsys.readouterr().err
    assert main(["bench", "--device", "tpu"]) == 2
    assert "device 'tpu'" in capsys.readouterr().err
    assert main(["bench", "--device", "cpu", "--presets", "huge"]) == 2
    assert "unknown preset 'huge'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_measurement_that_fails_is_told():
    with pytest.raises(OSError, match="'nano', 'text'.* failed in its process: .*positions"):
        run_on("cpu", ["nano"], "", kinds=("text",), timesteps=4000)
