"""Stopping a worker while it plays, yet never in the middle of a file.

The parent ends a worker with SIGTERM (`jatlab.utils.workers`) and waits for it. In a block of
`stoppable` the signal raises KeyboardInterrupt where the block allows it, and waits elsewhere.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from types import FrameType


class Stop:
    """Whether this process was asked to end, and whether it may be interrupted now."""

    def __init__(self) -> None:
        self.is_asked = self.may_interrupt = False

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.is_asked = True
        if self.may_interrupt:
            self.may_interrupt = False
            raise KeyboardInterrupt

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Within the block the signal raises KeyboardInterrupt."""
        self.may_interrupt = True
        try:
            if self.is_asked:
                raise KeyboardInterrupt
            yield
        finally:
            self.may_interrupt = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """In a worker, hold SIGTERM back but where the block allows it; then end the worker.

    Elsewhere, and on Windows, which ends processes at once, nothing changes.
    """
    stop = Stop()
    is_main_thread = threading.current_thread() is threading.main_thread()
    if parent_process() is None or not is_main_thread:
        yield stop
        return
    before = signal.signal(signal.SIGTERM, stop.ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
        if stop.is_asked:
            signal.raise_signal(signal.SIGTERM)
