"""Documents -> tokens -> rows -> batches: the source of text.

All documents of a task follow each other, each closed by the tokenizer's end mark, and are cut into
rows as long as the model's positions. So a row may begin within a document and hold parts of
several; behind an end mark, the next document begins. Every token is in exactly one row of an
epoch, and each epoch cuts at other places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jatlab.data.folders import cache_home
from jatlab.data.language.rows import (
    FlatRow,
    Rows,
    language_files,
    open_rows,
    read_columns,
)
from jatlab.data.sources import Batch, describe_items, hold_out
from jatlab.utils.checks import require

if TYPE_CHECKING:
    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

TOKENS = np.dtype(np.uint32)


class TextSource:
    """The documents of one task, as rows of tokens.

    Lengths are in timesteps, as the mixture counts: two tokens are one timestep.

    Args:
        name: the task.
        tokens: the ids of each document, its end mark included.
        fingerprint: changes when the documents or the tokenizer do.
        row_tokens: the longest row, an even number.
        pad_id: the id that fills up shorter rows.
        documents: the documents to use; default all.
        shift: whether each epoch cuts at other places.

    Raises:
        ValueError: if there are no documents to use.
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
        require(len(self.episodes) > 0, f"{name}: no documents to train on")
        # the place at which each document begins, and the end, when they follow each other
        self.bounds = np.cumsum([0, *tokens.lengths[self.episodes]])

    @property
    def fingerprint(self) -> str:
        """Changes when the documents, the tokenizer or the length of rows does."""
        return f"{self.content}-{self.row_tokens}-{len(self.episodes)}"

    @property
    def total(self) -> int:
        """Tokens, end marks included."""
        return int(self.bounds[-1])

    @property
    def timesteps(self) -> int:
        """Timesteps of all documents."""
        return (self.total + 1) // 2

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch's rows, (n, 2) int64 [first token, timesteps]: every token once.

        ``rng`` decides where the first cut is.
        """
        half = self.row_tokens // 2
        first = 2 * int(rng.integers(1, half + 1)) if self.shift else self.row_tokens
        starts = np.concatenate([[0], np.arange(first, self.total, self.row_tokens)])
        if len(starts) > 1 and self.row_tokens > 2 and self.total - starts[-1] == 1:
            # A last row of one token has nothing to predict: it takes two tokens of the row before
            # it, or joins that row if it has only two.
            if starts[-1] - starts[-2] > 2:
                starts[-1] -= 2
            else:
                starts = starts[:-1]
        return np.stack([starts, (np.diff(starts, append=self.total) + 1) // 2], axis=1)

    def batch(self, windows: np.ndarray) -> Batch:
        """``input_ids`` and ``attention_mask`` of these rows, both (B, S) int64.

        S is the longest row. Where the mask is 0, the id is ``pad_id``.
        """
        lengths = np.minimum(2 * windows[:, 1], self.total - windows[:, 0])
        steps = np.arange(lengths.max())  # (S,)
        mask = steps < lengths[:, None]  # (B, S)
        places = windows[:, :1] + np.minimum(steps, lengths[:, None] - 1)
        documents = self._documents(places)
        starts = self.tokens.offsets[self.episodes[documents]]
        ids = self.tokens.values[starts + places - self.bounds[documents]]
        return {
            "input_ids": np.where(mask, ids, self.pad_id).astype(np.int64),
            "attention_mask": mask.astype(np.int64),
        }

    def _documents(self, places: np.ndarray) -> np.ndarray:
        """Which of the documents in use each place lies in."""
        return np.searchsorted(self.bounds, places, side="right") - 1

    def describe(self, windows: np.ndarray) -> str:
        """The documents that these rows begin in, for error messages."""
        documents = self.episodes[np.unique(self._documents(windows[:, 0]))]
        return describe_items(self.name, "document", documents)

    def split(self, fraction: float, seed: int) -> tuple[TextSource, TextSource | None]:
        """A source to train on, and one with ``fraction`` of the documents held out.

        The second is None if the fraction rounds to no document.
        """
        train, held = hold_out(self.episodes, fraction, seed)
        if held is None:
            return self, None
        return self._subset(train, self.shift), self._subset(held, False)

    def _subset(self, documents: np.ndarray, shift: bool) -> TextSource:
        return TextSource(
            self.name, self.tokens, self.content, self.row_tokens, self.pad_id, documents, shift
        )


def open_text(
    name: str,
    root: str | Path,
    config: JatConfig,
    tokenizer: TextTokenizer | None,
    max_timesteps: int | None = None,
    cache: str | Path | None = None,
    split: str = "train",
) -> TextSource:
    """The documents under ``root/<name>/<split>``, for a model of ``config``.

    Args:
        name: a task of text.
        root: the folder of the data.
        config: the model's; its positions limit the rows, its vocabulary the ids.
        tokenizer: turns the texts into ids; it must not be None.
        max_timesteps: rows have twice as many tokens; default as many as the model has positions.
        cache: another folder for the flat files, for data that lies where nothing can be written.
        split: "train" or "test".

    Raises:
        FileNotFoundError: without data.
        ValueError: for no tokenizer, files without the column ``text``, rows longer than the
            positions, and ids beyond the vocabulary.
    """
    row_tokens = row_length(name, config, max_timesteps)
    tokenizer = check_vocabulary(name, config, tokenizer)

    def read(file: Path) -> Iterator[FlatRow]:
        return ({"tokens": ids} for ids in _read_tokens(file, tokenizer))

    files, home = language_files(root, name, split), cache_home(root, name, split, cache)
    columns, fingerprint = open_rows(
        files, home, f"text {tokenizer_digest(tokenizer)}", {"tokens": TOKENS}, read
    )
    return TextSource(name, columns["tokens"], fingerprint, row_tokens, tokenizer.pad_id)


def _read_tokens(file: Path, tokenizer: TextTokenizer) -> Iterator[np.ndarray]:
    """The ids of each document, end mark included. Documents of white space only are left out."""
    for columns in read_columns(file, ("text",)):
        texts = [text for text in columns["text"] if text.strip()]
        yield from tokenize(texts, tokenizer)


def tokenize(texts: list[str], tokenizer: TextTokenizer) -> Iterator[np.ndarray]:
    """The ids of each text and the end mark, uint32."""
    for encoding in tokenizer.tokenizer.encode_batch(texts):
        yield np.array([*encoding.ids, tokenizer.end_id], TOKENS)


def tokenizer_digest(tokenizer: TextTokenizer) -> str:
    """Sixteen hexadecimal digits that stand for the tokenizer."""
    return hashlib.sha256(tokenizer.tokenizer.to_str().encode()).hexdigest()[:16]


def row_length(name: str, config: JatConfig, max_timesteps: int | None) -> int:
    """Tokens of a row: twice ``max_timesteps``, or as many as the model has positions.

    Raises ValueError for more than the model has positions.
    """
    timesteps = max_timesteps or config.max_timesteps
    require(
        timesteps <= config.max_timesteps,
        f"{name}: rows of {2 * timesteps} tokens, but the model has "
        f"{config.max_position_embeddings} positions; "
        f"use max_timesteps={config.max_timesteps} or fewer",
    )
    return 2 * timesteps


def check_vocabulary(
    name: str, config: JatConfig, tokenizer: TextTokenizer | None
) -> TextTokenizer:
    """Return ``tokenizer``; raise ValueError if it is None, or has more ids than the model."""
    if tokenizer is None:
        raise ValueError(f"{name} is text: open_source needs a tokenizer")
    require(
        tokenizer.vocab_size <= config.vocab_size,
        f"{name}: the tokenizer has {tokenizer.vocab_size} ids, "
        f"the model's vocab_size is {config.vocab_size}",
    )
    return tokenizer
