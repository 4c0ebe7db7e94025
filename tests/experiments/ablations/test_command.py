"""`jatlab ablate`: runs are made once, kept, and shared by ablations."""

import json
from dataclasses import replace

import pytest

from jatlab.experiments.ablations import Ablation, ablate, command, load, run_point, to_recall
from jatlab.experiments.ablations.questions import ABLATIONS
from jatlab.experiments.ablations.tasks import RECALL_STEPS
from jatlab.experiments.ablations.variants import RECORDINGS

QUICK = (replace(to_recall("dual", 8), steps=2), replace(to_recall("local", 4), steps=2))


@pytest.fixture
def quick(monkeypatch):
    """An ablation of seconds, called "quick"."""
    monkeypatch.setitem(ABLATIONS, "quick", Ablation("quick", "Does it run?", QUICK, (0, 1)))
    monkeypatch.setitem(RECORDINGS, "recall", (8, 0.0))
    return "quick"


def times(folder):
    """When each file of a folder was written."""
    return {path: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.slow
def test_runs_are_made_once_and_summed_up(quick, tmp_path, capsys):
    results = ablate(quick, tmp_path, episodes=2)
    runs = results["runs"]
    made = [(variant.name, seed) for seed in (0, 1) for variant in QUICK]
    assert [(run["variant"], run["seed"]) for run in runs] == made
    assert all(len(run["tasks"]["recall"]["by_age"]) == RECALL_STEPS for run in runs)
    assert all(run["steps"] == 2 for run in runs)
    assert capsys.readouterr().out.count("recall") == 4
    scores = results["summary"]["recall"][QUICK[0].name]
    assert scores["runs"] == [run["tasks"]["recall"]["mean"] for run in runs[::2]]
    assert scores["interval_over"] == "runs"
    assert load(quick, tmp_path) == json.loads(json.dumps(results))
    before = times(tmp_path / "runs")
    again = ablate(quick, tmp_path, episodes=2, progress=False)
    assert times(tmp_path / "runs") == before and len(before) == 4
    assert again["summary"] == results["summary"]


@pytest.mark.slow
def test_variants_of_different_names_share_a_run(quick, tmp_path, monkeypatch):
    ablate(quick, tmp_path, seeds=(0,), episodes=1, progress=False)
    monkeypatch.setattr(command, "run_point", lambda *_, **__: pytest.fail("made again"))
    renamed = replace(QUICK[0], name="another name", value=7.0)
    assert command.saved_run(renamed, 0, 1, tmp_path)["variant"] == "another name"
    with pytest.raises(pytest.fail.Exception):
        command.saved_run(replace(renamed, steps=3), 0, 1, tmp_path)


def test_a_run_depends_on_its_recordings_and_first_agent(quick, tmp_path, monkeypatch):
    made = []

    def run(variant, *_):
        made.append(variant.start)
        return {"tasks": {}}

    monkeypatch.setattr(command, "run_point", run)
    monkeypatch.setattr(command, "fingerprint", lambda agent: f"weights of {agent}")
    tuned, random = (replace(QUICK[0], start=start) for start in ("jatlab-mini", "nothing"))
    for _ in range(2):
        for variant in (QUICK[0], tuned, random):
            command.saved_run(variant, 0, 1, tmp_path)
    assert made == [None, "jatlab-mini", "nothing"]
    monkeypatch.setattr(command, "fingerprint", lambda agent: f"other weights of {agent}")
    command.saved_run(tuned, 0, 1, tmp_path)
    monkeypatch.setitem(RECORDINGS, "recall", (9, 0.0))
    command.saved_run(QUICK[0], 0, 1, tmp_path)
    assert made[3:] == ["jatlab-mini", None]


@pytest.mark.slow
def test_one_run_has_an_interval_over_episodes(quick, tmp_path):
    results = ablate(quick, tmp_path, seeds=(0,), episodes=2, progress=False)
    assert {s["interval_over"] for s in results["summary"]["recall"].values()} == {"episodes"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(quick, tmp_path):
    one, two = (run_point(QUICK[0], seed=3, episodes=1, data=tmp_path)["tasks"] for _ in range(2))
    assert one == two


def test_wrong_requests_are_named(tmp_path):
    with pytest.raises(ValueError, match="unknown ablation 'kapa'; there are observation-loss"):
        ablate("kapa", tmp_path)
    with pytest.raises(ValueError, match="at least one seed"):
        ablate("memory", tmp_path, seeds=())
    for wrong in ({"steps": 0}, {"episodes": 0}, {"steps": -5}, {"steps": 2.5}):
        [(name, value)] = wrong.items()
        named = f"{name} is {value}: expected a whole number of at least 1"
        with pytest.raises(ValueError, match=named):
            ablate("memory", tmp_path, **wrong)
    with pytest.raises(ValueError, match="a seed is -1: expected a whole number of at least 0"):
        ablate("memory", tmp_path, seeds=(0, -1))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="jatlab ablate memory"):
        load("memory", tmp_path)


@pytest.mark.slow
def test_some_variants_are_made_and_the_others_kept(quick, tmp_path, monkeypatch):
    monkeypatch.setattr("jatlab.experiments.ablations.results.SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(command, "SHIPPED", tmp_path / "shipped")
    whole = ablate(quick, tmp_path, seeds=(0,), episodes=1, install=True, progress=False)
    first, second = (variant.name for variant in QUICK)
    again = ablate(quick, tmp_path, seeds=(0, 1), episodes=2, progress=False, only=[f"{second}*"])
    made = [(run["variant"], run["seed"]) for run in again["runs"]]
    assert made == [(first, 0), (second, 0), (second, 1)] and again["seeds"] == [0, 1]
    assert again["runs"][0] == whole["runs"][0]
    assert again["summary"]["recall"][second]["interval_over"] == "runs"
    with pytest.raises(ValueError, match="no variant is called 'x'; there are "):
        ablate(quick, tmp_path, only=["x"])


def test_nothing_is_kept_where_nothing_ships(quick, tmp_path, monkeypatch):
    played = {"minutes": 0, "tasks": {"recall": {"mean": 0.5, "scores": [0.5]}}}
    monkeypatch.setattr(
        command, "run_point", lambda one, seed, *_: {"variant": one.name, "seed": seed, **played}
    )
    results = ablate(quick, tmp_path, seeds=(3,), episodes=1, progress=False, only=[QUICK[1].name])
    assert [run["variant"] for run in results["runs"]] == [QUICK[1].name]
    assert [variant["name"] for variant in results["variants"]] == [QUICK[1].name]


def test_steps_take_the_place_of_a_variant_s_own(quick, tmp_path, monkeypatch):
    made = []

    def run(variant, seed, *_):
        made.append((variant.steps, variant.minutes))
        played = {"recall": {"mean": 0.5, "scores": [0.5]}}
        return {"variant": variant.name, "seed": seed, "minutes": 0, "tasks": played}

    monkeypatch.setattr(command, "run_point", run)
    timed = (replace(QUICK[0], minutes=3.0), QUICK[1])
    monkeypatch.setitem(ABLATIONS, "quick", Ablation("quick", "Does it run?", timed, (0,)))
    for steps in (None, 1):
        ablate(quick, tmp_path, episodes=1, progress=False, steps=steps)
    assert made == [(2, 3.0), (2, None), (1, None), (1, None)]
