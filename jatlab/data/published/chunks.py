"""Rows of a stream -> chunks: sources of the windows of so many rows that they fill a buffer.

A chunk is made by the same code as the sources of recordings, so that its batches are the same; it
is all that is in memory. Frames stay PNG until the batch that they belong to is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from jatlab.data.language.pictures import PIXELS, PictureSource, count_patches, picture_bytes
from jatlab.data.language.rows import Rows
from jatlab.data.language.text import TOKENS, TextSource, check_vocabulary, row_length, tokenize
from jatlab.data.published.reading import (
    Example,
    count_timesteps,
    decode_frames,
    normalise,
    place_of,
    stored_frames,
    text_of,
    to_arrays,
)
from jatlab.data.sources import Batch
from jatlab.data.storage import EpisodeStore, flatten, join_episodes, largest_ids
from jatlab.data.windows import WindowSource, check_no_weight, source_for
from jatlab.tasks import Task
from jatlab.utils.checks import require

if TYPE_CHECKING:
    import pyarrow as pa

    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

BUFFER = 16_384  # timesteps of a chunk, at least
CHARACTERS_OF_TIMESTEP = 8  # of text, about: two tokens


class Frames:
    """``image_observations`` of many timesteps, stored as PNG.

    Indexing decodes: rows (...) -> uint8 (..., 4, 84, 84).

    Args:
        stored: the PNG bytes of each episode's timesteps.
        places: where each episode comes from, for error messages.
    """

    def __init__(self, stored: list[pa.Array], places: list[str]):
        import pyarrow as pa

        self.stored, self.places = pa.chunked_array(stored, pa.binary()), places
        self.offsets = np.cumsum([0, *map(len, stored)])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        distinct, where = np.unique(rows, return_inverse=True)
        frames = np.stack([self._decode(int(row)) for row in distinct])
        return frames[where.reshape(np.shape(rows))]

    def _decode(self, row: int) -> np.ndarray:
        episode = int(np.searchsorted(self.offsets, row, side="right")) - 1
        where = f"{self.places[episode]}, timestep {row - self.offsets[episode]}"
        return decode_frames(self.stored[row].as_py(), where)


def store_of(task: Task, rows: list[pa.RecordBatch], places: list[str]) -> EpisodeStore:
    """The store of the episodes in these normalised rows.

    Raises ValueError, whose message begins with the row's place, for rows that cannot be trained
    on.
    """
    texts: dict[str, int] = {}
    flat = [
        flatten(to_arrays(row, task, place), texts, place)
        for row, place in zip(rows, places, strict=True)
    ]
    columns, offsets = join_episodes(flat)
    if task.observation == "image":
        frames = Frames([stored_frames(row) for row in rows], places)
        columns["image_observations"] = cast(np.ndarray, frames)  # a store only indexes it
    return EpisodeStore(task, columns, offsets, list(texts), "stream", largest_ids(columns))


class Chunk:
    """The source of some rows of a stream; in messages, it says where its counting begins."""

    def __init__(self, source: WindowSource | TextSource | PictureSource, beginning: str):
        self.source, self.beginning = source, beginning
        self.name, self.fingerprint = source.name, source.fingerprint
        self.timesteps = source.timesteps

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """All windows, (n, 2) int64 [start, length]."""
        return self.source.windows(rng)

    def batch(self, windows: np.ndarray) -> Batch:
        """The arrays of these windows (B, 2)."""
        return self.source.batch(windows)

    def describe(self, windows: np.ndarray) -> str:
        """Which rows these windows are from, for error messages."""
        return f"{self.source.describe(windows)}, counted from {self.beginning}"


@dataclass
class ReadChunk:
    """A chunk, and how many rows were read for it: all of them, and the empty ones."""

    chunk: Chunk
    rows: int
    empty: int


class RowReader:
    """Makes chunks of rows, for a model of ``config``.

    Args:
        task: the task of the rows.
        config: the model's.
        tokenizer: needed where the task has texts.
        max_timesteps: as for `jatlab.data.windows.open_source`.
        random_start: as for `jatlab.data.windows.open_source`.
        loss_weight: as for `jatlab.data.windows.open_source`.
        buffer: timesteps of a chunk, at least.

    Raises:
        ValueError: for a buffer below 1 and, for language, a ``loss_weight``, no tokenizer, or ids
            beyond the model's vocabulary.
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
        require(buffer >= 1, f"buffer is a number of timesteps, at least 1, got {buffer}")
        if not task.playable:
            check_no_weight(task.name, loss_weight)
            check_vocabulary(task.name, config, tokenizer)
        self.task, self.config, self.tokenizer, self.buffer = task, config, tokenizer, buffer
        self.max_timesteps, self.random_start = max_timesteps, random_start
        self.loss_weight = loss_weight

    def chunks(self, stream: Iterable[Example], source: str) -> Iterator[ReadChunk]:
        """Chunk after chunk of ``stream``, the rows of `Published.rows` from ``source``."""
        rows: list[pa.RecordBatch] = []
        places: list[str] = []
        size = read = 0
        for example in stream:
            place = place_of(example, self.task, source)
            row, read = normalise(example, self.task, place), read + 1
            if row is None:
                continue
            rows.append(row)
            places.append(place)
            size += self.size(row)
            if size >= self.buffer:
                yield ReadChunk(self.chunk(rows, places), read, read - len(rows))
                rows, places, size, read = [], [], 0, 0
        if rows:
            yield ReadChunk(self.chunk(rows, places), read, read - len(rows))

    def size(self, row: pa.RecordBatch) -> int:
        """Timesteps of a row; of language, about so many."""
        if self.task.playable:
            return count_timesteps(row)
        patches = self._patches() if self.task.observation == "picture" else 0
        return 1 + len(text_of(row)) // CHARACTERS_OF_TIMESTEP + patches // 2

    def chunk(self, rows: list[pa.RecordBatch], places: list[str]) -> Chunk:
        """The chunk of these normalised rows, which come from ``places``."""
        if self.task.playable:
            return Chunk(self._episodes(rows, places), places[0])
        tokenizer = check_vocabulary(self.task.name, self.config, self.tokenizer)
        tokens = Rows.join(tokenize([text_of(row) for row in rows], tokenizer), TOKENS)
        if self.task.observation == "picture":
            return Chunk(self._pictures(rows, places, tokens, tokenizer), places[0])
        length, pad = self._row_tokens(), tokenizer.pad_id
        return Chunk(TextSource(self.task.name, tokens, "stream", length, pad), places[0])

    def _episodes(self, rows: list[pa.RecordBatch], places: list[str]) -> WindowSource:
        store = store_of(self.task, rows, places)
        choices = self.max_timesteps, self.random_start, self.loss_weight
        return source_for(store, self.config, self.tokenizer, *choices)

    def _pictures(
        self, rows: list[pa.RecordBatch], places: list[str], tokens: Rows, tokenizer: TextTokenizer
    ) -> PictureSource:
        pictures = [
            picture_bytes(row.column("images")[0].as_py(), place)
            for row, place in zip(rows, places, strict=True)
        ]
        stored = Rows.join((np.frombuffer(picture, PIXELS) for picture in pictures), PIXELS)
        sizes = self.config.image_size, self._patches(), self._row_tokens()
        return PictureSource(self.task.name, stored, tokens, "stream", *sizes, tokenizer)

    def _row_tokens(self) -> int:
        return row_length(self.task.name, self.config, self.max_timesteps)

    def _patches(self) -> int:
        return count_patches(self.task.name, self.config, self._row_tokens())
