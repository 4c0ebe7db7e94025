"""The kit's DAgger round: the half-trained agent plays on all cores, and its teachers label it.

It runs beside the training, which then reads the data again.
"""

from __future__ import annotations

import signal

from jatlab.experiments.recipes import mini
from jatlab.tasks import get_task
from scripts.gpu.arguments import parse
from scripts.gpu.record import WORKERS, flatten_all, recorded, tasks

TIMESTEPS = {"mujoco": 18_000, "metaworld": 2_500, "babyai": 1_000, "atari": 1_500}
SECONDS = 100  # for relabelling


def stop(*_: object) -> None:
    """The time is up; files that are complete stay."""
    raise TimeoutError(f"{SECONDS} s are over")


def main() -> None:
    """Relabel what time allows, the longest episodes first; then lay all data out flat again."""
    arguments = parse(__doc__)
    data, imitation = arguments.work / "data", arguments.work / "imitation"
    names = recorded(tasks(arguments.rehearse), data)
    order = [name for domain in TIMESTEPS for name in names if get_task(name).domain == domain]
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        mini.relabel_all(order, imitation, data, WORKERS, arguments.rehearse, TIMESTEPS)
    except TimeoutError as error:
        print(f"relabelling: {error}", flush=True)
    finally:
        signal.alarm(0)
        flatten_all(names, data)


if __name__ == "__main__":
    main()
