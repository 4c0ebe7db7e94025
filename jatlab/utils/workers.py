"""Worker processes for playing episodes: jobs go in, progress and results come out.

Why not a ready-made pool: a job reports its progress while it runs, a killed worker must end the
run with a clear error (`multiprocessing.Pool` waits for ever), and Ctrl-C or an error must stop the
other workers at once (`concurrent.futures` lets them finish). No worker outlives its parent.

A worker says that it has started before it is sent anything: what it cannot load, or a script that
it cannot import, is then known at once. The work is done in this process instead.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, TypeVar, cast

from jatlab.utils.guard import GUARD, importable_main, is_importing_main, why_not
from jatlab.utils.worker import describe, work

Job = TypeVar("Job")
Report = Callable[[Any], None]
Event = tuple[str, Job, Any]
# One process a core is the parallelism here, so numerical libraries get one thread each.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
KILLED = 9  # the signal of the kernel's memory killer, among others
SLOW_START = 60.0  # seconds after which a warning says what workers do before they start


def run_jobs(
    function: Callable[[Job, Report], Any],
    jobs: Iterable[Job],
    workers: int,
    keep_going: bool = False,
) -> Iterator[Event]:
    """Run `function(job, report)` for every job, in worker processes.

    However the loop ends, all workers have ended too. Where workers cannot be used (a script
    without `if __name__ == "__main__":`, a function or class that only a notebook has defined), a
    warning says so, and the jobs are done in this process.

    Args:
        function: does one job; what it passes to `report` comes out as progress. Processes are
            spawned, so it must be importable.
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
    if is_importing_main():  # a worker that runs the script of its parent: the parent goes on alone
        raise SystemExit(1)
    jobs = list(jobs)
    if workers == 0:
        yield from _run_here(function, jobs, keep_going)
        return
    try:
        with _Crew(function, jobs, workers, keep_going) as crew:
            yield from crew.events()
    except _Unusable as reason:
        warnings.warn(
            f"{reason}; so all is done in this process, one job after another", stacklevel=2
        )
        yield from _run_here(function, jobs, keep_going)


class _Unusable(Exception):
    """Why no worker process can do the jobs; none has been begun."""


class _Crew(Generic[Job]):
    """Worker processes, and who does what.

    Args:
        function: does one job.
        jobs: what to do.
        workers: number of processes.
        keep_going: yield errors instead of raising them.

    Raises:
        _Unusable: processes cannot be started from here, or `function` cannot be sent to them.
    """

    def __init__(
        self,
        function: Callable[[Job, Report], Any],
        jobs: list[Job],
        workers: int,
        keep_going: bool,
    ) -> None:
        if jobs and (reason := why_not()):
            raise _Unusable(f"worker processes cannot be started: {reason}")
        self.count, self.keep_going = min(workers, len(jobs)), keep_going
        self.waiting = deque(jobs)
        self.function = _packed(function) if jobs else b""
        self.busy: dict[Connection, Job] = {}
        self.processes: dict[Connection, BaseProcess] = {}
        self.starting: set[Connection] = set()
        self.is_silent, self.has_started = True, False  # of all of them

    def __enter__(self) -> _Crew[Job]:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.join()

    def events(self) -> Iterator[Event]:
        """What `run_jobs` yields."""
        for _ in range(self.count):
            self._employ()
        while self.busy or self.starting:
            for connection in self._ready():
                kind, value = _receive(connection, self.processes[connection])
                if connection in self.starting:
                    yield from self._start(connection, kind, value)
                    continue
                job = self.busy[connection]
                if kind in ("error", "killed") and not self.keep_going:
                    raise value
                if kind == "killed":
                    del self.busy[connection]
                    self._replace()
                elif kind != "progress":
                    self._give(connection)
                yield "failed" if kind in ("error", "killed") else kind, job, value

    def _ready(self) -> list[Connection]:
        """Workers that have something to say."""
        while True:
            limit = SLOW_START if self.is_silent else None
            ready = wait([*self.busy, *self.starting], limit)
            if ready:
                return cast(list[Connection], ready)
            warnings.warn(
                f"no worker process has started within {SLOW_START:.0f} seconds: each imports the "
                f"script that you run; what that does belongs under `{GUARD}`",
                stacklevel=2,
            )

    def _employ(self) -> None:
        connection, process = _start()
        self.processes[connection] = process
        self.starting.add(connection)

    def _start(self, connection: Connection, kind: str, value: Any) -> Iterator[Event]:
        """Go on with a worker that is starting, by what it says."""
        if kind == "hello":
            self.is_silent = False
            with suppress(OSError):  # it has ended: the next message says so
                connection.send_bytes(self.function)
            return
        self.starting.remove(connection)
        if kind == "ready":
            self.has_started = True
            self._give(connection)
            return
        code = self.processes[connection].exitcode
        if not self.has_started and (kind == "unloadable" or (code or 0) > 0):
            raise _Unusable(value if kind == "unloadable" else _explain_start(code))
        # it was killed: the job that it would have got fails
        job, error = self.waiting.popleft() if self.waiting else None, value
        if not self.keep_going or not isinstance(error, ChildProcessError):
            raise error if isinstance(error, Exception) else ChildProcessError(error)
        if job is not None:
            self._replace()
            yield "failed", job, error

    def _replace(self) -> None:
        """Employ another worker for one that was killed, if there is more to do than others do."""
        if len(self.waiting) > len(self.starting):
            self._employ()

    def _give(self, connection: Connection) -> None:
        """Send a worker its next job, if there is one."""
        self.busy.pop(connection, None)
        if self.waiting:
            self.busy[connection] = self.waiting.popleft()
            with suppress(OSError):  # it has ended: the next message says so
                connection.send(self.busy[connection])


def _packed(function: Callable) -> bytes:
    """A function as it is sent to workers."""
    try:
        return bytes(ForkingPickler.dumps(function))
    except Exception as error:  # whatever its parts raise
        raise _Unusable(f"worker processes cannot be used: {describe(error)}") from None


def _explain_start(code: int | None) -> str:
    return (
        f"worker processes end while they start (exit code {code}; see the error above): each "
        f"imports the script that you run, and what that does belongs under `{GUARD}`"
    )


def _run_here(
    function: Callable[[Job, Report], Any], jobs: list[Job], keep_going: bool
) -> Iterator[Event]:
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


def _start() -> tuple[Connection, BaseProcess]:
    """A new worker process, and our end of the pipe to it."""
    # spawn: the fork of a process that has used torch's threads can hang
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs,), daemon=True)
    with _one_thread(), importable_main():
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


def _receive(connection: Connection, process: BaseProcess) -> tuple[str, Any]:
    """(kind, value) that a worker has sent; ("killed", error) if it is gone."""
    try:
        kind, value = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        return "killed", ChildProcessError(_explain_end(process.exitcode))
    return kind, value


def _explain_end(code: int | None) -> str:
    """Why a worker is gone, by its exit code."""
    again = "What is finished is kept; run the same command again and it goes on from there"
    if code == -KILLED:
        return (
            f"a worker process was killed (exit code {code}), perhaps for lack of memory: try "
            f"fewer workers. {again}"
        )
    name = ""
    with suppress(ValueError, TypeError):
        name = f", {signal.Signals(-cast(int, code)).name}"
    return f"a worker process ended by itself (exit code {code}{name}). {again}"
