"""The GPU kit, rehearsed on the processor: every stage passes, and what comes home is usable."""

import json
import subprocess
import sys
import tarfile

import pytest

from jatlab.agents.checkpoints import load_agent
from scripts.gpu.__main__ import Kit, Stage
from scripts.gpu.wheels import MOST_BYTES, pack, pieces, size
from tests.support import ROOT


@pytest.mark.slow
def test_a_rehearsal_passes_and_brings_an_agent_home(tmp_path):
    command = [sys.executable, "-m", "scripts.gpu", "--rehearse"]
    folders = ["--output", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    done = subprocess.run([*command, *folders], cwd=ROOT, capture_output=True, text=True)
    log = (tmp_path / "out" / "log.txt").read_text()
    assert done.returncode == 0, done.stdout + log[-3000:]
    outcomes = json.loads((tmp_path / "out" / "kit.json").read_text())
    assert {name: outcome["ended"] for name, outcome in outcomes.items()} == dict.fromkeys(
        ("record", "checks", "bench", "train", "evaluate"), "passed"
    )
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) <= 8 and all(file.stat().st_size <= 16 << 20 for file in files)
    bench = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert {line["way"] for line in bench["lines"]} == {"usual", "static", "acting"}
    assert not any(line["failed"] for line in bench["lines"])
    parts = sorted((tmp_path / "out").glob("agent.tar.*"))
    (tmp_path / "agent.tar").write_bytes(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(tmp_path / "agent.tar") as archive:
        archive.extractall(tmp_path / "agent", filter="data")
    assert load_agent(tmp_path / "agent").info["step"] == 4


def kit(folder, *stages):
    made = Kit(folder / "out", folder / "work", rehearse=True, only=["none"])
    made.stages = list(stages)
    return made


def test_it_goes_on_past_what_fails_or_takes_too_long(tmp_path):
    made = kit(
        tmp_path,
        Stage("background", ("timeit", "-n1", "-r1", "1"), 30, background=True),
        Stage("broken", ("no_such_module",), 30),
        Stage("endless", ("http.server", "0"), 1),
        Stage("fine", ("timeit", "-n1", "-r1", "1"), 30),
    )
    assert not made.run()
    ended = {name: outcome.ended for name, outcome in made.outcomes.items()}
    assert ended == {
        "background": "passed",
        "broken": "failed",
        "endless": "out of time",
        "fine": "passed",
    }
    assert "no_such_module" in made.log.read_text()


def test_large_wheels_travel_in_parts(tmp_path):
    wheel = tmp_path / "large-1-py3-none-any.whl"
    wheel.write_bytes(bytes(range(256)) * (2 * MOST_BYTES // 256 + 99))
    parts = pieces(wheel)
    assert [name[-6:] for name, _ in parts] == [".part0", ".part1", ".part2"]
    assert b"".join(content for _, content in parts) == wheel.read_bytes()
    loads = pack([*parts, ("small", b"x" * 1000)])
    assert len(loads) == 3 and all(size(load) <= MOST_BYTES for load in loads)
    assert sorted(file for load in loads for file in load) == sorted(
        [*parts, ("small", b"x" * 1000)]
    )
