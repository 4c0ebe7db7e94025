"""Episodes on disk: Parquet files with the columns of ``jat-project/jat-dataset``.

`jatlab.data.columns` says what an episode is, `jatlab.data.parquet` how its columns are stored.
``datasets.load_dataset("parquet", data_files=...)`` reads the files as well: an image column holds
PNG pictures, whose four channels are the four stacked frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jatlab.data.columns import IMAGE_SHAPE, Episode, check_episode, column_names
from jatlab.data.folders import data_files
from jatlab.data.parquet import (
    Notes,
    decode_column,
    encode_episodes,
    notes_of,
    read_notes,
    read_parquet,
    write_table,
)
from jatlab.utils.checks import require
from jatlab.utils.files import expanded
from jatlab.utils.manifest import check_file

if TYPE_CHECKING:
    from jatlab.tasks import Task

__all__ = [
    "IMAGE_SHAPE",
    "Episode",
    "check_episode",
    "column_names",
    "episode_files",
    "read_episodes",
    "read_notes",
    "write_episodes",
]


def write_episodes(
    path: str | Path, episodes: list[Episode], task: Task, notes: Notes | None = None
) -> Path:
    """Write ``episodes`` to one Parquet file, atomically; return its path.

    The same episodes and notes give the same bytes.

    Args:
        path: the file; missing folders are made.
        episodes: at least one dict of arrays, as in `jatlab.data.columns`.
        task: the task that they were played in.
        notes: JSON that travels in the file's metadata; `read_notes` gives it back.

    Raises:
        ValueError: for no episodes, or one that `check_episode` refuses.
        OSError: when the disk is full; nothing is left behind then.
    """
    require(len(episodes) > 0, f"{task.name}: no episodes to write to {path}")
    for index, episode in enumerate(episodes):
        check_episode(episode, task, index)
    features = _IMAGE_FEATURES if task.observation == "image" else None
    return write_table(path, encode_episodes(episodes, task), notes, features)


def _list_of(kind: dict[str, str]) -> dict[str, Any]:
    return {"feature": kind, "_type": "List"}


_IMAGE_FEATURES = {  # make the datasets library decode the pictures
    "image_observations": _list_of({"_type": "Image"}),
    "discrete_actions": _list_of({"dtype": "int64", "_type": "Value"}),
    "rewards": _list_of({"dtype": "float32", "_type": "Value"}),
}


def episode_files(folder: str | Path) -> list[Path]:
    """The Parquet files of ``folder``, in order.

    Raises FileNotFoundError, which says how to record some, if there is none, and ValueError as
    `jatlab.data.folders.data_files`.
    """
    files = data_files(folder)
    if not files:
        raise FileNotFoundError(
            f"no episodes (*.parquet) in {folder}; record some with "
            "`jatlab record TASK --episodes N`, or get the published ones with `jatlab fetch TASK`"
        )
    return files


def read_episodes(path: str | Path, task: Task) -> list[Episode]:
    """The episodes of one Parquet file, or of all the files of a folder, as dicts of arrays.

    Raises FileNotFoundError if there is nothing. Raises ValueError, which names the file, the
    episode and the column, for a damaged file, one that is not what the task's manifest lists, a
    missing column and what `check_episode` refuses.
    """
    path = expanded(path)
    if path.is_dir():
        return [episode for file in episode_files(path) for episode in read_episodes(file, task)]
    check_file(path)
    table = read_parquet(path, lambda file: file.read())
    played = notes_of(table.schema, path).get("task", task.name)
    require(
        played == task.name,
        f"{path} was recorded in {played}, not in {task.name}: move it to where {played} is, or "
        "record or fetch it again",
    )
    names = column_names(task)
    twice = [name for name in names if table.column_names.count(name) > 1]
    require(not twice, f"{path}: column {twice and twice[0]!r} is there twice")
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise ValueError(
            f"{path}: column {missing[0]!r} is missing for {task.name}; "
            f"the file has {', '.join(table.column_names)}"
        )
    columns = {
        name: decode_column(table.column(name).combine_chunks(), name, f"{path}, column {name!r}")
        for name in names
    }
    episodes = [{name: columns[name][i] for name in names} for i in range(table.num_rows)]
    for i, episode in enumerate(episodes):
        try:
            check_episode(episode, task, i)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return episodes
