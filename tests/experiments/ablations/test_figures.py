"""The ablations' figures show what the results say."""

import numpy as np
import pytest

from jatlab.experiments.ablations import ABLATIONS, assemble, load, to_recall
from jatlab.experiments.ablations.figures import (
    ablation_figure,
    joint_training_figure,
    recall_figure,
    shown_figure,
)


def results(name, seeds=(0, 1), by_age=None):
    ablation = ABLATIONS[name]
    runs = []
    for seed in seeds:
        for number, variant in enumerate(ablation.variants):
            mean = 0.1 * number + 0.02 * seed
            result = {"mean": mean, "success": None, "scores": [mean, mean + 0.1]}
            tasks = dict.fromkeys(variant.tasks, result | {"by_age": by_age})
            runs.append({"variant": variant.name, "seed": seed, "minutes": 0.1, "tasks": tasks})
    return assemble(ablation, list(ablation.variants), runs)


def marks(axes, marker):
    """Where the lines with this marker are: [(xs, ys)]."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in lines]


def rows(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_each_variant_has_a_row_with_its_runs_and_their_mean():
    figure = ablation_figure(results("observation-loss"))
    left, right = figure.axes
    assert rows(left) == ["kappa 0.005", "kappa 0", "kappa 0.05", "kappa 0.2", "kappa 0.5"]
    np.testing.assert_allclose(marks(left, "o")[2][0], [0.2, 0.22])
    np.testing.assert_allclose([x[0] for x, _ in marks(right, "D")], [0.01, 0.11, 0.21, 0.31, 0.41])
    assert left.get_xlabel() == "score (0: random, 1: our teacher)"
    assert "2 runs" in figure.caption and "kappa 0.2" in figure.alt


def test_one_run_is_said_to_be_one():
    figure = ablation_figure(results("observation-loss", seeds=(0,)), tasks="metaworld-reach")
    assert len(figure.axes) == 1 and "episodes of one run" in figure.caption


def test_variants_with_a_task_each_share_a_panel():
    [axes] = ablation_figure(results("time")).axes
    assert rows(axes) == ["100 decisions", "200 decisions", "25 decisions", "12.5 decisions"]
    assert len(marks(axes, "D")) == 4


def test_tasks_that_lack_variants_have_their_own_rows():
    panels = ablation_figure(results("generalists")).axes
    names = [rows(panel) for panel in panels]
    assert names[0] == [
        "go-to-obj alone",
        "go-to-obj and reach",
        "go-to-obj and open-door",
        "go-to-obj and drawer-open",
        "four together",
    ]
    assert names[3][0] == "drawer-open alone" and names[3][-1] == "four together"


def test_joint_training_is_a_table_of_differences():
    """A variant's mean is 0.1 times its place: four alone, then the pairs in order, then all."""
    [axes] = joint_training_figure(results("generalists")).axes
    cells = {tuple(map(round, text.get_position())): text for text in axes.texts}
    assert len(cells) == 20
    assert [cells[n, n].get_text() for n in range(4)] == ["0.01", "0.11", "0.21", "0.31"]
    # the pair of the first two has 0.41
    assert (cells[1, 0].get_text(), cells[0, 1].get_text()) == ("+0.40", "+0.30")
    # the same difference in each run
    assert cells[4, 3].get_text() == "+0.70" and cells[4, 3].get_weight() == "bold"
    assert rows(axes) == ["go-to-obj", "reach", "open-door", "drawer-open"]


def test_only_what_is_told_apart_is_coloured():
    def colours(seeds):
        [axes] = joint_training_figure(results("generalists", seeds)).axes
        return {patch.get_facecolor()[:3] for patch in axes.patches}

    assert len(colours((0, 1))) == 2  # the diagonal's grey, and green: each run has the difference
    assert len(colours((0,))) == 1  # one run tells nothing apart


def test_joint_training_is_compared_seed_by_seed():
    """The pair of the first two lacks the first run, four together have another seed."""
    found = results("generalists", (0, 1, 2))
    fewer = {"go-to-obj and reach": (1, 2), "four together": ()}
    runs = [run for run in found["runs"] if run["seed"] in fewer.get(run["variant"], (0, 1, 2))]
    last = next(run for run in found["runs"] if run["variant"] == "four together")
    ablation = ABLATIONS["generalists"]
    found = assemble(ablation, list(ablation.variants), [*runs, last | {"seed": 9}])
    figure = joint_training_figure(found)
    cells = {tuple(map(round, text.get_position())): text for text in figure.axes[0].texts}
    assert cells[1, 0].get_text() == "+0.40" and cells[1, 0].get_weight() == "bold"
    assert cells[4, 0].get_text() == "no common\nseed"
    assert "mean of 1 to 3 runs" in figure.caption


def test_a_task_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no task babyai-unlock"):
        ablation_figure(results("observation-loss"), tasks="babyai-unlock")


def test_memory_is_drawn_with_its_reach():
    figure = recall_figure(results("memory", by_age=[1.0] * 5 + [0.25] * 27))
    [axes] = figure.axes
    reaches = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    # all local with windows 16, 8 and 4; a pattern with a global layer reaches everything
    assert reaches == [28.5, 12.5, 4.5]
    assert to_recall("local", 8).name in [text.get_text() for text in axes.get_legend().get_texts()]


def test_methods_are_drawn_over_the_number_of_demonstrations():
    few = results("few-shown")
    panels = shown_figure(few).axes
    assert [axes.get_title("left") for axes in panels] == ["lander", "fetch", "highway"]
    assert [tick.get_text() for tick in panels[0].get_xticklabels()] == ["1", "5", "25", "100"]
    lines = {bar.get_label(): bar.lines[0].get_ydata() for bar in panels[1].containers}
    assert list(lines) == ["retrieve and play", "from nothing", "fine-tuned"]
    np.testing.assert_allclose(lines["from nothing"], [0.21, 0.51, 0.81, 1.11])
    [none] = [line for line in panels[0].lines if line.get_label() == "zero-shot"]
    np.testing.assert_allclose(none.get_ydata(), 0.01)


@pytest.mark.parametrize("name", ["few-shown", "unseen-rooms", "unseen-bodies"])
def test_all_that_is_shown_lies_within_the_panels(name):
    panels = shown_figure(load(name)).axes
    drawn = [
        value
        for axes in panels
        for bar in axes.containers
        for line in bar.lines[2][0].get_segments()
        for value in line[:, 1]
    ]
    for axes in panels:
        low, high = axes.get_ylim()
        assert low <= min(drawn) and max(drawn) <= high


def test_tasks_can_be_taken_together():
    figure = shown_figure(results("few-shown"), together=True)
    assert len(figure.axes) == 1 and "2 runs of 2 episodes" in figure.caption
    assert "25 shown: from nothing 0.86" in figure.alt  # the mean of the episodes' scores
