"""The kit's training: jatlab-mini on the GPU, from what was recorded, until the kit's time is up.

It goes on from the agent that ships, and reads the data again whenever another part is there
(`data.py`). Every minute it saves the agent, which then plays in the next round of relabelling.
"""

from __future__ import annotations

import shutil
import tarfile
import time
from dataclasses import replace
from pathlib import Path

from jatlab.experiments.recipes import mini
from jatlab.training.on_device.trainer import DeviceTrainer
from jatlab.training.recipe import TrainConfig
from jatlab.utils.checks import require
from scripts.gpu.arguments import device, parse
from scripts.gpu.data import Handover, recorded, tasks

START = "jatlab-mini"
PART = 15 << 20  # bytes of a part of the agent, so that each fits where 16 MiB do
TIMESTEPS = 32_768  # of a step
WINDOWS = mini.WINDOWS | {"atari": 32}
SHARES = {
    "babyai": 0.42,
    "metaworld": 0.09,
    "mujoco": 0.22,
    "atari": 0.11,
    "python-docs": 0.025,  # there is little of it: a few dozen epochs
    "minigrid-questions": 0.12,
    "minigrid-captions": 0.015,
}


def recipe(names: list[str], data: Path, agent: Path, rehearse: bool) -> TrainConfig:
    """jatlab-mini's recipe for a GPU: large steps, one cosine to zero."""
    config = replace(mini.recipe(names, data, agent, quick=rehearse), preset=None, start=START)
    if rehearse:
        return replace(config, steps=4, minutes=None, precision="fp32")
    return replace(
        config,
        batch_timesteps=TIMESTEPS,
        accumulate=1,
        decay="cosine",
        warmup=0.03,
        precision="bf16",
        windows=WINDOWS,
        task_weights=mini.sampling_weights(names, SHARES),
    )


class Training:
    """A training run that reads its data again when there are more."""

    def __init__(self, output: Path, work: Path, rehearse: bool) -> None:
        self.output, self.work, self.rehearse = output, work, rehearse
        self.data, self.agent, self.part = work / "data", work / "agent", 0
        self.handover = Handover(work)
        self.wait_for_data()
        self.part = self.handover.offered()
        names = recorded(tasks(rehearse), self.data)
        require(names, f"{self.data}: nothing was recorded, see the log of the data's stage")
        capture = "none" if rehearse else "graph"
        self.trainer = DeviceTrainer(self.recipe(names), names, device(), capture)
        self.handover.read(self.part)

    def recipe(self, names: list[str]) -> TrainConfig:
        """The recipe for these tasks, in the time that is left."""
        config = recipe(names, self.data, self.agent, self.rehearse)
        return config if self.rehearse else replace(config, minutes=self.handover.left / 60)

    def wait_for_data(self) -> None:
        """Until there is another part, or the last one has been."""
        while self.handover.offered() == self.part and not self.handover.ended:
            time.sleep(0.1)

    def run(self) -> None:
        """To the end of the time, which may be moved, saving as it goes."""
        while self.trainer.progress() < 1:
            self.trainer.train_to(min(1.0, self.trainer.progress() + 0.01))
            if not self.rehearse:
                spent = time.monotonic() - self.trainer.started
                minutes = (self.handover.left + spent) / 60
                self.trainer.config = replace(self.trainer.config, minutes=minutes)
            if self.trainer.save_now_and_then():
                self.hand_over()
            if self.rehearse:  # four steps are over before anything has been recorded
                self.trainer.save()
                self.hand_over()
                self.wait_for_data()
            if self.handover.offered() > self.part:
                self.read_again()
        self.trainer.save()

    def hand_over(self) -> None:
        """The agent as it was saved: what comes home, and who plays the next round."""
        bring_home(self.agent, self.output)
        player = self.work / "players" / f"{self.trainer.step:06d}"
        shutil.copytree(self.agent, player.with_suffix(".part"))
        player.with_suffix(".part").rename(player)

    def read_again(self) -> None:
        """Read the data once more; the budget stays as it was."""
        self.part, started = self.handover.offered(), time.monotonic()
        names, budget = recorded(tasks(self.rehearse), self.data), self.trainer.config.minutes
        self.trainer.config = replace(self.recipe(names), minutes=budget)
        self.trainer.tasks = names
        self.trainer.open_data()
        self.handover.read(self.part)
        spent = time.monotonic() - started
        print(f"part {self.part} read in {spent:.0f} s, step {self.trainer.step}", flush=True)


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
    try:
        training = Training(arguments.output, arguments.work, arguments.rehearse)
        try:
            training.run()
        except Exception as error:
            if training.trainer.capture == "none":
                raise
            print(f"{training.trainer.capture}: {type(error).__name__}: {error}", flush=True)
            training.trainer.capture = "none"
            training.run()
    finally:
        (arguments.work / "trained").touch()
        if (agent := arguments.work / "agent").is_dir():
            bring_home(agent, arguments.output)


if __name__ == "__main__":
    main()
