"""Files that are either complete or not there, and folders that have one writer at a time."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from jatlab.utils.checks import require

ASSETS = Path(__file__).parents[1] / "assets"  # what ships with the package besides code


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path, with a leading ``~`` as the user's home.

    A shell leaves ``--output=~/x`` as it is, and Python never expands a path.
    """
    return Path(path).expanduser()


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` only when the block succeeds.

    The temporary file stands beside `path` and has its suffix. It is removed when the block fails,
    so nothing is left behind. Missing folders are made. The file gets the permissions of any new
    file (the umask), whatever its writer would give it.

    Raises:
        OSError: as the file system raises it (no permission); of a full disk, what to do.
    """
    path = expanded(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        mode = _mode_of_new_files(temporary)
        yield temporary
        temporary.chmod(mode)
        os.replace(temporary, path)
    except OSError as error:
        raise explain_full_disk(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def _mode_of_new_files(path: Path) -> int:
    """The permissions that a new file gets at `path`.

    The file system is asked, because reading the umask would change it for other threads.
    """
    path.touch()
    mode = path.stat().st_mode
    path.unlink()
    return mode


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``, and rename it to ``path`` when the block succeeds.

    It is removed when the block fails. The files are on the disk before the name is, so neither a
    kill nor a power cut leaves an incomplete folder of that name.

    Raises:
        OSError: something could not be written; the message says what to do.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.iterdir():
            _sync(file)
        os.rename(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise explain_full_disk(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def only_writer(*paths: Path, wait: float = 0) -> Iterator[None]:
    """Be the only process that writes into these folders or files, which need not exist yet.

    The locks are files beside them. The operating system releases them when the process ends,
    however it ends.

    Args:
        paths: the folders or files.
        wait: for so many seconds, where another process writes there.

    Raises:
        BlockingIOError: another process writes there.
        OSError: as the file system raises it (no permission).
    """
    with ExitStack() as held:
        for path in paths:
            held.enter_context(_lock(expanded(path), wait))
        yield


@contextmanager
def _lock(path: Path, wait: float) -> Iterator[None]:
    from filelock import FileLock, Timeout  # not before it is needed

    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=wait)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(
            f"another process is writing into {path}: wait until it has ended, or choose another "
            "folder"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not delete what is open
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        for folder in made:
            with suppress(OSError):  # it has files by now
                folder.rmdir()


def _sync(path: Path) -> None:
    """Have the operating system write a file's data, or a folder's names, to the disk now."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explain_full_disk(error: OSError, path: Path) -> OSError:
    """The same error; where no space, quota or file size is left, its message says what to do."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    return OSError(
        error.errno,
        f"the disk is full: {path} could not be written. Files finished before it are complete; "
        "free some space and run the same command again, it goes on from there",
    )


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8, atomically, and return the path."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return expanded(path)


def write_json(path: str | Path, value: Any) -> Path:
    """Write `value` as JSON, atomically, and return the path.

    Raises `ValueError` for NaN or infinity, which JSON does not have.
    """
    return write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """The object of fields in a JSON file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that is damaged, or holds something else.
    """
    try:
        value = json.loads(expanded(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or absurdly nested
        raise ValueError(f"{path}: {error}; the file is damaged: copy it again") from None
    require(
        isinstance(value, dict),
        f"{path}: holds {json.dumps(value)[:40]}: expected an object of fields",
    )
    return value


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left: temporary files and folders called NAME.PID.tmp."""
    for path in folder.glob("*.tmp"):
        if _is_running(path.name.split(".")[-2]):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
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
