"""Trackers get every line of the log.

What TensorBoard and Trackio keep is read back. Trackio asks for an older Pillow than the pinned
one, so its test runs where it was installed by itself; W&B, which wants an account, is a stand-in.
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from types import ModuleType, SimpleNamespace

import pytest
from packaging.version import Version

from jatlab.training import log as module
from jatlab.training.log import numbers, read_log
from jatlab.training.recipe import TrainConfig
from jatlab.training.recipe_file import write_recipe
from jatlab.training.trainer import train

LINE = {"step": 4, "lr": 0.5, "loss": {"babyai-a": 1.0, "babyai-b": 3.0}, "validation": {}}


def test_a_line_becomes_flat_numbers():
    assert numbers(LINE) == {"lr": 0.5, "loss": 2.0, "loss/babyai-a": 1.0, "loss/babyai-b": 3.0}


def test_tensorboard_gets_what_the_log_has(recipe):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = train(replace(recipe, steps=3, track=["tensorboard"], tasks=["metaworld-reach"]))
    events = accumulator.EventAccumulator(str(folder / "tracking" / "jatlab"))
    events.Reload()
    log = read_log(folder)
    for name in ("lr", "loss/metaworld-reach"):
        told = [(event.step, event.value) for event in events.Scalars(name)]
        assert told == [(line["step"], pytest.approx(numbers(line)[name])) for line in log]
    assert len(log) == 3


class StandIn(ModuleType):
    """What Accelerate calls of trackio and wandb."""

    def __init__(self, name):
        super().__init__(name)
        self.__spec__ = SimpleNamespace(name=name)
        self.calls, self.config = [], self

    def init(self, project, **options):
        self.calls.append(("init", project))
        self.config = SimpleNamespace(update=self.update)
        return self

    def update(self, values, **options):
        self.calls.append(("config", values["steps"], values["tasks"]))

    def log(self, values, step):
        self.calls.append(("log", step, sorted(values)[0]))

    def finish(self):
        self.calls.append(("finish",))


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_others_are_begun_told_and_ended(recipe, name, monkeypatch):
    module = StandIn(name)
    monkeypatch.setitem(sys.modules, name, module)
    if name == "trackio" and Version(version("accelerate")) < Version("1.14"):
        with pytest.raises(ValueError, match="Accelerate is too old for trackio"):
            train(replace(recipe, steps=2, track=name, tasks=["metaworld-reach"]))
        return
    train(replace(recipe, steps=2, track=name, tasks=["metaworld-reach"]))
    assert module.calls == [
        ("init", "jatlab"),
        ("config", 2, '["metaworld-reach"]'),
        ("log", 1, "gradient_norm"),
        ("log", 2, "gradient_norm"),
        ("finish",),
    ]


def test_a_tracker_that_is_missing_is_named(recipe, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "jatlab\[wandb\]"'):
        train(replace(recipe, track=["wandb"]))


def test_an_unknown_tracker_is_refused():
    with pytest.raises(ValueError, match="tensorboard, trackio, wandb, not 'mlflow'"):
        TrainConfig(steps=1, track=["mlflow"])


@pytest.mark.slow
def test_trackio_itself_keeps_every_line(recipe, tmp_path):
    """In a process of its own, because Trackio asks for its folder when it is imported."""
    pytest.importorskip("trackio")
    recipe = replace(recipe, steps=3, track=["trackio"], tasks=["metaworld-reach"])
    path = write_recipe(recipe, tmp_path)
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "kept")}
    command = [sys.executable, "-m", "jatlab", "train", "--config", str(path)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    [database] = (tmp_path / "kept").glob("jatlab*.db")
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT step, metrics FROM metrics ORDER BY step").fetchall()
    told = [(step, json.loads(metrics)["loss/metaworld-reach"]) for step, metrics in rows]
    log = read_log(recipe.output)
    expected = [(line["step"], line["loss"]["metaworld-reach"]) for line in log]
    assert told == [(step, pytest.approx(loss)) for step, loss in expected] and len(log) == 3
