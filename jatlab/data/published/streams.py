"""Windows of the published data set as it comes over the network (or from a folder), with nothing
stored.

Rows are read in the order of the source, in *chunks*: so many episodes that together they have
``buffer`` timesteps. A chunk is a source as ``jatlab.data.windows`` describes it, made by the same
code as for recordings, so that its batches are theirs; it is all that is in memory. Frames stay PNG
until the batch that they are in is put together.

- `StreamSource` is for training: the mixture (``jatlab.data.mixture``) treats chunk after chunk as it treats epoch after epoch of a recording.
- `stream_windows` is for everybody else's loop: a PyTorch dataset of windows, shared out to processes and DataLoader workers.
"""

from __future__ import annotations

import warnings
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import IterableDataset

from jatlab.data.flat import Rows
from jatlab.data.pictures import PictureSource, count_patches, picture_bytes
from jatlab.data.published.layout import (
    PUBLISHED,
    Published,
    decode_png,
    find,
    normalise,
    place_of,
    pngs,
    to_arrays,
)
from jatlab.data.storage import IDS, EpisodeStore, flatten
from jatlab.data.text import TOKENS, TextSource, check_vocabulary, row_length, tokenize
from jatlab.data.windows import WindowSource, source_for
from jatlab.tasks import Task

if TYPE_CHECKING:
    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

BUFFER = 16_384  # timesteps of a chunk, at least
BEGINNING = {
    "epoch": 0,
    "rows": None,
}  # a place in a stream: how often it has ended, and the state of its rows
_readers = ThreadPoolExecutor(4, "streams")  # read the next chunks while the model computes


class Frames:
    """``image_observations`` of many timesteps, stored as PNG; indexing decodes: rows (...) ->
    (..., 4, 84, 84) uint8.
    """

    def __init__(self, stored: list, places: list[str]):
        import pyarrow as pa

        self.stored, self.places = pa.chunked_array(stored, pa.binary()), places
        self.offsets = np.cumsum([0, *map(len, stored)])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        distinct, where = np.unique(rows, return_inverse=True)
        frames = np.stack([self._decode(int(row)) for row in distinct])
        return frames[where.reshape(np.shape(rows))]

    def _decode(self, row: int) -> np.ndarray:
        episode = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return decode_png(
            self.stored[row].as_py(),
            f"{self.places[episode]}, timestep {row - self.offsets[episode]}",
        )


def store_of(task: Task, rows: list, places: list[str]) -> EpisodeStore:
    """The episodes of these normalised rows, as recordings are when they have been opened. Raises
    ValueError beginning with the row's place.
    """
    texts: dict[str, int] = {}
    flat = [
        flatten(to_arrays(row, task, place), texts, place)
        for row, place in zip(rows, places, strict=True)
    ]
    columns = {name: np.concatenate([episode[name] for episode in flat]) for name in flat[0]}
    if task.observation == "image":
        columns["image_observations"] = Frames([pngs(row) for row in rows], places)
    offsets = np.cumsum([0, *(len(episode["rewards"]) for episode in flat)])
    return EpisodeStore(
        task,
        columns,
        offsets,
        list(texts),
        "stream",
        {name: int(columns[name].max()) for name in IDS if name in columns},
    )


class RowReader:
    """Makes sources of rows, for a model of ``config``: all the choices that
    `jatlab.data.windows.open_source` has, and ``buffer``.
    """

    def __init__(
        self,
        task: Task,
        config: JatConfig,
        tokenizer: TextTokenizer | None = None,
        max_timesteps: int | None = None,
        random_start: bool = False,
        loss_weight: float | None = None,
        buffer: int = BUFFER,
    ):
        if buffer < 1:
            raise ValueError(f"buffer is a number of timesteps, at least 1, got {buffer}")
        if not task.playable:
            if loss_weight is not None:
                raise ValueError(
                    f"{task.name}: the loss of text has no weight; use task_weights to train on it more or less often"
                )
            check_vocabulary(task.name, config, tokenizer)
        self.task, self.config, self.tokenizer, self.buffer = task, config, tokenizer, buffer
        self.max_timesteps, self.random_start, self.loss_weight = (
            max_timesteps,
            random_start,
            loss_weight,
        )

    def source(self, rows: list, places: list[str]):
        """The windows of these normalised rows: `WindowSource`, `TextSource` or `PictureSource`, as
        the task is.
        """
        make = {"text": self._text, "picture": self._pictures}.get(
            self.task.observation, self._episodes
        )
        source = make(rows, places)
        describe = source.describe
        source.describe = lambda windows: (
            f"{describe(windows)}, counted from {places[0]}"
        )  # it knows no more than these rows
        return source

    def _episodes(self, rows: list, places: list[str]) -> WindowSource:
        store = store_of(self.task, rows, places)
        return source_for(
            store,
            self.config,
            self.tokenizer,
            self.max_timesteps,
            self.random_start,
            self.loss_weight,
        )

    def _text(self, rows: list, places: list[str]) -> TextSource:
        return TextSource(
            self.task.name, self._tokens(rows), "stream", self._row_tokens(), self.tokenizer.pad_id
        )

    def _pictures(self, rows: list, places: list[str]) -> PictureSource:
        pictures = [
            picture_bytes(row.column("images")[0].as_py(), place)
            for row, place in zip(rows, places, strict=True)
        ]
        stored = _joined((np.frombuffer(picture, np.uint8) for picture in pictures), np.uint8)
        size, row_tokens = self.config.image_size, self._row_tokens()
        return PictureSource(
            self.task.name,
            stored,
            self._tokens(rows),
            "stream",
            size,
            count_patches(self.task.name, self.config, row_tokens),
            row_tokens,
            self.tokenizer,
        )

    def _tokens(self, rows: list) -> Rows:
        return _joined(
            tokenize([row.column("text")[0].as_py() for row in rows], self.tokenizer), TOKENS
        )

    def _row_tokens(self) -> int:
        return row_length(self.task.name, self.config, self.max_timesteps)

    def size(self, row) -> int:
        """Timesteps of a row. Of language, about: two tokens or patches are one, and eight letters
        of text are two tokens.
        """
        if self.task.playable:
            return len(row.column("rewards")[0].values)
        patches = (
            count_patches(self.task.name, self.config, self._row_tokens())
            if self.task.observation == "picture"
            else 0
        )
        return 1 + len(row.column("text")[0].as_py()) // 8 + patches // 2

    def chunks(self, stream, source: str):
        """Yield (source, rows read, empty ones among them) for chunk after chunk of ``stream``, the
        rows of `Published.rows`.
        """
        rows, places, size, read, empty = [], [], 0, 0, 0
        for example in stream:
            place = place_of(example, self.task, source)
            row, read = normalise(example, self.task, place), read + 1
            if row is None:
                empty += 1
                continue
            rows.append(row)
            places.append(place)
            size += self.size(row)
            if size >= self.buffer:
                yield self.source(rows, places), read, empty
                rows, places, size, read, empty = [], [], 0, 0, 0
        if rows:
            yield self.source(rows, places), read, empty


def _joined(parts, dtype) -> Rows:
    parts = list(parts)
    return Rows(np.concatenate(parts).astype(dtype, copy=False), np.cumsum([0, *map(len, parts)]))


# --- for training
# ----------------------------------------------------------------------------------------------------------------------------


class StreamSource:
    """What the mixture draws from when a task is streamed: `read` gives chunk after chunk, each a
    source of its own.

    The order of the files differs from epoch to epoch, as ``seed`` says. Every process reads the
    whole stream and decodes its own batches: so all know the one sequence, and it does not depend
    on how many they are.
    """

    beginning = BEGINNING

    def __init__(self, published: Published, reader: RowReader, seed: int = 0):
        self.published, self.reader, self.seed = published, reader, seed
        self.name = published.task.name
        self.seen = {"episodes": 0, "timesteps": 0, "empty": 0}  # since this source was made
        self._chunks, self._behind = (
            None,
            None,
        )  # what is being read, and the place behind the last chunk read
        self._ahead: tuple[dict, Future] | None = None

    @property
    def fingerprint(self) -> str:
        return f"{self.published.fingerprint}-{self.reader.max_timesteps}-{self.reader.buffer}"

    @property
    def episodes(self) -> range:
        """As many as have been read (how many there are, only the end of the stream tells)."""
        return range(self.seen["episodes"])

    @property
    def timesteps(self) -> int:
        return self.seen["timesteps"]

    def read(self, place: dict):
        """The chunk that begins at ``place``, and the place behind it. Then the next one is read
        ahead, in a thread.

        Raises ValueError for rows that cannot be trained on and for a stream without any episode.
        """
        expected, ahead = self._ahead or (None, None)
        if ahead is not None:
            wait([ahead])  # also when it is not what is wanted: only one may read
        chunk, behind = ahead.result() if expected == place else self._read(place)
        self._ahead = (behind, _readers.submit(self._read, behind))
        return chunk, behind

    def _read(self, place: dict):
        if self._chunks is None or self._behind != place:
            self._open(place)
        found = next(self._chunks, None)
        if found is None:
            if place["rows"] is None:
                raise ValueError(
                    f"{self.published.source}: no episodes of {self.name}, split {self.published.split!r}, to train on: none, or only empty ones"
                )
            return self._read({"epoch": place["epoch"] + 1, "rows": None})
        chunk, read, empty = found
        self._behind = {"epoch": place["epoch"], "rows": self._rows.state_dict()}
        self._count(chunk, read, empty)
        return chunk, self._behind

    def _open(self, place: dict) -> None:
        order = np.random.default_rng([self.seed, place["epoch"]]).permutation(
            len(self.published.files)
        )
        self._rows = self.published.rows(order=order)
        if place["rows"] is not None:
            self._rows.load_state_dict(place["rows"])
        self._chunks = self.reader.chunks(self._rows, self.published.source)

    def _count(self, chunk, read: int, empty: int) -> None:
        if empty and not self.seen["empty"]:
            warnings.warn(
                f"{self.name}: {self.published.source} has empty episodes; they are left out",
                stacklevel=2,
            )
        for name, count in (
            ("episodes", read - empty),
            ("timesteps", chunk.timesteps),
            ("empty", empty),
        ):
            self.seen[name] += count

    def split(self, fraction: float, seed: int):
        """This source, and the first chunk of the split ``test`` to validate on (None for a
        ``fraction`` of 0, and where there is no such split).
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
    **choices,
) -> StreamSource:
    """Task ``name`` of ``source`` (see `jatlab.data.published.layout.find`), for training.
    ``choices``: those of `RowReader`.
    """
    published = find(name, source)
    return StreamSource(published, RowReader(published.task, config, tokenizer, **choices), seed)


# --- for any loop
# ----------------------------------------------------------------------------------------------------------------------------


class WindowStream(IterableDataset):
    """The windows of one split, in order: dicts of (T, …) arrays with the model's names, T at most
    ``max_timesteps``.

    Each of them comes once among all processes and DataLoader workers, however many there are.
    ``empty``: episodes left out (in this process).
    """

    def __init__(
        self, published: Published, reader: RowReader, process: int = 0, processes: int = 1
    ):
        self.published, self.reader, self.empty = published, reader, 0
        self.rows = published.rows(process, processes)

    def __iter__(self):
        self.empty = 0
        for chunk, _, empty in self.reader.chunks(self.rows, self.published.source):
            self.empty += empty
            for window in chunk.windows(np.random.default_rng(0)):
                yield {name: values[0] for name, values in chunk.batch(window[None]).items()}


def stream_windows(
    task: str,
    config: JatConfig,
    tokenizer: TextTokenizer | None = None,
    source: str | Path = PUBLISHED,
    split: str = "train",
    process: int = 0,
    processes: int = 1,
    **choices,
) -> WindowStream:
    """The windows of ``task``, streamed from ``source``: the hub's published data set, another of
    its layout, or a folder (`find`).

    ``process`` of ``processes`` gets its share, and shares it out to its DataLoader workers;
    ``choices`` are those of `RowReader`. Raises as `find` does, and ValueError, when they are
    reached, for rows that cannot be trained on.

    >>> windows = stream_windows("mujoco-ant", JatConfig.preset("nano"))  # doctest: +SKIP
    >>> DataLoader(windows, batch_size=None, num_workers=2)  # doctest: +SKIP
    """
    if not 0 <= process < processes:
        raise ValueError(
            f"process {process} of {processes}: the first is 0, the last {processes - 1}"
        )
    published = find(task, source, split)
    return WindowStream(
        published, RowReader(published.task, config, tokenizer, **choices), process, processes
    )
