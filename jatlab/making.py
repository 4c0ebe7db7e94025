"""The stages of making an agent, each done once: what is finished in its folder is not done again, so a stopped run goes on where it was."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stage(title: str):
    """Say what begins, and how long it took."""
    print(f"\n{title}", flush=True)
    started = time.monotonic()
    yield
    print(f"{title}: done in {_duration(time.monotonic() - started)}", flush=True)


def train_once(recipe) -> None:
    """Train by ``recipe`` (a `TrainConfig`), go on with it from its newest checkpoint, or see that it is done."""
    from jatlab.training import train
    from jatlab.training_recipe import TrainConfig

    folder = Path(recipe.output)
    if (folder / "training.json").exists():
        print(f"{folder} is trained already")
    elif (folder / "checkpoints").is_dir():
        train(TrainConfig.of_run(folder))
    else:
        train(recipe)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
