"""What variants cost: means over runs, the first good episode, and the tables of two ablations."""

import pytest

from jatlab.experiments.ablations import cost_table, costs, load, shipped
from jatlab.experiments.ablations.costs import TABLES, minutes_to_a_good_episode

SAME = {"timesteps": 100, "parameters": 2_000_000, "act_milliseconds": 3.0}


def test_costs_are_means_over_runs():
    runs = [{"variant": "a", "training_minutes": minutes, **SAME} for minutes in (1.0, 2.0)]
    mean = {
        "training_minutes": 1.5,
        "timesteps": 100.0,
        "act_milliseconds": 3.0,
        "megabytes": 8.0,
    }
    assert costs({"variants": [{"name": "a"}], "runs": runs}) == {"a": mean}


def a_run(name, scores, training=1.0, **more):
    tasks = {f"task {i}": {"scores": one, "lengths": [100] * len(one)} for i, one in scores.items()}
    return {"variant": name, "training_minutes": training, **SAME, "tasks": tasks, **more}


def test_a_good_episode_is_waited_for_in_training_and_play():
    run = a_run("a", {0: [0.1, 0.9, 1.0], 1: [0.8], 2: [0.7, -1.0]})
    first, second, third = minutes_to_a_good_episode(run)
    assert first == pytest.approx(1 + 200 * 3 / 60_000)
    assert second == pytest.approx(1 + 100 * 3 / 60_000) and third is None


def test_the_table_of_unseen_tasks():
    runs = [
        a_run("tuned", {0: [0.9], 1: [0.1]}, old={"reach": 0.4, "open": 0.6}),
        a_run("tuned", {0: [0.9], 1: [0.9]}, training=2.0, old={"reach": 0.5, "open": 0.5}),
        a_run("never", {0: [0.1], 1: [0.1]}),
    ]
    names = [{"name": "tuned"}, {"name": "never"}]
    head, rows = cost_table({"name": "unseen", "variants": names, "runs": runs})
    tuned, never = (dict(zip(head, row, strict=True)) for row in rows)
    assert tuned["variant"] == "tuned" and tuned["training, minutes"] == "1.50"
    assert tuned["to a good episode, minutes"] == "2.00" and tuned["tasks with one"] == "3 of 4"
    assert (
        tuned["ms a decision"] == "3.0" and tuned["MB"] == "8.00" and tuned["old tasks"] == "0.50"
    )
    assert never["to a good episode, minutes"] == "–" and never["tasks with one"] == "0 of 2"
    assert never["old tasks"] == "–"


@pytest.mark.parametrize("name", shipped())
def test_the_ablations_of_costs_have_a_table(name):
    made = cost_table(load(name))
    assert (made is not None) == (name in TABLES)
    if made:
        head, rows = made
        assert rows and all(len(row) == len(head) for row in rows)
