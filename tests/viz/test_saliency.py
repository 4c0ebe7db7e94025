"""Saliency: the gradient, or the fall of a logit, measured again in another way."""

import numpy as np
import pytest
import torch

import jatlab
from jatlab.viz.saliency import saliency, sensitivity


@pytest.fixture(scope="module")
def agent():
    return jatlab.Agent.untrained("nano")


def made_up(task, length, rng):
    if task == "metaworld-reach":
        episode = {
            "continuous_observations": rng.normal(size=(length, 39)),
            "continuous_actions": rng.normal(size=(length, 4)).astype(np.float32),
        }
    elif task == "babyai-go-to-obj":
        episode = {
            "discrete_observations": rng.integers(0, 8, (length, 148)),
            "discrete_actions": rng.integers(0, 3, length),
            "text_observations": ["go to the red ball"] * length,
        }
    else:
        episode = {
            "image_observations": rng.integers(0, 256, (length, 4, 84, 84), dtype=np.uint8),
            "discrete_actions": rng.integers(0, 3, length),
        }
    return episode | {"rewards": np.zeros(length)}


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
    inputs = {action: torch.from_numpy(episode[action][:2])[None], "return_loss": False}

    @torch.no_grad()
    def score(step):
        moved = observed.clone()
        moved[0, 1][place] += step
        output = agent.model(**{name: moved}, **inputs).pred_actions[0, -1].double()
        return float(output.abs().sum() if chosen is None else output[chosen])

    assert abs(score(1e-3) - score(-1e-3)) / 2e-3 == pytest.approx(values[place], rel=0.05)
    assert all(parameter.requires_grad for parameter in agent.model.parameters())


def test_saliency_of_a_grid_is_the_fall_of_the_logit(agent):
    episode = made_up("babyai-go-to-obj", 2, np.random.default_rng(0))
    episode["discrete_observations"][1, 1:4] = 1, 0, 0  # already empty: emptying changes nothing
    values, chosen = sensitivity(agent, episode, 1, "babyai-go-to-obj")
    assert values.shape == (7, 7) and values[0, 0] == pytest.approx(0, abs=1e-5)
    assert np.abs(values).max() > 1e-4
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
