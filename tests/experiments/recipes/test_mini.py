"""jatlab-mini's recipe: what it promises to learn, and the whole of it once, shortened."""

import json
from collections import Counter

import pytest

import jatlab
from jatlab.agents.checkpoints import SHIPPED
from jatlab.cli import main
from jatlab.evaluation.evaluate import evaluate
from jatlab.evaluation.records import identity
from jatlab.experiments.recipes import mini
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task, task_scores

SURE = ("babyai-open-red-door", "metaworld-drawer-close", "mujoco-swimmer", "atari-freeway")


def test_what_it_learns():
    names = mini.all_tasks()
    domains = [get_task(name).domain for name in names]
    assert len(set(names)) == len(names)
    played = {"babyai": 39, "metaworld": 50, "mujoco": 11, "atari": 8}
    assert Counter(domains) == played | {"text": 1, "vision": 2}


def test_domains_have_their_shares_of_the_sampling_weights():
    weights = mini.sampling_weights(mini.all_tasks())
    assert sum(weights.values()) == pytest.approx(len(weights))
    babyai = [weight for name, weight in weights.items() if name.startswith("babyai")]
    assert sum(babyai) / len(weights) == pytest.approx(mini.SHARES["babyai"])
    assert sum(mini.SHARES.values()) == pytest.approx(1)


def test_tasks_that_want_practice_get_more_timesteps():
    """All names of `PRACTICE` are tasks of the recipe, and nobody has two numbers."""
    listed = [
        f"{domain}-{short}"
        for domain, groups in mini.PRACTICE.items()
        for names in groups.values()
        for short in names.split()
    ]
    assert len(set(listed)) == len(listed) and set(listed) <= set(mini.all_tasks())
    assert mini.wanted("mujoco-walker") == 4 * mini.wanted("mujoco-pusher")
    assert mini.wanted("babyai-pickup", {"babyai": 10}) == 20


@pytest.mark.parametrize(
    "name", ["babyai-go-to-local", "babyai-key-corridor", "metaworld-reach", "mujoco-ant"]
)
def test_enough_episodes_for_the_timesteps(name):
    length = task_scores(name).teacher.length
    excess = mini.episodes(name) * length - mini.wanted(name)
    assert 0 <= excess < length
    assert mini.episodes(name, {get_task(name).domain: 10**9}) == mini.MAX_EPISODES


def test_a_teacher_that_was_never_measured_is_named():
    with pytest.raises(ValueError, match="teacher of atari-venture"):
        mini.episodes("atari-venture")


def test_it_is_small():
    assert sum(p.numel() for p in JatModel(JatConfig.preset("mini")).parameters()) <= 10_000_000


def test_the_agent_that_ships():
    """It is small, was evaluated on every task that it learnt, and its card is true."""
    folder, agent = SHIPPED / "jatlab-mini", jatlab.load_agent("jatlab-mini")
    results = json.loads((folder / "report.json").read_text())
    assert sum(p.numel() for p in agent.model.parameters()) <= 10_000_000
    assert (folder / "model.safetensors").stat().st_size < 21e6
    assert results["agent"]["fingerprint"] == identity(agent)["fingerprint"]
    # evaluated again, it plays as it did
    assert results["settings"]["temperature"] == agent.temperature
    assert set(results["tasks"]) | set(results["language"]) == set(mini.all_tasks())
    assert not results["failed"]
    for task in results["tasks"].values():
        assert len(task["returns"]) >= mini.EPISODES and min(task["seeds"]) >= 1_000_000
    card = (folder / "README.md").read_text()
    for domain in ("babyai", "metaworld", "mujoco", "atari"):
        found = results["domains"][domain]["by_teacher"]
        names = [name for name in results["tasks"] if name.startswith(domain)]
        assert f"mean | {found['mean']:.2f} [" in card and found["tasks"] == names


@pytest.mark.slow
@pytest.mark.parametrize("task", SURE)
def test_it_plays_as_reported(task):
    """In tasks that it does well, the first evaluated episodes reach half of its score."""
    report = json.loads((SHIPPED / "jatlab-mini" / "report.json").read_text())
    episodes = 1 if task.startswith("atari") else 2
    played = evaluate(jatlab.load_agent("jatlab-mini"), task, episodes, progress=False)
    reported, reached = (r["tasks"][task]["by_teacher"]["mean"] for r in (report, played))
    assert reached > reported / 2 > 0.2


def test_who_falls_early_plays_more_episodes(monkeypatch, tmp_path):
    """A second round, with other seeds, asks for what is missing.

    One agent's episodes have ten timesteps in place of the teacher's thousand; the other's are long
    enough.
    """
    asked, lengths = [], {"mujoco-walker": 10, "mujoco-swimmer": 1000}

    def relabel(agent, tasks, data, counts, workers, seed=50_000, max_steps=None):
        asked.append((seed, dict(counts)))
        return {name: count * lengths[name] for name, count in counts.items()}

    monkeypatch.setattr("jatlab.training.dagger.relabel", relabel)
    mini.relabel_all(["mujoco-walker", "mujoco-swimmer", "python-docs"], tmp_path, tmp_path, 0)
    (first, counts), (second, more) = asked
    assert first == 50_000 and set(counts) == {"mujoco-walker", "mujoco-swimmer"}
    assert second == 50_000 + mini.MAX_RELABELLED_EPISODES and set(more) == {"mujoco-walker"}
    missing = 4 * mini.RELABELLED_TIMESTEPS["mujoco"] - 10 * counts["mujoco-walker"]
    assert more["mujoco-walker"] == min(missing / 10, mini.MAX_RELABELLED_EPISODES)


@pytest.mark.slow
def test_the_whole_recipe_shortened(tmp_path, capsys):
    """Every stage on one task of each kind; a second call does nothing again."""
    command = ["mini", "--quick", "--output", str(tmp_path)]
    assert main(command) == 0
    results = json.loads((tmp_path / "report" / "report.json").read_text())
    played = {*results["tasks"], *results["language"]}
    assert played == set(mini.QUICK)
    assert not results["failed"]
    imitator, agent = (jatlab.load_agent(tmp_path / name) for name in ("imitation", "agent"))
    assert imitator.info["step"] == agent.info["step"] == 14
    files = tmp_path.glob("data/*/train/relabelled-*.parquet")
    assert {path.parent.parent.name for path in files} == set(results["tasks"])  # all played ones
    assert agent.info["recipe"]["start"] == str(tmp_path / "imitation")
    written = (tmp_path / "agent" / "model.safetensors").stat().st_mtime_ns
    assert main(command) == 0
    assert "is trained already" in capsys.readouterr().out
    assert (tmp_path / "agent" / "model.safetensors").stat().st_mtime_ns == written
