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
    return [
        {
            "seed": 1_000_000 + i,
            "total": float(total),
            "length": 10,
            "success": success,
            "cut": False,
        }
        for i, total in enumerate(returns)
    ]


def records(**returns):
    agent, settings = (
        {"name": "a", "parameters": 1, "fingerprint": "x"},
        {"episodes": 4, "seed": 1_000_000},
    )
    return {
        name: {"task": name, "agent": agent, "settings": settings, "episodes": episodes(values)}
        for name, values in returns.items()
    }


def test_a_return_is_shown_on_every_scale():
    task = task_results(LOCAL, episodes([0.1, 0.5, 0.9, 0.9]))
    assert task["return"]["mean"] == pytest.approx(0.6)
    assert task["by_teacher"]["scores"] == pytest.approx([0.0, 0.5, 1.0, 1.0])
    published = task_scores(LOCAL)
    expected = (0.6 - published.published_random.mean) / (
        published.expert.mean - published.published_random.mean
    )
    assert task["by_expert"]["mean"] == pytest.approx(expected)
    assert task["jat_by_expert"] == pytest.approx(
        float(normalise(LOCAL, published.jat.mean, "expert"))
    )
    assert (
        task["references"]["teacher"]["episodes"] == 50
        and task["references"]["jat"]["mean"] == published.jat.mean
    )
    assert task["success"] is None and task["by_human"] == {"left_out": "no human score"}


def test_success_is_a_rate_with_an_interval():
    assert task_results(LOCAL, episodes([1.0, 0.9], success=True))["success"]["rate"] == 1.0
    assert task_results(LOCAL, episodes([1.0] * 30, success=True))["success"]["interval"][
        0
    ] == pytest.approx(0.8865, abs=1e-4)


def test_tasks_that_have_no_scale_are_named_with_the_reason():
    assert (
        why_not(BOWLING, "expert")
        == "the published expert (20.4) is no better than the random policy (23.1)"
    )
    assert why_not(BOWLING, "teacher") == "no measured teacher"
    assert why_not(LOCAL, "teacher") == why_not(LOCAL, "expert") == ""
    task = task_results(BOWLING, episodes([30.0, 40.0]))
    assert (
        task["by_expert"] == {"left_out": why_not(BOWLING, "expert")}
        and task["jat_by_expert"] is None
    )


def test_domains_average_what_can_be_normalised():
    returns = {LOCAL: [0.1, 0.5, 0.9, 0.9], "babyai-go-to-obj": [0.2, 0.3, 0.9, 0.8]}
    average = domain_results(
        {name: task_results(name, episodes(values)) for name, values in returns.items()}
    )
    assert average["by_teacher"]["tasks"] == [LOCAL] and average["by_teacher"]["left_out"] == {
        "babyai-go-to-obj": "no measured teacher"
    }
    assert average["by_teacher"]["mean"] == pytest.approx(0.625)
    matrix = np.array([normalise(name, values, "expert") for name, values in returns.items()]).T
    assert average["by_expert"]["tasks"] == list(returns) and average["by_expert"][
        "iqm"
    ] == pytest.approx(float(iqm(matrix)))
    low, high = average["by_expert"]["iqm_interval"]
    assert low < average["by_expert"]["iqm"] < high
    jat = np.mean([normalise(name, task_scores(name).jat.mean, "expert") for name in returns])
    assert average["by_expert"]["jat"] == pytest.approx(float(jat))


def test_results_are_kept_apart_by_domain():
    results = assemble(records(**{LOCAL: [0.5] * 4, REACH: [300.0] * 4, BOWLING: [20.0] * 4}))
    assert list(results["domains"]) == ["babyai", "metaworld", "atari"]
    assert results["domains"]["metaworld"]["by_teacher"]["mean"] == pytest.approx(0.5)
    assert (
        results["domains"]["atari"]["by_expert"]["mean"] is None
        and BOWLING in results["domains"]["atari"]["by_expert"]["left_out"]
    )


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
    assert domain_results({"atari-pong": task})["by_human"]["mean"] == pytest.approx(
        task["by_human"]["mean"]
    )


def test_episodes_cut_short_are_not_compared_with_whole_ones():
    played = episodes([0.5, 0.7, 0.9])
    played[1]["cut"] = True
    task = task_results(LOCAL, played)
    assert (
        task["by_teacher"]
        == task["by_expert"]
        == {"left_out": "1 of 3 episodes were cut short by max_steps"}
    )
    assert task["return"]["mean"] == pytest.approx(0.7) and task["cut"] == 1


# --- beside the published JAT
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", ["atari", "babyai", "metaworld", "mujoco"])
def test_the_published_jat_over_whole_domains_is_as_its_authors_report(domain):
    """Means and medians of tasks are what the authors say; where the expert is no better than
    random they count 1, and we leave the task out.
    """
    tasks = {name: task_results(name, episodes([0.0, 1.0])) for name in task_names(domain)}
    found, reported = domain_results(tasks)["by_expert"], PUBLISHED[domain]
    assert len(tasks) == reported["tasks"]
    assert set(found["left_out"]) == (
        {"atari-bowling", "atari-venture"} if domain == "atari" else set()
    )
    counted = np.array(
        [tasks[name]["jat_by_expert"] for name in found["tasks"]] + [1.0] * len(found["left_out"])
    )
    assert counted.mean() == pytest.approx(reported["by_expert"]["mean"], abs=0.002)
    assert np.median(counted) == pytest.approx(reported["by_expert"]["median"], abs=0.01)
    assert found["jat"] == pytest.approx(
        np.mean([tasks[name]["jat_by_expert"] for name in found["tasks"]])
    )
    assert found["jat_iqm"] == pytest.approx(
        reported["by_expert"]["iqm"], abs=0.08
    )  # over means of tasks instead of episodes


def test_the_published_jat_is_shown_over_the_same_tasks_only():
    found = domain_results(
        {
            name: task_results(name, episodes([0.0, 1.0]))
            for name in ("atari-pong", BOWLING, "atari-boxing")
        }
    )
    assert (
        found["by_expert"]["tasks"] == ["atari-pong", "atari-boxing"]
        and len(found["by_human"]["tasks"]) == 3
    )
    pong, boxing = (
        float(normalise(name, task_scores(name).jat.mean, "expert"))
        for name in ("atari-pong", "atari-boxing")
    )
    assert (
        found["by_expert"]["jat"]
        == found["by_expert"]["jat_median"]
        == pytest.approx((pong + boxing) / 2)
    )
    human = [
        float(normalise(name, task_scores(name).jat.mean, "human"))
        for name in ("atari-pong", BOWLING, "atari-boxing")
    ]
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
    assert (
        found["domains"] == found["tasks"] == {}
        and found["language"] == about["language"]
        and found["failed"] == about["failed"]
    )
    with pytest.raises(ValueError, match="no results"):
        assemble({}, about | {"language": {}})
