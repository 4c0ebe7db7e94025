"""Run the kit: `python -m scripts.gpu --output FOLDER`; `--rehearse` does it shortened, on a CPU.

Teachers record in the background from the first second, on all cores but one. Meanwhile the checks
and the benchmark use the GPU. Then one agent trains, first on what is there, later on everything
that was recorded, and plays.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_BYTES = 15 << 20  # of the log, from its end


@dataclass(frozen=True)
class Stage:
    """A step of the kit: a Python command, and how many seconds it may take."""

    name: str
    command: tuple[str, ...]
    seconds: int
    background: bool = False


@dataclass
class Outcome:
    """How a stage ended: "passed", "failed" or "out of time"."""

    ended: str
    seconds: float
    command: str


def stages(output: Path, work: Path, rehearse: bool) -> list[Stage]:
    """The kit's stages, in order."""
    short = ("--rehearse",) if rehearse else ()
    folders = ("--output", str(output), "--work", str(work), *short)
    checks = (
        "pytest",
        "-q",
        "tests/training/on_device/test_device.py",
        "tests/model/test_golden_cuda.py",
    )
    report = ("-p", "no:cacheprovider", f"--junitxml={output / 'checks.xml'}")
    kept = ("-k", "static or stopped or numpys") if rehearse else ()
    return [
        Stage("record", ("scripts.gpu.record", *folders), 200, background=True),
        Stage("checks", (*checks, *report, *kept), 100),
        Stage("bench", ("scripts.gpu.bench", *folders), 190),
        Stage("train", ("scripts.gpu.train", *folders), 900),
        Stage("evaluate", ("scripts.gpu.evaluate", *folders), 80),
    ]


class Kit:
    """Runs stages; every outcome is on disk as soon as it is known."""

    def __init__(
        self, output: Path, work: Path, rehearse: bool, only: list[str], until: float
    ) -> None:
        self.output, self.work, self.rehearse = output, work, rehearse
        self.outcomes: dict[str, Outcome] = {}
        self.stages = [s for s in stages(output, work, rehearse) if not only or s.name in only]
        self.running: list[tuple[Stage, subprocess.Popen, float]] = []
        output.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        (work / "end").write_text(str(time.time() + until))

    def run(self) -> bool:
        """All stages; whether all passed."""
        for stage in self.stages:
            self.start(stage)
            if not stage.background:
                self.finish(*self.running.pop())
        self.await_background()
        self.shorten_log()
        (self.output / "ended").touch()
        return all(outcome.ended == "passed" for outcome in self.outcomes.values())

    def start(self, stage: Stage) -> None:
        """Start a stage in a process group of its own."""
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
        }
        if self.rehearse:
            environment |= {"JATLAB_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
        with self.log.open("a") as log:
            log.write(f"\n=== {stage.name}\n")
            log.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", *stage.command],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running.append((stage, process, time.monotonic()))
        if stage.background:
            timer = threading.Timer(stage.seconds, stop, [process])
            timer.daemon = True
            timer.start()

    def finish(self, stage: Stage, process: subprocess.Popen, started: float) -> None:
        """Wait for a stage, to its limit; then end it and all that it started."""
        try:
            process.wait(max(1, stage.seconds - (time.monotonic() - started)))
            ended = "passed" if process.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            ended = "out of time"
            stop(process)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        seconds = round(time.monotonic() - started, 1)
        self.outcomes[stage.name] = Outcome(ended, seconds, " ".join(stage.command))
        print(f"{stage.name}: {ended} after {seconds} s", flush=True)
        told = {name: asdict(outcome) for name, outcome in self.outcomes.items()}
        (self.output / "kit.json").write_text(json.dumps(told, indent=1))

    def await_background(self) -> None:
        """Wait for what still runs in the background."""
        while self.running:
            self.finish(*self.running.pop(0))

    @property
    def log(self) -> Path:
        """What all stages print."""
        return self.output / "log.txt"

    def shorten_log(self) -> None:
        """Keep the log's end where it is too long to be brought home."""
        text = self.log.read_bytes()
        if len(text) > MOST_BYTES:
            self.log.write_bytes(text[-MOST_BYTES:])


def stop(process: subprocess.Popen) -> None:
    """Ask a stage and all that it started to end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def main() -> int:
    """The command line; 0 if every stage passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--work", type=Path, default=Path("/tmp/jatlab-gpu"), help="large files")
    parser.add_argument("--rehearse", action="store_true", help="shortened, on the CPU")
    parser.add_argument("--only", nargs="*", default=[], help="these stages alone")
    parser.add_argument(
        "--until", type=float, default=800, help="seconds from now: the training ends then"
    )
    arguments = parser.parse_args()
    output, work = arguments.output.resolve(), arguments.work.resolve()
    return 0 if Kit(output, work, arguments.rehearse, arguments.only, arguments.until).run() else 1


if __name__ == "__main__":
    sys.exit(main())
