"""Figures say what the results say: marks at the right places, labels, units."""

import numpy as np
import pytest
from PIL import Image

from jatlab.tasks import short_name
from jatlab.viz import plots
from jatlab.viz.plots import learning_figure, score_figure, smooth, to_png, to_svg


def scored(mean, low, high, jat=None):
    score = {"mean": mean, "interval": [low, high]}
    by_expert = {"left_out": "no published expert"} if jat is None else score
    return {"by_teacher": score, "by_expert": by_expert, "jat_by_expert": jat}


TASKS = {"babyai-a": scored(0.5, 0.4, 0.6, jat=0.7), "babyai-b": scored(0.9, 0.8, 1.0)}
AVERAGE = {"mean": 0.7, "mean_interval": [0.6, 0.8], "tasks": list(TASKS)}


def marks(axes, marker):
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axes.lines
        if line.get_marker() == marker
    ]


def texts(figure):
    return [
        text.get_text()
        for axes in figure.axes
        for text in (*axes.texts, *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label)
    ]


def test_each_task_has_its_bar_its_interval_and_its_name():
    of_one = {"tasks": ["babyai-a"], "mean": 0.5}
    figure = score_figure(TASKS, averages={"by_teacher": AVERAGE, "by_expert": of_one})
    left, right = figure.axes
    assert marks(left, "o") == [(0.5, 0), (0.9, 1), (0.7, 2)]
    assert [bar.get_width() for bar in left.patches] == [0.5, 0.9, 0.7]
    intervals = [list(line.get_xdata()) for line in left.lines if line.get_linewidth() == 2.2]
    assert intervals == [[0.4, 0.6], [0.8, 1.0], [0.6, 0.8]]
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b", "mean of tasks"]
    assert left.get_xlabel() == "normalised return (0: random, 1: teacher)"
    assert {"random", "teacher", "published expert"} <= set(texts(figure))
    assert marks(right, "D") == [(0.7, 0)] and marks(left, "D") == []
    assert "not on this scale" in [text.get_text() for text in right.texts]
    labels = [label.get_text() for label in right.get_yticklabels()]
    assert labels == ["a", "b"]  # the mean of one task is no row


def test_scores_off_the_scale_stand_at_its_edge_with_their_value():
    tasks = {"atari-x": scored(7.25, 6.0, 8.0), "atari-y": scored(-3.0, -4.0, -2.0)}
    [axes] = score_figure(tasks, ["by_teacher"]).axes
    assert marks(axes, "o") == [(1.5, 0), (-0.25, 1)]
    assert {"7.25", "-3"} <= {text.get_text() for text in axes.texts}
    low, high = axes.get_xlim()
    assert low < -0.25 and high > 1.5


def test_a_figure_of_nothing_is_a_clear_error():
    with pytest.raises(ValueError, match="at least one task"):
        score_figure({})
    with pytest.raises(ValueError, match="no loss of atari"):
        learning_figure([{"timesteps": 1, "loss": {"babyai-a": 1.0}}], "atari")
    with pytest.raises(ValueError, match="holds no loss"):
        learning_figure([])


def log(tasks, lines=50):
    record = []
    for i in range(1, lines + 1):
        loss = {task: 2.0 / i + 0.01 * k for k, task in enumerate(tasks)}
        record.append({"timesteps": 20_000 * i, "loss": loss})
    record[-1]["validation"] = {tasks[0]: 0.5}
    return record


def test_learning_curves_are_drawn_by_task_against_millions():
    figure = learning_figure(log(["babyai-a", "babyai-b", "metaworld-c"]), "babyai")
    axes = figure.axes[0]
    curves = [line for line in axes.lines if line.get_marker() == "None"]
    assert len(curves) == 2 and curves[0].get_xdata()[-1] == pytest.approx(1.0)
    assert curves[0].get_ydata()[-1] == pytest.approx(2 / 50, rel=0.05)
    assert marks(axes, "o") == [(1.0, 0.5)]
    assert {text.get_text() for text in axes.texts} == {"a", "b"}
    assert axes.get_xlabel() == "timesteps trained on (millions)"
    assert axes.get_ylabel() == "loss (log scale)" and axes.get_yscale() == "log"


def extent(text):
    return text.get_window_extent()


def test_the_names_at_the_ends_of_lines_do_not_overlap():
    tasks = [f"babyai-{letter}" for letter in "abcdefgh"]
    lines = [{"timesteps": 1e6 * i, "loss": dict.fromkeys(tasks, 1.0 / i)} for i in range(1, 30)]
    figure = learning_figure(lines, "babyai")
    figure.canvas.draw()
    ends = sorted((one.y0, one.y1) for one in map(extent, figure.axes[0].texts))
    assert len(ends) == 8
    assert all(above[0] >= below[1] - 1 for below, above in zip(ends[:-1], ends[1:], strict=True))


def test_many_tasks_are_faint_lines_and_their_median():
    tasks = [f"atari-{index}" for index in range(20)]
    axes = learning_figure(log(tasks), "atari").axes[0]
    assert len(axes.lines) == 21
    assert [text.get_text() for text in axes.texts] == ["median of 20 tasks"]
    median = axes.lines[-1].get_ydata()[-1]
    assert median == pytest.approx(np.median([2 / 50 + 0.01 * k for k in range(20)]), rel=0.05)


def test_smooth_is_a_running_mean_that_keeps_the_ends():
    assert smooth(np.array([1.0, 2.0, 6.0]), 1) == pytest.approx([1, 2, 6])
    assert smooth(np.array([1.0, 2.0, 6.0, 7.0]), 3) == pytest.approx([1.5, 3, 5, 6.5])


def test_svg_is_one_element_whose_ids_do_not_clash():
    one, two = (to_svg(score_figure(TASKS), salt) for salt in ("one", "two"))
    assert one.startswith("<svg") and one.rstrip().endswith("</svg>") and "<metadata" not in one
    ids = [{part.split('"')[0] for part in svg.split('id="')[1:]} for svg in (one, two)]
    assert not ids[0] & ids[1]
    assert to_svg(score_figure(TASKS), "one") == one


def test_png_is_written_whole(tmp_path):
    with Image.open(to_png(score_figure(TASKS), tmp_path / "new" / "a.png", dpi=50)) as image:
        assert image.size == (round(2 * plots.WIDTH * 50), image.height)
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    assert short_name("babyai-go-to-obj") == "go-to-obj" and short_name("plain") == "plain"
    assert short_name("pickup-box") == "pickup-box"  # no domain
