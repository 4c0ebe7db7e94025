"""Several processes (DDP or FSDP) make the same steps as one process that accumulates gradients.

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
from tests.support.training import TINY, told

pytestmark = pytest.mark.slow  # starting processes takes its time

DDP = {"ACCELERATE_USE_FSDP": "false"}
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
# These weights lie before an InstanceNorm: their gradient is rounding error, which AdamW scales up.
NOISE = r"convolutions\.\d\.bias"
LENGTHS = [30, 7, 30, 22, 3, 30, 11, 30, 30, 18, 30, 5]
LAST = "checkpoints/step-000006/state.safetensors"


def torchrun(module, *arguments, **environment):
    """Run a module in two processes; return what it printed."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    result = subprocess.run(
        [sys.executable, "-m", *launcher, module, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training ten ways: {name: output folder}.

    One launch runs eight of them, because starting processes takes longest.
    """
    torch.set_num_threads(1)
    root, rng = tmp_path_factory.mktemp("processes"), np.random.default_rng(0)
    write_task(root / "data", "metaworld-reach", LENGTHS)
    write_task(root / "data", "babyai-go-to-obj", rng.integers(1, 16, 60).tolist(), seed=2)
    write_task(root / "data", "atari-pong", [6, 3, 8], seed=3)
    recipe = TrainConfig(
        data=str(root / "data"),
        model=TINY,
        past_action_dropout=0.5,
        steps=6,
        batch_timesteps=64,
        precision="fp32",
        device="cpu",
        progress=False,
        accumulate=2,
        val_fraction=0.1,
        val_every=3,
        save_every=3,
        log_every=1,
        average=0.9,
        warmup=0,
        decay="constant",
    )
    names = ("one", "ddp", "fsdp", "lean", "resumed", "moved", "half", "muon")
    names += ("muon by ddp", "muon in shards")
    outputs = {name: root / name for name in names}

    def run(name, environment, **changes):
        changed = replace(recipe, output=str(outputs[name]), **changes)
        return {"environment": environment, "recipe": asdict(changed)}

    resumed = {"output": str(outputs["resumed"]), "resume": True, "recipe": {"steps": 6}}
    several = [
        run("ddp", DDP),
        run("fsdp", FSDP),
        run("lean", FSDP, checkpoint_activations=True),
        run("resumed", FSDP, steps=3),
        resumed | {"environment": FSDP},
        run("moved", FSDP, steps=3),
        run("half", FSDP, precision="bf16"),
        run("muon by ddp", DDP, optimizer="muon"),
        run("muon in shards", FSDP, optimizer="muon"),
    ]
    train(replace(recipe, output=str(outputs["one"]), accumulate=4))
    train(replace(recipe, output=str(outputs["muon"]), accumulate=4, optimizer="muon"))
    torchrun("tests.support.several_processes", json.dumps(several))
    # two processes saved it in shards, one goes on with it
    train(TrainConfig.of_run(outputs["moved"], steps=6, accumulate=4))
    return outputs


@pytest.mark.parametrize(
    "name", ["ddp", "fsdp", "lean", "resumed", "moved", "muon by ddp", "muon in shards"]
)
def test_two_processes_make_the_steps_of_one_that_accumulates(runs, name):
    ours, theirs = told(runs[name]), told(runs["muon" if "muon" in name else "one"])
    assert len(ours) == len(theirs) == 6
    for a, b in zip(ours, theirs, strict=True):
        assert (a["step"], a["timesteps"], a["lr"]) == (b["step"], b["timesteps"], b["lr"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5, abs=1e-5)
        assert a.get("validation", {}) == pytest.approx(b.get("validation", {}), rel=1e-5, abs=1e-5)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4)


def test_shards_resume_bit_for_bit(runs):
    assert told(runs["resumed"]) == told(runs["fsdp"])
    for name in ("model.safetensors", LAST):
        ours, theirs = load_file(runs["resumed"] / name), load_file(runs["fsdp"] / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_shards_are_saved_as_whole_weights_that_anyone_reads(runs):
    ours, theirs = (load_file(runs[name] / LAST) for name in ("fsdp", "one"))
    shapes = [{key: value.shape for key, value in state.items()} for state in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert not far(ours, theirs)
    suffixes = {path.suffix for path in runs["fsdp"].rglob("*") if path.is_file()}
    assert suffixes == {".json", ".jsonl", ".safetensors", ".yaml"}


def far(ours, theirs):
    """How far apart tensors are that are not close: {name: largest difference}."""
    differences = {
        name: (ours[name] - value).abs().max().item()
        for name, value in theirs.items()
        if not re.search(NOISE, name)
    }
    return {name: difference for name, difference in differences.items() if not difference <= 1e-4}


def test_an_agent_of_shards_is_the_agent_of_one_process(runs):
    sharded, single = load_agent(runs["fsdp"]), load_agent(runs["one"])
    assert sharded.info["sharded"] and not single.info["sharded"]
    assert sharded.info["processes"] == 2
    parameters = sum(p.numel() for p in sharded.model.parameters())
    assert sharded.info["parameters"] == single.info["parameters"] == parameters
    assert not far(sharded.model.state_dict(), single.model.state_dict())


def test_a_weight_that_no_batch_reached_is_left_alone(runs):
    """Without a gradient AdamW does not even decay it: in shards too."""
    weights = load_file(runs["fsdp"] / LAST)
    assert "weight/patch_encoder.projection.weight" in weights
    assert "exp_avg/patch_encoder.projection.weight" not in weights
    assert "exp_avg/image_encoder.linear.weight" in weights


def test_bfloat16_in_shards_is_near_float32(runs):
    for a, b in zip(told(runs["half"]), told(runs["fsdp"]), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=0.05) and a["loss"] != b["loss"]
    assert load_agent(runs["half"]).info["precision"] == "bf16"


def seen(output, process):
    return [json.loads(line) for line in Path(f"{output}.seen.{process}").read_text().splitlines()]


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_processes_share_the_windows_of_an_epoch(runs, name):
    processes = [
        [tuple(window) for line in seen(runs[name], process) for window in line["windows"]]
        for process in (0, 1)
    ]
    together = processes[0] + processes[1]
    reach = [window for window in together if window[0] == "metaworld-reach"]
    assert all(len(windows) > 20 for windows in processes)
    assert len({task for task, *_ in together}) == 3
    counts = [reach.count(window) for window in set(reach)]
    assert max(counts) - min(counts) <= 1  # each epoch of the task has each window once


@pytest.mark.parametrize("name, share", [("ddp", 1.0), ("fsdp", 0.5)])
def test_a_shard_holds_its_share_of_the_optimizer(runs, name, share):
    held = [seen(runs[name], process)[-1]["held"] for process in (0, 1)]
    state = load_file(runs["one"] / LAST)
    trained = sum(value.numel() for key, value in state.items() if key.startswith("exp_avg/"))
    assert all(number == pytest.approx(share * trained, rel=0.05) for number in held)
    assert sum(held) == trained * 2 * share


def test_the_command_as_people_type_it(runs, tmp_path):
    """`torchrun -m jatlab train`, under the variables that `accelerate launch` sets for FSDP.

    One of the processes prints.
    """
    folders = ["--data", str(runs["one"].parent / "data"), "--output", str(tmp_path / "run")]
    sizes = ["--steps", "2", "--batch-timesteps", "64"]
    options = [*folders, *sizes, "--precision", "fp32", "--checkpoint-activations"]
    said = torchrun("jatlab", "train", "metaworld-reach", *options, **FSDP)
    assert said.count("the agent is in") == 1
    info = load_agent(tmp_path / "run").info
    assert info["sharded"] and info["processes"] == 2 and info["step"] == 2
    assert info["recipe"]["checkpoint_activations"]
