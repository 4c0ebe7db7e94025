"""Files that are either whole or not there."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"  # what ships with the package besides code


@contextmanager
def atomic_write(path: str | Path):
    """Yield a temporary path beside `path`, with its suffix; rename it to `path` when the block
    ends well, delete it when it does not.

    Missing folders are made, and the file gets the permissions of any new one (the umask), whatever
    its writer would give it. Raises `OSError` as the file system does (full disk, no permission),
    with nothing left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        mode = _mode_of_new_files(temporary)
        yield temporary
        temporary.chmod(mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _mode_of_new_files(path: Path) -> int:
    """The permissions that a new file gets at `path`. Asked of the file system: reading the umask
    would change it for other threads.
    """
    path.touch()
    mode = path.stat().st_mode
    path.unlink()
    return mode


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8 in one piece and return the path."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | Path, value) -> Path:
    """Write `value` as strict JSON (no NaN) in one piece and return the path. Raises `ValueError`
    for NaN or infinity.
    """
    return write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that are gone (killed in the middle of writing)."""
    for path in folder.glob("*.tmp"):
        if not _is_running(path.name.split(".")[-2]):
            path.unlink(missing_ok=True)


def _is_running(pid: str) -> bool:
    if os.name != "posix" or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
