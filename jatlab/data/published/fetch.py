"""Fetching: rows of the published data set go to disk as recordings do.

    <root>/<task>/<split>/00000.parquet, 00001.parquet …
    <root>/README.md                                     the data set card, of all tasks

Training cannot tell them from recordings. The rows of each file are those of the source, in their
order, checked and otherwise untouched. A file's notes say how far in the source it goes: after a
kill, the same command goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jatlab.data.card import complete_folder
from jatlab.data.folders import data_files
from jatlab.data.language.pictures import open_picture, picture_bytes
from jatlab.data.parquet import read_notes, write_table
from jatlab.data.published.layout import PUBLISHED, SPLITS, Published, find
from jatlab.data.published.reading import (
    decode_frames,
    normalise,
    place_of,
    stored_frames,
    to_arrays,
)
from jatlab.tasks import Task, expand
from jatlab.utils.bars import progress_bar
from jatlab.utils.checks import require, whole_number
from jatlab.utils.console import say, stopped
from jatlab.utils.files import expanded, only_writer, remove_leftovers

if TYPE_CHECKING:
    import pyarrow as pa

Facts = dict[str, Any]  # how far a split has been copied, and from where

SHARD_ROWS = {"image": 4, "text": 10_000, "picture": 1000}  # of a file, at most, by observation
SHARD_ROWS_DEFAULT = 50
SHARD_BYTES = 1 << 25  # a file ends with so many; decoded, Atari frames have ten times as many


def fetch(
    tasks: str | Iterable[str],
    root: str | Path = "data",
    splits: Iterable[str] = SPLITS,
    episodes: int | None = None,
    source: str | Path = PUBLISHED,
    progress: bool = True,
) -> dict[str, dict[str, Facts]]:
    """Copy tasks of the published data set into ``root``.

    Every row is checked; empty episodes are left out and counted. Files are written atomically, and
    the rows of one file at most are in memory.

    Args:
        tasks: names, patterns or domains.
        root: the folder of the data.
        splits: "train", "test" or both.
        episodes: how many of each split, at most (rows of text and pictures); None: all.
        source: a repository on the Hugging Face hub, or a folder of the same layout.
        progress: show a bar, and print a line for each split.

    Returns:
        For each task and split, "episodes", "timesteps", "empty" and "done".

    Raises:
        ValueError: for an unknown task, for rows that cannot be trained on (the files before them
            are kept), and for a folder with other data in it.
        FileNotFoundError: as `jatlab.data.published.layout.find`.
        ConnectionError: as `jatlab.data.published.layout.find`, and when reading stops.
        BlockingIOError: another process writes one of the tasks into ``root``.
        OSError: when the disk is full.
    """
    if episodes is not None:
        episodes = whole_number(episodes, "episodes", 1)
    facts: dict[str, dict[str, Facts]] = {}
    names, root = expand(tasks), expanded(root)
    copy: _Copy | None = None
    with only_writer(*(root / name for name in names)):
        try:
            for name in names:
                for split in splits:
                    copy = _Copy(find(name, source, split), root / name / split)
                    facts.setdefault(name, {})[split] = copy.run(episodes, progress)
                    if progress:
                        say(copy.report_line())
        except KeyboardInterrupt:
            raise stopped(copy.report_line() if copy else "nothing was fetched") from None
        finally:
            complete_folder(root, names)
    return facts


def check_row(row: pa.RecordBatch, task: Task, where: str) -> int:
    """Check all of a normalised row, pictures included; return its timesteps.

    A document or a picture counts as 1. Raises ValueError, whose message begins with ``where``.
    """
    if task.observation == "picture":
        open_picture(picture_bytes(row.column("images")[0].as_py(), where), where)
    if not task.playable:
        return 1
    for t, png in enumerate(stored_frames(row) if task.observation == "image" else ()):
        decode_frames(png.as_py(), f"{where}, timestep {t}")
    return len(to_arrays(row, task, where)["rewards"])


@dataclass
class _Row:
    """A checked row."""

    content: pa.RecordBatch
    timesteps: int


class _Copy:
    """One split of one task on its way into ``folder``.

    ``facts`` say how far it is: counts, and the place in the stream behind the last file.
    """

    def __init__(self, published: Published, folder: Path):
        self.published, self.folder, self.task = published, folder, published.task
        self.files = data_files(folder)
        self.identity = {
            "source": Path(published.source).name,
            "task": self.task.name,
            "split": published.split,
            "files": published.fingerprint,
        }
        self.facts = self._read_facts()

    def _read_facts(self) -> Facts:
        facts: Facts = {"episodes": 0, "timesteps": 0, "empty": 0, "done": False, "place": None}
        for file in self.files:
            notes = read_notes(file).get("fetched", {})
            require(
                {key: notes.get(key) for key in self.identity} == self.identity,
                f"{file} was not fetched from {self.published.source} as it is now: "
                f"fetch into another folder (--data), or delete {self.folder}",
            )
            facts = {key: notes[key] for key in facts}
        return facts

    def report_line(self) -> str:
        """What there is of the split, in one line."""
        facts, is_played = self.facts, self.task.playable
        counted = f"{facts['episodes']:,} {'episodes' if is_played else 'rows'}"
        steps = f", {facts['timesteps']:,} timesteps" if is_played else ""
        empty = f"; {facts['empty']} empty ones left out" if facts["empty"] else ""
        more = "" if facts["done"] else "; there may be more"
        name = f"{self.task.name} {self.published.split}"
        return f"{name}: {counted}{steps} in {self.folder}{empty}{more}"

    def run(self, episodes: int | None, progress: bool) -> Facts:
        """Copy until there are so many episodes; return the facts."""
        remove_leftovers(self.folder)
        with progress_bar(
            progress,
            total=episodes,
            initial=self.facts["episodes"],
            unit=" rows",
            desc=f"{self.task.name} {self.published.split}",
        ) as bar:
            for count in self._copy(float("inf") if episodes is None else episodes):
                bar.update(count)
        return {key: value for key, value in self.facts.items() if key != "place"}

    def _copy(self, wanted: float) -> Iterator[int]:
        """Write files until there are ``wanted`` rows, or no more; yield the rows of each."""
        if self.facts["done"] or self.facts["episodes"] >= wanted:
            return
        held: list[_Row] = []
        facts = dict(self.facts)
        for row, place in self._rows():
            facts |= {"place": place, "empty": facts["empty"] + (row is None)}
            if row is None:
                continue
            held.append(row)
            facts["episodes"] += 1
            facts["timesteps"] += row.timesteps
            is_enough = facts["episodes"] >= wanted
            if is_enough or self._is_full(held):
                yield self._write(held, facts)
                held = []
            if is_enough:
                return
        yield self._finish(held, facts | {"done": True})

    def _rows(self) -> Iterator[tuple[_Row | None, dict[str, Any]]]:
        """The checked rows from where the files end, None for an empty one.

        Beside each is the place in the stream behind it.
        """
        stream = self.published.rows()
        if self.facts["place"] is not None:
            stream.load_state_dict(self.facts["place"])
        for example in stream:
            where = place_of(example, self.task, self.published.source)
            row = normalise(example, self.task, where)
            checked = None if row is None else _Row(row, check_row(row, self.task, where))
            yield checked, stream.state_dict()

    def _is_full(self, held: list[_Row]) -> bool:
        most = SHARD_ROWS.get(self.task.observation, SHARD_ROWS_DEFAULT)
        return len(held) >= most or sum(row.content.nbytes for row in held) >= SHARD_BYTES

    def _finish(self, held: list[_Row], facts: Facts) -> int:
        require(
            facts["episodes"] > 0,
            f"{self.published.source}: all {facts['empty']} episodes of {self.task.name}, "
            f"split {self.published.split!r}, are empty",
        )
        if held:
            return self._write(held, facts)
        self.facts = facts  # the last file was full, so its notes do not say that it is the last
        return 0

    def _write(self, held: list[_Row], facts: Facts) -> int:
        import pyarrow as pa

        table = pa.Table.from_batches([row.content for row in held]).combine_chunks()
        path = self.folder / f"{len(self.files):05d}.parquet"
        write_table(path, table, {"fetched": self.identity | facts}, _features(self.task))
        self.files.append(path)
        self.facts = dict(facts)
        return len(held)


def _features(task: Task) -> dict[str, Any] | None:
    """The columns as the datasets library describes them, so that it decodes pictures."""
    from datasets import Features, Image, List, Value

    if task.observation == "picture":
        return Features({"images": Image(), "text": Value("string")}).to_dict()
    if task.observation == "image":
        columns = {
            "image_observations": List(Image()),
            "discrete_actions": List(Value("int64")),
            "rewards": List(Value("float32")),
        }
        return Features(columns).to_dict()
    return None
