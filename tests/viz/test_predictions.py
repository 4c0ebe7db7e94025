"""Expected against real, probabilities, saliency, the film: what is drawn is what differs."""

import numpy as np
import pytest
import torch

import jatlab
from jatlab.viz.predictions import compare_frames, compare_grids, compare_vectors
from jatlab.viz.probabilities import action_probabilities
from jatlab.viz.saliency import saliency, sensitivity
from jatlab.viz.side_by_side import side_by_side
from jatlab.viz.video import read_video


def grid(**cells):
    values = np.zeros(148, int)
    values[1::3] = 1  # empty everywhere
    for place, cell in cells.items():
        column, row = int(place[1]), int(place[2])
        values[1 + 3 * (7 * column + row) :][:3] = cell
    return values


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_cells_that_differ_are_framed():
    real = grid(c23=(6, 0, 0), c31=(4, 2, 2))
    figure = compare_grids(grid(c23=(6, 2, 0), c31=(4, 2, 2)), real)
    framed = [patch for patch in figure.axes[0].patches if patch.get_linewidth() == 2.2]
    assert [(round(p.get_x()), round(p.get_y())) for p in framed] == [(2, 3)]
    assert {"expected: facing right", "red", "blue", "ball", "locked"} <= set(texts(figure))
    assert "147 of 148 integers agree; 1 of 49 cells are wrong" in figure.caption
    logits = np.eye(8)[np.minimum(real, 7)]
    assert "148 of 148" in compare_grids(logits, real).caption
    with pytest.raises(ValueError, match=r"148 integers .* not an array of shape \(7, 7, 3\)"):
        compare_grids(np.zeros((7, 7, 3)), real)


def test_frames_are_compared_on_one_scale():
    real = np.full((4, 84, 84), 255, np.uint8)
    figure = compare_frames(np.zeros((4, 84, 84)), real)
    pair, difference = figure.axes[0].images
    assert pair.get_array().shape == (84, 174) and np.nanmax(pair.get_array()) == 1
    assert (difference.get_array() == 1).all() and "mean squared error 1.000" in figure.caption


def test_vectors_are_points_or_curves():
    figure = compare_vectors(np.array([0.0, 2.0]), np.array([0.0, 0.5]), ["x", "y"])
    real, predicted = figure.axes[0].lines
    assert list(real.get_ydata()) == [0, 0.5] and list(predicted.get_ydata()) == [0, 2]
    assert "Farthest off: y, by 1.5." in figure.caption
    curves = compare_vectors(np.zeros((5, 2)), np.ones((5, 2)))
    assert len(curves.axes[0].lines) == 4 and "difference 1." in curves.caption
    with pytest.raises(ValueError, match="alike in size"):
        compare_vectors(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="at most six"):
        compare_vectors(np.zeros((5, 7)), np.zeros((5, 7)))


def test_probabilities_have_a_ring_on_the_action_taken():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    figure = action_probabilities(probabilities, [0, 1, 1], ["left", "right"])
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), 100 * probabilities.T)
    assert list(figure.axes[0].lines[0].get_ydata()) == [0, 1, 1]
    assert "67 % on average, 30 % at timestep 2" in figure.caption
    with pytest.raises(ValueError, match=r"\(T, A\), \(T,\) and A"):
        action_probabilities(probabilities, [0, 1], ["left", "right"])


@pytest.fixture(scope="module")
def agent():
    return jatlab.Agent.untrained("nano")


def made_up(task, length, rng):
    name = {"atari-pong": "image", "babyai-go-to-obj": "discrete", "metaworld-reach": "continuous"}[
        task
    ]
    observed = {
        "image": rng.integers(0, 256, (length, 4, 84, 84), dtype=np.uint8),
        "discrete": rng.integers(0, 8, (length, 148)),
        "continuous": rng.normal(size=(length, 39)),
    }[name]
    actions = (
        {"continuous_actions": rng.normal(size=(length, 4)).astype(np.float32)}
        if name == "continuous"
        else {"discrete_actions": rng.integers(0, 3, length)}
    )
    return {
        f"{name}_observations": observed,
        "text_observations": ["go to the red ball"] * length,
        "rewards": np.zeros(length),
    } | actions


@pytest.mark.parametrize("task", ["atari-pong", "metaworld-reach"])
def test_saliency_is_the_gradient(agent, task):
    """Against a small step along one input, by central differences."""
    episode = made_up(task, 3, np.random.default_rng(0))
    values, chosen = sensitivity(agent, episode, 1, task)
    name = next(iter(episode))
    observed = torch.from_numpy(episode[name][:2]).float()[None]
    observed = observed / 127.5 - 1 if name.startswith("image") else observed
    place = np.unravel_index(values.argmax(), values.shape)
    action = "continuous_actions" if chosen is None else "discrete_actions"

    def score(step):
        moved = observed.clone()
        moved[0, 1][place] += step
        with torch.no_grad():
            output = (
                agent.model(
                    **{name: moved, action: torch.from_numpy(episode[action][:2])[None]},
                    return_loss=False,
                )
                .pred_actions[0, -1]
                .double()
            )
        return float(output.abs().sum() if chosen is None else output[chosen])

    assert abs(score(1e-3) - score(-1e-3)) / 2e-3 == pytest.approx(values[place], rel=0.05)
    assert all(parameter.requires_grad for parameter in agent.model.parameters())


def test_saliency_of_a_grid_is_the_fall_of_the_logit(agent):
    episode = made_up("babyai-go-to-obj", 2, np.random.default_rng(0))
    episode["discrete_observations"][1, 1:4] = 1, 0, 0  # already empty: emptying changes nothing
    values, chosen = sensitivity(agent, episode, 1, "babyai-go-to-obj")
    assert (
        values.shape == (7, 7)
        and values[0, 0] == pytest.approx(0, abs=1e-5)
        and np.abs(values).max() > 1e-4
    )
    assert chosen == episode["discrete_actions"][1]


@pytest.mark.parametrize("task", ["atari-pong", "babyai-go-to-obj", "metaworld-reach"])
def test_saliency_is_drawn_for_every_kind(agent, task):
    figure = saliency(agent, made_up(task, 2, np.random.default_rng(0)), task=task)
    assert figure.caption and figure.alt and figure.axes[0].has_data()


def test_saliency_refuses_what_it_cannot_read(agent):
    episode = made_up("metaworld-reach", 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="atari-pong observes image_observations"):
        sensitivity(agent, episode, task="atari-pong")
    with pytest.raises(ValueError, match="timestep 2 of an episode of 2"):
        sensitivity(agent, episode, 2, "metaworld-reach")
    with pytest.raises(ValueError, match="needs to know the task"):
        saliency(jatlab.Agent(agent.model, agent.tokenizer), episode)


def test_an_episode_is_filmed_side_by_side(agent, tmp_path):
    frames = side_by_side(agent, "babyai-go-to-obj", 7, tmp_path / "film.gif", max_steps=4, every=2)
    assert len(frames) == 3 and all(
        frame.shape == frames[0].shape and frame.dtype == np.uint8 for frame in frames
    )
    assert (frames[0] != frames[-1]).any() and len(read_video(tmp_path / "film.gif")) >= 2
    with pytest.raises(ValueError, match=r"ends in \.gif or \.mp4"):
        side_by_side(agent, "babyai-go-to-obj", output="film.avi")
