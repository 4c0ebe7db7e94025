"""The kit's recordings: jatlab-mini's demonstrations, by all cores but one, laid out flat.

What was recorded beforehand and taken along is kept: the cheap tasks are recorded there, and as
many of the rest as time allows.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from jatlab.data.windows import open_source
from jatlab.experiments.recipes import mini
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from scripts.gpu.arguments import parse

RECORDED = "recorded"  # a file that says that nothing is recorded any more
WORKERS = max(2, (os.cpu_count() or 2) - 1)
TIMESTEPS = {"babyai": 10_000, "metaworld": 14_000, "mujoco": 90_000, "atari": 11_000}
# Groups are recorded side by side, so that cores that wait for one's last file help the others.
GROUPS = (("metaworld",), ("mujoco",), ("vision", "text", "atari", "babyai"))
SHARES = (WORKERS // 2, max(1, WORKERS // 5), max(1, WORKERS // 3))  # of the processes


def flatten(name: str, data: Path) -> str:
    """Lay a task's episodes out flat, as training reads them; the task's name."""
    config = JatConfig.preset("mini")
    open_source(name, data, config, TextTokenizer.load(config.tokenizer))
    return name


def flatten_all(names: list[str], data: Path) -> None:
    """The same with all tasks, on all cores."""
    with ProcessPoolExecutor(WORKERS) as pool:
        list(pool.map(flatten, names, [data] * len(names)))


def recorded(names: list[str], data: Path) -> list[str]:
    """The tasks that have data."""
    return [name for name in names if any((data / name / "train").glob("*.parquet"))]


def tasks(rehearse: bool) -> list[str]:
    """What the kit records and trains."""
    return list(mini.QUICK if rehearse else mini.all_tasks())


def end(*_: object) -> None:
    """The time is up; files that are complete stay."""
    sys.exit("out of time: what is not recorded is left out")


def main() -> None:
    """Record all groups, then lay out flat what is there."""
    arguments = parse(__doc__)
    data, names = arguments.work / "data", tasks(arguments.rehearse)
    groups = [[n for n in names if get_task(n).domain in domains] for domains in GROUPS]
    signal.signal(signal.SIGTERM, end)
    try:
        with ProcessPoolExecutor(len(GROUPS)) as pool:
            running = [
                pool.submit(mini.record_all, group, data, workers, arguments.rehearse, TIMESTEPS)
                for group, workers in zip(groups, SHARES, strict=True)
            ]
            for one in running:
                one.result()
    finally:
        flatten_all(recorded(names, data), data)
        (arguments.work / RECORDED).touch()


if __name__ == "__main__":
    main()
