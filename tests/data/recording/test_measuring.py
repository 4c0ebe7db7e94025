"""Measured returns: stored, skipped where they are known, failures in no mean."""

import json
import threading
import time

import numpy as np
import pytest

from jatlab.data.recording import measuring
from jatlab.data.recording.measuring import MeasureJob, measure
from jatlab.data.recording.playing import EpisodePlayer

GO_TO = "babyai-go-to-obj"


@pytest.mark.slow
def test_measuring_stores_both_policies_and_skips_what_is_known(tmp_path, monkeypatch):
    # a task without a teacher is measured with the random policy only
    monkeypatch.setattr(measuring, "has_teacher", lambda name: name.startswith("babyai"))
    path, tasks = tmp_path / "scores.json", [GO_TO, "mujoco-swimmer"]
    scores = measure(tasks, episodes=4, workers=2, path=path, progress=False)
    assert scores == json.loads(path.read_text()) and list(scores) == tasks
    assert set(scores[GO_TO]) == {"teacher", "random"}
    assert set(scores["mujoco-swimmer"]) == {"random"}
    entry, seeds = scores[GO_TO]["teacher"], range(2_000_000, 2_000_004)
    returns = [EpisodePlayer(GO_TO).play(seed, 20)[0].total for seed in seeds]
    assert entry["mean"] == pytest.approx(np.mean(returns), abs=1e-3)
    assert entry["std"] == pytest.approx(np.std(returns), abs=1e-3)
    assert entry["seeds"] == [2_000_000, 2_000_003] and entry["episodes"] == 4
    assert entry["success"] == 1.0 and "minigrid" in entry["versions"]
    before = path.stat().st_mtime_ns
    measure(GO_TO, episodes=4, path=path, progress=False)
    assert path.stat().st_mtime_ns == before
    path.write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        measure(GO_TO, episodes=4, path=path, progress=False)
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"holds \[1\]: expected scores by task; restore it, or"):
        measure(GO_TO, episodes=4, path=path, progress=False)


@pytest.mark.slow
def test_dropped_episodes_are_counted_and_in_no_mean(tmp_path):
    name, path = "babyai-go-to-imp-unlock", tmp_path / "scores.json"
    scores = measure(name, 2, workers=1, who=["teacher"], seed=5, path=path, progress=False)
    entry = scores[name]["teacher"]
    assert entry["dropped"] == 1 and entry["episodes"] == 1 and entry["mean"] > 0.5


def test_two_processes_measuring_into_one_file_keep_both(tmp_path, monkeypatch):
    """The second waits until the first has written, and reads what it wrote."""
    path, write = tmp_path / "scores.json", measuring.write_json
    jobs = [MeasureJob(GO_TO, who, 1, 0, 1.0, str(path)) for who in ("random", "teacher")]
    second = threading.Thread(target=measuring._store, args=(path, jobs[1], {"mean": 2.0}))

    def write_late(path, scores):
        if not second.ident:
            second.start()  # after the first has read, before it has written
            time.sleep(0.3)
        write(path, scores)

    monkeypatch.setattr(measuring, "write_json", write_late)
    measuring._store(path, jobs[0], {"mean": 1.0})
    second.join()
    assert json.loads(path.read_text())[GO_TO] == {
        "random": {"mean": 1.0},
        "teacher": {"mean": 2.0},
    }
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]
