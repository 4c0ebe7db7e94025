"""The limits of lessons are measured and enforced."""

import os
import subprocess
import sys
import time

import nbformat
import pytest

from tests.support import ROOT, limits

CHILD = "import time; x = bytes([1]) * 200_000_000; time.sleep(1.2)"
PARENT = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', sys.argv[1]])"
PARENT += "; time.sleep(60)"
STRICT = """\
from tests.support import limits
limits.MINUTES_EACH = 0.001
from tests.support.limits import pytest_configure
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@pytest.mark.slow
@LINUX
def test_the_peak_includes_children_and_what_was_freed_again():
    process = subprocess.Popen([sys.executable, "-c", PARENT, CHILD])
    watch = limits.Watch(process.pid)
    watch.start()
    try:
        end = time.monotonic() + 30
        while watch.peak < 200e6 and time.monotonic() < end:
            time.sleep(0.1)
        while limits.memory(process.pid) > 100e6 and time.monotonic() < end:
            time.sleep(0.1)
        assert limits.memory(process.pid) < 100e6
    finally:
        process.kill()
        process.wait()
    assert 200e6 < watch.stop() < 400e6


def test_memory_of_no_process_is_nothing():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert limits.memory(process.pid) == 0


def test_complaints_name_notebook_and_limit(monkeypatch):
    monkeypatch.setattr(limits, "GIGABYTES", 1.5)  # whatever this run allows
    measured = limits.Limits()
    measured.seconds |= {"a.ipynb": 179, "b.ipynb": 181}
    measured.peaks |= {"a.ipynb": int(1.6e9), "b.ipynb": int(1.4e9)}
    assert measured.complaints() == [
        "b.ipynb takes 181 s; 180 are allowed",
        "a.ipynb needs 1.60 GB; 1.5 are allowed",
    ]
    measured.seconds |= {f"{i}.ipynb": 170 for i in range(6)}
    assert any("all together take 23.0 minutes" in one for one in measured.complaints())


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["", "--numprocesses=1 --dist=loadfile"])
def test_a_lesson_over_its_limit_fails_the_run(tmp_path, processes):
    """The plugin in a real run of nbval: a notebook that passes its cells but not its limit."""
    cells = [nbformat.v4.new_code_cell(code) for code in ("1 + 1", "import time; time.sleep(1)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "slow.ipynb")
    (tmp_path / "strict.py").write_text(STRICT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    options = f"-p strict -p no:cacheprovider --rootdir {tmp_path} --nbval-lax {processes}"
    options += " --nbval-current-env"
    command = [sys.executable, "-m", "pytest", *options.split(), "slow.ipynb"]
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "2 passed" in done.stdout and done.returncode == 1, done.stdout
    assert "FAILED slow.ipynb takes" in done.stdout
