"""The stages of making an agent, each done once.

What is finished in its folder is not done again, so a stopped run goes on where it was.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jatlab.tasks import get_task
from jatlab.utils.console import say
from jatlab.utils.files import write_json
from jatlab.utils.machine import cores

if TYPE_CHECKING:
    from jatlab.training.recipe import TrainConfig


# divided by the standard deviation of a task's continuous actions, it weights the task's losses
ACTION_SPREAD_WEIGHT = 3.0


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Print what begins, and afterwards how long it took."""
    say(f"\n{title}", flush=True)
    started = time.monotonic()
    yield
    say(f"{title}: done in {_duration(time.monotonic() - started)}", flush=True)


def loss_weights(names: Iterable[str], data: Path) -> dict[str, float]:
    """Weights of the losses of continuous actions, in place of the published 10 and 50.

    A squared error is small where actions are small, and would contribute too little to the
    gradient. The weight is ``ACTION_SPREAD_WEIGHT`` divided by the standard deviation of the
    recorded actions. That lies between equal weights (walking dominates reaching) and equal losses
    (reaching dominates walking).
    """
    from jatlab.data.storage import EpisodeStore

    weights = {}
    for task in map(get_task, names):
        if task.action == "continuous":
            actions = EpisodeStore.open(task, data).columns["continuous_actions"]
            weights[task.name] = round(float(ACTION_SPREAD_WEIGHT / actions.std(0).mean()), 2)
    return weights


def train_once(recipe: TrainConfig, processes: int = 1) -> None:
    """Train by ``recipe``, or go on from its newest checkpoint, or see that the agent is finished.

    Up to ``processes`` share each step's batches, as many as can do so evenly;
    ``recipe.accumulate`` is the number for all processes together. On two CPU cores two processes
    are faster than one with two threads if batches are small (docs/results/log.md).

    Raises:
        TrainingInterrupted: after Ctrl-C or SIGTERM, when everything is saved.
        OSError: the processes failed.
    """
    folder, processes = Path(recipe.output), math.gcd(processes, recipe.accumulate)
    if (folder / "training.json").exists():
        say(f"{folder} is trained already")
    elif processes > 1:
        _train_together(recipe, processes)
    else:
        _train_or_resume(recipe)


def _train_or_resume(recipe: TrainConfig) -> None:
    from jatlab.training.recipe import TrainConfig
    from jatlab.training.state import checkpoints
    from jatlab.training.trainer import train

    folder = Path(recipe.output)
    if checkpoints(folder):  # a disk that was full may have left the folder of them, and none
        budget = {name: getattr(recipe, name) for name in ("accumulate", "steps", "minutes")}
        recipe = TrainConfig.of_run(folder, **budget)
    train(recipe)


def _train_together(recipe: TrainConfig, processes: int) -> None:
    """The same in several processes of this machine, each with its share of the cores."""
    from jatlab.training.trainer import TrainingInterrupted

    path = Path(recipe.output) / "recipe.json"
    write_json(path, asdict(recipe) | {"accumulate": recipe.accumulate // processes})
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    threads = max(1, cores() // processes)
    launched = subprocess.Popen(
        [sys.executable, "-m", *launcher, "jatlab.experiments.recipes.stages", str(path)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )
    if _wait_for(launched):
        raise TrainingInterrupted(
            f"stopped; everything is saved in {recipe.output}, and the same command goes on"
        )
    if code := launched.returncode:
        raise OSError(
            f"training in {processes} processes ended with exit status {code}: their messages are "
            f"above, and what they had saved is in {recipe.output}"
        )


def _wait_for(launched: subprocess.Popen) -> bool:
    """Wait for the processes to end; return whether they were asked to stop.

    Ctrl-C reaches them too, and SIGTERM is passed on. Both make them save.
    """
    stopped = threading.Event()

    def pass_on(*_: object) -> None:
        stopped.set()
        launched.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        launched.wait()
    except KeyboardInterrupt:
        stopped.set()
        launched.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    return stopped.is_set()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":  # one of `_train_together`'s processes
    from jatlab.training.recipe import TrainConfig

    _train_or_resume(TrainConfig(**json.loads(Path(sys.argv[1]).read_text())))
