"""Documents -> tokens -> rows -> batches: the source that the mixture draws text from.

All documents of a task stand behind each other, each closed by the tokenizer's end mark, and are
cut into rows as long as the model's positions. So a row may begin within a document and hold
several; what follows an end mark is the beginning of the next. Every token is in exactly one row of
an epoch, and each epoch cuts at other places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jatlab.data.flat import Rows, open_rows

if TYPE_CHECKING:
    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

Batch = dict[str, np.ndarray]
TOKENS = np.dtype(np.uint32)
READ_AT_ONCE = 1000  # documents


class TextSource:
    """The rows of one task's documents.

    ``tokens``: one row a document, its end mark included. ``row_tokens``: the longest row, an even
    number. ``documents``: which of them to use (default all). ``shift``: in each epoch, cut at
    other places. Lengths are told in timesteps, as the mixture counts: two tokens each. Raises
    ValueError if there is nothing to use.
    """

    def __init__(
        self,
        name: str,
        tokens: Rows,
        fingerprint: str,
        row_tokens: int,
        pad_id: int,
        documents: np.ndarray | None = None,
        shift: bool = True,
    ):
        self.name, self.tokens, self.content = name, tokens, fingerprint
        self.row_tokens, self.pad_id, self.shift = row_tokens, pad_id, shift
        self.episodes = np.arange(len(tokens)) if documents is None else documents
        if len(self.episodes) == 0:
            raise ValueError(f"{name}: no documents to train on")
        self.bounds = np.cumsum(
            [0, *tokens.lengths[self.episodes]]
        )  # where each document begins when they stand behind each other

    @property
    def fingerprint(self) -> str:
        return f"{self.content}-{self.row_tokens}-{len(self.episodes)}"

    @property
    def total(self) -> int:
        """Tokens, end marks included."""
        return int(self.bounds[-1])

    @property
    def timesteps(self) -> int:
        """What all tokens cost: two are one timestep."""
        return (self.total + 1) // 2

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch's rows, (n, 2) int64 [first token, timesteps]: every token once. ``rng`` says
        where the first cut is.
        """
        first = (
            2 * int(rng.integers(1, self.row_tokens // 2 + 1)) if self.shift else self.row_tokens
        )
        starts = np.concatenate([[0], np.arange(first, self.total, self.row_tokens)])
        if len(starts) > 1 and self.row_tokens > 2 and self.total - starts[-1] == 1:
            if (
                starts[-1] - starts[-2] > 2
            ):  # a row of one token would have nothing to predict: it takes two of the row before …
                starts[-1] -= 2
            else:  # … or joins it
                starts = starts[:-1]
        return np.stack([starts, (np.diff(starts, append=self.total) + 1) // 2], axis=1)

    def batch(self, windows: np.ndarray) -> Batch:
        """``input_ids`` and ``attention_mask``, both (B, S) int64, S the longest row, ``pad_id``
        where the mask is 0.
        """
        lengths = np.minimum(2 * windows[:, 1], self.total - windows[:, 0])
        steps = np.arange(lengths.max())  # (S,)
        mask = steps < lengths[:, None]  # (B, S)
        places = windows[:, :1] + np.minimum(steps, lengths[:, None] - 1)
        documents = self._documents(places)
        ids = self.tokens.values[
            self.tokens.offsets[self.episodes[documents]] + places - self.bounds[documents]
        ]
        return {
            "input_ids": np.where(mask, ids, self.pad_id).astype(np.int64),
            "attention_mask": mask.astype(np.int64),
        }

    def _documents(self, places: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.bounds, places, side="right") - 1

    def describe(self, windows: np.ndarray) -> str:
        """Which documents these rows begin in, for error messages."""
        documents = self.episodes[np.unique(self._documents(windows[:, 0]))]
        return f"{self.name}, document{'s' if len(documents) > 1 else ''} {', '.join(map(str, documents[:8]))}{' …' if len(documents) > 8 else ''}"

    def split(self, fraction: float, seed: int) -> tuple[TextSource, TextSource | None]:
        """Two sources: one to train on, one with ``fraction`` of the documents held out (None if
        that is none of them).
        """
        train, held = hold_out(self.episodes, fraction, seed)
        return (
            (self, None)
            if held is None
            else (self._only(train, self.shift), self._only(held, False))
        )

    def _only(self, documents: np.ndarray, shift: bool) -> TextSource:
        return TextSource(
            self.name, self.tokens, self.content, self.row_tokens, self.pad_id, documents, shift
        )


def hold_out(items: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """``items`` without and with a random ``fraction``; None if that is none of them. At least one
    is left to train on.
    """
    count = min(round(len(items) * fraction), len(items) - 1)
    if count == 0:
        return items, None
    held = np.random.default_rng(seed).permutation(len(items)) < count
    return items[~held], items[held]


# --- from a task's name
# ------------------------------------------------------------------------------------------------------


def open_text(
    name: str,
    root: str | Path,
    config: JatConfig,
    tokenizer: TextTokenizer,
    max_timesteps: int | None = None,
    cache: str | Path | None = None,
    split: str = "train",
) -> TextSource:
    """The documents under ``root/<name>/<split>``, for a model of ``config``; rows as long as its
    positions, or ``2 * max_timesteps`` tokens.

    Raises FileNotFoundError without data; ValueError for a file without the column ``text``, rows
    longer than the positions, ids beyond the vocabulary.
    """
    row_tokens = row_length(name, config, max_timesteps)
    check_vocabulary(name, config, tokenizer)
    columns, fingerprint = open_rows(
        language_files(root, name, split), cache_home(root, name, split, cache), f"text {digest(tokenizer)}", {"tokens": TOKENS},
        lambda file: ({"tokens": ids} for ids in _read_tokens(file, tokenizer)),
    )  # fmt: skip
    return TextSource(name, columns["tokens"], fingerprint, row_tokens, tokenizer.pad_id)


def row_length(name: str, config: JatConfig, max_timesteps: int | None) -> int:
    """Tokens of a row: an even number within the model's positions."""
    if (max_timesteps or 1) > config.max_timesteps:
        raise ValueError(
            f"{name}: rows of {2 * max_timesteps} tokens, but the model has {config.max_position_embeddings} positions; use max_timesteps={config.max_timesteps} or fewer"
        )
    return 2 * (max_timesteps or config.max_timesteps)


def check_vocabulary(name: str, config: JatConfig, tokenizer: TextTokenizer | None) -> None:
    if tokenizer is None:
        raise ValueError(f"{name} is text: open_source needs a tokenizer")
    if tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"{name}: the tokenizer has {tokenizer.vocab_size} ids, the model's vocab_size is {config.vocab_size}"
        )


def digest(tokenizer: TextTokenizer) -> str:
    """Sixteen hexadecimal digits that stand for the tokenizer."""
    return hashlib.sha256(tokenizer.tokenizer.to_str().encode()).hexdigest()[:16]


def language_files(root: str | Path, name: str, split: str) -> list[Path]:
    """The Parquet files of a task of text or pictures. FileNotFoundError, saying how to get them,
    if there is none.
    """
    folder = Path(root) / name / split
    files = sorted(
        file for file in folder.glob("*.parquet") if not file.name.startswith(".")
    )  # those are still being written
    if not files:
        from jatlab.data.recording.language import how_to_get

        raise FileNotFoundError(f"no *.parquet in {folder}; {how_to_get(name)}")
    return files


def cache_home(root: str | Path, name: str, split: str, cache: str | Path | None) -> Path:
    """Where the flat files go: beside the data, or under ``cache``; each split apart."""
    return (Path(cache) / name if cache else Path(root) / name) / "cache" / split


def _read_tokens(file: Path, tokenizer: TextTokenizer) -> Iterator[np.ndarray]:
    """The ids of each document, the end mark last. Documents without a letter are left out."""
    for rows in read_columns(file, ("text",)):
        texts = [text for text in rows["text"] if text.strip()]
        yield from tokenize(texts, tokenizer)


def tokenize(texts: list[str], tokenizer: TextTokenizer) -> Iterator[np.ndarray]:
    """Each text's ids and the end mark, uint32."""
    for encoding in tokenizer.tokenizer.encode_batch(texts):
        yield np.array([*encoding.ids, tokenizer.end_id], TOKENS)


def read_columns(file: Path, names: tuple[str, ...]) -> Iterator[dict[str, list]]:
    """Some thousand rows of a Parquet file at a time, as lists. Raises ValueError for a damaged
    file, a missing column, an empty or non-text ``text``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            if missing := [name for name in names if name not in schema.names]:
                raise ValueError(
                    f"{file}: column {missing[0]!r} is missing; the file has {', '.join(schema.names)}"
                )
            if not (
                pa.types.is_string(schema.field("text").type)
                or pa.types.is_large_string(schema.field("text").type)
            ):
                raise ValueError(
                    f"{file}: column 'text' holds {schema.field('text').type}, expected strings"
                )
            for number, rows in enumerate(parquet.iter_batches(READ_AT_ONCE, columns=list(names))):
                values = rows.to_pydict()
                for name in names:
                    if None in values[name]:
                        raise ValueError(
                            f"{file}: row {number * READ_AT_ONCE + values[name].index(None)} has nothing in column {name!r}"
                        )
                yield values
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"{file}: not a whole Parquet file ({error}); it was cut off or damaged. Delete it, and record or fetch it again"
        ) from None
