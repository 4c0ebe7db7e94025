"""Episodes that you played yourself, in the player of a notebook, as demonstrations on disk.

They have the format of every recording, so `jatlab train` and `jatlab record --teacher human` go on
with them.
"""

from __future__ import annotations

from pathlib import Path

from jatlab.data.card import write_card
from jatlab.data.columns import Episode
from jatlab.data.episodes import write_episodes
from jatlab.data.recording.playing import Outcome, as_record, versions
from jatlab.data.recording.record import finish
from jatlab.data.recording.shards import RecordSettings
from jatlab.tasks import get_task
from jatlab.teachers import HUMAN, describe
from jatlab.utils.checks import require
from jatlab.utils.files import expanded


def save_played(
    task_name: str, root: str | Path, episodes: list[Episode], outcomes: list[Outcome]
) -> Path:
    """Write episodes into the next free file of a task's recording.

    Args:
        task_name: What was played.
        root: The folder of the data; it gets ``TASK/train/NNNNN.parquet``.
        episodes: At least one, as `jatlab.data.columns` describes them.
        outcomes: How each of them went.

    Returns:
        The file.

    Raises:
        ValueError: There are no episodes, they do not belong to the task, or the numbers differ.
        OSError: The disk is full.
    """
    task, root = get_task(task_name), expanded(root)
    require(
        len(episodes) == len(outcomes) > 0,
        f"{len(episodes)} episodes with {len(outcomes)} outcomes: expected as many of both, at "
        "least one",
    )
    folder = root / task_name / "train"
    number = len(list(folder.glob("[0-9][0-9][0-9][0-9][0-9].parquet")))
    settings = RecordSettings(outcomes[0].seed, HUMAN, 0.0, 60.0)
    notes = {
        "task": task_name,
        "teacher": HUMAN,
        "policy": describe(task_name, HUMAN),
        "seed": settings.seed,
        "noise": 0.0,
        "episodes": [as_record(outcome) for outcome in outcomes],
        "failures": [],
        "versions": versions(task),
    }
    path = write_episodes(folder / f"{number:05d}.parquet", episodes, task, notes)
    finish([task_name], root, settings)
    write_card(root)
    return path
