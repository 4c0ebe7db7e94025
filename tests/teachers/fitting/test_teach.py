"""`jatlab teach` from the command to a controller, stopped and resumed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jatlab.cli import main
from jatlab.teachers.controller import load_controller, read_controller
from jatlab.teachers.fitting import recipes
from jatlab.teachers.fitting.ars import Ars, ArsSettings
from jatlab.teachers.fitting.ppo import PpoSettings
from jatlab.teachers.fitting.recipes import Recipe, recipe_of
from jatlab.teachers.fitting.teach import SearchRun, teach
from jatlab.teachers.policy import Policy

SMALL = PpoSettings(envs=2, steps=60, hidden=(8,), passes=2, minibatch=64)
SHORT = {"rounds": 4, "minutes": 0.1, "check_every": 2, "check_episodes": 2}
TINY = {
    "mujoco-reacher": Recipe(SMALL, **SHORT),
    "mujoco-pendulum": Recipe(ArsSettings(directions=2, best=1), **SHORT),
    "atari-breakout": Recipe(replace(SMALL, entropy=0.01), **SHORT),
}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(recipes, "RECIPES", TINY)


def test_from_the_command_to_a_controller_that_acts(tiny, tmp_path, monkeypatch, capsys):
    package = tmp_path / "package"
    monkeypatch.setattr("jatlab.teachers.fitting.teach.FOLDER", package)
    assert main(["teach", "mujoco-reacher", "--output", str(tmp_path / "out"), "--install"]) == 0
    printed = capsys.readouterr().out
    announced = (
        "proximal policy optimisation of a small network, 4 rounds; "
        "all 4 take about 0.1 minutes of one core"
    )
    assert announced in printed and str(package) in printed
    controller = load_controller("mujoco-reacher", package / "mujoco-reacher.safetensors")
    assert controller(np.zeros(11, np.float32)).shape == (2,)
    log = tmp_path / "out" / "mujoco-reacher" / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["rounds"] for line in lines] == [2, 4]
    assert lines[-1]["steps"] == 4 * 2 * 60
    assert lines[0]["minutes"] <= lines[1]["minutes"]
    about = read_controller(package / "mujoco-reacher.safetensors")[1]
    best = max(line["check"] for line in lines)
    assert float(about["check"]) == pytest.approx(best, abs=0.1)
    assert about["task"] == "mujoco-reacher"


@pytest.mark.slow
@pytest.mark.parametrize("task", TINY)
def test_stopped_and_resumed_is_the_same_as_never_stopped(task, tiny, tmp_path, monkeypatch):
    whole = teach(task, tmp_path / "whole", progress=False)
    kind = type(recipe_of(task).make(task, 0))
    play = kind.round

    def stopped(search):
        if search.rounds == 3:
            raise KeyboardInterrupt
        return play(search)

    monkeypatch.setattr(kind, "round", stopped)
    with pytest.raises(KeyboardInterrupt, match="stopped after 3 rounds; the same command goes on"):
        teach(task, tmp_path / "parts", progress=False)
    monkeypatch.setattr(kind, "round", play)
    parts = teach(task, tmp_path / "parts", progress=False)
    states = [path.with_name("state.safetensors") for path in (whole, parts)]
    one, other = (read_controller(path)[0] for path in states)
    assert set(one) == set(other) and one["rounds"] == 4
    for name in set(one) - {"progress"}:  # sums differ in the last bits, as memory is aligned
        close = np.allclose(one[name], other[name], rtol=1e-3, atol=1e-6, equal_nan=True)
        assert close, name
    (one, about), (other, about_other) = read_controller(whole), read_controller(parts)
    assert about == about_other
    assert all(np.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_a_killed_search_goes_on_from_its_last_save(tiny, tmp_path, monkeypatch):
    """Killed means that nothing runs any more, the last save neither."""
    save, play = SearchRun.save, Ars.round

    def killed(search):
        if search.rounds == 3:
            monkeypatch.setattr(SearchRun, "save", lambda run: None)
            raise SystemExit
        return play(search)

    monkeypatch.setattr(Ars, "round", killed)
    with pytest.raises(SystemExit):
        teach("mujoco-pendulum", tmp_path, progress=False)
    monkeypatch.setattr(SearchRun, "save", save)
    counted = []
    monkeypatch.setattr(Ars, "round", lambda search: counted.append(search.rounds) or play(search))
    teach("mujoco-pendulum", tmp_path, progress=False)
    assert counted == [2, 3]  # saved at the check after two rounds


def test_a_finished_search_is_not_repeated_a_longer_one_goes_on(tiny, tmp_path, monkeypatch):
    teach("mujoco-pendulum", tmp_path, rounds=2, progress=False)
    counted, play = [], Ars.round
    monkeypatch.setattr(Ars, "round", lambda search: counted.append(search.rounds) or play(search))
    teach("mujoco-pendulum", tmp_path, rounds=2, progress=False)
    assert counted == []
    teach("mujoco-pendulum", tmp_path, rounds=3, progress=False)
    assert counted == [2]


def test_mistakes_are_refused(tiny, tmp_path):
    known = "there is one for mujoco-reacher, mujoco-pendulum"
    with pytest.raises(ValueError, match=f"there is no recipe for babyai-go-to-obj; {known}"):
        teach("babyai-go-to-obj", tmp_path)
    with pytest.raises(ValueError, match="did you mean mujoco-pendulum"):
        teach("mujoco-pendulom", tmp_path)
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        teach("mujoco-pendulum", tmp_path, rounds=0)
    teach("mujoco-pendulum", tmp_path, rounds=1, progress=False)
    message = "is a search with seed = 0, now it is 1; choose another --output"
    with pytest.raises(ValueError, match=message):
        teach("mujoco-pendulum", tmp_path, seed=1, progress=False)
    state = tmp_path / "mujoco-pendulum" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(ValueError, match="is not a controller that can be read"):
        teach("mujoco-pendulum", tmp_path, progress=False)


@pytest.mark.slow
def test_the_policy_a_search_would_keep_fits_its_task():
    for task in TINY:
        assert isinstance(Policy(recipe_of(task).make(task, 0).tensors()), Policy)
