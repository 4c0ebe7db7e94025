"""Commands that start at once: a process imports what they need, and each is a fork of it.

A killed command spends most of its seconds importing, where nothing can go wrong. What is forked
here runs the same module as `python -m`, in a session of its own; the processes that it starts
are new ones, as ever.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import ROOT

NEEDED = (
    "accelerate",
    "datasets",
    "matplotlib.pyplot",
    "pandas",
    "torch._dynamo",
    "torch._refs",
    "torch.distributed.run",
    "torch.distributed.tensor",
    "jatlab.cli",
    "jatlab.data.convert.command",
    "jatlab.data.published.fetch",
    "jatlab.data.recording.record",
    "jatlab.evaluation.evaluate",
    "jatlab.tasks.babyai",
    "jatlab.training.dagger",
    "jatlab.training.trainer",
    "jatlab.viz.report.run",
)


@dataclass
class Forked:
    """A command that was started; its process leads a group."""

    pid: int
    launcher: subprocess.Popen[str]
    told: Path

    def wait(self, timeout: float) -> int | None:
        """Its exit code; None if it has not ended after so many seconds."""
        answers = self.launcher.stdout
        assert answers is not None
        if not select.select([answers], [], [], timeout)[0]:
            return None
        return int(answers.readline())

    @property
    def errors(self) -> str:
        """What it has said."""
        return self.told.read_text()


class Warm:
    """The process that forks. One command at a time."""

    def __init__(self, folder: Path) -> None:
        self.told = folder / "errors.txt"
        self.launcher = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def start(self, words: list[str]) -> Forked:
        """Run a module with arguments, as `python -m` does."""
        assert self.launcher.stdin is not None
        self.launcher.stdin.write(json.dumps([str(self.told), words]) + "\n")
        self.launcher.stdin.flush()
        return Forked(self._answer(), self.launcher, self.told)

    def _answer(self) -> int:
        assert self.launcher.stdout is not None
        return int(self.launcher.stdout.readline())

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *error: Any) -> None:
        self.launcher.communicate()  # without input it ends


def serve() -> None:
    """In the process that forks: read commands, say who runs them, and how they end."""
    for name in NEEDED:
        importlib.import_module(name)
    gc.freeze()  # so that a fork's collector does not copy it all
    print(os.getpid(), flush=True)
    for line in iter(sys.stdin.readline, ""):
        told, words = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(told, words)
            return
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(code, flush=True)


def become(told: str, words: list[str]) -> None:
    """In the fork: be the command."""
    os.setsid()
    print(os.getpid(), flush=True)
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, os.devnull, os.O_WRONLY)):
        os.dup2(os.open(name, flags), number)
    os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve()
