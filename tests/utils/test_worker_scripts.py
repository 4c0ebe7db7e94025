"""Scripts and notebooks that start workers: all work, in workers or alone, and none hangs."""

import os
import subprocess
import sys

import pytest

SETTING = """
import json
import sys

import numpy as np
import gymnasium as gym

from jatlab import evaluate
from jatlab.agents.agent import Agent
from jatlab.data.recording.record import record
from tests.support.little_tasks import GRID, PUSH

class Mine(Agent):
    def act(self, observations, rewards, starts, **how):
        assert self.answer == 42
        action = 0 if self.task.name == GRID else np.zeros(2, np.float32)
        return [action] * len(observations)

def large():
    from jatlab.model import JatModel
    from jatlab.model.config import JatConfig
    agent = Mine(JatModel(JatConfig.preset("nano")))  # megabytes: more than a pipe holds
    agent.answer = 42
    return agent

class Small:
    info = {"name": "small"}

    def reset(self, n, task):
        self.n, self.task = n, task

    def act(self, observations, rewards, starts, **how):
        return [0 if self.task == GRID else np.zeros(2, np.float32)] * self.n

def play(agent, **how):
    print("began", flush=True)
    results = evaluate(agent, [GRID, PUSH], episodes=1, workers=2, progress=False, **how)
    assert not results["failed"], results["failed"]
    print("returns", [task["returns"] for task in results["tasks"].values()], flush=True)
"""
RETURNS = "returns [[12.0], [12.0]]"
CALLS = {"large": "play(large())", "small": "play(Small())"}
ALONE = "so all is done in this process, one job after another"


def run(arguments, cwd, **more):
    """A Python process that must end within two minutes; what it printed and warned."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": here},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        **more,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lack of memory" not in done.stderr
    return done.stdout.splitlines(), done.stderr


def script(folder, text):
    (folder / "script.py").write_text(SETTING + text)
    return ["script.py"]


@pytest.mark.slow
@pytest.mark.parametrize("size", CALLS)
def test_a_script_without_a_guard_is_done_alone(size, tmp_path):
    said, warned = run(script(tmp_path, CALLS[size]), tmp_path)
    assert said == ["began", RETURNS], "the script has run more than once"
    assert 'script.py has no `if __name__ == "__main__":`' in warned and ALONE in warned


@pytest.mark.slow
@pytest.mark.parametrize("size", CALLS)
def test_an_unguarded_call_that_only_workers_find_is_done_alone(size, tmp_path):
    """The guard is elsewhere, so that only the worker that runs the script finds the call."""
    text = f'if __name__ == "__main__":\n    print("guarded", flush=True)\n{CALLS[size]}'
    said, warned = run(script(tmp_path, text), tmp_path)
    # what the two workers print is cut off where they begin to play
    assert said.count("guarded") == 1 and said.count(RETURNS) == 1
    assert "worker processes end while they start (exit code 1" in warned and ALONE in warned


@pytest.mark.slow
@pytest.mark.parametrize("size", CALLS)
def test_a_script_with_a_guard_uses_workers(size, tmp_path):
    text = f'if __name__ == "__main__":\n    {CALLS[size]}'
    said, warned = run(script(tmp_path, text), tmp_path)
    assert said == ["began", RETURNS] and ALONE not in warned


@pytest.mark.slow
@pytest.mark.parametrize("size", CALLS)
def test_a_notebooks_classes_are_played_alone(size, tmp_path):
    said, warned = run(["-c", SETTING + CALLS[size]], tmp_path)
    assert said == ["began", RETURNS]
    name = "Mine" if size == "large" else "Small"
    missing = f"AttributeError: Can't get attribute '{name}'"
    assert f"worker processes cannot load what they are to do ({missing}" in warned
    assert "so put your classes and functions into one" in warned and ALONE in warned


@pytest.mark.slow
def test_a_notebook_uses_workers_for_what_modules_define(tmp_path):
    text = SETTING + "from jatlab.agents.rollout import RandomAgent\nplay(RandomAgent())"
    said, warned = run(["-c", text], tmp_path)
    assert said == ["began", RETURNS] and ALONE not in warned


@pytest.mark.slow
def test_a_script_from_standard_input_uses_workers(tmp_path):
    text = SETTING + "from jatlab.agents.rollout import RandomAgent\nplay(RandomAgent())"
    said, warned = run(["-"], tmp_path, input=text)
    assert said == ["began", RETURNS] and ALONE not in warned


@pytest.mark.slow
def test_what_cannot_be_sent_is_played_alone(tmp_path):
    call = "from jatlab.tasks import make_env; play(Small(), make=lambda name: make_env(name))"
    text = f'if __name__ == "__main__":\n    {call}'
    said, warned = run(script(tmp_path, text), tmp_path)
    assert said == ["began", RETURNS]
    assert "worker processes cannot be used: PicklingError" in warned and ALONE in warned


@pytest.mark.slow
def test_recording_without_a_guard_is_done_alone(tmp_path):
    text = """
print("began", flush=True)
summary = record("metaworld-reach", "data", 2, workers=2, progress=False)
print(summary["metaworld-reach"]["episodes"], "episodes", flush=True)
"""
    said, warned = run(script(tmp_path, text), tmp_path)
    assert said == ["began", "2 episodes"] and "has no `if __name__" in warned


@pytest.mark.slow
def test_a_notebooks_tasks_are_played_alone(tmp_path):
    text = """
from jatlab.agents.rollout import RandomAgent
from jatlab.tasks import Task, register
from tests.support.little_tasks import Little
GRID, PUSH = "own-one", "own-two"
for name in (GRID, PUSH):
    facts = ("own", None, None, "continuous", 3, "continuous", 2)
    register(Task(name, *facts), lambda task, render_mode=None: Little(task))
play(RandomAgent())
"""
    said, warned = run(["-c", SETTING + text], tmp_path)
    assert said == ["began", RETURNS]
    assert "ValueError: unknown task 'own-" in warned and ALONE in warned
