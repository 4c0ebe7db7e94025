"""The published scores, drawn: the numbers behind the dots, and what a reader is told of them."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from jatlab.tasks import DOMAINS, task_names, task_scores
from jatlab.viz.published import (
    LIMITS,
    published_overview,
    published_rows,
    published_score,
    published_scores,
    published_task,
    swarm,
)


def labels(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def dots(axes) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for line in axes.get_lines()
        if line.get_marker() == "o"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def test_a_score_and_its_interval():
    boxing, jat = published_score("atari-boxing"), task_scores("atari-boxing").jat
    assert boxing.score == pytest.approx((jat.mean - 0.1) / (97.968 - 0.1), rel=1e-3)
    assert boxing.half == pytest.approx(2.262 * jat.std / np.sqrt(10) / (97.968 - 0.1), rel=1e-3)
    assert (boxing.low + boxing.high) / 2 == pytest.approx(boxing.score)
    by_human = published_score("atari-boxing", "human").score
    assert by_human == pytest.approx((jat.mean - 0.1) / 12.0, rel=1e-3)


def test_scales_that_do_not_exist():
    assert published_score("atari-bowling") is None
    assert published_score("babyai-open", "human") is None
    with pytest.raises(ValueError, match="by expert or human, not 'teacher'"):
        published_score("atari-boxing", "teacher")
    with pytest.raises(ValueError, match="only Atari has human scores"):
        published_rows("babyai", "human")


@pytest.mark.parametrize(
    ("domain", "by", "count"),
    [
        ("atari", "expert", 55),
        ("atari", "human", 57),
        ("babyai", "expert", 39),
        ("mujoco", "expert", 11),
    ],
)
def test_rows_show_every_task_that_has_a_score(domain, by, count):
    figure = published_rows(domain, by)
    [axes] = figure.axes
    scores = published_scores(domain, by)
    assert len(labels(axes)) == len(scores) == count
    assert sorted(scores, key=lambda s: -s.score) == scores
    places = [np.clip(score.score, *LIMITS[by]) for score in scores]
    assert dots(axes) == [(pytest.approx(place), row) for row, place in enumerate(places)]
    assert f"on {count} tasks" in figure.caption and f"{count} rows" in figure.alt
    assert axes.get_xlabel().startswith("normalised return")


def test_scores_beyond_the_axis_are_told_as_numbers():
    [axes] = published_rows(["atari-krull", "atari-boxing", "atari-pong"], "human").axes
    texts = {text.get_text() for text in axes.texts}
    assert {"8.6", "7.7"} <= texts and "1.1" not in texts
    assert labels(axes) == ["krull", "boxing", "pong"]


def test_overview_has_a_dot_for_each_task_and_says_how_many():
    figure = published_overview()
    [axes] = figure.axes
    strips = [line for line in axes.get_lines() if line.get_marker() == "o"]
    for row, (domain, strip) in enumerate(zip(DOMAINS, strips, strict=True)):
        count = len(published_scores(domain))
        assert len(strip.get_xdata()) == count
        assert abs(np.asarray(strip.get_ydata()) - row).max() < 0.6
        assert f"{count} of {len(task_names(domain))} tasks" in labels(axes)[row]
    by_human = labels(published_overview("human").axes[0])
    assert [label.split("\n")[0] for label in by_human] == ["Atari"]


def test_dots_of_a_swarm_do_not_touch():
    values = np.random.default_rng(0).normal(size=200)
    offsets = swarm(values, width=0.05, step=0.1)
    near = (np.abs(values[:, None] - values) < 0.05) & (np.abs(offsets[:, None] - offsets) < 0.05)
    assert near.sum() == len(values)  # each touches itself alone
    assert swarm(np.array([0.0, 1.0, 2.0]), width=0.1).tolist() == [0, 0, 0]


def test_a_task_shows_everyone_who_was_measured():
    [axes] = published_task("atari-videopinball").axes
    assert labels(axes) == [
        "random, published",
        "random, ours",
        "JAT, published",
        "expert, published",
        "human, published",
    ]
    assert "teacher, ours" in labels(published_task("mujoco-ant").axes[0])
    with pytest.raises(ValueError, match="unknown task"):
        published_task("atari-chess")


@pytest.mark.parametrize(
    ("task", "below"),
    [("babyai-move-two-across-s8n9", False), ("atari-atlantis", False), ("atari-boxing", True)],
)
def test_bars_end_at_zero_where_no_return_is_below(task, below):
    [axes] = published_task(task).axes
    ends = [x for bar in axes.collections for segment in bar.get_segments() for x, _ in segment]
    assert (min(ends) < 0) == below and ("cut at 0" in axes.get_xlabel()) != below


def test_views_draw_into_the_axes_they_are_given():
    for view in (
        lambda axes: published_rows("mujoco", axes=axes),
        lambda axes: published_overview(axes=axes),
        lambda axes: published_task("mujoco-ant", axes=axes),
    ):
        axes = Figure().subplots()
        figure = view(axes)
        assert figure is axes.figure and axes.get_lines() and figure.caption and figure.alt
