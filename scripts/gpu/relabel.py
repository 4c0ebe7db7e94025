"""The kit's DAgger round: the half-trained agent plays on all cores, and its teachers label it.

It runs beside the training, which then reads the data again.
"""

from __future__ import annotations

import signal
from pathlib import Path

from jatlab.experiments.recipes import mini
from jatlab.tasks import get_task
from jatlab.training.dagger import relabel
from scripts.gpu.arguments import parse
from scripts.gpu.record import WORKERS, flatten_all, recorded, tasks

TIMESTEPS = {"mujoco": 40_000, "metaworld": 4_000, "babyai": 2_000, "atari": 4_000}
MOST_EPISODES = 400
SECONDS = 100


def relabel_all(names: list[str], work: Path, rehearse: bool) -> None:
    """Domain by domain, the one with the longest episodes first."""
    data, imitation = work / "data", work / "imitation"
    for domain in TIMESTEPS:
        some = [name for name in names if get_task(name).domain == domain]
        if rehearse:
            relabel(imitation, some, data, 2, 1, max_steps=20, progress=False)
        elif some:
            counts = {n: min(mini.episodes(n, TIMESTEPS), MOST_EPISODES) for n in some}
            got = relabel(imitation, some, data, counts, WORKERS, progress=False)
            print(domain, sum(got.values()), "timesteps relabelled", flush=True)


def stop(*_: object) -> None:
    """The time is up; files that are complete stay."""
    raise TimeoutError(f"{SECONDS} s are over")


def main() -> None:
    """Relabel what time allows; then lay all data out flat again."""
    arguments = parse(__doc__)
    names = recorded(tasks(arguments.rehearse), arguments.work / "data")
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        relabel_all(names, arguments.work, arguments.rehearse)
    except TimeoutError as error:
        print(f"relabelling: {error}", flush=True)
    finally:
        signal.alarm(0)
        flatten_all(names, arguments.work / "data")


if __name__ == "__main__":
    main()
