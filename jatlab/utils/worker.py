"""The life of a worker process of `jatlab.utils.workers`: jobs come, progress and results go."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from multiprocessing.connection import Connection, wait
from typing import Any


def work(connection: Connection) -> None:
    """Do the jobs that come through the pipe, until the parent ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(("hello", None))
    try:
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
