"""A training stage is done once, in one process or several, and goes on where it was stopped."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from jatlab.agents.checkpoints import load_agent
from jatlab.experiments.recipes.stages import train_once
from jatlab.training.log import read_log
from jatlab.training.state import newest
from jatlab.training.trainer import TrainConfig
from tests.support.helpers import group_is_alive, wait_for
from tests.support.synthetic import write_task
from tests.support.training import TINY

pytestmark = pytest.mark.slow  # starting processes takes its time


@pytest.fixture
def recipe(tmp_path):
    write_task(tmp_path / "data", "metaworld-reach", [30] * 6)
    return TrainConfig(
        data=str(tmp_path / "data"),
        output=str(tmp_path / "run"),
        model=TINY,
        past_action_dropout=0.5,
        steps=4,
        batch_timesteps=64,
        accumulate=2,
        precision="fp32",
        device="cpu",
        progress=False,
        val_fraction=0.2,
        save_every=2,
        log_every=1,
    )


def test_two_processes_do_what_one_does_and_once(recipe, capsys):
    train_once(recipe, processes=4)  # two batches a step: two of them are enough
    info = load_agent(recipe.output).info
    assert (info["processes"], info["recipe"]["accumulate"], info["step"]) == (2, 1, 4)
    train_once(recipe, processes=2)
    assert "is trained already" in capsys.readouterr().out
    single = replace(recipe, output=recipe.output + "-single")
    train_once(single)
    assert losses(recipe.output) == pytest.approx(losses(single.output), rel=1e-4)


def losses(folder):
    return [line["loss"]["metaworld-reach"] for line in read_log(folder)]


# A process that trains for long, started by a shell whose background jobs ignore Ctrl-C.
LONG = """
import json, signal, sys
from jatlab.experiments.recipes.stages import train_once
from jatlab.training.trainer import TrainConfig, TrainingInterrupted
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    train_once(TrainConfig(**json.loads(sys.argv[1])), processes=2)
except TrainingInterrupted as error:
    print("said:", error)
"""


@pytest.mark.parametrize("kill, number", [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_stopping_reaches_both_and_the_same_call_goes_on(recipe, kill, number):
    """Ctrl-C goes to all processes of a terminal, SIGTERM to one.

    No process is left, and what both had learnt is saved.
    """
    long = asdict(recipe) | {"steps": 100_000, "save_every": 100_000}
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, json.dumps(long)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: len(read_log(recipe.output)) > 3)
    kill(process.pid, number)
    out, _ = process.communicate(timeout=120)
    assert "said: stopped; everything is saved in" in out
    assert not group_is_alive(process.pid)
    stopped = read_log(recipe.output)[-1]["step"]
    assert newest(Path(recipe.output)).name == f"step-{stopped:06}"
    # one goes on with what two have saved
    train_once(replace(recipe, steps=stopped + 2), processes=1)
    assert [line["step"] for line in read_log(recipe.output)] == list(range(1, stopped + 3))


def test_processes_that_fail_are_told(recipe):
    with pytest.raises(OSError, match="training in 2 processes ended with exit status 1"):
        train_once(replace(recipe, tasks=["metaworld-assembly"]), processes=2)


def test_a_folder_for_checkpoints_without_any_is_a_beginning(recipe):
    """What a disk that was full leaves behind, before the first checkpoint."""
    (Path(recipe.output) / "checkpoints").mkdir(parents=True)
    train_once(recipe)
    assert load_agent(recipe.output).info["step"] == 4
