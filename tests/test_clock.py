"""A clock that is set back while jatlab works: nothing is lost, doubled or different."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

import jatlab
from jatlab.data.recording.record import record
from jatlab.training.log import read_log
from jatlab.training.trainer import TrainConfig, train
from tests.support.works import parquet, weights

TASK = "metaworld-reach"


def work(folder: Path) -> tuple[dict, dict, list[float]]:
    """Record, train in two sittings, evaluate: the files, the weights, the returns."""
    data, run = folder / "data", folder / "run"
    for episodes in (2, 4):
        record(TASK, data, episodes, workers=0, progress=False)
    common = {"data": str(data), "output": str(run), "batch_timesteps": 128, "progress": False}
    train(TrainConfig(steps=2, **common))
    train(TrainConfig(steps=4, resume=True, **common))
    options = {"max_steps": 5, "output": folder / "report", "progress": False}
    found = jatlab.evaluate(jatlab.load_agent(run), TASK, 2, **options)
    seconds = [line["seconds"] for line in read_log(run)]
    assert seconds == sorted(seconds) and seconds[0] >= 0  # of a clock that nobody sets
    return parquet(data), weights(run), found["tasks"][TASK]["returns"]


@pytest.mark.slow
@pytest.mark.faults
def test_a_clock_that_goes_back_changes_nothing(tmp_path, monkeypatch):
    expected = work(tmp_path / "usual")
    hours = itertools.count()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600 * next(hours))
    assert work(tmp_path / "back") == expected
