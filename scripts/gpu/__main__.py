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
        Stage("data", ("scripts.gpu.data", *folders), 900, background=True),
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
        self.background: list[threading.Thread] = []
        self.telling = threading.Lock()
        output.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        (work / "end").write_text(str(time.time() + until))

    def run(self) -> bool:
        """All stages; whether all passed."""
        for stage in self.stages:
            if stage.background:
                self.background.append(threading.Thread(target=self.do, args=[stage]))
                self.background[-1].start()
            else:
                self.do(stage)
        for thread in self.background:
            thread.join()
        self.shorten_log()
        (self.work / "ended").touch()
        return all(outcome.ended == "passed" for outcome in self.outcomes.values())

    def do(self, stage: Stage) -> None:
        """A stage, to its end or its limit."""
        started, process = time.monotonic(), self.start(stage)
        try:
            process.wait(stage.seconds)
            ended = "passed" if process.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            ended = "out of time"
            stop(process)
        with self.telling:
            self.tell(stage, ended, round(time.monotonic() - started, 1))

    def start(self, stage: Stage) -> subprocess.Popen:
        """Start a stage in a process group of its own."""
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "TQDM_MININTERVAL": "10",  # seconds between two states of a bar in the log
        }
        if self.rehearse:
            environment |= {"JATLAB_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
        with self.log.open("a") as log:
            log.write(f"\n=== {stage.name}\n")
            log.flush()
            return subprocess.Popen(
                [sys.executable, "-m", *stage.command],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def tell(self, stage: Stage, ended: str, seconds: float) -> None:
        """Print how a stage ended, and write it to kit.json."""
        self.outcomes[stage.name] = Outcome(ended, seconds, " ".join(stage.command))
        print(f"{stage.name}: {ended} after {seconds} s", flush=True)
        told = {name: asdict(outcome) for name, outcome in self.outcomes.items()}
        (self.output / "kit.json").write_text(json.dumps(told, indent=1))

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
    """Ask a stage and all that it started to end; after ten seconds, make them."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


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
