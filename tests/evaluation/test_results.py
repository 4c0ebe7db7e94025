"""From episodes to scores, on tasks with published and (patched) measured scores."""

import numpy as np
import pytest

from jatlab.evaluation.results import PUBLISHED, assemble, domain_results, task_results, why_not
from jatlab.evaluation.statistics import iqm
from jatlab.tasks import normalise, scores, task_names, task_scores

LOCAL, REACH, BOWLING = "babyai-go-to-local", "metaworld-reach", "atari-bowling"


@pytest.fixture(autouse=True)
def measured(monkeypatch, tmp_path):
    """Measured scores of our own choosing, for LOCAL and REACH only."""
    (tmp_path / "published_scores.json").write_bytes(
        (scores.FOLDER / "published_scores.json").read_bytes()
    )
    entries = {
        LOCAL: {"random": {"mean": 0.1}, "teacher": {"mean": 0.9, "episodes": 50}},
        REACH: {"random": {"mean": 100.0}, "teacher": {"mean": 500.0}},
    }
    (tmp_path / "measured_scores.json").write_text(str(entries).replace("'", '"'))
    monkeypatch.setattr(scores, "FOLDER", tmp_path)


def episodes(returns, success=None):
    same = {"length": 10, "success": success, "cut": False}
    return [
        {"seed": 1_000_000 + i, "total": float(total), **same} for i, total in enumerate(returns)
    ]


def records(**returns):
    agent = {"name": "a", "parameters": 1, "fingerprint": "x"}
    settings = {"episodes": 4, "seed": 1_000_000}
    return {
        name: {"task": name, "agent": agent, "settings": settings, "episodes": episodes(values)}
        for name, values in returns.items()
    }


def test_a_return_is_shown_on_every_scale():
    task = task_results(LOCAL, episodes([0.1, 0.5, 0.9, 0.9]))
    assert task["return"]["mean"] == pytest.approx(0.6)
    assert task["by_teacher"]["scores"] == pytest.approx([0.0, 0.5, 1.0, 1.0])
    published = task_scores(LOCAL)
    random, expert = published.published_random.mean, published.expert.mean
    assert task["by_expert"]["mean"] == pytest.approx((0.6 - random) / (expert - random))
    jat = float(normalise(LOCAL, published.jat.mean, "expert"))
    assert task["jat_by_expert"] == pytest.approx(jat)
    assert task["references"]["teacher"]["episodes"] == 50
    assert task["references"]["jat"]["mean"] == published.jat.mean
    assert task["success"] is None and task["by_human"] == {"left_out": "no human score"}


def test_success_is_a_rate_with_an_interval():
    assert task_results(LOCAL, episodes([1.0, 0.9], success=True))["success"]["rate"] == 1.0
    many = task_results(LOCAL, episodes([1.0] * 30, success=True))["success"]
    assert many["interval"][0] == pytest.approx(0.8865, abs=1e-4)


def test_tasks_that_have_no_scale_are_named_with_the_reason():
    why = "the published expert (20.4) is no better than the random policy (23.1)"
    assert why_not(BOWLING, "expert") == why
    assert why_not(BOWLING, "teacher") == "no measured teacher"
    assert why_not(LOCAL, "teacher") == why_not(LOCAL, "expert") == ""
    task = task_results(BOWLING, episodes([30.0, 40.0]))
    assert task["by_expert"] == {"left_out": why} and task["jat_by_expert"] is None


def test_domains_average_what_can_be_normalised():
    returns = {LOCAL: [0.1, 0.5, 0.9, 0.9], "babyai-go-to-obj": [0.2, 0.3, 0.9, 0.8]}
    average = domain_results(
        {name: task_results(name, episodes(values)) for name, values in returns.items()}
    )
    taught, expert = average["by_teacher"], average["by_expert"]
    assert taught["tasks"] == [LOCAL]
    assert taught["left_out"] == {"babyai-go-to-obj": "no measured teacher"}
    assert taught["mean"] == pytest.approx(0.625)
    matrix = np.array([normalise(name, values, "expert") for name, values in returns.items()]).T
    assert expert["tasks"] == list(returns)
    assert expert["iqm"] == pytest.approx(float(iqm(matrix)))
    low, high = expert["iqm_interval"]
    assert low < expert["iqm"] < high
    jat = np.mean([normalise(name, task_scores(name).jat.mean, "expert") for name in returns])
    assert expert["jat"] == pytest.approx(float(jat))


def test_results_are_kept_apart_by_domain():
    results = assemble(records(**{LOCAL: [0.5] * 4, REACH: [300.0] * 4, BOWLING: [20.0] * 4}))
    assert list(results["domains"]) == ["babyai", "metaworld", "atari"]
    assert results["domains"]["metaworld"]["by_teacher"]["mean"] == pytest.approx(0.5)
    atari = results["domains"]["atari"]["by_expert"]
    assert atari["mean"] is None and BOWLING in atari["left_out"]


def test_no_results_and_uneven_ones_are_clear_errors():
    with pytest.raises(ValueError, match="no task was evaluated"):
        assemble({})
    with pytest.raises(ValueError, match="same number of episodes"):
        assemble(records(**{LOCAL: [0.5], REACH: [1.0, 2.0]}))
    with pytest.raises(ValueError, match="at least one"):
        assemble(records(**{LOCAL: []}))


def test_atari_is_also_shown_beside_human_play():
    task = task_results("atari-pong", episodes([14.6] * 3))
    assert task["by_human"]["mean"] == pytest.approx(float(normalise("atari-pong", 14.6, "human")))
    average = domain_results({"atari-pong": task})["by_human"]
    assert average["mean"] == pytest.approx(task["by_human"]["mean"])


def test_episodes_cut_short_are_not_compared_with_whole_ones():
    played = episodes([0.5, 0.7, 0.9])
    played[1]["cut"] = True
    task = task_results(LOCAL, played)
    why = {"left_out": "1 of 3 episodes were cut short after 10 steps"}
    assert task["by_teacher"] == task["by_expert"] == why
    assert task["return"]["mean"] == pytest.approx(0.7) and task["cut"] == 1


# --- beside the published JAT


@pytest.mark.parametrize("domain", ["atari", "babyai", "metaworld", "mujoco"])
def test_the_published_jat_over_a_domain_is_as_reported(domain):
    """Means and medians of tasks are what the authors say; where the expert is no better than
    random they count 1, and we leave the task out.
    """
    tasks = {name: task_results(name, episodes([0.0, 1.0])) for name in task_names(domain)}
    found, reported = domain_results(tasks)["by_expert"], PUBLISHED[domain]
    assert len(tasks) == reported["tasks"]
    left_out = {"atari-bowling", "atari-venture"} if domain == "atari" else set()
    assert set(found["left_out"]) == left_out
    scores = [tasks[name]["jat_by_expert"] for name in found["tasks"]]
    counted = np.array(scores + [1.0] * len(found["left_out"]))
    assert counted.mean() == pytest.approx(reported["by_expert"]["mean"], abs=0.002)
    assert np.median(counted) == pytest.approx(reported["by_expert"]["median"], abs=0.01)
    assert found["jat"] == pytest.approx(np.mean(scores))
    # ours is over means of tasks, theirs over episodes
    assert found["jat_iqm"] == pytest.approx(reported["by_expert"]["iqm"], abs=0.08)


def test_the_published_jat_is_shown_over_the_same_tasks_only():
    def jat(name, scale):
        return float(normalise(name, task_scores(name).jat.mean, scale))

    names = ("atari-pong", BOWLING, "atari-boxing")
    found = domain_results({name: task_results(name, episodes([0.0, 1.0])) for name in names})
    expert = found["by_expert"]
    assert expert["tasks"] == ["atari-pong", "atari-boxing"]
    assert len(found["by_human"]["tasks"]) == 3
    mean = (jat("atari-pong", "expert") + jat("atari-boxing", "expert")) / 2
    assert expert["jat"] == expert["jat_median"] == pytest.approx(mean)
    human = [jat(name, "human") for name in names]
    assert found["by_human"]["jat_median"] == pytest.approx(sorted(human)[1])
    assert "jat" not in found["by_teacher"]  # that scale is not the authors'


def test_text_alone_is_a_result():
    about = {
        "agent": {"name": "a"},
        "settings": {},
        "language": {"python-docs": {"perplexity": 3.0}},
        "failed": {LOCAL: "ValueError: no"},
    }
    found = assemble({}, about)
    assert found["domains"] == found["tasks"] == {}
    assert found["language"] == about["language"] and found["failed"] == about["failed"]
    with pytest.raises(ValueError, match="no results"):
        assemble({}, about | {"language": {}})
