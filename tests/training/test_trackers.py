"""Trackers get every line of the log: TensorBoard's files are read back, others are stand-ins."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from jatlab.training import log as module
from jatlab.training.log import numbers, read_log
from jatlab.training.recipe import TrainConfig
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
