"""Checkpoints in several files, as large models are published: which file holds which tensor.

The files are called ``model-00001-of-00002.safetensors`` and so on. Beside them lies an index,
``model.safetensors.index.json``: ``{"weight_map": {tensor: file, …}}``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jatlab.utils.checks import require
from jatlab.utils.files import read_json

INDEX_SUFFIX = ".index.json"
FILE_NAME = re.compile(r"[\w-][\w.-]*\.safetensors")  # no folder, no drive, not hidden


def index_of(path: Path) -> Path:
    """Where the index of a checkpoint lies that would be called ``path`` in one file."""
    return path.with_name(path.name + INDEX_SUFFIX)


def read_index(path: Path) -> dict[str, Path]:
    """The file of each tensor; the files need not be there.

    Args:
        path: of the index.

    Raises:
        ValueError: for a damaged index, and for a name that leads out of its folder.
    """
    try:
        files = read_json(path)["weight_map"]
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is not the index of a checkpoint ({type(error).__name__}: {error}): copy it "
            "again"
        ) from None
    require(
        isinstance(files, dict) and files,
        f"{path}: its weight_map must be an object of tensors and their files: copy it again",
    )
    for name in {str(file) for file in files.values()}:
        require(
            FILE_NAME.fullmatch(name),
            f"{path} names the file {name!r}: expected a safetensors file in the same folder, such "
            "as model-00001-of-00002.safetensors. The checkpoint is damaged or hostile",
        )
    return {tensor: path.with_name(str(file)) for tensor, file in files.items()}


def check_tensors(path: Path, index: dict[str, Path], found: dict[str, Any]) -> None:
    """Compare an index with its files.

    Args:
        path: of the index.
        index: the file of each tensor, by the index.
        found: the file of each tensor, by the files.

    Raises:
        ValueError: unless both are the same; some of the differences are named.
    """
    wrong = [f"{name} is not in {file.name}" for name, file in index.items() if name not in found]
    wrong += [f"{file.name} has {name} too" for name, file in found.items() if name not in index]
    wrong += [
        f"{name} is in {found[name].name}, not in {file.name}"
        for name, file in index.items()
        if found.get(name, file) != file
    ]
    shown = "; ".join(sorted(wrong)[:8]) + ("; …" if len(wrong) > 8 else "")
    require(not wrong, f"{path} and its files do not belong together: {shown}")
