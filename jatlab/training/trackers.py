"""Experiment trackers beside ``log.jsonl``: TensorBoard, Trackio, Weights & Biases.

They are Accelerate's. TensorBoard writes into ``<output>/tracking``, Trackio onto this machine;
neither needs an account. Each gets the recipe once, and every line of the log as numbers.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jatlab.training.clock import Clock
from jatlab.training.log import Log
from jatlab.training.recipe import TrainConfig
from jatlab.training.recipe_file import write_recipe
from jatlab.utils.checks import require

if TYPE_CHECKING:
    from accelerate import Accelerator

PROJECT = "jatlab"  # what the trackers file the runs under
FOLDER = "tracking"  # of TensorBoard, in the run's folder


class Trackers:
    """The trackers that a recipe names, begun; none if it names none.

    Args:
        config: the recipe.
        accelerator: says which process tracks: the first.

    Raises:
        ImportError: for a tracker that is not installed.
        ValueError: for one that the installed Accelerate does not know.
    """

    def __init__(self, config: TrainConfig, accelerator: Accelerator):
        names = config.track if accelerator.is_main_process else []
        for name in names:  # before the first is begun
            _check_installed(name)
        self.used = [_begin(name, config) for name in names]

    def line(self, record: dict[str, Any]) -> None:
        """Pass a line of the log on."""
        values = numbers(record)
        for tracker in self.used:
            tracker.log(values, step=record["step"])

    def close(self) -> None:
        """Let them write what they hold."""
        for tracker in self.used:
            tracker.finish()


def open_log(config: TrainConfig, accelerator: Accelerator, step: int, clock: Clock) -> Log:
    """The bar, ``log.jsonl`` and trackers of a run, whose recipe is written as ``recipe.yaml``.

    Args:
        config: the recipe.
        accelerator: says which process writes: the first.
        step: the step to go on from.
        clock: knows how much is done.
    """
    trackers, main = Trackers(config, accelerator), accelerator.is_main_process
    if main:
        write_recipe(config, Path(config.output))
    total, unit = clock.budget
    done, show = clock.done(step), config.progress and main
    return Log(Path(config.output), step, total, unit, done, show, main, trackers)


def _check_installed(name: str) -> None:
    if find_spec(name) is None:
        raise ImportError(f'tracking with {name} needs it: pip install "jatlab[{name}]"', name=name)


def _begin(name: str, config: TrainConfig) -> Any:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    require(name in LOGGER_TYPE_TO_CLASS, f"this Accelerate does not know {name}: upgrade it")
    kind = LOGGER_TYPE_TO_CLASS[name]
    folder = str(Path(config.output) / FOLDER)
    tracker = kind(PROJECT, **({"logging_dir": folder} if kind.requires_logging_directory else {}))
    if hasattr(tracker, "start"):  # older ones begin when they are made
        tracker.start()
    tracker.store_init_configuration(_plain(asdict(config)))
    return tracker


def numbers(record: dict[str, Any]) -> dict[str, float]:
    """A line of the log, flat: ``loss/babyai-go-to-obj`` and so on; ``loss`` is the tasks' mean."""
    flat: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            if value:
                flat[name] = sum(value.values()) / len(value)
            flat |= {f"{name}/{task}": number for task, number in value.items()}
        elif name != "step":
            flat[name] = value
    return flat


def _plain(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe as trackers take it: numbers and text."""
    return {
        name: value if isinstance(value, str | int | float) else json.dumps(value)
        for name, value in recipe.items()
    }
