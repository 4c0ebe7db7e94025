"""Tasks outside the benchmarks, and runs on them.

Their teachers are far better than chance, and see no more than their pupil.
"""

import builtins

import numpy as np
import pytest

from jatlab.data.recording.playing import EpisodePlayer
from jatlab.experiments.ablations import Variant, run_point
from jatlab.experiments.ablations import runs as ablation_runs
from jatlab.experiments.ablations.new_tasks import (
    FASTER,
    LANE_LEFT,
    LANE_RIGHT,
    NEW_TASKS,
    SLOWER,
    Driver,
    register_new_tasks,
)
from jatlab.experiments.ablations.variants import RECORDINGS
from jatlab.tasks import get_task, make_env

# mean returns of two episodes; random play has about -180, -11 and 7
FLOORS = {"lander": 200, "fetch": -8, "highway": 14}


@pytest.fixture(autouse=True)
def known():
    register_new_tasks()


@pytest.mark.slow
@pytest.mark.parametrize("task", NEW_TASKS)
def test_teachers_know_how(task):
    player = EpisodePlayer(task)
    outcomes = [player.play(seed, timeout=120)[0] for seed in (5, 6)]
    player.close()
    assert np.mean([outcome.total for outcome in outcomes]) > FLOORS[task]
    if task == "fetch":
        assert all(outcome.success for outcome in outcomes)


@pytest.mark.parametrize("task", NEW_TASKS)
def test_seeds_decide_the_episode(task):
    starts = []
    for seed in (3, 3, 4):
        env = make_env(task, render_mode=None)
        starts.append(env.reset(seed=seed)[0]["continuous_observation"])
        env.close()
    assert starts[0].shape == (get_task(task).observation_size,)
    assert (starts[0] == starts[1]).all() and (starts[0] != starts[2]).any()


def road(lane, *cars):
    """An observation: one's own lane (0 to 2), and cars (metres ahead, lanes to the right)."""
    values = np.zeros((5, 5), np.float32)
    values[0] = 1, 0, lane / 3, 0, 0
    for row, (ahead, right) in zip(values[1:], cars, strict=False):
        row[:3] = 1, ahead / 200, right / 3
    return {"continuous_observation": values.reshape(-1)}


@pytest.mark.parametrize(
    "observation, decision",
    [
        (road(1), FASTER),
        (road(1, (20, 0), (100, -1)), LANE_RIGHT),
        (road(1, (20, 0), (60, -1), (3, 1)), LANE_LEFT),
        (road(1, (20, 0), (3, -1), (-5, 1)), SLOWER),
        (road(2, (20, 0), (60, -1)), LANE_LEFT),
        (road(2, (20, 0), (15, -1)), SLOWER),
    ],
)
def test_the_driver_looks_before_changing_lanes(observation, decision):
    assert Driver().act(observation) == decision


def test_a_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **kwargs):
        if name in ("highway_env", "gymnasium_robotics"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for task, package in (("highway", "highway_env"), ("fetch", "gymnasium_robotics")):
        message = rf"{task} needs more packages .*{package}.*jatlab\[new-tasks\]"
        with pytest.raises(ImportError, match=message):
            make_env(task)


@pytest.mark.slow
def test_a_run_trains_on_from_the_shipped_agent(tmp_path, monkeypatch):
    monkeypatch.setitem(RECORDINGS, "lander", (3, 0.0))
    monkeypatch.setattr(ablation_runs, "EPISODES", 3)
    random, tuned = (
        run_point(Variant("v", ("lander",), steps=2, start=start), episodes=2, data=tmp_path)
        for start in ("nothing", "jatlab-mini")
    )
    assert random["parameters"] == tuned["parameters"]
    scores = [run["tasks"]["lander"]["scores"] for run in (random, tuned)]
    assert [len(some) for some in scores] == [2, 2] and scores[0] != scores[1]
