"""Files that are either whole or not there."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path):
    """Yield a temporary path beside `path`, with its suffix; rename it to `path` when the block ends well, delete it when it does not.

    Missing folders are made. Raises `OSError` as the file system does (full disk, no permission), with nothing left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8 in one piece and return the path."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | Path, value) -> Path:
    """Write `value` as strict JSON (no NaN) in one piece and return the path. Raises `ValueError` for NaN or infinity."""
    return write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")
