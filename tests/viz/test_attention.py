"""Views of attention: the numbers drawn are the numbers given, on the axes given."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from jatlab.viz.attention import (
    attention_heatmap,
    attention_strip,
    attention_timeline,
    bertviz_frame,
    by_timestep,
    distance_and_entropy,
    head_summary,
    reduce_heads,
)

# two layers, one head; o0 a0 o1 a1 o2
DECISION = np.array([[[0.1, 0.2, 0.3, 0.0, 0.4]], [[0.5, 0.0, 0.5, 0.0, 0.0]]])


def test_weights_are_told_apart_by_timestep_and_kind():
    observations, actions = by_timestep(DECISION[0, 0])
    np.testing.assert_allclose(observations, [0.1, 0.3, 0.4])
    np.testing.assert_allclose(actions, [0.2, 0, 0])
    # the oldest observation was dropped: a0 o1 a1 o2
    observations, actions = by_timestep(np.array([0.2, 0.3, 0.1, 0.4]))
    np.testing.assert_allclose(observations, [0, 0.3, 0.4])
    np.testing.assert_allclose(actions, [0.2, 0.1, 0])


def test_heads_are_chosen_or_averaged():
    np.testing.assert_allclose(reduce_heads(DECISION), [0.3, 0.1, 0.4, 0, 0.2])
    np.testing.assert_allclose(reduce_heads(DECISION, layer=1, head=0), DECISION[1, 0])
    with pytest.raises(ValueError, match="layer 2: there are layers 0 to 1"):
        reduce_heads(DECISION, layer=2)
    with pytest.raises(ValueError, match=r"not \(5,\)"):
        reduce_heads(DECISION[0, 0])


def test_timeline_draws_observations_and_actions_apart():
    figure = attention_timeline(DECISION, layer=0)
    axes = figure.axes[0]
    bars = sorted(
        (round(bar.get_x() + bar.get_width() / 2, 3), round(bar.get_height(), 3))
        for bar in axes.patches
    )
    assert bars == [(-2.2, 10), (-1.8, 20), (-1.2, 30), (-0.8, 0), (-0.2, 40), (0.2, 0)]
    assert axes.get_xlabel() == "timestep (0: now)" and axes.get_ylabel() == "attention (%)"
    said = "40 % at the observation of now, 40 % at past observations, 20 % at past actions."
    assert said in figure.caption and figure.alt
    assert "do not see them" in attention_timeline(DECISION, layer=1).caption


def test_strip_shows_the_most_attended_frames_in_order():
    frames = [np.full((8, 8, 3), shade, np.uint8) for shade in range(30)]
    weights = np.zeros((1, 1, 59))
    weights[0, 0, [10, 40, 58]] = 0.2, 0.7, 0.1  # o5, o20, o29
    figure = attention_strip(frames, weights, count=3)
    assert [image.get_array()[0, 0, 0] for image in figure.axes[0].images] == [5, 20, 29]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["−24", "20 %", "−9", "70 %", "now", "10 %"]
    assert "the 3 most attended of 30 frames" in figure.caption
    with pytest.raises(ValueError, match="10 frames for 30 timesteps"):
        attention_strip(frames[:10], weights)


def test_heatmap_hides_the_future_and_draws_the_window():
    weights = np.tril(np.ones((8, 8))) / np.arange(1, 9)[:, None]
    figure = attention_heatmap(weights, window=3)
    axes = figure.axes[0]
    drawn = axes.images[0].get_array()
    assert drawn.mask.sum() == 28 and drawn[7, 0] == pytest.approx(12.5)
    edge = axes.lines[0].get_xydata()[:2].tolist()
    assert edge == [[0.5, 2.5], [0.5, 3.5]]  # query 3 sees keys 1 to 3
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["o0", "a0", "o1", "a1", "o2", "a2", "o3", "a3"]
    assert not attention_heatmap(weights, window=8).axes[0].lines
    with pytest.raises(ValueError, match=r"\(L, L\), not \(2, 8, 8\)"):
        attention_heatmap(np.stack([weights] * 2))


def test_head_summary_measures_distance_and_spread():
    weights = np.zeros((1, 3, 5, 5))
    weights[0, 0, :, 0] = 1  # always the first observation: 1 and 2 timesteps back from o1 and o2
    weights[0, 1, np.arange(5), np.arange(5)] = 1  # itself
    weights[0, 2, 2, [0, 2]] = weights[0, 2, 4, [2, 4]] = 0.5  # half here, half a timestep back
    distance, bits = distance_and_entropy(weights)
    np.testing.assert_allclose(distance, [[1.5, 0, 0.5]])
    np.testing.assert_allclose(bits, [[0, 0, 1]], atol=1e-6)
    figure = head_summary(weights, ["global"])
    points = figure.axes[0].lines[0].get_xydata()
    assert np.allclose(points, [[1.5, 0], [0, 0], [0.5, 1]], atol=1e-6)
    assert "Farthest back: layer 0, head 0 (1.5 timesteps)" in figure.caption
    with pytest.raises(ValueError, match="at least two timesteps"):
        head_summary(weights[..., :1, :1])


@pytest.mark.parametrize(
    "view",
    [
        lambda a: attention_timeline(DECISION, axes=a),
        lambda a: attention_heatmap(np.eye(4), axes=a),
        lambda a: head_summary(np.ones((2, 2, 5, 5)), axes=a),
    ],
)
def test_views_draw_on_the_axes_given(view):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert view(right) is figure
    assert not left.has_data() and right.has_data() and right.get_xlabel()


def test_bertviz_stands_in_a_frame_that_says_when_it_stays_empty():
    attention = [torch.eye(3, dtype=torch.float64)[None, None]]
    frame = bertviz_frame({"attention": attention, "tokens": ["o0", "a0 left", "o1"]}).data
    assert frame.startswith("<div><iframe") and frame.count("<iframe") == 1
    assert frame.endswith("where scripts may run.</p></div>")
    assert "could not be loaded" in frame
    assert "a0 left" in frame and "<script" not in frame  # escaped: the page around it runs nothing
