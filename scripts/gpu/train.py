"""The kit's training: jatlab-mini on the GPU, from what was recorded, until the kit's time is up.

After some time the agent plays and is relabelled on the other cores while the training goes on;
then the data are read again. The way that the benchmark found fastest is used: a CUDA graph, or
none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

from jatlab.experiments.recipes import mini
from jatlab.tasks import get_task
from jatlab.training.on_device.trainer import DeviceTrainer
from jatlab.training.recipe import TrainConfig
from scripts.gpu.arguments import device, parse
from scripts.gpu.record import flatten_all, recorded, tasks

END = 462  # seconds after the kit's start: nothing is trained later
PLAYS_AFTER = 0.25  # of the training: then it plays and is relabelled
PART = 15 << 20  # bytes of a part of the agent, so that each fits where 16 MiB do
TIMESTEPS = 65_536  # of a step
SHARES = mini.SHARES | {"text": 0.04, "vision": 0.06}
WINDOWS = mini.WINDOWS | {"babyai": 64, "atari": 32}


def recipe(names: list[str], data: Path, agent: Path, rehearse: bool) -> TrainConfig:
    """jatlab-mini's recipe for a GPU: large steps, one cosine to zero."""
    config = mini.recipe(names, data, agent, quick=rehearse)
    if rehearse:
        return replace(config, steps=4, minutes=None, precision="fp32")
    domains = [get_task(name).domain for name in names]
    return replace(
        config,
        batch_timesteps=TIMESTEPS,
        accumulate=1,
        decay="cosine",
        warmup=0.03,
        lr=2e-3,
        precision="bf16",
        windows=WINDOWS,
        task_weights={
            name: SHARES[domain] * len(names) / domains.count(domain)
            for name, domain in zip(names, domains, strict=True)
        },
    )


def capture(output: Path) -> str:
    """The fastest way that the benchmark saw working."""
    found = output / "bench.json"
    return json.loads(found.read_text()).get("capture", "none") if found.is_file() else "none"


def train(trainer: DeviceTrainer, output: Path, work: Path, rehearse: bool) -> None:
    """To the end of the budget, with a round of relabelling on the way."""
    relabelling, read_again = None, False
    while trainer.progress() < 1:
        trainer.train_to(min(1.0, trainer.progress() + 0.01))
        if relabelling is None and trainer.progress() >= PLAYS_AFTER:
            relabelling = start_relabelling(trainer, work, rehearse)
        if relabelling and not read_again and relabelling.poll() is not None:
            print(f"relabelling ended with {relabelling.returncode}", flush=True)
            trainer.open_data()
            read_again = True
        if trainer.save_now_and_then():
            bring_home(trainer.output, output)


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


def seconds_left(work: Path) -> float:
    """Until `END`."""
    started = work / "started"
    spent = time.time() - float(started.read_text()) if started.is_file() else 0.0
    return END - spent


def main() -> None:
    """Train until the time is up; a way of capture that fails is replaced by none."""
    arguments = parse(__doc__)
    data, agent = arguments.work / "data", arguments.work / "agent"
    names = recorded(tasks(arguments.rehearse), data)
    print(len(names), "tasks recorded", flush=True)
    flatten_all(names, data)
    config = recipe(names, data, agent, arguments.rehearse)
    trainer = DeviceTrainer(config, names, device(), "none")
    if not arguments.rehearse:
        trainer.config = replace(config, minutes=seconds_left(arguments.work) / 60)
    try:
        try:
            train(trainer, arguments.output, arguments.work, arguments.rehearse)
        except Exception as error:
            print(f"capture {trainer.capture}: {type(error).__name__}: {error}", flush=True)
            trainer.capture = "none"
            train(trainer, arguments.output, arguments.work, arguments.rehearse)
        trainer.save()
    finally:
        if agent.is_dir():
            bring_home(agent, arguments.output)


if __name__ == "__main__":
    main()
