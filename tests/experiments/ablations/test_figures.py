"""The ablations' figures show what the results say."""

import numpy as np
import pytest

from jatlab.experiments.ablations.figures import (
    ablation_figure,
    joint_training_figure,
    recall_figure,
)
from jatlab.experiments.ablations.registry import ABLATIONS, assemble, to_recall


def results(name, seeds=(0, 1), by_age=None):
    ablation = ABLATIONS[name]
    runs = []
    for seed in seeds:
        for number, variant in enumerate(ablation.variants):
            mean = 0.1 * number + 0.02 * seed
            tasks = {
                task: {
                    "mean": mean,
                    "success": None,
                    "scores": [mean, mean + 0.1],
                    "by_age": by_age,
                }
                for task in variant.tasks
            }
            runs.append({"variant": variant.name, "seed": seed, "minutes": 0.1, "tasks": tasks})
    return assemble(ablation, list(ablation.variants), seeds, runs)


def marks(axes, marker):
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.lines
        if line.get_marker() == marker
    ]


def test_each_variant_has_a_row_with_its_runs_and_their_mean():
    figure = ablation_figure(results("observation-loss"))
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [
        "kappa 0.005",
        "kappa 0",
        "kappa 0.05",
        "kappa 0.2",
        "kappa 0.5",
    ]
    np.testing.assert_allclose(marks(left, "o")[2][0], [0.2, 0.22])
    np.testing.assert_allclose([x[0] for x, _ in marks(right, "D")], [0.01, 0.11, 0.21, 0.31, 0.41])
    assert left.get_xlabel() == "score (0: random, 1: our teacher)"
    assert "2 runs" in figure.caption and "kappa 0.2" in figure.alt


def test_one_run_is_said_to_be_one():
    figure = ablation_figure(results("observation-loss", seeds=(0,)), tasks="metaworld-reach")
    assert len(figure.axes) == 1 and "episodes of one run" in figure.caption


def test_variants_with_a_task_each_share_a_panel():
    [axes] = ablation_figure(results("time")).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "100 decisions",
        "200 decisions",
        "25 decisions",
        "12.5 decisions",
    ]
    assert len(marks(axes, "D")) == 4


def test_tasks_that_lack_variants_have_their_own_rows():
    panels = ablation_figure(results("generalists")).axes
    names = [[label.get_text() for label in panel.get_yticklabels()] for panel in panels]
    assert names[0] == [
        "go-to-obj alone",
        "go-to-obj and reach",
        "go-to-obj and open-door",
        "go-to-obj and drawer-open",
        "four together",
    ]
    assert names[3][0] == "drawer-open alone" and names[3][-1] == "four together"


def test_company_is_a_table_of_differences_from_being_alone():
    """Means are 0.1 for each place among the variants: four alone, then the pairs in order, then
    all four.
    """
    found = results("generalists")
    [axes] = joint_training_figure(found).axes
    cells = {
        (round(text.get_position()[0]), round(text.get_position()[1])): text for text in axes.texts
    }
    assert len(cells) == 20 and [cells[n, n].get_text() for n in range(4)] == [
        "0.01",
        "0.11",
        "0.21",
        "0.31",
    ]
    assert (cells[1, 0].get_text(), cells[0, 1].get_text()) == (
        "+0.40",
        "+0.30",
    )  # the pair of the first two: 0.41
    assert (
        cells[4, 3].get_text() == "+0.70" and cells[4, 3].get_weight() == "bold"
    )  # the same difference in each run
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "go-to-obj",
        "reach",
        "open-door",
        "drawer-open",
    ]


def test_a_task_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no task babyai-unlock"):
        ablation_figure(results("observation-loss"), tasks="babyai-unlock")


def test_memory_is_drawn_with_its_reach():
    figure = recall_figure(results("memory", by_age=[1.0] * 5 + [0.25] * 27))
    [axes] = figure.axes
    reaches = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert reaches == [
        28.5,
        12.5,
        4.5,
    ]  # all local of windows 16, 8 and 4; what has a global layer reaches everything
    assert to_recall("local", 8).name in [text.get_text() for text in axes.get_legend().get_texts()]
