"""What is made of runs: intervals, differences, costs; and the results that ship."""

import numpy as np
import pytest

from jatlab.experiments.ablations import (
    ABLATIONS,
    Variant,
    assemble,
    difference,
    differences,
    load,
    over_tasks,
    paired,
    shipped,
    student_interval,
    summary,
    summary_table,
)
from jatlab.experiments.ablations.results import _command, run_counts


def test_student_s_interval():
    # 0.8 ± 4.303 * 0.1 / sqrt(3)
    assert student_interval([0.7, 0.8, 0.9]) == pytest.approx((0.5516, 1.0484), abs=1e-4)
    with pytest.raises(ValueError, match="2 to 10"):
        student_interval([0.5])


def test_student_s_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = (student_interval(rng.normal(size=3)) for _ in range(2000))
    assert 0.93 < np.mean([low < 0 < high for low, high in intervals]) < 0.97


def test_differences_are_taken_seed_by_seed():
    mean, (low, high) = difference([0.1, 0.5, 0.9], [0.2, 0.6, 1.0])
    assert mean == pytest.approx(0.1) and high - low < 1e-9
    with pytest.raises(ValueError, match="pair up"):
        difference([0.1], [0.1, 0.2])


def results_of(means, tasks=("a",)):
    """Results whose variants "v0", "v1" … have these means of runs.

    If there are several tasks, each variant has its own.
    """
    runs = []
    for number, some in enumerate(means):
        task = tasks[number % len(tasks)]
        for seed, mean in enumerate(some):
            result = {"mean": mean, "scores": [mean - 0.1, mean, mean + 0.1]}
            run = {"variant": f"v{number}", "seed": seed, "minutes": 0, "tasks": {task: result}}
            runs.append(run)
    return {"summary": summary(runs), "runs": runs}


def test_differences_say_what_can_be_told_apart():
    means = [[0.5, 0.6, 0.7], [0.8, 0.9, 1.01], [0.4, 0.6, 0.8], [0.1, 0.2, 0.31]]
    lines = differences(results_of(means))
    verdicts = [line.rpartition(": ")[2] for line in lines]
    assert verdicts == ["better", "cannot be told apart", "worse"]
    assert lines[0].startswith("a: v1 +0.30 [")


def test_one_run_each_is_compared_episode_by_episode():
    [line] = differences(results_of([[0.5], [0.7]]))
    assert "+0.20 [+0.20, +0.20]" in line


def test_variants_with_tasks_of_their_own_are_compared():
    assert len(differences(results_of([[0.5], [0.7]], tasks=("a", "b")))) == 1


def test_variants_with_fewer_runs_are_compared_as_far_as_they_go():
    [one, two] = differences(results_of([[0.5, 0.6, 0.7], [0.7, 0.8], [0.9]]))
    assert "+0.20 [+0.20, +0.20]" in one and "+0.40 [+0.40, +0.40]" in two


def results_by_seed(**variants):
    """Results of one task from {variant: {seed: mean}}."""
    runs = [
        {
            "variant": name,
            "seed": seed,
            "tasks": {"a": {"mean": mean, "scores": [mean, mean + 0.1]}},
        }
        for name, means in variants.items()
        for seed, mean in means.items()
    ]
    found = {"question": "Which?", "seeds": sorted({run["seed"] for run in runs})}
    variants = [{"name": name} for name in variants]
    return found | {"summary": summary(runs), "runs": runs, "variants": variants}


def test_runs_are_paired_by_their_seed_not_their_place():
    results = results_by_seed(
        base={0: 0.1, 1: 0.5, 2: 0.9}, v={2: 0.92, 1: 0.52}, one={2: 0.8}, none={7: 0.8}
    )
    assert paired(results, "a", "base", "v") == ([0.5, 0.9], [0.52, 0.92])
    assert paired(results, "all tasks", "base", "v") == ([0.55, 0.95], [0.57, 0.97])
    assert differences(results) == [
        "a: v +0.02 [+0.02, +0.02] against base: better",
        "a: one -0.10 [-0.10, -0.10] against base: worse",
        "a: none and base have no seed in common: not compared",
    ]


def test_each_variant_s_own_number_of_runs_is_printed():
    results = results_by_seed(base={0: 0.1, 1: 0.5, 2: 0.9}, v={2: 0.92})
    first, second = summary_table(results).splitlines()[3:]
    assert first.endswith("3 run(s)") and second.endswith("1 run(s)")
    assert run_counts(results) == "1 to 3"
    assert run_counts(results_by_seed(base={0: 0.1, 1: 0.5}, v={4: 0.9, 5: 0.9})) == "2"


def test_tasks_together_are_averaged_within_each_run():
    runs = [
        {"variant": "v", "seed": seed, "tasks": {"a": {"scores": [x, x]}, "b": {"scores": [1, 3]}}}
        for seed, x in enumerate((0.0, 0.4))
    ]
    results = {"variants": [{"name": "v"}], "runs": runs}
    found = over_tasks(results)["all tasks"]["v"]
    assert found["runs"] == [1.0, 1.2] and found["interval_over"] == "runs"
    assert over_tasks(results, ["a"])["all tasks"]["v"]["mean"] == pytest.approx(0.2)
    alone = over_tasks(results | {"runs": runs[:1]})["all tasks"]["v"]
    assert alone["interval_over"] == "episodes" and alone["interval"] == [0.5, 1.5]


@pytest.mark.parametrize("name", shipped())
def test_what_ships_carries_seeds_intervals_and_versions(name):
    results = load(name)
    assert results["command"] == _command(ABLATIONS[name], results["runs"])
    assert results["versions"]["torch"]
    assert results["question"] == ABLATIONS[name].question
    made = [(run["variant"], run["seed"]) for run in results["runs"]]
    assert len(set(made)) == len(made) and {seed for _, seed in made} == set(results["seeds"])
    assert {variant for variant, _ in made} == {one["name"] for one in results["variants"]}
    variants = [Variant(**fields) for fields in results["variants"]]
    again = assemble(ABLATIONS[name], variants, results["runs"])
    assert again["summary"] == results["summary"]


def test_equal_runs_are_one_run():
    """An agent that is not trained plays the same episodes with every seed."""
    runs = [
        {"variant": "v", "seed": seed, "tasks": {"t": {"mean": 0.5, "scores": [0.0, 0.5, 1.0]}}}
        for seed in range(3)
    ]
    found = summary(runs)["t"]["v"]
    assert found["interval_over"] == "episodes" and found["runs"] == [0.5] * 3
    low, high = found["interval"]
    assert low < 0.4 and high > 0.6


def test_the_command_has_the_options_that_were_given():
    def runs(seeds, episodes):
        return [{"seed": seed, "tasks": {"t": {"scores": [0.0] * episodes}}} for seed in seeds]

    ablation = ABLATIONS["time"]
    assert _command(ablation, runs((0, 1, 2), 50)) == "jatlab ablate time"
    assert _command(ablation, runs((0,), 25)) == "jatlab ablate time --seeds 0 --episodes 25"
