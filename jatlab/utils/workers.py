"""Worker processes for playing episodes: jobs go in, progress and results come out.

Why not a ready-made pool: a job reports its progress while it runs, a killed worker must end the
run with a clear error (`multiprocessing.Pool` waits for ever), and Ctrl-C or an error must stop the
other workers at once (`concurrent.futures` lets them finish). No worker outlives its parent.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

Job = TypeVar("Job")
Report = Callable[[Any], None]
# One process a core is the parallelism here, so numerical libraries get one thread each.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_jobs(
    function: Callable[[Job, Report], Any],
    jobs: Iterable[Job],
    workers: int,
    keep_going: bool = False,
) -> Iterator[tuple[str, Job, Any]]:
    """Run `function(job, report)` for every job, in worker processes.

    However the loop ends, all workers have ended too.

    Args:
        function: does one job; what it passes to `report` comes out as progress. Processes are
            spawned, so it must be importable, and a script that calls this needs
            `if __name__ == "__main__":`.
        jobs: what to do; each is sent to one process.
        workers: number of processes. 0 does the jobs one by one in this process, which is the only
            one that knows what a notebook has defined; the progress of a job then comes when it is
            done.
        keep_going: yield errors instead of raising them. A new process takes the place of one that
            was killed, and the other jobs go on.

    Yields:
        `("progress", job, value)` for every `report(value)`, `("done", job, result)` for every
        return and, with `keep_going`, `("failed", job, error)`, in the order in which they happen.

    Raises:
        ValueError: `workers` is negative.
        ChildProcessError: a worker was killed. Any exception of a job is raised here as well.
    """
    if workers < 0:
        raise ValueError(f"workers must be 0 (this process) or more, got {workers}")
    jobs = list(jobs)
    if workers == 0:
        yield from _run_here(function, jobs, keep_going)
        return
    waiting = deque(jobs)
    busy: dict[Connection, Job] = {}
    processes: dict[Connection, BaseProcess] = {}

    def employ() -> None:
        connection, process = _start(function)
        processes[connection] = process
        _give(connection, waiting, busy)

    try:
        for _ in range(min(workers, len(jobs))):
            employ()
        while busy:
            for connection in cast(list[Connection], wait(list(busy))):
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
    function: Callable[[Job, Report], Any], jobs: list[Job], keep_going: bool
) -> Iterator[tuple[str, Job, Any]]:
    for job in jobs:
        reports: list[Any] = []
        try:
            kind, value = "done", function(job, reports.append)
        except Exception as error:
            if not keep_going:
                raise
            kind, value = "failed", error
        yield from (("progress", job, report) for report in reports)
        yield kind, job, value


def _start(function: Callable) -> tuple[Connection, BaseProcess]:
    """A new worker process, and our end of the pipe to it."""
    # spawn: the fork of a process that has used torch's threads can hang
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), daemon=True)
    with _one_thread():
        process.start()
    theirs.close()
    return ours, process


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that start inside get one thread for numerical libraries.

    The environment has to say so before they import NumPy.
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


def _give(connection: Connection, waiting: deque[Job], busy: dict[Connection, Job]) -> None:
    """Send a worker its next job, if there is one."""
    busy.pop(connection, None)
    if waiting:
        busy[connection] = waiting.popleft()
        connection.send(busy[connection])


def _receive(connection: Connection, process: BaseProcess) -> tuple[str, Any]:
    """(kind, value) that a worker has sent; ("killed", error) if it is gone."""
    try:
        kind, value = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        return "killed", ChildProcessError(
            f"a worker process was killed (exit code {process.exitcode}), perhaps for lack of "
            "memory: try fewer workers. What is finished is kept; run the same command again and "
            "it goes on from there"
        )
    return kind, value


def _work(connection: Connection, function: Callable) -> None:
    """The life of a worker process: do the jobs that come through the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        job = connection.recv()
        try:
            result = function(job, lambda value: connection.send(("progress", value)))
        except Exception as error:
            _send_error(connection, error)
        else:
            connection.send(("done", result))


def _send_error(connection: Connection, error: Exception) -> None:
    try:
        connection.send(("error", error))
    except Exception:  # some libraries' exceptions cannot be pickled
        connection.send(("error", RuntimeError(f"{type(error).__name__}: {error}")))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(1)
