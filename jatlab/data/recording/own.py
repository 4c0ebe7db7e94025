"""Episodes that you played yourself, in the player of a notebook, as demonstrations on disk.

They have the format of every recording, so `jatlab train` and `jatlab record --teacher human` go on
with them.
"""

from __future__ import annotations

from pathlib import Path

from jatlab.data.card import write_card
from jatlab.data.columns import Episode
from jatlab.data.episodes import write_episodes
from jatlab.data.folders import data_files
from jatlab.data.parquet import Notes
from jatlab.data.recording.playing import Outcome, as_record, versions
from jatlab.data.recording.record import finish
from jatlab.tasks import Task, get_task
from jatlab.teachers import HUMAN, describe
from jatlab.utils.checks import require
from jatlab.utils.files import expanded, only_writer


def save_played(
    task_name: str, root: str | Path, episodes: list[Episode], outcomes: list[Outcome]
) -> Path:
    """Write episodes into a new file of a task's recording, after all that are there.

    Args:
        task_name: What was played.
        root: The folder of the data; it gets ``TASK/train/NNNNN.parquet``.
        episodes: At least one, as `jatlab.data.columns` describes them.
        outcomes: How each of them went.

    Returns:
        The file.

    Raises:
        ValueError: There are no episodes, they do not belong to the task, the numbers differ, or
            the folder's files are not as `jatlab.data.folders.data_files` expects them.
        BlockingIOError: Another process records the task into ``root``.
        OSError: The disk is full.
    """
    task, root = get_task(task_name), expanded(root)
    require(
        len(episodes) == len(outcomes) > 0,
        f"{len(episodes)} episodes with {len(outcomes)} outcomes: expected as many of both, at "
        "least one",
    )
    folder = root / task_name / "train"
    with only_writer(root / task_name):
        path = folder / f"{_next_number(folder):05d}.parquet"
        write_episodes(path, episodes, task, _notes(task, outcomes))
        finish([task_name], root)
        write_card(root)
    return path


def _next_number(folder: Path) -> int:
    """One more than the largest number of a file; 0 without any.

    A number in between may be free, because a file was deleted. `record` fills it again.
    """
    numbers = [int(file.stem) for file in data_files(folder) if file.stem.isdecimal()]
    return max(numbers, default=-1) + 1


def _notes(task: Task, outcomes: list[Outcome]) -> Notes:
    """What the file says about itself, as that of every recording."""
    return {
        "task": task.name,
        "teacher": HUMAN,
        "policy": describe(task.name, HUMAN),
        "seed": outcomes[0].seed,
        "noise": 0.0,
        "episodes": [as_record(outcome) for outcome in outcomes],
        "failures": [],
        "versions": versions(task),
    }
