"""A token for each number: what a timestep becomes, and which tokens see which."""

import numpy as np
import pytest
import torch

from jatlab.experiments.baselines import gato_tokens as gato
from jatlab.experiments.baselines.scalar_model import Layout, ScalarModel
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task

REACH, ROOM = "metaworld-reach", "babyai-go-to-obj"
TINY = {"hidden_size": 16, "num_heads": 2, "attention_types": [[["global"], 2]], "num_layers": 2}


def untrained(task, tokenizer, context=3, words=0):
    torch.manual_seed(0)
    layout = Layout(get_task(task), tokenizer, words)
    positions = context * layout.total
    config = JatConfig.preset("nano", **TINY, max_position_embeddings=positions)
    return ScalarModel(config, layout).eval()


def test_a_timestep_of_an_arm_is_gatos(tokenizer):
    layout, rng = Layout(get_task(REACH), tokenizer), np.random.default_rng(0)
    observation, action = rng.normal(size=(1, 39)), rng.uniform(-1, 1, (1, 4))
    episode = {"continuous_observations": observation, "continuous_actions": action}
    theirs = gato.tokenize_episode(episode).ids
    action_ids = layout.action_ids(action)
    [ours] = np.concatenate([layout.observation_ids(observation), action_ids], axis=-1)
    assert (layout.total, layout.before, layout.actions) == (44, 40, 4)
    np.testing.assert_array_equal(ours - layout.first_bin, theirs - gato.TEXT_IDS)
    ids, executed = layout.from_choices(layout.to_choices(action_ids))
    np.testing.assert_array_equal(ids, action_ids)
    assert np.abs(executed - action).max() <= 1 / gato.BINS


def test_frames_have_no_scalars(tokenizer):
    with pytest.raises(ValueError, match="needs vectors or grids"):
        Layout(get_task("atari-pong"), tokenizer)


def test_positions_must_hold_two_timesteps(tokenizer):
    with pytest.raises(ValueError, match="hold 1 timesteps of 44 tokens"):
        untrained(REACH, tokenizer, context=1)


def influence(model, place):
    """Which tokens' hidden states (T, K) change when the token at ``place`` (t, k) changes."""
    layout, steps = model.layout, 3
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, layout.vocab_size, (1, steps, layout.total), generator=generator)
    other = ids.clone()
    other[0][place] = (other[0][place] + 1) % layout.vocab_size
    embedded = (model.embed(x, torch.arange(layout.total)).flatten(1, 2) for x in (ids, other))
    ours, theirs = (model.trunk(x, model.masks(steps))[0][0] for x in embedded)
    return (ours != theirs).any(-1).view(steps, layout.total)


def test_an_observation_is_seen_by_all_that_comes_later(tokenizer):
    moved = influence(untrained(REACH, tokenizer), (1, 5))
    assert not moved[0].any() and not moved[1, :5].any() and moved[1, 5:].all() and moved[2].all()


def test_an_action_is_seen_only_within_its_timestep(tokenizer):
    moved = influence(untrained(REACH, tokenizer), (1, 41))
    assert moved[1, 41:].all() and moved.sum() == 3
