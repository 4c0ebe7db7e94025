"""`jatlab convert`: find out what a folder holds, and write it in another format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jatlab.data.card import complete_folder, recorded_tasks
from jatlab.data.columns import Episode
from jatlab.data.convert.lerobot import read_lerobot, write_lerobot
from jatlab.data.convert.minari import read_minari, write_minari
from jatlab.data.episodes import episode_files, read_episodes, write_episodes
from jatlab.tasks import Task, get_task, task_names
from jatlab.utils.checks import require, shortened
from jatlab.utils.files import atomic_folder, expanded, only_writer, remove_leftovers

FORMATS = ("jatlab", "minari", "lerobot")
MARKS = {"lerobot": "meta/info.json", "minari": "data/metadata.json"}  # files of a data set
SHARD = 50  # episodes of a file that is written here


@dataclass(frozen=True)
class Found:
    """A task's episodes in a folder, and their format."""

    task: Task
    folder: Path
    format: str

    def episodes(self) -> Iterator[list[Episode]]:
        """The episodes, in portions."""
        if self.format == "lerobot":
            return read_lerobot(self.folder, self.task)
        if self.format == "minari":
            return read_minari(self.folder, self.task)
        return (read_episodes(file, self.task) for file in episode_files(self.folder))


def convert(
    source: str | Path, output: str | Path, to: str, task: str | None = None
) -> dict[str, int]:
    """Convert a folder of episodes to another format.

    Args:
        source: recordings (the ``train`` splits of tasks that are played), a folder with data sets
            of Minari or LeRobot that this function wrote, or one such data set of anybody's.
        output: folder that gets ``<task>/train/*.parquet`` (jatlab), ``jatlab/<task>-v0`` (minari;
            it is then a ``MINARI_DATASETS_PATH``) or ``<task>`` (lerobot).
        to: "jatlab", "minari" or "lerobot".
        task: whose episodes the source holds, where it is one data set that does not say so.

    Returns:
        The number of episodes of each task.

    Raises:
        ValueError: for an unknown format, a folder without episodes, several data sets of one task,
            a ``task`` of several data sets or of one that is called after another, and episodes
            that are not the task's.
        FileExistsError: the output has the task already.
        BlockingIOError: another process writes one of the tasks into the output.
    """
    require(to in FORMATS, f"a format is one of {', '.join(FORMATS)}, not {to!r}")
    # resolved: Minari's own paths go wrong with relative ones
    source, output = expanded(source).resolve(), expanded(output).resolve()
    found = find(source, get_task(task) if task else None)
    require(found, f"{source} has no recordings, and no data sets of Minari or LeRobot (v3)")
    with only_writer(*(output / one.task.name for one in found)):
        counts = {one.task.name: _write(one, output, to) for one in found}
        if to == "jatlab":
            complete_folder(output, counts)
    return counts


def find(source: Path, task: Task | None) -> list[Found]:
    """The tasks in a folder, each once.

    Args:
        source: the folder.
        task: of the one data set in it; None: that which each is called after.

    Raises:
        ValueError: where a data set does not say its task, or has the name of another one than
            ``task``; for a ``task`` of several data sets, and for several data sets of one task.
    """
    sets = [(source / name / "train", name, "jatlab") for name in _names(source)]
    sets += [
        (folder, folder.name.removesuffix("-v0"), kind)
        for kind, mark in MARKS.items()
        for folder in _holding(source, mark)
    ]
    require(
        task is None or len(sets) < 2,
        f"{source} holds {len(sets)} data sets, {shortened([name for _, name, _ in sets])}, and "
        "--task names the task of one: convert that one's folder alone, or leave --task out",
    )
    found = [Found(_task_of(folder, name, task), folder, kind) for folder, name, kind in sets]
    for one in found:
        same = [str(other.folder) for other in found if other.task.name == one.task.name]
        require(
            len(same) == 1,
            f"{' and '.join(same)} hold episodes of {one.task.name}: convert one folder at a time",
        )
    return found


def _holding(source: Path, mark: str) -> list[Path]:
    """The folders with this file in them: the source, or one or two below it."""
    files = [file for depth in ("", "*/", "*/*/") for file in source.glob(depth + mark)]
    return sorted({file.parents[1] for file in files})


def _names(source: Path) -> list[str]:
    """The recorded tasks that are played: text and pictures are no episodes."""
    names = [one.name for one in recorded_tasks(source) if one.rows.get("train")]
    return [name for name in names if get_task(name).playable]


def _task_of(folder: Path, name: str, task: Task | None) -> Task:
    """The task that was named, or the one that the data set is called after."""
    is_known = name in task_names()
    if task is None:
        require(
            is_known,
            f"{folder} does not say whose episodes it holds: name the task, which you may have to "
            "register first (--task)",
        )
        return get_task(name)
    require(
        not is_known or name == task.name,
        f"{folder} says that its episodes are of {name}, and --task that they are of {task.name}: "
        "leave --task out, or rename the folder if it is wrong",
    )
    return task


def _write(found: Found, output: Path, to: str) -> int:
    if to == "lerobot":
        return write_lerobot(found.task, found.episodes(), output / found.task.name)
    if to == "minari":
        return write_minari(found.task, found.episodes(), output)
    folder, count = output / found.task.name / "train", 0
    if folder.exists():
        raise FileExistsError(f"{folder} exists: choose another folder, or delete it")
    remove_leftovers(folder.parent)
    with atomic_folder(folder) as temporary:
        for number, episodes in enumerate(_in_shards(found.episodes())):
            write_episodes(temporary / f"{number:05d}.parquet", episodes, found.task)
            count += len(episodes)
    return count


def _in_shards(files: Iterator[list[Episode]]) -> Iterator[list[Episode]]:
    held: list[Episode] = []
    for episodes in files:
        held += episodes
        while len(held) >= SHARD:
            yield held[:SHARD]
            held = held[SHARD:]
    if held:
        yield held
