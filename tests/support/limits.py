"""Limits of a lesson, as a plugin of pytest for `make notebooks`.

3 minutes and 1.5 GB each, 20 minutes together. Memory is the kernel's and its children's: the sum
of their proportional set sizes, looked at four times a second (Linux only). With several processes
of pytest (`--dist loadfile`) each measures its own lessons, and the first process tells of all.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest

MINUTES_EACH, MINUTES_TOGETHER = 3, 20
# the oldest PyTorch takes more: `make compat-oldest` allows it
GIGABYTES = float(os.environ.get("JATLAB_GIGABYTES", "1.5"))
EVERY_SECONDS = 0.25


class Watch(Thread):
    """Notes the peak memory, in bytes, of a process and its children until `stop`."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.peak, self.ended = pid, 0, Event()

    def run(self) -> None:
        while not self.ended.wait(EVERY_SECONDS):
            self.peak = max(self.peak, memory(self.pid))

    def stop(self) -> int:
        self.ended.set()
        self.join()
        return self.peak


def memory(pid: int) -> int:
    """Bytes that a process and its children hold now; what they share is counted once.

    0 where that cannot be told.
    """
    try:
        process = psutil.Process(pid)
        return sum(proportional(one.pid) for one in [process, *process.children(recursive=True)])
    except psutil.Error:
        return 0


def proportional(pid: int) -> int:
    """The proportional set size of one process in bytes; 0 if it has gone, or is not on Linux."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


class Limits:
    """Measures each notebook while nbval runs its cells.

    It complains in the summary, and by the exit status.
    """

    def __init__(self):
        self.watches: dict[str, Watch] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        self.peaks: dict[str, int] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Iterator[None]:
        began, name = time.monotonic(), item.path.name
        yield
        self.seconds[name] += time.monotonic() - began
        if nextitem is None or nextitem.path != item.path:
            self.finish(name)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        kernel = getattr(item.parent, "kernel", None)
        if kernel is not None and item.path.name not in self.watches:
            watch = self.watches[item.path.name] = Watch(kernel.km.provisioner.pid)
            watch.start()
        yield

    def finish(self, name: str) -> None:
        if name in self.watches:
            self.peaks[name] = self.watches[name].stop()

    def complaints(self) -> list[str]:
        """What broke a limit, in words; empty if nothing did."""
        found = [
            f"{name} takes {seconds:.0f} s; {MINUTES_EACH * 60} are allowed"
            for name, seconds in self.seconds.items()
            if seconds > MINUTES_EACH * 60
        ]
        found += [
            f"{name} needs {peak / 1e9:.2f} GB; {GIGABYTES} are allowed"
            for name, peak in self.peaks.items()
            if peak > GIGABYTES * 1e9
        ]
        minutes = sum(self.seconds.values()) / 60
        if minutes > MINUTES_TOGETHER:
            allowed = f"{MINUTES_TOGETHER} are allowed"
            found.append(f"all together take {minutes:.1f} minutes; {allowed}")
        return found

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what another process of pytest has measured; `node` is pytest-xdist's."""
        seconds, peaks = getattr(node, "workeroutput", {}).get("lessons", ({}, {}))
        self.seconds.update(seconds)
        self.peaks.update(peaks)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["lessons"] = (dict(self.seconds), self.peaks)
        elif exitstatus == 0 and self.complaints():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("time and memory of the lessons")
        for name, seconds in self.seconds.items():
            gigabytes = self.peaks.get(name, 0) / 1e9
            terminalreporter.write_line(f"{name:36} {seconds:5.0f} s   {gigabytes:5.2f} GB")
        for complaint in self.complaints():
            terminalreporter.write_line(f"FAILED {complaint}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Limits(), "limits-of-lessons")
