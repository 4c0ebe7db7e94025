"""Rows of unequal length, flat on disk: the tokens of documents, the bytes of pictures.

What `jatlab.data.storage` does for timesteps, for language: the first use of a task writes each
column as one plain file beside the Parquet, all rows behind each other, and later uses map it into
memory. The fingerprint stands for the Parquet files and for how they were read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jatlab.data.storage import _publish, _remove_others, _temporary_folder

LAYOUT = 1  # raise it when the files change their meaning


@dataclass
class Rows:
    """Row r is ``values[offsets[r] : offsets[r + 1]]``; ``offsets`` is (R + 1,) int64."""

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)


def open_rows(
    files: list[Path],
    home: Path,
    key: str,
    dtypes: dict[str, np.dtype],
    read: Callable[[Path], Iterator[dict[str, np.ndarray]]],
) -> tuple[dict[str, Rows], str]:
    """The columns named in ``dtypes`` and their fingerprint; ``read(file)`` gives one dict a row
    where they have to be written first.

    ``key`` says how the files are read (tokenizer, …): another key makes other flat files. They are
    written whole or not at all, under ``home``. Raises what ``read`` raises, OSError when the disk
    is full, PermissionError where ``home`` cannot be written to.
    """
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    fingerprint = hashlib.sha256(json.dumps([LAYOUT, key, stats]).encode()).hexdigest()[:16]
    if not _is_whole(home / fingerprint, dtypes):
        _write(files, home, fingerprint, dtypes, read)
    return {
        name: _map(home / fingerprint, name, dtype) for name, dtype in dtypes.items()
    }, fingerprint


def _write(files: list[Path], home: Path, fingerprint: str, dtypes: dict, read: Callable) -> None:
    from jatlab.data.episodes import explain_full_disk

    temporary = _temporary_folder(home, fingerprint)
    try:
        _write_columns(files, temporary, dtypes, read)
        _publish(temporary, home / fingerprint, lambda folder: _is_whole(folder, dtypes))
    except OSError as error:
        raise explain_full_disk(error, home) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _remove_others(home, fingerprint)


def _write_columns(files: list[Path], folder: Path, dtypes: dict, read: Callable) -> None:
    lengths: dict[str, list[int]] = {name: [] for name in dtypes}
    outputs = {name: open(folder / f"{name}.bin", "wb") for name in dtypes}
    try:
        for row in (row for file in files for row in read(file)):
            for name, output in outputs.items():
                output.write(np.ascontiguousarray(row[name], dtypes[name]))
                lengths[name].append(len(row[name]))
    finally:
        for output in outputs.values():
            output.close()
    for name, column in lengths.items():
        np.cumsum([0, *column], dtype=np.int64).tofile(folder / f"{name}.offsets")
    (folder / "index.json").write_text(
        json.dumps({name: [len(column), sum(column)] for name, column in lengths.items()})
    )


def _is_whole(folder: Path, dtypes: dict) -> bool:
    """Whether every file is there in its full size."""
    try:
        index = json.loads((folder / "index.json").read_text())
        sizes = {
            f"{name}.bin": index[name][1] * np.dtype(dtype).itemsize
            for name, dtype in dtypes.items()
        }
        sizes |= {f"{name}.offsets": (index[name][0] + 1) * 8 for name in dtypes}
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _map(folder: Path, name: str, dtype) -> Rows:
    offsets = np.fromfile(folder / f"{name}.offsets", np.int64)
    # an empty file cannot be mapped
    values = np.memmap(folder / f"{name}.bin", dtype, "r") if offsets[-1] else np.zeros(0, dtype)
    return Rows(values, offsets)
