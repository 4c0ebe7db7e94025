"""Fetching: rows of the published data set go to disk as our own recordings do, so that training
cannot tell them apart.

    <root>/<task>/<split>/00000.parquet, 00001.parquet …

The rows of each file are those of the source, in their order, checked and otherwise untouched. Each
file's notes say how far in the source it goes: that is where the same command goes on after a kill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from jatlab.data.episodes import read_notes, write_table
from jatlab.data.published.layout import (
    PUBLISHED,
    SPLITS,
    Published,
    decode_png,
    find,
    normalise,
    place_of,
    pngs,
    to_arrays,
)
from jatlab.tasks import Task, expand
from jatlab.utils.files import remove_leftovers

SHARD_ROWS = {"image": 4, "text": 10_000, "picture": 1000}  # of a file, at most, by observation
SHARD_ROWS_DEFAULT = 50
# with so many, a file ends: of Atari, they are ten times as many when they are decoded
SHARD_BYTES = 1 << 25


def fetch(
    tasks: str | Iterable[str],
    root: str | Path = "data",
    splits: Iterable[str] = SPLITS,
    episodes: int | None = None,
    source: str | Path = PUBLISHED,
    progress: bool = True,
) -> dict[str, dict[str, dict]]:
    """Copy tasks of the published data set into ``root``; return {task: {split: {"episodes",
    "timesteps", "empty", "done"}}}.

    ``tasks``: names, patterns or domains. ``episodes``: at most so many of each split (rows, of
    text and pictures); None: all. ``source``: a repository on the Hugging Face hub, or a folder of
    the same layout. Every row is checked; empty episodes are left out and counted. A file is whole
    or not there, and one file's rows at most are in memory.

    Raises ValueError for an unknown task, for rows that cannot be trained on (the files before them
    are kept) and for a folder with other data in it; FileNotFoundError and ConnectionError as
    `jatlab.data.published.layout.find` does; OSError when the disk is full.
    """
    if episodes is not None and episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    facts: dict[str, dict[str, dict]] = {}
    for name in expand(tasks):
        for split in splits:
            copy = _Copy(find(name, source, split), Path(root) / name / split)
            facts.setdefault(name, {})[split] = copy.run(episodes, progress)
            if progress:
                print(copy.line())
    return facts


def check_row(row, task: Task, where: str) -> int:
    """Look at everything in a normalised row, pictures included; return its timesteps (1 for a
    document or picture). Raises ValueError.
    """
    if task.observation == "picture":
        from jatlab.data.pictures import open_picture, picture_bytes

        open_picture(picture_bytes(row.column("images")[0].as_py(), where), where)
    if not task.playable:
        return 1
    for t, png in enumerate(pngs(row) if task.observation == "image" else ()):
        decode_png(png.as_py(), f"{where}, timestep {t}")
    return len(to_arrays(row, task, where)["rewards"])


class _Copy:
    """One split of one task on its way into ``folder``. ``facts`` say how far it is: counts, and
    the place in the stream behind the last file.
    """

    def __init__(self, published: Published, folder: Path):
        self.published, self.folder, self.task = published, folder, published.task
        self.files = sorted(folder.glob("*.parquet"))
        self.identity = {
            "source": Path(published.source).name,
            "task": self.task.name,
            "split": published.split,
            "files": published.fingerprint,
        }
        self.facts = self._read_facts()

    def _read_facts(self) -> dict:
        facts = {"episodes": 0, "timesteps": 0, "empty": 0, "done": False, "place": None}
        for file in self.files:
            notes = read_notes(file).get("fetched", {})
            if {key: notes.get(key) for key in self.identity} != self.identity:
                raise ValueError(
                    f"{file} was not fetched from {self.published.source} as it is now: fetch into another folder (--data), or delete {self.folder}"
                )
            facts = {key: notes[key] for key in facts}
        return facts

    def line(self) -> str:
        facts, of = self.facts, "episodes" if self.task.playable else "rows"
        steps = f", {facts['timesteps']:,} timesteps" if self.task.playable else ""
        empty = f"; {facts['empty']} empty ones left out" if facts["empty"] else ""
        return f"{self.task.name} {self.published.split}: {facts['episodes']:,} {of}{steps} in {self.folder}{empty}{'' if facts['done'] else '; there may be more'}"

    def run(self, episodes: int | None, progress: bool) -> dict:
        remove_leftovers(self.folder)
        title = f"{self.task.name} {self.published.split}"
        with tqdm(
            total=episodes,
            initial=self.facts["episodes"],
            unit=" rows",
            desc=title,
            disable=not progress,
            dynamic_ncols=True,
        ) as bar:
            for count in self._copy(float("inf") if episodes is None else episodes):
                bar.update(count)
        return {key: value for key, value in self.facts.items() if key != "place"}

    def _copy(self, wanted: float) -> Iterator[int]:
        """Write file after file until there are ``wanted`` rows or no more; yield the rows of each."""
        if self.facts["done"] or self.facts["episodes"] >= wanted:
            return
        held, facts = [], dict(self.facts)
        for row, place in self._rows():
            facts |= {"place": place, "empty": facts["empty"] + (row is None)}
            if row is None:
                continue
            held.append(row)
            facts |= {
                "episodes": facts["episodes"] + 1,
                "timesteps": facts["timesteps"] + row.timesteps,
            }
            if facts["episodes"] >= wanted or self._is_full(held):
                yield self._write(held, facts)
                held = []
            if facts["episodes"] >= wanted:
                return
        yield self._finish(held, facts | {"done": True})

    def _rows(self) -> Iterator[tuple]:
        """(checked row or None for an empty one, the place behind it), from where the files end."""
        stream = self.published.rows()
        if self.facts["place"] is not None:
            stream.load_state_dict(self.facts["place"])
        for example in stream:
            where = place_of(example, self.task, self.published.source)
            row = normalise(example, self.task, where)
            yield row and _Row(row, check_row(row, self.task, where)), stream.state_dict()

    def _is_full(self, held: list[_Row]) -> bool:
        return (
            len(held) >= SHARD_ROWS.get(self.task.observation, SHARD_ROWS_DEFAULT)
            or sum(row.bytes for row in held) >= SHARD_BYTES
        )

    def _finish(self, held: list[_Row], facts: dict) -> int:
        if not facts["episodes"]:
            raise ValueError(
                f"{self.published.source}: all {facts['empty']} episodes of {self.task.name}, split {self.published.split!r}, are empty"
            )
        if held:
            return self._write(held, facts)
        self.facts = facts  # the last file was full, and did not know that it was the last
        return 0

    def _write(self, held: list[_Row], facts: dict) -> int:
        import pyarrow as pa

        table = pa.Table.from_batches([row.row for row in held]).combine_chunks()
        write_table(
            path := self.folder / f"{len(self.files):05d}.parquet",
            table,
            {"fetched": self.identity | facts},
            _features(self.task),
        )
        self.files.append(path)
        self.facts = facts
        return len(held)


class _Row:
    """A checked row, with its timesteps and bytes."""

    def __init__(self, row, timesteps: int):
        self.row, self.timesteps, self.bytes = row, timesteps, row.nbytes


def _features(task: Task) -> dict | None:
    """The columns as the datasets library describes them, where there are pictures: it decodes them
    then.
    """
    from datasets import Features, Image, List, Value

    if task.observation == "picture":
        return Features({"images": Image(), "text": Value("string")}).to_dict()
    if task.observation == "image":
        return Features(
            {
                "image_observations": List(Image()),
                "discrete_actions": List(Value("int64")),
                "rewards": List(Value("float32")),
            }
        ).to_dict()
    return None
