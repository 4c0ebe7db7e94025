"""The log says once how long a training will take, where a bar is shown and steps are counted."""

import pytest

from jatlab.training import log as module
from jatlab.training.log import Log

RECORD = {"step": 10, "loss": {"babyai-go-to-obj": 1.0}, "timesteps_per_second": 2000.0, "lr": 0.1}


@pytest.mark.parametrize(
    "unit, show, seconds, told",
    [
        ("steps", True, 60, 1),
        ("steps", True, 20, 0),  # too early to know
        ("s", True, 60, 0),  # minutes were asked for
        ("steps", False, 60, 0),
    ],
)
def test_after_half_a_minute_it_foretells_the_end(
    tmp_path, capsys, monkeypatch, unit, show, seconds, told
):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    log = Log(tmp_path, 0, 100, unit, 0, show, write=False)
    now[0] = seconds
    for done in (10, 11):
        log.line(RECORD, done)
    printed = capsys.readouterr()
    text = printed.out + printed.err
    # ten of a hundred steps took a minute
    assert text.count("about 9 more minutes on this machine (2,000 timesteps a second)") == told
