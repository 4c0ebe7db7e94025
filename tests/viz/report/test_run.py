"""The whole way on a small task: play, video, log, page; then again, without playing."""

import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from jatlab.agents.rollout import RandomAgent
from jatlab.evaluation.evaluate import evaluate
from jatlab.tasks import Task, register
from jatlab.viz.report.run import evaluate_and_report
from tests.viz.report.samples import TASKS, Page

TASK = "report-corridor"


class Corridor(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.zeros(2, np.float32), 1.0, self.time == 8, False, {}

    def render(self):
        return np.full((32, 32, 3), 20 * self.time, np.uint8)


register(
    Task(TASK, "report", "Corridor-v0", None, "continuous", 2, "discrete", 2),
    lambda task, render_mode=None: Corridor(),
)


def report(output, **options):
    return evaluate_and_report(RandomAgent(), TASK, output, episodes=3, progress=False, **options)


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}


@pytest.mark.slow
def test_an_evaluation_becomes_a_report(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    lines = [{"step": i, "timesteps": 100 * i, "loss": {TASK: 1 / i}} for i in range(1, 9)]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = report(out, log=run / "log.jsonl")
    assert found["tasks"][TASK]["returns"] == [8.0] * 3
    assert files(out) >= {
        "report.html",
        "README.md",
        "report.json",
        f"videos/{TASK}.mp4",
        f"tasks/{TASK}.json",
        "figures/report.png",
        "figures/learning-report.png",
    }
    parsed = Page((out / "report.html").read_text(encoding="utf-8"))
    # no scale, so the learning curve alone
    assert len(parsed.all("video")) == 1 and len(parsed.all("svg")) == 1
    again = evaluate(
        RandomAgent(),
        TASK,
        3,
        output=out,
        progress=False,
        make=lambda name: pytest.fail("played again"),
    )
    assert again["tasks"] == found["tasks"]


def test_without_videos_nothing_is_recorded(tmp_path):
    report(tmp_path, videos=False)
    assert "report.html" in files(tmp_path) and not (tmp_path / "videos").exists()


def test_a_missing_log_is_an_error_before_anybody_plays(tmp_path):
    with pytest.raises(FileNotFoundError, match="no log.jsonl in"):
        evaluate_and_report(None, TASKS[0], tmp_path, log=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_what_reads_results_imports_nothing_that_plays():
    code = (
        "import sys, jatlab.viz.report.write; "
        "plays = ('jatlab.evaluation.evaluate', 'jatlab.agents', 'jatlab.model', 'torch'); "
        "print([name for name in plays if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"
