"""Training can be stopped at any moment and resumed; nothing is lost."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jatlab.agents.checkpoints import load_agent
from jatlab.training.log import read_log
from jatlab.training.state import checkpoints, newest
from jatlab.training.trainer import TrainConfig, Trainer, TrainingInterrupted, train
from tests.support import ROOT
from tests.support.helpers import wait_for
from tests.support.training import told


class Stopped(Trainer):
    """Gets ``signal`` in the middle of its fourth step."""

    signal = signal.SIGINT

    def update(self, *args, **kwargs):
        super().update(*args, **kwargs)
        if self.step == 3:
            os.kill(os.getpid(), self.signal)


def run_python(code, **arguments):
    """A process of its own, for what may end it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), json.dumps(arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "optimizer"), [(signal.SIGINT, "adamw"), (signal.SIGTERM, "muon")]
)
def test_a_resumed_run_equals_one_that_was_not_stopped(recipe, tmp_path, number, optimizer):
    recipe = replace(recipe, accumulate=2, optimizer=optimizer)
    straight = train(replace(recipe, output=str(tmp_path / "straight")))
    trainer = Stopped(recipe)
    trainer.signal = number
    goes_on = f"Go on with: jatlab train --resume {recipe.output}"
    with pytest.raises(
        TrainingInterrupted, match=f"stopped after step 4; everything is saved. {goes_on}"
    ):
        trainer.fit()
    resumed = train(TrainConfig.of_run(recipe.output))
    # losses, validation, gradient norms, learning rates: bit for bit
    assert told(resumed) == told(straight)
    for name in ("model.safetensors", "checkpoints/step-000008/state.safetensors"):
        ours, theirs = load_file(resumed / name), load_file(straight / name)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.slow
def test_a_kill_while_saving_loses_nothing_before(recipe):
    code = """
        import json, os, signal, sys
        from jatlab.training import state as training_state
        from jatlab.training.trainer import TrainConfig, train
        save = training_state.save_file
        def save_half(tensors, path):
            save(tensors, path)
            if "step-000006" in str(path):
                os.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        training_state.save_file = save_half
        train(TrainConfig(**json.loads(sys.argv[1])))
    """
    assert run_python(code, **asdict(recipe)).returncode == -signal.SIGKILL
    output = Path(recipe.output)
    assert [c.name for c in checkpoints(output)] == ["step-000003"] and list(
        (output / "checkpoints").glob(".*.tmp")
    )
    assert load_agent(output / "checkpoints" / "step-000003").info["step"] == 3
    assert [line["step"] for line in told(output)] == [1, 2, 3, 4, 5, 6]
    train(TrainConfig.of_run(output))
    assert [line["step"] for line in told(output)] == list(range(1, 9))
    assert [c.name for c in checkpoints(output)] == ["step-000006", "step-000008"] and not list(
        (output / "checkpoints").glob(".*")
    )


@pytest.mark.slow
def test_ctrl_c_at_the_command_line(data, tmp_path):
    options = {
        "--preset": "nano",
        "--batch-timesteps": "64",
        "--data": str(data),
        "--output": str(tmp_path / "run"),
        "--steps": "100000",
    }
    arguments = [word for option in options.items() for word in option]
    process = subprocess.Popen(
        [sys.executable, "-m", "jatlab", "train", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    wait_for(lambda: read_log(tmp_path / "run"))
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and "jatlab train --resume" in error and "Traceback" not in error
    assert newest(tmp_path / "run").name.startswith("step-")


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(recipe):
    train(replace(recipe, steps=3, output=recipe.output))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # as a full disk: writing on fails
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="step-000006|disk is full"):
            train(TrainConfig.of_run(recipe.output, steps=8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [c.name for c in checkpoints(Path(recipe.output))] == ["step-000003"]
    assert not list((Path(recipe.output) / "checkpoints").glob(".*.tmp"))
    assert told(train(TrainConfig.of_run(recipe.output, steps=8)))[-1]["step"] == 8


def test_only_json_yaml_and_safetensors_are_written(recipe):
    output = train(recipe)
    assert {path.suffix for path in output.rglob("*") if path.is_file()} == {
        ".json",
        ".jsonl",
        ".safetensors",
        ".yaml",
    }
