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

from jatlab.data.recording.record import record
from jatlab.data.windows import open_source
from jatlab.experiments.recipes import mini
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from scripts.gpu.arguments import parse

RECORDED = "recorded"  # a file that says that nothing is recorded any more
WORKERS = max(2, (os.cpu_count() or 2) - 1)
TIMESTEPS = {"babyai": 23_000, "metaworld": 24_000, "mujoco": 200_000, "atari": 30_000}
# Two groups are recorded side by side, so that cores that wait for one's last file help the other.
GROUPS = (("mujoco", "metaworld"), ("vision", "text", "atari", "babyai"))


def record_group(
    names: list[str], domains: tuple[str, ...], data: Path, workers: int, quick: bool
) -> None:
    """Record a group, domain by domain, so that what is there when time is up is whole."""
    for domain in domains:
        some = [name for name in names if get_task(name).domain == domain]
        counts = {name: 2 if quick else mini.episodes(name, TIMESTEPS) for name in some}
        if some:
            noise = mini.NOISE.get(domain, 0.0)
            record(some, data, counts, workers, noise=noise, progress=False)
            print(domain, "recorded", flush=True)


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


def main() -> None:
    """Record both groups."""
    arguments = parse(__doc__)
    data, names = arguments.work / "data", tasks(arguments.rehearse)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the time is up: what is whole stays
    shares = (WORKERS - WORKERS // 3, WORKERS // 3)
    try:
        with ProcessPoolExecutor(len(GROUPS)) as pool:
            running = [
                pool.submit(record_group, names, group, data, shares[i], arguments.rehearse)
                for i, group in enumerate(GROUPS)
            ]
            for one in running:
                one.result()
    finally:
        flatten_all(recorded(names, data), data)
        (arguments.work / RECORDED).touch()


if __name__ == "__main__":
    main()
