"""Kinds of work that a fault may stop and that then go on, and how to start and kill them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import load_file

from jatlab.agents.travelling import SEALED
from jatlab.utils.manifest import is_whole
from tests.support import ROOT
from tests.support.helpers import group_is_alive, wait_for
from tests.support.hub import make_shards, write_card
from tests.support.little_tasks import make_agent
from tests.support.synthetic import write_task
from tests.support.warm import Warm

MOMENTS = int(os.environ.get("JATLAB_FAULTS", "2"))
TASKS = ("metaworld-reach", "metaworld-drawer-open")
PLAYED = ("babyai-go-to-local", "babyai-go-to-red-ball")  # their environments start at once


@dataclass(frozen=True)
class Work:
    """Something that can be killed and begun again.

    Attributes:
        command: words after `python -m`; IN and OUT are folders.
        again: the same, where the work goes on in another way.
        complete: whether OUT has all already; where that is so, doing it again is refused.
        prepare: fills IN.
        result: what must be equal, from OUT.
    """

    command: str
    prepare: Callable[[Path], object]
    result: Callable[[Path], object]
    again: str | None = None
    complete: Callable[[Path], bool] = lambda out: False


def parquet(folder: Path) -> dict[str, bytes]:
    """Every recorded file, and the manifests that list them."""
    files = [*folder.rglob("*.parquet"), *folder.rglob("manifest.json")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def weights(folder: Path) -> dict[str, list]:
    """An agent's weights, as numbers."""
    return {name: x.tolist() for name, x in load_file(folder / "model.safetensors").items()}


def is_trained(folder: Path) -> bool:
    """Whether the agent is there that the last step left."""
    told = folder / "training.json"
    done = told.is_file() and json.loads(told.read_text())["step"] == 12
    return done and is_whole(folder, SEALED)


def scores(folder: Path) -> object:
    """What was measured, without when and how fast."""
    tasks = json.loads((folder / "report.json").read_text())["tasks"]
    times = ("seconds", "steps_per_second")
    return {
        name: {key: value for key, value in found.items() if key not in times}
        for name, found in tasks.items()
    }


def prepare_published(folder: Path) -> None:
    """A folder in the published layout."""
    make_shards(folder, TASKS[0], [[9] * 40] * 3)
    write_card(folder, [TASKS[0]], splits=("train",))


def prepare_recording(folder: Path) -> None:
    """Recorded episodes of two tasks."""
    for name in TASKS:
        write_task(folder, name, [30] * 60)


def prepare_one(folder: Path) -> None:
    """Many recorded episodes of one task."""
    write_task(folder, TASKS[0], [60] * 600)


def prepare_agent(folder: Path) -> None:
    """An untrained agent."""
    make_agent(max_continuous_size=48).save_pretrained(folder)


TRAIN = (
    "jatlab train --data IN --output OUT --steps 12 --batch-timesteps 128 --save-every 2 "
    "--device cpu --quiet"
)
TWO = "torch.distributed.run --standalone --nproc-per-node 2 --no-python"
WORKS = {
    "record": Work(
        f"jatlab record {' '.join(PLAYED)} --episodes 60 --output OUT --workers 2 --quiet",
        lambda folder: None,
        parquet,
    ),
    "train": Work(
        TRAIN, prepare_recording, weights, "jatlab train --resume OUT --quiet", is_trained
    ),
    "train in two": Work(
        f"{TWO} {sys.executable} -m {TRAIN}",
        prepare_recording,
        weights,
        f"{TWO} {sys.executable} -m jatlab train --resume OUT --quiet",
        is_trained,
    ),
    "evaluate": Work(
        f"jatlab evaluate IN --tasks {' '.join(PLAYED)} --episodes 4 --max-steps 60 --workers 2 "
        "--no-videos --output OUT --quiet",
        prepare_agent,
        scores,
    ),
    "relabel": Work(
        f"jatlab relabel IN {PLAYED[0]} --episodes 60 --max-steps 30 --output OUT --workers 2 "
        "--quiet",
        prepare_agent,
        parquet,
    ),
    "convert": Work(
        "jatlab convert IN OUT --to lerobot",
        prepare_one,
        parquet,
        complete=lambda out: (out / TASKS[0]).exists(),
    ),
    "fetch": Work(
        f"jatlab fetch {TASKS[0]} --from IN --data OUT --split train --quiet",
        prepare_published,
        parquet,
    ),
}
# of these every kind of fault is tried; `make test` tries it with the first three
KINDS = [
    *("record", "train", "evaluate"),
    *(pytest.param(name, marks=pytest.mark.faults) for name in ("relabel", "convert", "fetch")),
]


def words(command: str, source: Path, out: Path) -> list[str]:
    """What stands after `python -m`."""
    return command.replace("IN", str(source)).replace("OUT", str(out)).split()


def next_command(work: Work, out: Path) -> str:
    """How the work begins, or goes on."""
    return work.again if work.again and list(out.glob("checkpoints/step-*")) else work.command


def start(command: str, source: Path, out: Path) -> subprocess.Popen:
    """Begin in a process group of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", *words(command, source, out)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(work: Work, source: Path, out: Path, warm: Warm | None = None) -> float:
    """Do the work, going on where it stands; the seconds that it took."""
    began = time.monotonic()
    goes_on = next_command(work, out)
    if warm is None:
        process = start(goes_on, source, out)
        errors, code = process.communicate(timeout=300)[1], process.returncode
    else:
        forked = warm.start(words(goes_on, source, out))
        code, errors = forked.wait(300), forked.errors
    assert code == 0, errors
    return time.monotonic() - began


def kill(work: Work, source: Path, out: Path, moment: float, whole_group: bool, warm: Warm) -> bool:
    """Begin, and kill after so many seconds: all processes, or the first alone; whether it was."""
    process = warm.start(words(next_command(work, out), source, out))
    lasts = process.wait(moment) is None
    if lasts:
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        for other in at_work(out) if whole_group else []:  # a launcher's, in sessions of their own
            with suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)
        process.wait(60)
    wait_for(lambda: not group_is_alive(process.pid) and not at_work(out), 60)
    return lasts


def at_work(out: Path) -> list[int]:
    """Processes whose command names a folder."""
    found = subprocess.run(["pgrep", "-f", "--", f"{out}( |$)"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.splitlines()]


def shared_memory() -> set[str]:
    """Segments of shared memory that exist."""
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
