"""A worker process that is ended from outside, or has no memory left: a sentence, then equal work.

`make faults` does it at ten random moments each.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.helpers import group_is_alive, wait_for
from tests.support.warm import Forked, Warm
from tests.support.works import MOMENTS, WORKS, Work, finish, shared_memory, words

TIMES = min(10, MOMENTS)
NAMES = ("record", "evaluate", "relabel")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc and prlimit of Linux"),
]


def workers(pid: int) -> list[int]:
    """The worker processes that a process has now."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(one) for one in children if b"spawn_main" in command_of(one)]
    except FileNotFoundError:
        return []


def command_of(pid: str) -> bytes:
    """The command line of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def terminate(pid: int) -> None:
    """Ask a process to end, as a job scheduler does."""
    os.kill(pid, signal.SIGTERM)


def take_memory_away(pid: int) -> None:
    """Let a process have no more memory than it has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


def strike(process: Forked, fault: Callable[[int], None], moment: float) -> tuple[bool, int | None]:
    """Do something to a worker after so many seconds: whether there was one, and the exit code."""
    code = process.wait(moment)
    if code is not None:
        return False, code
    wait_for(lambda: workers(process.pid) or not group_is_alive(process.pid), 60)
    try:
        fault(workers(process.pid)[0])
    except (IndexError, ProcessLookupError, FileNotFoundError):  # all are done
        return False, process.wait(120)
    return True, process.wait(120)


@pytest.mark.parametrize("fault", [terminate, take_memory_away], ids=["SIGTERM", "memory"])
@pytest.mark.parametrize("name", NAMES)
def test_a_worker_that_ends_leaves_equal_work(name, fault, tmp_path):
    work: Work = WORKS[name]
    before, struck, moments = shared_memory(), 0, random.Random(TIMES)
    source = tmp_path / "in"
    source.mkdir()
    work.prepare(source)
    with Warm(tmp_path) as warm:
        finish(work, source, tmp_path / "first", warm)
        seconds = finish(work, source, tmp_path / "whole", warm)
        for number in range(TIMES):
            out = tmp_path / f"out-{number}"
            process = warm.start(words(work.command, source, out))
            was_there, code = strike(process, fault, moments.uniform(0, 0.8 * seconds))
            struck += was_there
            told = process.errors.splitlines()
            # 1: the report says which task failed; without memory a worker itself may fail loudly
            assert code in (0, 1) or (code == 2 and told[-1].startswith("error: ")), told
            finish(work, source, out, warm)
            assert work.result(out) == work.result(tmp_path / "whole"), f"moment {number}"
    assert struck >= TIMES / 2
    assert shared_memory() <= before
