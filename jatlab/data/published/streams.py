"""Windows of the published data set as it comes over the network, or from a folder.

Nothing is stored. Rows are read in the order of the source, in chunks of so many episodes that
together they have ``buffer`` timesteps (see `jatlab.data.published.chunks`).

- `StreamSource` is for training: the mixture treats chunk after chunk as it treats epoch after
  epoch of a recording.
- `stream_windows` is for any other loop: a PyTorch dataset of windows, which processes and
  DataLoader workers share.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
from torch.utils.data import IterableDataset

from jatlab.data.published.chunks import Chunk, ReadChunk, RowReader
from jatlab.data.published.layout import PUBLISHED, Published, find
from jatlab.data.sources import Batch, Place
from jatlab.utils.checks import require

if TYPE_CHECKING:
    import datasets

    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

BEGINNING: Place = {"epoch": 0, "rows": None}
_readers = ThreadPoolExecutor(4, "streams")  # read the next chunks while the model computes


class Choices(TypedDict, total=False):
    """What `stream_windows` and `open_stream` pass on to `RowReader`."""

    max_timesteps: int | None
    random_start: bool
    loss_weight: float | None
    buffer: int


# --- for training ---


class Seen(TypedDict):
    """What a stream has read since it was made."""

    episodes: int
    timesteps: int
    empty: int


@dataclass
class _Reading:
    """Chunks that are being read, and the place behind the last one."""

    rows: datasets.IterableDataset
    chunks: Iterator[ReadChunk]
    behind: Place


class StreamSource:
    """What the mixture draws from when a task is streamed: `read` gives chunk after chunk.

    The order of the files differs from epoch to epoch. Every process reads the whole stream and
    loads its own batches. So all have the same sequence, and it does not depend on how many
    processes there are.

    Args:
        published: the files.
        reader: makes the chunks.
        seed: of the orders.
    """

    beginning = BEGINNING

    def __init__(self, published: Published, reader: RowReader, seed: int = 0):
        self.published, self.reader, self.seed = published, reader, seed
        self.name = published.task.name
        self.seen: Seen = {"episodes": 0, "timesteps": 0, "empty": 0}
        self._reading: _Reading | None = None
        self._ahead: tuple[Place, Future[tuple[Chunk, Place]]] | None = None

    @property
    def fingerprint(self) -> str:
        """Changes when the files, the windows' length or the buffer do."""
        return f"{self.published.fingerprint}-{self.reader.max_timesteps}-{self.reader.buffer}"

    @property
    def episodes(self) -> range:
        """The episodes read so far; only the end of the stream tells how many there are."""
        return range(self.seen["episodes"])

    @property
    def timesteps(self) -> int:
        """The timesteps read so far."""
        return self.seen["timesteps"]

    def read(self, place: Place) -> tuple[Chunk, Place]:
        """The chunk that begins at ``place``, and the place behind it.

        The chunk that follows is then read ahead, in a thread.

        Raises ValueError for rows that cannot be trained on, and a stream without any episode.
        """
        if self._ahead is None:
            chunk, behind = self._read(place)
        else:
            expected, ahead = self._ahead
            wait([ahead])  # even if it is not the chunk wanted: only one thread may read
            chunk, behind = ahead.result() if expected == place else self._read(place)
        self._ahead = (behind, _readers.submit(self._read, behind))
        return chunk, behind

    def _read(self, place: Place) -> tuple[Chunk, Place]:
        reading = self._reading
        if reading is None or reading.behind != place:
            reading = self._reading = self._open(place)
        found = next(reading.chunks, None)
        if found is None:
            require(
                place["rows"] is not None,
                f"{self.published.source}: no episodes of {self.name}, split "
                f"{self.published.split!r}, to train on: none, or only empty ones",
            )
            return self._read({"epoch": place["epoch"] + 1, "rows": None})
        reading.behind = {"epoch": place["epoch"], "rows": reading.rows.state_dict()}
        self._count(found)
        return found.chunk, reading.behind

    def _open(self, place: Place) -> _Reading:
        rng = np.random.default_rng([self.seed, place["epoch"]])
        rows = self.published.rows(order=rng.permutation(len(self.published.files)))
        if place["rows"] is not None:
            rows.load_state_dict(place["rows"])
        return _Reading(rows, self.reader.chunks(rows, self.published.source), place)

    def _count(self, found: ReadChunk) -> None:
        if found.empty and not self.seen["empty"]:
            warnings.warn(
                f"{self.name}: {self.published.source} has empty episodes; they are left out",
                stacklevel=2,
            )
        self.seen["episodes"] += found.rows - found.empty
        self.seen["timesteps"] += found.chunk.timesteps
        self.seen["empty"] += found.empty

    def split(self, fraction: float, seed: int) -> tuple[StreamSource, Chunk | None]:
        """This source, and the first chunk of the split ``test`` to validate on.

        The second is None for a ``fraction`` of 0, and where there is no such split.
        """
        if not fraction:
            return self, None
        try:
            held = find(self.name, self.published.source, "test")
        except FileNotFoundError:
            return self, None
        return self, StreamSource(held, self.reader)._read(BEGINNING)[0]


def open_stream(
    name: str,
    source: str | Path,
    config: JatConfig,
    tokenizer: TextTokenizer | None = None,
    seed: int = 0,
    **choices: Unpack[Choices],
) -> StreamSource:
    """A task of the published data set, for training.

    Args:
        name: the task.
        source: a repository on the Hugging Face hub, or a folder of its layout.
        config: the model's.
        tokenizer: needed where the task has texts.
        seed: of the order of the files.
        choices: those of `RowReader`.

    Raises:
        ValueError: as `find` and `RowReader`.
        FileNotFoundError: as `find`.
        ConnectionError: as `find`.
    """
    published = find(name, source)
    return StreamSource(published, RowReader(published.task, config, tokenizer, **choices), seed)


# --- for any loop ---


class WindowStream(IterableDataset):
    """The windows of one split, in order: dicts of arrays (T, ...) with the model's names.

    Each window comes once among all processes and DataLoader workers, however many there are.
    ``empty`` counts the episodes that were left out, in this process.

    Args:
        published: the files.
        reader: makes the chunks that the windows are taken from.
        process: the number of this process.
        processes: how many processes share the windows.
    """

    def __init__(
        self, published: Published, reader: RowReader, process: int = 0, processes: int = 1
    ):
        self.published, self.reader, self.empty = published, reader, 0
        self.rows = published.rows(process, processes)

    def __iter__(self) -> Iterator[Batch]:
        self.empty = 0
        for read in self.reader.chunks(self.rows, self.published.source):
            self.empty += read.empty
            for window in read.chunk.windows(np.random.default_rng(0)):
                yield {name: values[0] for name, values in read.chunk.batch(window[None]).items()}


def stream_windows(
    task: str,
    config: JatConfig,
    tokenizer: TextTokenizer | None = None,
    source: str | Path = PUBLISHED,
    split: str = "train",
    process: int = 0,
    processes: int = 1,
    **choices: Unpack[Choices],
) -> WindowStream:
    """The windows of ``task``, streamed from ``source``.

    >>> windows = stream_windows("mujoco-ant", JatConfig.preset("nano"))  # doctest: +SKIP
    >>> DataLoader(windows, batch_size=None, num_workers=2)  # doctest: +SKIP

    Args:
        task: the task.
        config: the model's; it limits the windows, the sizes of vectors, and the ids.
        tokenizer: needed where the task has texts.
        source: the published data set on the hub, another of its layout, or a folder.
        split: "train" or "test".
        process: the number of this process, which gets its share of the windows and shares it out
            to its DataLoader workers.
        processes: how many processes there are.
        choices: those of `RowReader`.

    Raises:
        ValueError: as `find` and `RowReader`; and, when they are reached, for rows that cannot be
            trained on.
        FileNotFoundError: as `find`.
        ConnectionError: as `find`, and when reading stops.
    """
    require(
        0 <= process < processes,
        f"process {process} of {processes}: the first is 0, the last {processes - 1}",
    )
    published = find(task, source, split)
    reader = RowReader(published.task, config, tokenizer, **choices)
    return WindowStream(published, reader, process, processes)
