"""Disks that fill up at any place, or that cannot be written to: a sentence, and no half result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.disks import on_disk
from tests.support.works import KINDS, MOMENTS, WORKS, finish

PLACES = min(10, MOMENTS)
# the work on a small disk; then the disk grows, the work goes on, and what it made is kept
GROW = (
    '$1 >/dev/null; echo "code $?"; find "$0" -name ".*.tmp*" -o -name "*.lock"; '
    'mount -o remount,size=1g "$0" && '
    '{ ls "$0"/checkpoints/step-* >/dev/null 2>&1 && $2 || $1; } >/dev/null '
    '&& cp -r "$0" "$3"'
)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder and below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def words(command: str, source: Path, out: Path) -> str:
    """The command line of some work."""
    return f"{sys.executable} -m {command}".replace("IN", str(source)).replace("OUT", str(out))


@pytest.fixture(params=KINDS)
def work(request, tmp_path):
    """Some work, what it needs, and a folder for a disk. Skips where nothing can be mounted."""
    (tmp_path / "disk").mkdir()
    if on_disk(tmp_path / "disk", "size=1m", "true") is None:
        pytest.skip("no tmpfs can be mounted here")
    (tmp_path / "in").mkdir()
    WORKS[request.param].prepare(tmp_path / "in")
    return WORKS[request.param]


@pytest.mark.slow
@pytest.mark.faults
def test_a_disk_that_fills_up_at_ten_places(work, tmp_path):
    source, disk = tmp_path / "in", tmp_path / "disk"
    finish(work, source, tmp_path / "whole")
    needed = size_of(tmp_path / "whole")
    full = 0
    for place in range(PLACES):
        size = int(needed * (place + 0.5) / PLACES)
        kept = tmp_path / f"kept-{place}"
        commands = [words(one, source, disk) for one in (work.command, work.again or work.command)]
        ran = run(on_disk(disk, f"size={max(size, 4096)}", GROW, *commands, str(kept)))
        assert ran.returncode == 0 and "Traceback" not in ran.stderr, ran.stderr
        if "code 2" in ran.stdout:
            full += 1
            assert "free some space" in ran.stderr, ran.stderr
        assert len(ran.stdout.split("code ")[1].splitlines()) == 1, ran.stdout  # nothing is left
        assert work.result(kept) == work.result(tmp_path / "whole"), f"{size} bytes"
    assert full >= PLACES / 2


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_named(work, tmp_path):
    disk = tmp_path / "disk"
    ran = run(on_disk(disk, "ro", "$1", words(work.command, tmp_path / "in", disk / "out")))
    assert ran.returncode == 2, ran.stderr
    [line] = ran.stderr.splitlines()
    assert line.startswith("error: ") and "Read-only file system" in line and str(disk) in line
