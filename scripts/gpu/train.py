"""The kit's training: jatlab-mini on the GPU, from what was recorded, for as long as there is.

The way that the benchmark found fastest is used: a CUDA graph, a compiled loss, or neither.
"""

from __future__ import annotations

import json
import tarfile
import time
from dataclasses import replace
from pathlib import Path

from jatlab.experiments.recipes import mini
from jatlab.training.on_device.trainer import DeviceTrainer
from jatlab.training.recipe import TrainConfig
from scripts.gpu.arguments import device, parse

SECONDS = 420  # of training, opening the data included
PART = 15 << 20  # bytes of a part of the agent, so that each fits where 16 MiB do
TIMESTEPS = 65_536  # of a step


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
    )


def recorded(names: list[str], data: Path) -> list[str]:
    """The tasks that have data."""
    return [name for name in names if any((data / name / "train").glob("*.parquet"))]


def capture(output: Path) -> str:
    """The fastest way that the benchmark saw working."""
    found = output / "bench.json"
    return json.loads(found.read_text()).get("capture", "none") if found.is_file() else "none"


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
    """Train until the time is up; a way of capture that fails is replaced by none."""
    started, arguments = time.monotonic(), parse(__doc__)
    data, agent = arguments.work / "data", arguments.work / "agent"
    names = recorded(list(mini.QUICK if arguments.rehearse else mini.all_tasks()), data)
    print(len(names), "tasks recorded", flush=True)
    config = recipe(names, data, agent, arguments.rehearse)
    for way in dict.fromkeys((capture(arguments.output), "none")):
        spent = time.monotonic() - started
        minutes = None if arguments.rehearse else (SECONDS - spent) / 60
        try:
            DeviceTrainer(replace(config, minutes=minutes), names, device(), way).fit()
            break
        except Exception as error:
            print(f"capture {way} failed: {type(error).__name__}: {error}", flush=True)
            if way == "none":
                raise
    bring_home(agent, arguments.output)


if __name__ == "__main__":
    main()
