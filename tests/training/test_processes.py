"""Several processes, each with the whole model (DDP) or a shard of it (FSDP), make the steps of one
that accumulates.

Two processes on the CPU, over gloo, started as `torchrun` starts them.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jatlab.agents.checkpoints import load_agent
from jatlab.training.trainer import TrainConfig, train
from tests.support import ROOT
from tests.support.synthetic import write_task
from tests.training.test_trainer import TINY, told

pytestmark = pytest.mark.slow  # starting processes takes its time

DDP = {"ACCELERATE_USE_FSDP": "false"}
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
# before an InstanceNorm: a gradient of rounding alone, which AdamW makes steps of
NOISE = r"convolutions\.\d\.bias"
LENGTHS = [30, 7, 30, 22, 3, 30, 11, 30, 30, 18, 30, 5]


def launch(runs, processes=2):
    """Run `several_processes.py` under torchrun."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
        "-m",
        "tests.support.several_processes",
        json.dumps(runs),
    ]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training six ways: {name: output folder}. Two launches in all, since starting
    processes takes longest.
    """
    torch.set_num_threads(1)
    root, rng = tmp_path_factory.mktemp("processes"), np.random.default_rng(0)
    write_task(root / "data", "metaworld-reach", LENGTHS)
    write_task(root / "data", "babyai-go-to-obj", rng.integers(1, 16, 60).tolist(), seed=2)
    write_task(root / "data", "atari-pong", [6, 3, 8], seed=3)
    recipe = TrainConfig(
        data=str(root / "data"), model=TINY, steps=6, batch_timesteps=64, precision="fp32", device="cpu", progress=False, accumulate=2,
        val_fraction=0.1, val_every=3, save_every=3, log_every=1, average=0.9, warmup=0, decay="constant",
    )  # fmt: skip
    outputs = {
        name: root / name for name in ("one", "ddp", "fsdp", "lean", "resumed", "moved", "half")
    }

    def run(name, environment, **changes):
        return {
            "environment": environment,
            "recipe": asdict(replace(recipe, output=str(outputs[name]), **changes)),
        }

    def resume(name, environment):
        return {
            "environment": environment,
            "recipe": {"steps": 6},
            "output": str(outputs[name]),
            "resume": True,
        }

    train(replace(recipe, output=str(outputs["one"]), accumulate=4))
    launch([
        run("ddp", DDP), run("fsdp", FSDP), run("lean", FSDP, checkpoint_activations=True), run("resumed", FSDP, steps=3), resume("resumed", FSDP),
        run("moved", FSDP, steps=3), run("half", FSDP, precision="bf16"),
    ])  # fmt: skip
    train(
        TrainConfig.of_run(outputs["moved"], steps=6, accumulate=4)
    )  # what two processes saved in shards, one goes on with
    return outputs


@pytest.mark.parametrize("name", ["ddp", "fsdp", "lean", "resumed", "moved"])
def test_two_processes_that_accumulate_two_are_one_that_accumulates_four(runs, name):
    ours, theirs = told(runs[name]), told(runs["one"])
    assert len(ours) == len(theirs) == 6
    for a, b in zip(ours, theirs, strict=True):
        assert (a["step"], a["timesteps"], a["lr"]) == (b["step"], b["timesteps"], b["lr"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5, abs=1e-5)
        assert a.get("validation", {}) == pytest.approx(b.get("validation", {}), rel=1e-5, abs=1e-5)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4)


def test_shards_resume_bit_for_bit(runs):
    assert told(runs["resumed"]) == told(runs["fsdp"])
    for name in ("model.safetensors", "checkpoints/step-000006/state.safetensors"):
        ours, theirs = load_file(runs["resumed"] / name), load_file(runs["fsdp"] / name)
        assert ours.keys() == theirs.keys() and all(
            torch.equal(ours[key], theirs[key]) for key in ours
        )


def test_shards_are_saved_as_whole_weights_that_anyone_reads(runs):
    ours, theirs = (
        load_file(runs[name] / "checkpoints" / "step-000006" / "state.safetensors")
        for name in ("fsdp", "one")
    )
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in theirs.items()
    }
    far = [
        key
        for key in ours
        if not torch.allclose(ours[key], theirs[key], atol=1e-4) and not re.search(NOISE, key)
    ]
    assert not far, {key: (ours[key] - theirs[key]).abs().max().item() for key in far}
    sharded, alone = load_agent(runs["fsdp"]), load_agent(runs["one"])
    assert sharded.info["sharded"] and sharded.info["processes"] == 2 and not alone.info["sharded"]
    assert (
        sharded.info["parameters"]
        == alone.info["parameters"]
        == sum(p.numel() for p in sharded.model.parameters())
    )
    for name, value in alone.model.state_dict().items():
        if re.search(NOISE, name) is None:
            torch.testing.assert_close(
                sharded.model.state_dict()[name],
                value,
                atol=1e-4,
                rtol=0,
                msg=lambda text: f"{name}: {text}",
            )
    assert {path.suffix for path in runs["fsdp"].rglob("*") if path.is_file()} == {
        ".json",
        ".jsonl",
        ".safetensors",
    }


def test_a_weight_that_no_batch_reached_is_left_alone(runs):
    """Without a gradient AdamW does not even decay it: in shards too."""
    weights = load_file(runs["fsdp"] / "checkpoints" / "step-000006" / "state.safetensors")
    assert (
        "weight/patch_encoder.projection.weight" in weights
        and "exp_avg/patch_encoder.projection.weight" not in weights
    )
    assert "exp_avg/image_encoder.linear.weight" in weights


def test_bfloat16_in_shards_is_near_float32(runs):
    for a, b in zip(told(runs["half"]), told(runs["fsdp"]), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=0.05) and a["loss"] != b["loss"]
    assert load_agent(runs["half"]).info["precision"] == "bf16"


def seen(output, process):
    return [json.loads(line) for line in Path(f"{output}.seen.{process}").read_text().splitlines()]


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_each_process_has_windows_of_its_own_and_none_comes_twice_in_an_epoch(runs, name):
    processes = [
        [tuple(window) for line in seen(runs[name], process) for window in line["windows"]]
        for process in (0, 1)
    ]
    together = processes[0] + processes[1]
    reach = [window for window in together if window[0] == "metaworld-reach"]
    assert (
        all(len(windows) > 20 for windows in processes)
        and len({task for task, *_ in together}) == 3
    )
    counts = [reach.count(window) for window in set(reach)]
    assert (
        max(counts) - min(counts) <= 1
    )  # the task's epochs follow each other: each window once in each


@pytest.mark.parametrize("name, share", [("ddp", 1.0), ("fsdp", 0.5)])
def test_a_shard_holds_its_share_of_the_optimizer(runs, name, share):
    held = [seen(runs[name], process)[-1]["held"] for process in (0, 1)]
    trained = sum(
        value.numel()
        for key, value in load_file(
            runs["one"] / "checkpoints" / "step-000006" / "state.safetensors"
        ).items()
        if key.startswith("exp_avg/")
    )
    assert all(number == pytest.approx(share * trained, rel=0.05) for number in held)
    assert sum(held) == trained * 2 * share


def test_the_command_as_people_type_it(runs, tmp_path):
    """`torchrun -m jatlab train`, under the variables that `accelerate launch` sets for FSDP; one
    process speaks.
    """
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "jatlab",
        "train",
        "metaworld-reach",
    ]
    options = [
        "--data",
        str(runs["one"].parent / "data"),
        "--output",
        str(tmp_path / "run"),
        "--steps",
        "2",
        "--batch-timesteps",
        "64",
        "--precision",
        "fp32",
    ]
    environment = os.environ | FSDP | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*command, *options, "--checkpoint-activations"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=environment,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("the agent is in") == 1
    info = load_agent(tmp_path / "run").info
    assert (
        info["sharded"]
        and info["processes"] == 2
        and info["step"] == 2
        and info["recipe"]["checkpoint_activations"]
    )
