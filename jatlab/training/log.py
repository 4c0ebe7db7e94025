"""What a training run reports: a progress bar, ``log.jsonl`` with everything, and trackers.

The bar shows the losses by domain. A line of ``log.jsonl`` has ``step``, ``timesteps`` (without
padding, of all processes), ``seconds``, ``lr``, ``gradient_norm``, ``timesteps_per_second``,
``loss`` (by task, the mean since the last line) and, after a validation, ``validation`` (by task).

Trackers (TensorBoard, Trackio, Weights & Biases) are Accelerate's, and get the recipe and the same
lines. TensorBoard writes into ``<output>/tracking``, Trackio onto this machine; neither needs an
account.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from jatlab.data.mixture import BatchPlan
from jatlab.tasks import domain_of
from jatlab.training.clock import Clock
from jatlab.training.recipe import TrainConfig
from jatlab.training.recipe_file import write_recipe
from jatlab.utils.bars import progress_bar
from jatlab.utils.checks import require
from jatlab.utils.files import expanded, write_text
from jatlab.utils.machine import installed_version

if TYPE_CHECKING:
    from accelerate import Accelerator

PROJECT = "jatlab"  # what the trackers file the runs under
FOLDER = "tracking"  # of TensorBoard, in the run's folder
FORETELL_SECONDS = 30  # of training, after which its end is foretold
BAR_FORMAT = (
    "{desc} {percentage:3.0f}%|{bar:20}| {n:.0f}/{total:.0f} {unit} "
    "[{elapsed}<{remaining}]{postfix}"
)


class Losses:
    """Losses of the batches since the last report.

    They stay tensors until they are needed, because reading each at once would make a GPU wait.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[int, BatchPlan, torch.Tensor]] = []

    def add(self, step: int, plan: BatchPlan, loss: torch.Tensor) -> None:
        """Keep the loss of one batch."""
        self.seen.append((step, plan, loss.detach()))

    def check(self) -> None:
        """Raise ValueError naming step, task and batch if a loss is not a finite number."""
        if not self.seen:
            return
        finite = torch.stack([loss for *_, loss in self.seen]).isfinite().tolist()
        for (step, plan, loss), is_finite in zip(self.seen, finite, strict=True):
            if not is_finite:
                raise ValueError(
                    f"the loss is {loss.item()} for task {plan.task} at step {step}, {plan}. "
                    "Nothing was saved since. Go on from the last checkpoint with a lower lr or "
                    "clip, with precision='fp32', or without these episodes if their values are "
                    "huge"
                )

    def by_task(self, accelerator: Accelerator) -> dict[str, float]:
        """The mean loss of each task over all processes; starts over."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
        for _, plan, loss in self.seen:
            sums[plan.task][0] += loss.item()
            sums[plan.task][1] += 1
        self.seen = []
        return mean_over_processes(sums, accelerator)


def mean_over_processes(sums: dict[str, list[float]], accelerator: Accelerator) -> dict[str, float]:
    """{name: [sum, count]} of every process -> {name: mean}."""
    everyone = [dict(sums)]
    if accelerator.num_processes > 1:
        everyone *= accelerator.num_processes
        torch.distributed.all_gather_object(everyone, dict(sums))
    means = {}
    for name in sorted({name for sums in everyone for name in sums}):
        found = [sums[name] for sums in everyone if name in sums]
        means[name] = sum(total for total, _ in found) / sum(count for _, count in found)
    return means


class Log:
    """The progress bar and ``log.jsonl`` of a run.

    Args:
        output: the run's folder.
        step: the step to go on from; lines of later steps, written before a kill, are dropped.
        total: what the bar counts to, in ``unit``.
        unit: of the bar, such as "steps".
        done: how much of ``total`` is done.
        show: whether to show the bar.
        write: whether to write the file (one process does).
        also: gets every line, too.
    """

    def __init__(
        self,
        output: Path,
        step: int,
        total: float,
        unit: str,
        done: float,
        show: bool,
        write: bool,
        also: Trackers | None = None,
    ):
        self.path, self.write, self.also = output / "log.jsonl", write, also
        if write:
            kept = [line for line in _lines(self.path) if json.loads(line)["step"] <= step]
            write_text(self.path, "".join(kept))
        self.started, self.total, self.first = time.monotonic(), total, done
        self.bar = progress_bar(
            show, desc="training", total=total, initial=done, unit=unit, bar_format=BAR_FORMAT
        )
        self.foretold = unit != "steps" or bool(self.bar.disable)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        if self.also is not None:
            self.also.close()

    def line(self, record: dict[str, Any], done: float) -> None:
        """Append ``record`` to the file, and move the bar to ``done``."""
        if self.write:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
        if self.also is not None:
            self.also.line(record)
        self._foretell(record, done)
        self.bar.set_postfix_str(summary(record), refresh=False)
        self.bar.update(min(done, self.bar.total) - self.bar.n)

    def _foretell(self, record: dict[str, Any], done: float) -> None:
        """Say once, after half a minute, how long a training of so many steps will take here."""
        spent = time.monotonic() - self.started
        if self.foretold or spent < FORETELL_SECONDS:
            return
        self.foretold = True
        minutes = spent / (done - self.first) * (self.total - done) / 60
        speed = f"{record['timesteps_per_second']:,.0f} timesteps a second"
        if minutes >= 1:
            self.bar.write(f"training: about {minutes:.0f} more minutes on this machine ({speed})")


def _lines(path: Path) -> list[str]:
    """The complete lines of a log; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


def read_log(output: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's ``log.jsonl``, for plotting."""
    return [json.loads(line) for line in _lines(expanded(output) / "log.jsonl")]


def summary(record: dict[str, Any]) -> str:
    """One line for the bar: losses by domain, then the rate."""
    domains: dict[str, list[float]] = defaultdict(list)
    for task, loss in record["loss"].items():
        domains[domain_of(task)].append(loss)
    losses = "  ".join(
        f"{domain} {sum(values) / len(values):.4f}" for domain, values in sorted(domains.items())
    )
    return f"loss: {losses}  {record['timesteps_per_second']:,.0f} timesteps/s"


# --- trackers ---


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


def _tells_trackio_the_step() -> bool:
    """Whether Accelerate is new enough: before 1.14 it left the step out."""
    major, minor = (installed_version("accelerate") or "0.0").split(".")[:2]
    return (int(major), int(minor)) >= (1, 14)


def _begin(name: str, config: TrainConfig) -> Any:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    require(
        name in LOGGER_TYPE_TO_CLASS and (name != "trackio" or _tells_trackio_the_step()),
        f"this Accelerate is too old for {name}: pip install --upgrade accelerate",
    )
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
