"""The life of a worker process of `jatlab.utils.workers`: jobs come, progress and results go.

A user's own modules, which register tasks and teachers (`jatlab COMMAND --import my_tasks`), have
to be imported in worker processes too. So their names stand in an environment variable, which
processes inherit; a user may set it as well.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

VARIABLE = "JATLAB_IMPORT"  # names of modules, separated by commas


def work(connection: Connection) -> None:
    """Do the jobs that come through the pipe, until the parent ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(("hello", None))
    try:
        import_named()
        function = pickle.loads(connection.recv_bytes())
    except Exception as error:  # whatever its parts raise
        connection.send(("unloadable", _unloadable(error)))
        return
    connection.send(("ready", None))
    while True:
        content = connection.recv_bytes()
        try:
            job = pickle.loads(content)
            result = function(job, lambda value: connection.send(("progress", value)))
        except Exception as error:
            connection.send(("error", _portable(error)))
        else:
            _send_result(connection, result)


def _unloadable(error: Exception) -> str:
    return (
        f"worker processes cannot load what they are to do ({describe(error)}): they know only "
        "what importing a module defines, so put your classes and functions into one"
    )


def _send_result(connection: Connection, result: Any) -> None:
    try:
        connection.send(("done", _portable(result) if isinstance(result, Exception) else result))
    except Exception as error:  # it cannot be pickled
        connection.send(("error", _portable(error)))


def _portable(error: Exception) -> Exception:
    """An error that survives the way to the parent: some libraries' exceptions do not."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(describe(error))
    return error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(1)


def describe(error: Exception) -> str:
    """An error in one line of words."""
    return f"{type(error).__name__}: {error}"


# --- the user's modules


def import_own(names: Iterable[str]) -> None:
    """Import modules, here and in all worker processes that start later.

    Args:
        names: of modules in the current folder or on Python's path, or files: `my_tasks`,
            `tasks/my_tasks.py`.

    Raises:
        ImportError: there is no such module, or importing it fails; the message says which.
    """
    modules = [*_named(), *map(_module_name, names)]
    if not modules:
        return
    _look_in(Path.cwd())
    for module in modules:
        _import(module)
    os.environ[VARIABLE] = ",".join(dict.fromkeys(modules))


def import_named() -> None:
    """In a worker process: import what its parent was told to import. Raises like `import_own`."""
    for module in _named():
        _import(module)


def _named() -> list[str]:
    return [name for name in os.environ.get(VARIABLE, "").split(",") if name]


def _module_name(name: str) -> str:
    """The module of a file, whose folder is from now on looked in; other names stay."""
    if not name.endswith(".py"):
        return name
    file = Path(name).expanduser().absolute()
    _look_in(file.parent)
    return file.stem


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:  # what it imports itself is missing
            raise
        raise ModuleNotFoundError(
            f"--import {module}: there is no module of that name in {Path.cwd()} or on Python's "
            "path; give the name of a file such as my_tasks.py, or of a module, my_tasks",
            name=module,
        ) from None
    except Exception as error:
        told = f"--import {module}: importing it ended in {type(error).__name__}: {error}"
        raise ImportError(told, name=module) from error
