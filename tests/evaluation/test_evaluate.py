"""Many tasks: results, workers, failures, and going on after a stop."""

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import jatlab
from jatlab.evaluation.evaluate import evaluate, expected_cost
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.tasks import task_names
from tests.evaluation.seed_env import (
    MANY,
    TASK,
    Recorder,
    SeedEnv,
    make,
    make_some_fail,
    register_seeds,
)
from tests.support import ROOT
from tests.support.helpers import group_is_alive, wait_for


def run(tasks=TASK, agent=None, **options):
    settings = {"episodes": 6, "envs": 3, "make": make, "progress": False, **options}
    return evaluate(agent or Recorder(), tasks, **settings)


@pytest.mark.parametrize("workers", [-3, 2.5, "2"])
def test_workers_must_be_a_number_of_processes(workers):
    with pytest.raises(ValueError, match=f"workers is {workers!r}: expected a whole number of at"):
        run(workers=workers)


def test_results_hold_returns_by_seed_and_survive_json():
    results = run()
    task = results["tasks"][TASK]
    assert task["seeds"] == list(range(FIRST_SEED, FIRST_SEED + 6))
    assert [int(value) for value in task["returns"]] == [0, 1, 2, 3, 4, 5]
    assert task["return"]["mean"] == pytest.approx(np.mean(task["returns"]))
    assert task["return"]["interval"][0] <= task["return"]["mean"] <= task["return"]["interval"][1]
    assert task["success"]["rate"] == pytest.approx(2 / 6)
    assert results["settings"]["episodes"] == 6 and results["agent"]["name"] == "recorder"
    assert {"command", "date", "versions", "seconds"} <= results.keys()
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_the_command_of_the_results_is_a_call_that_exists():
    assert run(greedy=True)["command"] == (
        f"jatlab.evaluate(agent, ['{TASK}'], episodes=6, envs=3, greedy=True)"
    )
    assert jatlab.evaluate is evaluate


def test_a_task_without_scores_is_left_out_of_averages_and_named():
    results = run()
    assert results["tasks"][TASK]["by_teacher"] == {"left_out": "no measured teacher"}
    average = results["domains"]["evaluation"]["by_expert"]
    assert average["left_out"] == {TASK: "no published expert"}
    assert average["mean"] is None and average["tasks"] == []


def test_a_stopped_run_goes_on_with_the_tasks_that_are_missing(tmp_path):
    other = register_seeds("evaluation-more")

    def stop(name, video):
        if name == other:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^stopped; .*tasks has 1 of 2 tasks\. The same"):
        run([TASK, other], output=tmp_path, on_task=stop)
    assert [entry.name for entry in (tmp_path / "tasks").iterdir()] == [f"{TASK}.json"]
    SeedEnv.resets, played = [], []
    results = run([TASK, other], output=tmp_path, on_task=lambda name, video: played.append(name))
    assert played == [other] and len(SeedEnv.resets) == 6
    assert list(results["tasks"]) == [TASK, other]


def test_videos_are_handed_over_task_by_task():
    videos = {}
    run(videos=True, on_task=videos.__setitem__)
    assert len(videos[TASK].frames) == 2  # seed 1,000,000 lasts one step
    run(on_task=videos.__setitem__)
    assert videos[TASK] is None


def test_worker_processes_give_the_same_results():
    more = register_seeds("evaluation-worker")
    alone, together = run([TASK, more]), run([TASK, more], workers=2, videos=True)
    assert together["tasks"] == alone["tasks"] and list(together["tasks"]) == [TASK, more]


@pytest.mark.parametrize(
    "options, says",
    [
        ({"tasks": "babyai-go-to-lokal"}, "babyai-go-to-local"),
        ({"tasks": []}, "no tasks to evaluate"),
        ({"episodes": 0}, "episodes is 0"),
        ({"envs": 0}, "envs is 0"),
        ({"seed": 5}, "recorded with smaller seeds"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"max_steps": 0}, "max_steps is 0"),
    ],
)
def test_bad_settings_are_clear_errors(options, says):
    with pytest.raises(ValueError, match=says):
        run(**options)


# --- many tasks


@pytest.mark.slow
@pytest.mark.parametrize("workers, dead", [(1, []), (2, [MANY[3]])])
def test_a_task_that_fails_does_not_stop_the_others(tmp_path, workers, dead):
    results = run(MANY, output=tmp_path, make=make_some_fail, workers=workers)
    failed = results["failed"]
    assert set(failed) == {MANY[1], MANY[2], *dead}
    diverged = f"ValueError: seed {FIRST_SEED}: the return is nan; a reward was NaN or infinite"
    assert failed[MANY[1]] == diverged
    assert failed[MANY[2]] == f"ImportError: task {MANY[2]} needs the package 'atlantis'"
    assert all("killed (exit code -9)" in failed[name] for name in dead)
    kept = [name for name in MANY if name not in failed]
    assert list(results["tasks"]) == kept and results["domains"]["evaluation"]["tasks"] == kept
    again = run(MANY, output=tmp_path)  # what failed is played again, and nothing else
    assert again["failed"] == {} and list(again["tasks"]) == MANY
    assert {name: again["tasks"][name] for name in kept} == results["tasks"]


def test_when_nothing_can_be_played_the_error_is_raised():
    with pytest.raises(ImportError, match="atlantis"):
        run(MANY[2], make=make_some_fail)


def test_the_longest_tasks_are_played_first():
    names = ["babyai-go-to-obj", "atari-pong", "metaworld-reach", "atari-solaris", TASK]
    longest_first = ["atari-solaris", "atari-pong", "metaworld-reach", "babyai-go-to-obj", TASK]
    assert sorted(names, key=expected_cost, reverse=True) == longest_first


SCRIPT = """
import sys
from tests.evaluation.seed_env import MANY, Recorder, make_slow
from jatlab.evaluation.evaluate import evaluate
if __name__ == "__main__":
    settings = dict(envs=2, workers=2, make=make_slow, progress=False)
    evaluate(Recorder(), MANY, 4, output=sys.argv[1], **settings)
"""


@pytest.mark.slow
def test_the_same_command_goes_on_after_a_kill(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")]

    def records():
        return sorted((tmp_path / "out" / "tasks").glob("*.json"))

    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, start_new_session=True, env=environment)
    wait_for(records)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not group_is_alive(process.pid))  # the workers notice the parent's end
    done = {path: path.stat().st_mtime_ns for path in records()}
    assert 1 <= len(done) < len(MANY)
    subprocess.run(command, check=True, timeout=120, env=environment)
    assert len(records()) == len(MANY)
    assert {path: path.stat().st_mtime_ns for path in done} == done  # not played again
    assert run(MANY, output=tmp_path / "out", episodes=4)["tasks"] == run(MANY, episodes=4)["tasks"]


def test_text_and_picture_tasks_go_to_their_own_scores(monkeypatch):
    import torch

    asked = {}
    scores = {
        "perplexity": 12.5,
        "interval": [12.0, 13.0],
        "unigram": 300.0,
        "tokens": 999,
        "documents": 7,
    }

    def language_scores(agent, names, data):
        asked.update(names=names, data=data)
        return dict.fromkeys(names, scores)

    module = types.SimpleNamespace(language_scores=language_scores)
    monkeypatch.setitem(sys.modules, "jatlab.evaluation.language", module)
    agent = Recorder()
    agent.model = torch.nn.Linear(1, 1)
    results = run([TASK, "python-docs"], agent, data="elsewhere")
    assert asked == {"names": ["python-docs"], "data": Path("elsewhere")}
    assert list(results["tasks"]) == [TASK]
    assert results["language"]["python-docs"]["perplexity"] == 12.5
    alone = run("python-docs", agent)
    assert alone["tasks"] == {} and alone["settings"]["episodes"] == 6
    failed = run([TASK, "python-docs"])["failed"]
    assert failed["python-docs"].startswith("ValueError: Recorder has no model")


@pytest.mark.slow
@pytest.mark.parametrize("name", task_names("mujoco"))
def test_an_untrained_agent_comes_through_every_simulation(name):
    from jatlab.agents.agent import Agent

    steps = 1000 if name == "mujoco-ant" else 100
    results = evaluate(Agent.untrained("nano"), name, 1, max_steps=steps, progress=False)
    task = results["tasks"][name]
    assert results["failed"] == {}
    assert np.isfinite(task["returns"]).all() and 1 <= task["lengths"][0] <= steps
