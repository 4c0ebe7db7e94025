"""jatlab-mini's recipe: what it promises to learn, and the whole of it once, shortened."""

import json

import pytest

import jatlab
from jatlab.agents.checkpoints import SHIPPED
from jatlab.cli import main
from jatlab.evaluation.evaluate import evaluate
from jatlab.evaluation.records import identity
from jatlab.experiments.recipes import mini
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task

SURE = ("babyai-open-red-door", "metaworld-drawer-close", "mujoco-swimmer", "atari-freeway")


def test_what_it_learns():
    names = mini.all_tasks()
    domains = [get_task(name).domain for name in names]
    assert len(set(names)) == len(names)
    assert {d: domains.count(d) for d in set(domains)} == {
        "babyai": 39,
        "metaworld": 50,
        "mujoco": 11,
        "atari": 8,
        "text": 1,
        "vision": 2,
    }


def test_domains_have_their_shares_of_the_turns():
    weights = mini.sampling_weights(mini.all_tasks())
    assert sum(weights.values()) == pytest.approx(len(weights))
    share = sum(weight for name, weight in weights.items() if name.startswith("babyai")) / len(
        weights
    )
    assert share == pytest.approx(mini.SHARES["babyai"])
    assert sum(mini.SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "name", ["babyai-go-to-local", "babyai-key-corridor", "metaworld-reach", "mujoco-ant"]
)
def test_enough_episodes_for_the_timesteps(name):
    length = jatlab.tasks.scores.task_scores(name).teacher.length
    excess = mini.episodes(name) * length - mini.TIMESTEPS[get_task(name).domain]
    assert 0 <= excess < length if length > 15 else mini.episodes(name) == mini.MAX_EPISODES


def test_a_teacher_that_was_never_measured_is_named():
    with pytest.raises(ValueError, match="teacher of atari-venture"):
        mini.episodes("atari-venture")


def test_it_is_small():
    assert sum(p.numel() for p in JatModel(JatConfig.preset("mini")).parameters()) <= 10_000_000


def test_the_agent_that_ships():
    """Small enough, evaluated on every task it was shown, and its card says what its report does."""
    folder = SHIPPED / "jatlab-mini"
    agent, results = (
        jatlab.load_agent("jatlab-mini"),
        json.loads((folder / "report.json").read_text()),
    )
    assert sum(p.numel() for p in agent.model.parameters()) <= 10_000_000
    assert (folder / "model.safetensors").stat().st_size < 21e6
    assert results["agent"]["fingerprint"] == identity(agent)["fingerprint"]
    assert (
        results["settings"]["temperature"] == agent.temperature
    )  # evaluated again, it plays as it did
    assert (
        set(results["tasks"]) | set(results["language"]) == set(mini.all_tasks())
        and not results["failed"]
    )
    assert all(
        len(task["returns"]) >= mini.EPISODES and min(task["seeds"]) >= 1_000_000
        for task in results["tasks"].values()
    )
    card = (folder / "README.md").read_text()
    for domain in ("babyai", "metaworld", "mujoco", "atari"):
        found = results["domains"][domain]["by_teacher"]
        assert f"mean | {found['mean']:.2f} [" in card and found["tasks"] == [
            name for name in results["tasks"] if name.startswith(domain)
        ]


@pytest.mark.parametrize("task", SURE)
def test_it_plays_as_reported(task):
    """Two episodes of what it was evaluated on, in tasks that it does well; floors are half of its
    reported score.
    """
    reported = json.loads((SHIPPED / "jatlab-mini" / "report.json").read_text())["tasks"][task][
        "by_teacher"
    ]["mean"]
    scores = evaluate(jatlab.load_agent("jatlab-mini"), task, 2, progress=False)["tasks"][task][
        "by_teacher"
    ]
    assert scores["mean"] > reported / 2 > 0.2


def test_who_falls_early_plays_more_episodes(monkeypatch, tmp_path):
    """Ten timesteps an episode in place of the teacher's thousand: a second round asks for what is
    missing, with other seeds; who lasts is not asked again.
    """
    asked = []

    def relabel(agent, tasks, data, counts, workers, seed=50_000, max_steps=None):
        asked.append((seed, dict(counts)))
        return {
            name: count * (10 if name == "mujoco-walker" else 1000)
            for name, count in counts.items()
        }

    monkeypatch.setattr("jatlab.training.dagger.relabel", relabel)
    mini.relabel_all(["mujoco-walker", "mujoco-swimmer", "python-docs"], tmp_path, tmp_path, 0)
    (first, counts), (second, more) = asked
    assert first == 50_000 and set(counts) == {"mujoco-walker", "mujoco-swimmer"}
    assert second == 50_000 + mini.MAX_RELABELLED_EPISODES and set(more) == {"mujoco-walker"}
    wanted = mini.RELABELLED_TIMESTEPS["mujoco"] - 10 * counts["mujoco-walker"]
    assert more["mujoco-walker"] == min(wanted / 10, mini.MAX_RELABELLED_EPISODES)


@pytest.mark.slow
def test_the_whole_recipe_shortened(tmp_path, capsys):
    """Every stage on one task of each kind; a second call does nothing again."""
    command = ["mini", "--quick", "--output", str(tmp_path)]
    assert main(command) == 0
    results = json.loads((tmp_path / "report" / "report.json").read_text())
    played = {*results["tasks"], *results["language"]}
    assert played == set(mini.QUICK)
    assert not results["failed"]
    assert [jatlab.load_agent(tmp_path / name).info["step"] for name in ("imitation", "agent")] == [
        14,
        14,
    ]
    corrected = {
        path.parent.parent.name for path in tmp_path.glob("data/*/train/relabelled-*.parquet")
    }
    assert corrected == set(results["tasks"])  # every task that is played
    assert jatlab.load_agent(tmp_path / "agent").info["recipe"]["start"] == str(
        tmp_path / "imitation"
    )
    written = (tmp_path / "agent" / "model.safetensors").stat().st_mtime_ns
    assert main(command) == 0
    assert "is trained already" in capsys.readouterr().out
    assert (tmp_path / "agent" / "model.safetensors").stat().st_mtime_ns == written
