"""The kit's data: demonstrations, and rounds of DAgger, while the agent trains.

All cores but one record the tasks, first a little of each, then more. Then the agent that has been
saved last plays, and its teachers say what they would have done, round after round, as long as the
training has time to read it. After each part the training reads the data again; nothing is written
before it has.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from jatlab.data.card import complete_folder
from jatlab.data.windows import open_source
from jatlab.experiments.recipes import mini
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from jatlab.training.dagger import END_OF_SEEDS, FIRST_SEED
from scripts.gpu.arguments import parse

WORKERS = max(2, (os.cpu_count() or 2) - 1)
# timesteps of a task before its practice, and scenes
PARTS = (
    {"babyai": 10_000, "metaworld": 8_000, "mujoco": 40_000, "atari": 8_000},
    {**mini.TIMESTEPS, "minigrid-questions": 72_000},
)
RELABELLED = {"mujoco": 12_000, "babyai": 3_000, "metaworld": 1_500, "atari": 1_000}
LONGEST = 250  # timesteps of a mission: an agent that is lost so long stays lost
# Groups are recorded side by side, so that cores that wait for one's last file help the others.
GROUPS = (("metaworld",), ("mujoco",), ("vision", "text", "atari", "babyai"))
SHARES = (WORKERS // 4, max(1, WORKERS // 5), max(1, 3 * WORKERS // 5))  # of the processes
ROUND = 140  # seconds of relabelling
READING = 80  # seconds: a round that cannot be read so long before the end is not begun
SEEDS = 2 * mini.MAX_RELABELLED_EPISODES  # of a round
ROUNDS = (END_OF_SEEDS - FIRST_SEED) // SEEDS


class Handover:
    """How the two processes speak: files in the folder that both work in."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def offer(self, part: int, patience: float = 90.0) -> None:
        """Say that so many parts are there; wait until the training has read them, or has ended."""
        (self.work / f"part-{part}").touch()
        until = time.monotonic() + patience
        while time.monotonic() < until and not self.seen(part):
            time.sleep(0.1)

    def offered(self) -> int:
        """How many parts are there."""
        return len(list(self.work.glob("part-*")))

    def read(self, part: int) -> None:
        """Say that so many parts have been read."""
        (self.work / f"read-{part}").touch()

    def seen(self, part: int) -> bool:
        """Whether so many parts have been read, or nothing is read any more."""
        return (self.work / f"read-{part}").exists() or self.trained

    @property
    def trained(self) -> bool:
        """Whether the training has ended."""
        return (self.work / "trained").exists()

    @property
    def left(self) -> float:
        """Seconds until the training ends."""
        return float((self.work / "end").read_text()) - time.time()

    def newest_player(self) -> Path | None:
        """The agent saved last, as soon as there is one; None if the training has ended."""
        while not self.trained:
            if players := sorted((self.work / "players").glob("[0-9]*")):
                return players[-1]
            time.sleep(0.1)
        return None

    def end(self) -> None:
        """Say that no more parts come."""
        (self.work / "no-more").touch()

    @property
    def ended(self) -> bool:
        """Whether no more parts come."""
        return (self.work / "no-more").exists()


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


def record_part(names: list[str], data: Path, timesteps: dict[str, int], rehearse: bool) -> None:
    """Record all groups side by side; where one fails, the others go on.

    Documents that were taken along stay as they are: another version of Python documents itself in
    other words, and what is training there might be testing here.
    """
    if recorded(["python-docs"], data):
        names = [name for name in names if name != "python-docs"]
    groups = [[n for n in names if get_task(n).domain in domains] for domains in GROUPS]
    with ProcessPoolExecutor(len(GROUPS)) as pool:
        running = [
            pool.submit(mini.record_all, group, data, workers, rehearse, timesteps)
            for group, workers in zip(groups, SHARES, strict=True)
        ]
        for one in running:
            if error := one.exception():
                traceback.print_exception(error)


def relabel_round(number: int, agent: Path, names: list[str], data: Path, rehearse: bool) -> None:
    """Relabel what time allows, domain by domain."""
    seed = FIRST_SEED + SEEDS * number

    def stop(*_: object) -> None:
        raise TimeoutError(f"{ROUND} s are over")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(ROUND)
    try:
        for domain in RELABELLED:
            some = [name for name in names if get_task(name).domain == domain]
            limit = LONGEST if domain == "babyai" else None
            mini.relabel_all(some, agent, data, WORKERS, rehearse, RELABELLED, seed, limit)
    except TimeoutError as error:
        print(f"round {number} of relabelling: {error}", flush=True)
    finally:
        signal.alarm(0)
        complete_folder(data, names)  # which the end of the time may have interrupted


def main() -> None:
    """Record in parts, then relabel in rounds; hand each of them over."""
    arguments = parse(__doc__)
    data, names = arguments.work / "data", tasks(arguments.rehearse)
    handover, started, part = Handover(arguments.work), time.monotonic(), 0

    def hand_over() -> None:
        nonlocal part
        flatten_all(recorded(names, data), data)
        part += 1
        print(f"part {part} of the data after {time.monotonic() - started:.0f} s", flush=True)
        handover.offer(part)

    try:
        for timesteps in PARTS:
            record_part(names, data, timesteps, arguments.rehearse)
            hand_over()
        for number in range(1 if arguments.rehearse else ROUNDS):
            late = not arguments.rehearse and handover.left < ROUND + READING
            if late or not (player := handover.newest_player()):
                break
            print(f"round {number}: {player.name} steps", flush=True)
            relabel_round(number, player, recorded(names, data), data, arguments.rehearse)
            hand_over()
    finally:
        handover.end()


if __name__ == "__main__":
    main()
