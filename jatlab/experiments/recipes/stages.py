"""The stages of making an agent, each done once: what is finished in its folder is not done again,
so a stopped run goes on where it was.
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
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from jatlab.utils.files import write_json
from jatlab.utils.machine import cores


@contextmanager
def stage(title: str):
    """Say what begins, and how long it took."""
    print(f"\n{title}", flush=True)
    started = time.monotonic()
    yield
    print(f"{title}: done in {_duration(time.monotonic() - started)}", flush=True)


def train_once(recipe, processes: int = 1) -> None:
    """Train by ``recipe`` (a `TrainConfig`), go on with it from its newest checkpoint, or see that
    it is done.

    Up to ``processes`` share each step's batches, as many as can do so evenly;
    ``recipe.accumulate`` is of all together. On two CPU cores, two are faster than one with two
    threads where batches are small (docs/results/log.md). Raises `TrainingInterrupted` after Ctrl-C,
    OSError where the processes failed.
    """
    folder, processes = Path(recipe.output), math.gcd(processes, recipe.accumulate)
    if (folder / "training.json").exists():
        print(f"{folder} is trained already")
    elif processes > 1:
        _train_together(recipe, processes)
    else:
        _train_or_resume(recipe)


def _train_or_resume(recipe) -> None:
    from jatlab.training.recipe import TrainConfig
    from jatlab.training.trainer import train

    folder, budget = (
        Path(recipe.output),
        {name: getattr(recipe, name) for name in ("accumulate", "steps", "minutes")},
    )
    train(TrainConfig.of_run(folder, **budget) if (folder / "checkpoints").is_dir() else recipe)


def _train_together(recipe, processes: int) -> None:
    """The same in several processes of this machine, each with its share of the cores."""
    from jatlab.training.trainer import TrainingInterrupted

    path = Path(recipe.output) / "recipe.json"
    write_json(path, asdict(recipe) | {"accumulate": recipe.accumulate // processes})
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
        "-m",
        "jatlab.experiments.recipes.stages",
        str(path),
    ]
    launched = subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": str(max(1, cores() // processes))}
    )
    if _wait_for(launched):
        raise TrainingInterrupted(
            f"stopped; everything is saved in {recipe.output}, and the same command goes on"
        )
    if code := launched.returncode:
        raise OSError(
            f"training in {processes} processes ended with exit status {code}: what they said is above, what they had saved is in {recipe.output}"
        )


def _wait_for(launched: subprocess.Popen) -> bool:
    """Wait for the end, through what asks for it; whether something did. Ctrl-C has reached the
    processes too; SIGTERM is passed on. Both make them save.
    """
    asked = threading.Event()

    def pass_on(*_) -> None:
        asked.set()
        launched.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        launched.wait()
    except KeyboardInterrupt:
        asked.set()
        launched.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    return asked.is_set()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":  # one of `_train_together`'s processes
    from jatlab.training.recipe import TrainConfig

    _train_or_resume(TrainConfig(**json.loads(Path(sys.argv[1]).read_text())))
