"""Consoles that lack characters: nothing that was played or recorded is lost for a ±."""

import os
import subprocess
import sys

import pytest

from jatlab.utils.console import encodable, percent, say

SCRIPT = """
import sys
import numpy as np
from jatlab.agents.rollout import RandomAgent
from jatlab.data.recording.measuring import measure
from jatlab.data.recording.record import record
from jatlab.viz.player.playback import play
from jatlab.viz.report.run import evaluate_and_report
from tests.support.odd_tasks import Drawn, ReusingTeacher, own_task
from tests.support.little_tasks import PUSH, BROKEN
from jatlab.teachers.base import RandomTeacher

folder, facts = sys.argv[1], ("continuous", 2, "discrete", 2)

def draw(time):
    raise RuntimeError("kein Bild – für “niemanden”")

with own_task("odd-drawn", facts, lambda: Drawn(draw), RandomTeacher):
    record("odd-drawn", folder + "/data", 2, workers=0)
    measure("odd-drawn", 2, workers=0, path=folder + "/scores.json")
    evaluate_and_report(RandomAgent(), ["odd-drawn", BROKEN], folder, episodes=2)
    play(RandomAgent(), "odd-drawn")
print("all done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp932", "cp437", "ascii", "utf-16"])
def test_scripts_go_on_on_every_console(encoding, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    said = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr
    assert said.rstrip().endswith("all done") and "return 6 +- 0" in said.replace("±", "+-")
    assert (tmp_path / "report.html").exists()


def test_what_a_console_lacks_is_plain_or_escaped(monkeypatch):
    monkeypatch.setattr("sys.stdout", type("Console", (), {"encoding": "ascii"})())
    assert encodable("1 ± 2 … é \ud800") == "1 +- 2 ... \\xe9 \\ud800"
    monkeypatch.setattr("sys.stdout", type("Console", (), {"encoding": None})())
    assert encodable("1 ± 2") == "1 ± 2"


def test_a_console_that_has_all_is_told_all(capsys):
    say("1 ± 2", flush=True)
    assert capsys.readouterr().out == "1 ± 2\n"


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.75, "75 %"),
        (0.98, "98 %"),
        (0.995, "99.5 %"),
        (0.9999, "99.99 %"),
        (0.004, "0.4 %"),
        (0.00001, "0.001 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(rate, text):
    assert percent(rate) == text
