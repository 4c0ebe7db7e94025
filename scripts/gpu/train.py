"""The kit's training: jatlab-mini on the GPU, from what was recorded, until the kit's time is up.

It begins with the recordings that were taken along, and takes up the others when all are there.
After some time the agent plays and is relabelled on the other cores while the training goes on;
then the data are read again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

from jatlab.experiments.recipes import mini
from jatlab.training.on_device.trainer import DeviceTrainer
from jatlab.training.recipe import TrainConfig
from scripts.gpu.arguments import device, parse
from scripts.gpu.record import RECORDED, flatten_all, recorded, tasks

PLAYS_AFTER = 0.25  # of the training: then it plays and is relabelled
PART = 15 << 20  # bytes of a part of the agent, so that each fits where 16 MiB do
TIMESTEPS = 65_536  # of a step
WINDOWS = mini.WINDOWS | {"atari": 32}


def recipe(names: list[str], data: Path, agent: Path, rehearse: bool) -> TrainConfig:
    """jatlab-mini's recipe for a GPU: large steps, one cosine to zero."""
    config = mini.recipe(names, data, agent, quick=rehearse)
    if rehearse:
        return replace(config, steps=4, minutes=None, precision="fp32")
    return replace(
        config,
        batch_timesteps=TIMESTEPS,
        accumulate=1,
        decay="cosine",
        warmup=0.03,
        lr=2e-3,
        precision="bf16",
        windows=WINDOWS,
    )


class Training:
    """A training run that reads its data again when there are more."""

    def __init__(self, output: Path, work: Path, rehearse: bool) -> None:
        self.output, self.work, self.rehearse = output, work, rehearse
        self.data, self.agent = work / "data", work / "agent"
        self.all_recorded = False
        self.relabelling: subprocess.Popen | None = None
        self.relabelled = False
        # a rehearsal is over before anything could be recorded beside it
        while rehearse and not (work / RECORDED).exists():
            time.sleep(0.1)
        while not (names := recorded(tasks(rehearse), self.data)):
            time.sleep(1)  # nothing was taken along, and nothing is recorded yet
        capture = "none" if rehearse else "graph"
        self.trainer = DeviceTrainer(self.recipe(names), names, device(), capture)

    def recipe(self, names: list[str]) -> TrainConfig:
        """The recipe for these tasks, in the time that is left."""
        flatten_all(names, self.data)
        config = recipe(names, self.data, self.agent, self.rehearse)
        if self.rehearse:
            return config
        end = float((self.work / "end").read_text())
        return replace(config, minutes=(end - time.time()) / 60)

    def run(self) -> None:
        """To the end of the budget, saving as it goes."""
        while self.trainer.progress() < 1:
            self.trainer.train_to(min(1.0, self.trainer.progress() + 0.01))
            self.read_more()
            if self.trainer.save_now_and_then():
                bring_home(self.agent, self.output)
        self.trainer.save()

    def read_more(self) -> None:
        """Take up what has been recorded or relabelled since."""
        if not self.all_recorded and (self.work / RECORDED).exists():
            self.all_recorded = True
            self.open(recorded(tasks(self.rehearse), self.data))
        elif self.relabelling is None:
            if self.all_recorded and self.trainer.progress() >= PLAYS_AFTER:
                self.relabelling = start_relabelling(self.trainer, self.work, self.rehearse)
        elif not self.relabelled and self.relabelling.poll() is not None:
            print(f"relabelling ended with {self.relabelling.returncode}", flush=True)
            self.relabelled = True
            self.open(self.trainer.tasks)

    def open(self, names: list[str]) -> None:
        """Read the data of these tasks; the budget stays as it was."""
        print(f"{len(names)} tasks after {self.trainer.step} steps", flush=True)
        budget = self.trainer.config.minutes
        self.trainer.config = replace(self.recipe(names), minutes=budget)
        self.trainer.tasks = names
        self.trainer.open_data()


def start_relabelling(trainer: DeviceTrainer, work: Path, rehearse: bool) -> subprocess.Popen:
    """Let the agent as it is play, in processes of its own."""
    trainer.save()
    shutil.copytree(trainer.output, work / "imitation", dirs_exist_ok=True)
    folders = ["--output", str(work), "--work", str(work)]
    command = [sys.executable, "-m", "scripts.gpu.relabel", *folders]
    started = subprocess.Popen(
        [*command, *(["--rehearse"] if rehearse else [])],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    if rehearse:  # four steps are over before it has begun
        started.wait()
    return started


def bring_home(agent: Path, output: Path) -> None:
    """The agent as one archive, in parts called agent.tar.0, agent.tar.1 and so on."""
    archive = agent.with_suffix(".tar")
    with tarfile.open(archive, "w") as file:
        for path in sorted(agent.glob("*.*")):
            file.add(path, path.name)
    content = archive.read_bytes()
    for number, first in enumerate(range(0, len(content), PART)):
        (output / f"agent.tar.{number}").write_bytes(content[first : first + PART])


def main() -> None:
    """Train until the time is up; a CUDA graph that fails is replaced by none."""
    arguments = parse(__doc__)
    training = Training(arguments.output, arguments.work, arguments.rehearse)
    try:
        try:
            training.run()
        except Exception as error:
            if training.trainer.capture == "none":
                raise
            print(f"{training.trainer.capture}: {type(error).__name__}: {error}", flush=True)
            training.trainer.capture = "none"
            training.run()
    finally:
        if training.agent.is_dir():
            bring_home(training.agent, arguments.output)


if __name__ == "__main__":
    main()
