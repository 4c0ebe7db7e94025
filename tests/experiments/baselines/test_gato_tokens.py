"""Gato's tokens: the published numbers, round trips within a bin, and what an episode costs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jatlab.experiments.baselines.gato_tokens import (
    BINS,
    KINDS,
    NO_ID,
    SEPARATOR,
    TEXT_IDS,
    bin_edges,
    cut_patches,
    decode_action,
    decode_observation,
    encode_action,
    encode_observation,
    inverse_mu_law,
    mu_law,
    timestep_tokens,
    to_bins,
    tokenize_episode,
)
from jatlab.tasks import get_task
from tests.support.synthetic import make_episode

NUMBERS = st.floats(-256, 256)
TASKS = ("metaworld-reach", "mujoco-humanoid", "babyai-go-to-obj", "atari-pong")


def episode_of(name, length=3):
    return make_episode(get_task(name), length, np.random.default_rng(0))


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, expected",
    [
        (0, 0),
        (256, 1),
        (-256, -1),
        (1, math.log(101) / math.log(25601)),
        (-1, -math.log(101) / math.log(25601)),
    ],
)
def test_mu_law_is_the_papers(x, expected):
    assert mu_law(x) == pytest.approx(expected)


@given(NUMBERS)
def test_a_number_returns_within_its_bin(x):
    token = encode_observation(x)
    low, high = bin_edges()[token - TEXT_IDS : token - TEXT_IDS + 2]
    slack = 1e-9 * max(1, abs(x))
    assert low - slack <= x <= high + slack
    assert low < decode_observation(token) < high
    assert encode_observation(decode_observation(token)) == token


@given(st.floats(-1, 1))
def test_an_action_returns_within_half_a_bin(x):
    assert abs(decode_action(encode_action(x)) - x) <= 1 / BINS + 1e-12


@given(NUMBERS, NUMBERS)
def test_order_is_kept(x, y):
    one, other = encode_observation(x), encode_observation(y)
    assert (one <= other) == (x <= y) or one == other


@given(st.floats(-1e300, 1e300))
def test_every_number_has_an_id(x):
    assert TEXT_IDS <= encode_observation(x) < TEXT_IDS + BINS
    assert TEXT_IDS <= encode_action(x) < TEXT_IDS + BINS


def test_what_is_too_large_is_clipped():
    ends = [32_000, 33_023]
    assert encode_observation([-1e9, 1e9]).tolist() == ends
    assert encode_observation([-256, 256]).tolist() == ends
    assert encode_action([-3, -1, 1, 3]).tolist() == [32_000, 32_000, 33_023, 33_023]


def test_bins_are_equally_wide_and_all_used():
    middles = (np.arange(BINS) + 0.5) / BINS * 2 - 1
    assert to_bins(middles).tolist() == list(range(BINS))
    assert to_bins(inverse_mu_law(0)) == BINS // 2


def test_numbers_that_have_no_bin():
    with pytest.raises(ValueError, match="NaN has no bin"):
        encode_observation([0.0, math.nan])
    with pytest.raises(ValueError, match="32000 to 33023; got 31999"):
        decode_observation([31_999])


# --- pictures -------------------------------------------------------------------------------------


def test_patches_are_in_raster_order_and_scaled():
    picture = np.zeros((1, 32, 48), np.uint8)
    for number in range(6):
        row, column = divmod(number, 3)
        picture[0, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 51 * number
    patches = cut_patches(picture)
    assert patches.shape == (6, 1, 16, 16) and patches.dtype == np.float32
    assert patches.min() == -0.25 and patches.max() == 0.25  # [-1, 1] / 4
    expected = (np.arange(6) * 51 / 127.5 - 1) / 4
    np.testing.assert_allclose(patches.mean((1, 2, 3)), expected, atol=1e-6)


def test_an_edge_is_cropped_evenly():
    picture = np.arange(84, dtype=np.uint8)[None, :, None].repeat(84, axis=2)
    patches = cut_patches(picture)
    assert len(patches) == 25
    assert round((float(patches[0, 0, 0, 0]) * 4 + 1) * 127.5) == 2
    assert round((float(patches[-1, 0, -1, -1]) * 4 + 1) * 127.5) == 81


def test_a_picture_smaller_than_a_patch():
    with pytest.raises(ValueError, match="15 x 40 pixels holds no patch"):
        cut_patches(np.zeros((3, 15, 40), np.uint8))


# --- episodes -------------------------------------------------------------------------------------


def test_a_timestep_of_meta_world():
    episode = episode_of("metaworld-reach", length=2)
    tokens = tokenize_episode(episode)
    assert len(tokens) == 2 * 44
    assert timestep_tokens(get_task("metaworld-reach")) == 44  # so 1,024 tokens hold 23
    assert [KINDS[k] for k in tokens.kinds[:44]] == ["real"] * 39 + ["separator"] + ["action"] * 4
    assert tokens.ids[39] == tokens.ids[83] == SEPARATOR == 33_024
    observation, action = episode["continuous_observations"][1], episode["continuous_actions"][1]
    np.testing.assert_array_equal(tokens.ids[44:83], encode_observation(observation))
    np.testing.assert_array_equal(tokens.ids[84:], encode_action(action))
    assert tokens.timesteps.tolist() == [0] * 44 + [1] * 44


def test_a_timestep_of_babyai(tokenizer):
    episode = episode_of("babyai-go-to-obj", length=2)
    tokens = tokenize_episode(episode, tokenizer)
    mission = tokenizer.encode(episode["text_observations"][0])
    kinds = ["integer"] * 148 + ["text"] * len(mission) + ["separator", "action"]
    assert [KINDS[k] for k in tokens.kinds[tokens.timesteps == 0]] == kinds
    assert tokens.ids[:148].tolist() == episode["discrete_observations"][0].tolist()
    second = tokens.ids[tokens.of_kind("text") & (tokens.timesteps == 1)]
    assert tokenizer.decode(second) == episode["text_observations"][1]
    assert tokens.ids[tokens.of_kind("action")].tolist() == episode["discrete_actions"].tolist()


def test_a_timestep_of_atari():
    episode = episode_of("atari-pong", length=2)
    tokens = tokenize_episode(episode)
    assert tokens.patches.shape == (50, 4, 16, 16)
    is_patch = tokens.of_kind("patch")
    assert (tokens.ids[is_patch] == NO_ID).all() and is_patch.sum() == 50
    second = cut_patches(episode["image_observations"][1])
    np.testing.assert_array_equal(tokens.patches[25:], second)


@pytest.mark.parametrize("name", TASKS)
def test_counting_agrees_with_cutting(name, tokenizer):
    tokens = tokenize_episode(episode_of(name, length=1), tokenizer)
    words = int(tokens.of_kind("text").sum())
    assert timestep_tokens(get_task(name), mission_tokens=words) == len(tokens)


def test_rewards_have_no_token(tokenizer):
    episode = episode_of("babyai-go-to-obj")
    other = episode | {"rewards": episode["rewards"] + 100}
    ours, theirs = (tokenize_episode(e, tokenizer).ids for e in (episode, other))
    np.testing.assert_array_equal(ours, theirs)


def test_episodes_that_cannot_be_cut():
    with pytest.raises(ValueError, match="needs a tokenizer"):
        tokenize_episode(episode_of("babyai-go-to-obj"))
    with pytest.raises(ValueError, match="observations and one column of actions; got rewards"):
        tokenize_episode({"rewards": np.zeros(2)})
    large = {"continuous_observations": np.zeros((1, 2)), "discrete_actions": np.array([1024])}
    with pytest.raises(ValueError, match="discrete_actions hold 1024 to 1024"):
        tokenize_episode(large)
    with pytest.raises(ValueError, match="python-docs has no timesteps"):
        timestep_tokens(get_task("python-docs"))
