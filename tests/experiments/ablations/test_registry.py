"""Ablations: what a run is made of, that runs are kept and shared, and what is made of their
scores.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from jatlab.data.recording.playing import EpisodePlayer
from jatlab.experiments.ablations import registry as ablations
from jatlab.experiments.ablations import runs as ablation_runs
from jatlab.experiments.ablations.registry import (
    ABLATIONS,
    Ablation,
    Variant,
    ablate,
    assemble,
    costs,
    difference,
    differences,
    load,
    reach_of,
    run_point,
    student_interval,
    to_recall,
    with_kappa,
    with_layers,
)
from jatlab.experiments.ablations.tasks import RECALL_STEPS, register_all, score
from jatlab.model.config import JatConfig
from jatlab.tasks import make_env, normalise

QUICK = (replace(to_recall("dual", 8), steps=2), replace(to_recall("local", 4), steps=2))


@pytest.fixture
def quick(monkeypatch):
    """An ablation of seconds, called "quick"."""
    monkeypatch.setitem(ABLATIONS, "quick", Ablation("quick", "Does it run?", QUICK, (0, 1)))
    monkeypatch.setitem(ablation_runs.RECORDINGS, "recall", (8, 0.0))
    return "quick"


def test_runs_are_made_once_and_summed_up(quick, tmp_path, capsys):
    results = ablate(quick, tmp_path, episodes=2)
    assert [(run["variant"], run["seed"]) for run in results["runs"]] == [
        (v.name, seed) for seed in (0, 1) for v in QUICK
    ]
    assert all(
        len(run["tasks"]["recall"]["by_age"]) == RECALL_STEPS and run["steps"] == 2
        for run in results["runs"]
    )
    assert capsys.readouterr().out.count("recall") == 4
    scores = results["summary"]["recall"][QUICK[0].name]
    assert (
        scores["runs"] == [run["tasks"]["recall"]["mean"] for run in results["runs"][::2]]
        and scores["interval_over"] == "runs"
    )
    assert load(quick, tmp_path) == json.loads(json.dumps(results))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    again = ablate(quick, tmp_path, episodes=2, progress=False)
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()
    } == files and len(files) == 4
    assert again["summary"] == results["summary"]


def test_a_run_is_shared_by_variants_that_are_called_differently(quick, tmp_path, monkeypatch):
    ablate(quick, tmp_path, seeds=(0,), episodes=1, progress=False)
    monkeypatch.setattr(ablations, "run_point", lambda *_, **__: pytest.fail("made again"))
    renamed = replace(QUICK[0], name="another name", value=7.0)
    assert ablations._saved_run(renamed, 0, 1, tmp_path)["variant"] == "another name"
    with pytest.raises(pytest.fail.Exception):
        ablations._saved_run(replace(renamed, steps=3), 0, 1, tmp_path)


def test_a_run_knows_its_demonstrations_and_the_agent_it_began_with(quick, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        ablations, "run_point", lambda variant, *_: made.append(variant.start) or {"tasks": {}}
    )
    monkeypatch.setattr(ablations, "_fingerprint", lambda agent: f"weights of {agent}")
    tuned, random = (replace(QUICK[0], start=start) for start in ("jatlab-mini", "nothing"))
    for _ in range(2):
        for variant in (QUICK[0], tuned, random):
            ablations._saved_run(variant, 0, 1, tmp_path)
    assert made == [None, "jatlab-mini", "nothing"]
    monkeypatch.setattr(ablations, "_fingerprint", lambda agent: f"other weights of {agent}")
    ablations._saved_run(tuned, 0, 1, tmp_path)
    monkeypatch.setitem(ablation_runs.RECORDINGS, "recall", (9, 0.0))
    ablations._saved_run(QUICK[0], 0, 1, tmp_path)
    assert made[3:] == ["jatlab-mini", None]


def test_one_run_has_an_interval_over_episodes(quick, tmp_path):
    results = ablate(quick, tmp_path, seeds=(0,), episodes=2, progress=False)
    assert {s["interval_over"] for s in results["summary"]["recall"].values()} == {"episodes"}


def test_the_same_seed_gives_the_same_run(quick, tmp_path):
    one, two = (run_point(QUICK[0], seed=3, episodes=1, data=tmp_path)["tasks"] for _ in range(2))
    assert one == two


def test_wrong_requests_are_named(tmp_path):
    with pytest.raises(ValueError, match="unknown ablation 'kapa'; there are observation-loss"):
        ablate("kapa", tmp_path)
    with pytest.raises(ValueError, match="at least one seed"):
        ablate("memory", tmp_path, seeds=())
    with pytest.raises(FileNotFoundError, match="jatlab ablate memory"):
        load("memory", tmp_path)


def test_variants_change_what_they_say():
    kappa = with_kappa(0.2)
    config = JatConfig.preset("nano", **ablations.recipe(kappa, 0, "data", "out").model)
    assert (config.observation_loss_coef, config.action_loss_coef, config.hidden_size) == (
        0.2,
        0.8,
        96,
    )
    layers = JatConfig.preset(
        "nano", **ablations.recipe(with_layers("local", 8), 0, "data", "out").model
    )
    assert layers.attention_layers == ["local"] * 4 and layers.window_size == 8
    for ablation in ABLATIONS.values():
        assert len({variant.name for variant in ablation.variants}) == len(ablation.variants)


def test_published_kappa_comes_first():
    assert ABLATIONS["observation-loss"].variants[0].value == JatConfig().observation_loss_coef


@pytest.mark.parametrize(
    ("kind", "window", "reach"),
    [("local", 8, 12), ("local", 4, 4), ("local", 2, 0), ("dual", 2, 63), ("global", 8, 63)],
)
def test_reach(kind, window, reach):
    assert reach_of(JatConfig.preset("nano", **with_layers(kind, window).model)) == reach


def test_nothing_beyond_the_reach_of_local_layers_changes_an_observation():
    """The count is right: change the first observation, and see how far it is felt."""
    import torch

    from jatlab.model import JatModel

    torch.manual_seed(0)
    config = JatConfig.preset("nano", **ablations.recipe(to_recall("local", 8), 0, "d", "o").model)
    model = JatModel(config).eval()
    inputs = {
        "discrete_actions": torch.zeros(1, 32, dtype=torch.long),
        "rewards": torch.zeros(1, 32),
    }
    first = torch.zeros(1, 32, 5)
    second = first.clone()
    second[0, 0, 1] = 1
    with torch.no_grad():
        one, two = (
            model(continuous_observations=x, return_loss=False, **inputs).last_hidden_state[0, ::2]
            for x in (first, second)
        )
    felt = (one - two).abs().amax(-1) > 1e-7
    assert felt.nonzero().max() == reach_of(config) == 12


def test_student_s_interval():
    assert student_interval([0.7, 0.8, 0.9]) == pytest.approx(
        (0.5516, 1.0484), abs=1e-4
    )  # 0.8 ± 4.303 * 0.1 / sqrt(3)
    with pytest.raises(ValueError, match="2 to 10"):
        student_interval([0.5])


def test_differences_are_taken_seed_by_seed():
    mean, (low, high) = difference([0.1, 0.5, 0.9], [0.2, 0.6, 1.0])
    assert mean == pytest.approx(0.1) and high - low < 1e-9
    with pytest.raises(ValueError, match="pair up"):
        difference([0.1], [0.1, 0.2])


def test_student_s_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = [
        low < 0 < high for low, high in (student_interval(rng.normal(size=3)) for _ in range(2000))
    ]
    assert 0.93 < np.mean(held) < 0.97


def results_of(means, tasks=("a",)):
    """Results whose variants "v0", "v1" … have these means of runs; each its own task, if there are
    several tasks.
    """
    runs = [
        {"variant": f"v{number}", "seed": seed, "minutes": 0, "tasks": {tasks[number % len(tasks)]: {"mean": mean, "scores": [mean - 0.1, mean, mean + 0.1]}}}
        for number, some in enumerate(means) for seed, mean in enumerate(some)
    ]  # fmt: skip
    return {"summary": ablations.summary(runs), "runs": runs}


def test_differences_say_what_can_be_told_apart():
    lines = differences(
        results_of([[0.5, 0.6, 0.7], [0.8, 0.9, 1.01], [0.4, 0.6, 0.8], [0.1, 0.2, 0.31]])
    )
    assert [line.rpartition(": ")[2] for line in lines] == [
        "better",
        "cannot be told apart",
        "worse",
    ]
    assert lines[0].startswith("a: v1 +0.30 [")


def test_one_run_each_is_compared_episode_by_episode():
    [line] = differences(results_of([[0.5], [0.7]]))
    assert "+0.20 [+0.20, +0.20]" in line


def test_variants_with_tasks_of_their_own_are_compared():
    assert len(differences(results_of([[0.5], [0.7]], tasks=("a", "b")))) == 1


def test_costs_are_means_over_runs():
    runs = [
        {
            "variant": "a",
            "training_minutes": m,
            "timesteps": 100,
            "parameters": 2_000_000,
            "act_milliseconds": 3.0,
        }
        for m in (1.0, 2.0)
    ]
    assert costs({"variants": [{"name": "a"}], "runs": runs}) == {
        "a": {
            "training_minutes": 1.5,
            "timesteps": 100.0,
            "act_milliseconds": 3.0,
            "megabytes": 8.0,
        }
    }


def test_recall_is_solved_by_its_teacher_and_by_nobody_else():
    register_all()
    outcome, episode = EpisodePlayer("recall").play(seed=5, timeout=10)
    assert outcome.total == RECALL_STEPS == outcome.length
    assert (
        episode["continuous_observations"][0, :4].sum() == 1
        and episode["continuous_observations"][1:, :4].sum() == 0
    )
    assert len(set(episode["discrete_actions"])) == 1
    assert score("recall", [RECALL_STEPS, RECALL_STEPS / 4]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("task", "steps"), [("reach-by-2", 200), ("reach-every-4", 25), ("reach-every-8", 13)]
)
def test_finer_and_coarser_time_is_the_same_task(task, steps):
    register_all()
    outcome, _ = EpisodePlayer(task).play(seed=1, timeout=60)
    assert outcome.length == steps and outcome.success
    assert score(task, [outcome.total])[0] == normalise("metaworld-reach", [outcome.total])[0] > 0.9


@pytest.mark.parametrize("frames", [2, 8])
def test_an_atari_game_with_other_decisions_is_the_same_game(frames):
    """As many frames of it pass, its memory is known four frames back, and its teacher still plays
    far above random (247).
    """
    register_all()
    task = f"mspacman-{frames}-frames"
    outcome, episode = EpisodePlayer(task).play(seed=3, timeout=60)
    assert outcome.total > 500 and episode["image_observations"].shape[1:] == (4, 84, 84)
    assert score(task, [outcome.total])[0] == normalise("atari-mspacman", [outcome.total])[0]
    env = make_env(task, render_mode=None)
    env.reset(seed=0)
    before = env.unwrapped.ale.getFrameNumber()
    env.step(0)
    assert env.unwrapped.ale.getFrameNumber() - before == frames
    memories = env.get_wrapper_attr("memories")
    assert len(memories) == min(frames, 4) + 1 and np.array_equal(
        memories[-1], env.unwrapped.ale.getRAM()
    )


def test_reach_itself_is_as_long_as_ever():
    register_all()
    env = make_env("metaworld-reach", render_mode=None)
    env.reset(seed=0)
    ends = [env.step(np.zeros(4))[3] for _ in range(100)]
    assert ends == [False] * 99 + [True]


@pytest.mark.parametrize("name", ablations.shipped())
def test_what_ships_carries_seeds_intervals_and_versions(name):
    results = load(name)
    assert results["command"] == f"jatlab ablate {name}" and results["versions"]["torch"]
    assert len(results["runs"]) == len(results["seeds"]) * len(results["variants"])
    assert (
        assemble(
            ABLATIONS[name],
            [Variant(**v) for v in results["variants"]],
            tuple(results["seeds"]),
            results["runs"],
        )["summary"]
        == results["summary"]
    )
