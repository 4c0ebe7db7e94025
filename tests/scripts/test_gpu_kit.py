"""The GPU kit, rehearsed on the processor: every stage passes, and what comes home is usable."""

import json
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from jatlab.agents.checkpoints import load_agent
from scripts.gpu import data
from scripts.gpu.__main__ import Kit, Stage
from scripts.gpu.data import Handover
from scripts.gpu.train import Training
from scripts.gpu.wheels import slim
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
        ("data", "checks", "bench", "train", "evaluate"), "passed"
    )
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) <= 8 and all(file.stat().st_size <= 16 << 20 for file in files)
    bench = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert {line["way"] for line in bench["lines"]} == {"plain", "usual", "static", "acting"}
    assert not any(line["failed"] for line in bench["lines"])
    parts = sorted((tmp_path / "out").glob("agent.tar.*"))
    (tmp_path / "agent.tar").write_bytes(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(tmp_path / "agent.tar") as archive:
        archive.extractall(tmp_path / "agent", filter="data")
    assert load_agent(tmp_path / "agent").info["step"] == 4


def kit(folder, *stages):
    made = Kit(folder / "out", folder / "work", rehearse=True, only=["none"], until=1)
    made.stages = list(stages)
    return made


@pytest.mark.slow
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


def test_a_part_of_the_data_waits_until_it_is_read(tmp_path):
    handover = Handover(tmp_path)
    reader = threading.Timer(0.3, handover.read, [1])
    reader.start()
    handover.offer(1, patience=30)
    assert handover.offered() == 1 and handover.seen(1) and not handover.seen(2)
    started = time.monotonic()
    (tmp_path / "trained").touch()
    handover.offer(2, patience=30)
    assert handover.offered() == 2 and time.monotonic() - started < 5


def test_nobody_waits_for_who_has_ended(tmp_path):
    handover = Handover(tmp_path)
    (tmp_path / "players" / "000120").mkdir(parents=True)
    (tmp_path / "players" / "000060").mkdir()
    assert handover.newest_player() == tmp_path / "players" / "000120"
    (tmp_path / "trained").touch()
    assert handover.newest_player() is None
    handover.end()
    with pytest.raises(ValueError, match="nothing was recorded"):
        Training(tmp_path / "out", tmp_path, rehearse=True)


def test_a_group_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capfd):
    asked = []

    def record_all(names, *_):
        if "metaworld-reach" in names:
            raise OSError("no arm here")
        asked.extend(names)

    monkeypatch.setattr(data, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(data.mini, "record_all", record_all)
    data.record_part(["metaworld-reach", "mujoco-hopper"], tmp_path, {}, False)
    assert asked == ["mujoco-hopper"] and "no arm here" in capfd.readouterr().err


def test_documents_that_came_along_stay(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(data, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(data.mini, "record_all", lambda names, *_: asked.extend(names))
    data.record_part(["python-docs", "metaworld-reach"], tmp_path, {}, False)
    assert sorted(asked) == ["metaworld-reach", "python-docs"]
    (tmp_path / "python-docs" / "train").mkdir(parents=True)
    (tmp_path / "python-docs" / "train" / "00000.parquet").touch()
    asked.clear()
    data.record_part(["python-docs", "metaworld-reach"], tmp_path, {}, False)
    assert asked == ["metaworld-reach"]


def test_a_stage_finds_packages_that_came_along(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "came_along.py").write_text("import scripts.gpu; print('found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    made = kit(tmp_path, Stage("look", ("came_along",), 30))
    assert made.run() and "found" in made.log.read_text()


@pytest.mark.slow
def test_what_is_late_in_the_background_is_stopped(tmp_path):
    made = kit(
        tmp_path,
        Stage("late", ("http.server", "0"), 1, background=True),
        Stage("fine", ("timeit", "-n1", "-r1", "-s", "import time", "time.sleep(2)"), 30),
    )
    assert not made.run()
    late = made.outcomes["late"]
    assert late.ended == "out of time" and made.outcomes["fine"].ended == "passed"


def test_what_travels_has_no_pictures_to_speak_of(tmp_path):
    for name in ("metaworld/assets/wood.png", "other/kept.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGBA", (64, 32), "red").save(tmp_path / name)
    (tmp_path / "pygame" / "docs").mkdir(parents=True)
    slim(tmp_path)
    with Image.open(tmp_path / "metaworld/assets/wood.png") as small:
        assert small.size == (1, 1) and small.getpixel((0, 0)) == (255, 0, 0)
    with Image.open(tmp_path / "other/kept.png") as kept:
        assert kept.size == (64, 32)
    assert not (tmp_path / "pygame" / "docs").exists()
