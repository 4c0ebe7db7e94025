"""Worker processes for playing episodes: jobs go in, progress and results come out, and nobody
outlives the parent.

Why not a ready-made pool: a job reports its progress while it runs, a killed worker must end the
run with a clear error (``multiprocessing.Pool`` waits for ever), and Ctrl-C or an error must stop
the others at once (``concurrent.futures`` lets them finish).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait

ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)  # one process a core is the parallelism here


def run_jobs(
    function: Callable, jobs: Iterable, workers: int, keep_going: bool = False
) -> Iterator[tuple[str, object, object]]:
    """Run ``function(job, report)`` for every job in ``workers`` processes; yield ``("progress",
    job, value)`` for every ``report(value)`` and ``("done", job, result)`` for every return, in the
    order in which they happen.

    Processes are spawned: ``function`` must be importable, and a script that calls this needs ``if
    __name__ == "__main__":``. An exception in a job is raised here; ChildProcessError says that a
    worker was killed. With ``keep_going`` neither is raised: they come as ``("failed", job,
    error)``, a new process takes the dead one's place, and the other jobs go on. However the loop
    ends, all workers have ended too.

    ``workers=0`` runs them one by one in this process, which alone knows what a notebook has
    defined; a job's progress then comes when it is done.
    """
    if workers < 0:
        raise ValueError(f"workers must be 0 (this process) or more, got {workers}")
    jobs = list(jobs)
    if workers == 0:
        yield from _run_here(function, jobs, keep_going)
        return
    waiting, busy = deque(jobs), {}  # connection -> job
    processes = {}  # connection -> process

    def employ() -> None:
        connection, process = _start(function)
        processes[connection] = process
        _give(connection, waiting, busy)

    try:
        for _ in range(min(workers, len(jobs))):
            employ()
        while busy:
            for connection in wait(list(busy)):
                kind, value = _receive(connection, processes[connection])
                job = busy[connection]
                if kind in ("error", "killed") and not keep_going:
                    raise value
                if kind == "killed":
                    del busy[connection]
                    if waiting:
                        employ()
                elif kind != "progress":
                    _give(connection, waiting, busy)
                yield "failed" if kind in ("error", "killed") else kind, job, value
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.join()


def _run_here(
    function: Callable, jobs: list, keep_going: bool
) -> Iterator[tuple[str, object, object]]:
    for job in jobs:
        reports: list = []
        try:
            kind, value = "done", function(job, reports.append)
        except Exception as error:
            if not keep_going:
                raise
            kind, value = "failed", error
        yield from (("progress", job, report) for report in reports)
        yield kind, job, value


def _start(function: Callable):
    context = multiprocessing.get_context(
        "spawn"
    )  # a fork of a process that has used torch's threads can hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), daemon=True)
    with _one_thread():
        process.start()
    theirs.close()
    return ours, process


@contextmanager
def _one_thread():
    """Children started inside see one thread for numerical libraries; it has to be said before they
    import NumPy.
    """
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _give(connection, waiting: deque, busy: dict) -> None:
    busy.pop(connection, None)
    if waiting:
        busy[connection] = waiting.popleft()
        connection.send(busy[connection])


def _receive(connection, process):
    try:
        kind, value = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        return "killed", ChildProcessError(
            f"a worker process was killed (exit code {process.exitcode}), perhaps for lack of memory: try fewer workers. "
            "What is finished is kept; run the same command again and it goes on from there"
        )
    return kind, value


def _work(connection, function: Callable) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the parent, and the parent ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        job = connection.recv()
        try:
            result = function(job, lambda value: connection.send(("progress", value)))
        except Exception as error:
            _send_error(connection, error)
        else:
            connection.send(("done", result))


def _send_error(connection, error: Exception) -> None:
    try:
        connection.send(("error", error))
    except Exception:  # an exception of some library that does not travel between processes
        connection.send(("error", RuntimeError(f"{type(error).__name__}: {error}")))


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
