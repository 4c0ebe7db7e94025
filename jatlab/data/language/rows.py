"""The rows of tasks of text and pictures on disk: a document, or a picture with its text.

    <root>/<task>/<split>/*.parquet               columns: ``text``, and ``images`` for pictures
    <root>/<task>/cache/<split>/<fingerprint>/    the same rows flat: all tokens, all picture bytes

`open_rows` does for them what `jatlab.data.storage` does for timesteps. The first use of a task
writes each column as one plain file, all rows one after another, and later uses map it into memory.
The fingerprint stands for the Parquet files and for how they were read (the tokenizer).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.data.folders import data_files
from jatlab.data.storage import fingerprint_files, write_cache
from jatlab.utils.checks import require
from jatlab.utils.files import expanded
from jatlab.utils.manifest import check_file

if TYPE_CHECKING:
    import pyarrow as pa

# recorded by `jatlab.data.recording.language`; the others are published
RECORDED = ("python-docs", "minigrid-captions", "minigrid-questions")
READ_AT_ONCE = 1000  # rows
LAYOUT = 2  # raise it when the flat files change their meaning

DTypes = Mapping[str, np.dtype]
FlatRow = Mapping[str, np.ndarray]


# --- Parquet ---


def how_to_get(name: str) -> str:
    """For error messages: how to get the data of a task of text or pictures."""
    if name in RECORDED:
        return f"record it with `jatlab record {name}`"
    return (
        f"{name} is part of the published data set: fetch it with `jatlab fetch {name}`, "
        "or put Parquet files with its columns there"
    )


def language_files(root: str | Path, name: str, split: str) -> list[Path]:
    """The Parquet files of a task of text or pictures, in order.

    Raises FileNotFoundError, which says how to get them, if there is none, and ValueError as
    `jatlab.data.folders.data_files`.
    """
    folder = expanded(root) / name / split
    files = data_files(folder)
    if not files:
        raise FileNotFoundError(f"no *.parquet in {folder}; {how_to_get(name)}")
    return files


def read_columns(file: Path, names: tuple[str, ...]) -> Iterator[dict[str, list[Any]]]:
    """Read a Parquet file in portions of `READ_AT_ONCE` rows, each a list per column.

    Args:
        file: the Parquet file.
        names: the columns; ``text`` must be among them.

    Raises:
        ValueError: for a damaged file, one that is not what the task's manifest lists, a missing
            column, or a ``text`` that is empty or no text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_file(file)
    try:
        with pq.ParquetFile(file) as parquet:
            _check_schema(parquet.schema_arrow, names, file)
            for number, rows in enumerate(parquet.iter_batches(READ_AT_ONCE, columns=list(names))):
                values = rows.to_pydict()
                _check_complete(values, number * READ_AT_ONCE, file)
                yield values
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file}: not a complete Parquet file ({error}); it was cut off or damaged. "
            "Delete it, and record or fetch it again"
        ) from None


def _check_schema(schema: pa.Schema, names: tuple[str, ...], file: Path) -> None:
    import pyarrow as pa

    for name in names:
        require(
            name in schema.names,
            f"{file}: column {name!r} is missing; the file has {', '.join(schema.names)}",
        )
    kind = schema.field("text").type
    require(
        pa.types.is_string(kind) or pa.types.is_large_string(kind),
        f"{file}: column 'text' holds {kind}, expected strings",
    )


def _check_complete(columns: dict[str, list[Any]], first: int, file: Path) -> None:
    for name, values in columns.items():
        if None in values:
            row = first + values.index(None)
            raise ValueError(f"{file}: row {row} has nothing in column {name!r}")


# --- flat ---


@dataclass
class Rows:
    """A column of rows of unequal length: row r is ``values[offsets[r] : offsets[r + 1]]``.

    ``offsets`` is (R + 1,) int64.
    """

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """(R,) values in each row."""
        return np.diff(self.offsets)

    @classmethod
    def join(cls, parts: Iterable[np.ndarray], dtype: np.dtype) -> Rows:
        """The rows ``parts``, each an array of one dimension, in memory."""
        parts = list(parts)
        values = np.concatenate(parts).astype(dtype, copy=False)
        return cls(values, np.cumsum([0, *map(len, parts)]))


def open_rows(
    files: list[Path],
    home: Path,
    key: str,
    dtypes: DTypes,
    read: Callable[[Path], Iterator[FlatRow]],
) -> tuple[dict[str, Rows], str]:
    """The rows of ``files``, mapped into memory; written flat first where that has not been done.

    Args:
        files: the Parquet files.
        home: the folder of the flat files; they are written completely or not at all.
        key: how the files are read. Another key, such as another tokenizer, makes other flat files.
        dtypes: the columns to write, with their types.
        read: gives the rows of a file, each one array (n,) per column; its errors are raised.

    Returns:
        The columns by name, and their fingerprint.

    Raises:
        OSError: when the disk is full, or nothing can be written to ``home``.
    """
    fingerprint = fingerprint_files(files, LAYOUT, key)
    folder = home / fingerprint
    if not _is_complete(folder, dtypes):
        rows = (row for file in files for row in read(file))
        write_cache(
            folder,
            lambda temporary: _write(rows, temporary, dtypes),
            lambda folder: _is_complete(folder, dtypes),
        )
    return {name: _map(folder, name, dtype) for name, dtype in dtypes.items()}, fingerprint


def _write(rows: Iterable[FlatRow], folder: Path, dtypes: DTypes) -> None:
    lengths: dict[str, list[int]] = {name: [] for name in dtypes}
    with ExitStack() as stack:
        outputs = {name: stack.enter_context(open(folder / f"{name}.bin", "wb")) for name in dtypes}
        for row in rows:
            for name, output in outputs.items():
                output.write(np.ascontiguousarray(row[name], dtypes[name]).data)
                lengths[name].append(len(row[name]))
    for name, column in lengths.items():
        np.cumsum([0, *column], dtype=np.int64).tofile(folder / f"{name}.offsets")
    index = {name: [len(column), sum(column)] for name, column in lengths.items()}
    (folder / "index.json").write_text(json.dumps(index))


def _is_complete(folder: Path, dtypes: DTypes) -> bool:
    """Whether every file is there in its full size."""
    try:
        index = json.loads((folder / "index.json").read_text())
        sizes = {}
        for name, dtype in dtypes.items():
            rows, values = index[name]
            sizes[f"{name}.bin"] = values * dtype.itemsize
            sizes[f"{name}.offsets"] = (rows + 1) * 8
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _map(folder: Path, name: str, dtype: np.dtype) -> Rows:
    offsets = np.fromfile(folder / f"{name}.offsets", np.int64)
    if not offsets[-1]:  # an empty file cannot be mapped
        return Rows(np.zeros(0, dtype), offsets)
    return Rows(np.memmap(folder / f"{name}.bin", dtype, "r"), offsets)
