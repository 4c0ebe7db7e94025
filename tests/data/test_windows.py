"""Episodes cut into windows, and windows put together into batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import WindowSource, cut_windows, open_source, source_for, to_tensors
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from tests.support.synthetic import make_episode

BABYAI, METAWORLD, ATARI = "babyai-go-to-obj", "metaworld-reach", "atari-pong"
CONFIG = JatConfig.preset("nano", max_position_embeddings=16)


def store_of(name, lengths, seed=0):
    rng = np.random.default_rng(seed)
    episodes = [make_episode(get_task(name), length, rng) for length in lengths]
    return episodes, EpisodeStore.of_episodes(get_task(name), episodes)


def restored(source, rng=None):
    """The episodes, put together again from batches of one window and of all windows."""
    windows = source.windows(rng or np.random.default_rng(0))
    together = source.batch(windows)
    rows = {}
    for i, window in enumerate(windows):
        alone = source.batch(window[None])
        for name, values in alone.items():
            assert values.shape[1] == window[1]
            np.testing.assert_array_equal(values[0], together[name][i, : window[1]])
        rows[int(window[0])] = alone
    in_order = [rows[start] for start in sorted(rows)]
    return {name: np.concatenate([row[name][0] for row in in_order]) for name in together}


# --- cutting ---


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 20), st.data())
def test_windows_cover_each_timestep_once_within_its_episode(lengths, longest, data):
    lengths = np.array(lengths)
    firsts = data.draw(st.none() | arrays(np.int64, len(lengths), elements=st.integers(1, longest)))
    windows = cut_windows(lengths, longest, firsts=firsts)
    covered = np.concatenate([np.arange(start, start + length) for start, length in windows])
    np.testing.assert_array_equal(covered, np.arange(lengths.sum()))
    assert (windows[:, 1] >= 1).all() and (windows[:, 1] <= longest).all()
    episode = np.repeat(np.arange(len(lengths)), lengths)
    assert all(episode[start] == episode[start + length - 1] for start, length in windows)


def test_windows_start_with_the_episode_and_the_last_is_short():
    windows = cut_windows(np.array([7, 3]), 3)
    np.testing.assert_array_equal(windows, [[0, 3], [3, 3], [6, 1], [7, 3]])


# --- what is in a batch ---


def test_windows_by_domain():
    for name, longest in ((METAWORLD, 3), ("mujoco-ant", 8)):
        _, store = store_of(name, [10])
        window = CONFIG.window(store.task, {"metaworld": 3})
        source = source_for(store, CONFIG, max_timesteps=window)
        assert source.windows(np.random.default_rng(0))[:, 1].max() == longest


@pytest.mark.parametrize("name", [BABYAI, METAWORLD, ATARI])
@settings(max_examples=15)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5), random_start=st.booleans())
def test_windows_hold_the_episodes_and_nothing_else(name, lengths, random_start):
    episodes, store = store_of(name, lengths)
    source = source_for(store, CONFIG, TextTokenizer.load(), random_start=random_start)
    found = restored(source)
    if "discrete_observations" in found:
        found["discrete_observations"] = found["discrete_observations"][:, :148]
    for column in found.keys() & episodes[0].keys() - {"rewards"}:
        wanted = np.concatenate([episode[column] for episode in episodes])
        np.testing.assert_array_equal(found[column], wanted)
    arriving = np.concatenate([np.append(np.float32(0), e["rewards"][:-1]) for e in episodes])
    np.testing.assert_array_equal(found["rewards"], arriving)
    assert found["attention_mask"].all()


def test_an_episode_that_just_fits_is_never_cut():
    _, store = store_of(METAWORLD, [4, 4, 9])
    source = source_for(store, CONFIG, max_timesteps=4, random_start=True)
    for seed in range(20):
        windows = source.windows(np.random.default_rng(seed)).tolist()
        assert [0, 4] in windows and [4, 4] in windows


def test_rewards_are_those_of_arriving_also_across_a_cut():
    episodes, store = store_of(METAWORLD, [10])
    source = source_for(store, CONFIG, max_timesteps=4)
    batch = source.batch(source.windows(None))
    rewards = episodes[0]["rewards"]
    arriving = [[0, *rewards[0:3]], rewards[3:7], [*rewards[7:9], 0, 0]]
    mask = [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]
    np.testing.assert_array_equal(batch["rewards"], arriving)
    np.testing.assert_array_equal(batch["attention_mask"], mask)


def test_a_batch_has_the_models_arguments_and_zero_padding():
    _, store = store_of(BABYAI, [3, 5])
    source = source_for(store, CONFIG, TextTokenizer.load(), loss_weight=2.5)
    batch = source.batch(source.windows(None))
    shapes = {name: (values.shape, values.dtype.name) for name, values in batch.items()}
    assert shapes == {
        "discrete_observations": ((2, 5, CONFIG.max_discrete_value), "int64"),
        "discrete_actions": ((2, 5), "int64"),
        "rewards": ((2, 5), "float32"),
        "attention_mask": ((2, 5), "int64"),
        "loss_weight": ((2, 5), "float32"),
    }
    assert not batch["discrete_observations"][0, 3:].any() and not batch["rewards"][0, 3:].any()
    assert (batch["loss_weight"] == 2.5).all()


def test_the_mission_follows_the_grid_as_the_tokenizer_has_it():
    episodes, store = store_of(BABYAI, [2, 2, 2])
    tokenizer = TextTokenizer.load()
    source = source_for(store, CONFIG, tokenizer)
    batch = source.batch(source.windows(None))
    for row, episode in enumerate(episodes):
        wanted = tokenizer.encode_batch(list(episode["text_observations"]), CONFIG.max_text_tokens)
        np.testing.assert_array_equal(batch["discrete_observations"][row, :, 148:], wanted)


def test_a_mission_that_does_not_fit_is_cut_with_a_warning():
    _, store = store_of(BABYAI, [2])
    with pytest.warns(UserWarning, match="1 of 1 texts are longer than 2 tokens"):
        source = source_for(store, CONFIG.replace(max_discrete_value=150), TextTokenizer.load())
    assert source.batch(source.windows(None))["discrete_observations"].shape == (1, 2, 150)


def test_padding_changes_no_prediction_of_the_model():
    import torch

    from jatlab.model import JatModel

    torch.manual_seed(0)
    model = JatModel(CONFIG).eval()
    for name in (BABYAI, METAWORLD, ATARI):
        _, store = store_of(name, [3, 5])
        source = source_for(store, CONFIG, TextTokenizer.load())
        windows = source.windows(None)
        with torch.no_grad():
            both, short = (model(**to_tensors(source.batch(w))) for w in (windows, windows[:1]))
        ours, alone = both.pred_actions[0, :3], short.pred_actions[0]
        torch.testing.assert_close(ours, alone, atol=1e-5, rtol=1e-5)
        assert torch.isfinite(both.loss)


def test_images_stay_bytes_until_they_are_tensors():
    episodes, store = store_of(ATARI, [3])
    source = source_for(store, CONFIG)
    batch = source.batch(source.windows(None))
    assert batch["image_observations"].dtype == np.uint8
    images = to_tensors(batch)["image_observations"].numpy()
    np.testing.assert_allclose(images[0], episodes[0]["image_observations"] / 127.5 - 1, atol=1e-6)
    assert images.min() >= -1 and images.max() <= 1


def test_atari_windows_are_those_of_the_paper():
    _, store = store_of(ATARI, [70])
    assert source_for(store, JatConfig.preset("nano")).windows(None)[:, 1].tolist() == [32, 32, 6]


# --- held out episodes ---


@given(st.integers(1, 30), st.floats(0, 0.99), st.integers(0, 5))
def test_a_split_keeps_whole_episodes_apart(count, fraction, seed):
    _, store = store_of(METAWORLD, [2] * count)
    train, val = WindowSource(store, 4).split(fraction, seed)
    held = [] if val is None else val.episodes.tolist()
    assert sorted([*train.episodes, *held]) == list(range(count))
    assert len(held) == min(round(count * fraction), count - 1)


# --- bad input ---


def test_windows_longer_than_the_positions():
    _, store = store_of(METAWORLD, [5])
    message = (
        "windows of 9 timesteps are 18 tokens, but the model has 16 positions; use max_timesteps=8"
    )
    with pytest.raises(ValueError, match=message):
        source_for(store, CONFIG, max_timesteps=9)


def test_ids_that_the_model_does_not_have():
    _, store = store_of(BABYAI, [20])
    message = "discrete_observations reach 7, but the model's vocab_size is 6"
    with pytest.raises(ValueError, match=message):
        source_for(store, CONFIG.replace(vocab_size=6), TextTokenizer.load())
    small = CONFIG.replace(max_discrete_value=100, discrete_gates=0)
    with pytest.raises(ValueError, match="148 integers do not fit into max_discrete_value=100"):
        source_for(store, small, TextTokenizer.load())
    with pytest.raises(ValueError, match="needs a tokenizer"):
        source_for(store, CONFIG)


def test_nothing_recorded(tmp_path):
    with pytest.raises(FileNotFoundError, match="jatlab record"):
        open_source(METAWORLD, tmp_path, CONFIG)


def test_more_episodes_leave_nearly_the_same_ones_held_out():
    """An agent that is trained further, on relabelled episodes too, is not tested on old ones.

    Of the old episodes, no more than a few are newly held out.
    """
    few, more = (WindowSource(store_of(METAWORLD, [2] * count)[1], 8) for count in (400, 520))
    (train, before), (_, after) = few.split(0.05, seed=3), more.split(0.05, seed=3)
    assert len(before.episodes) == 20 and len(after.episodes) == 26
    assert sorted([*train.episodes, *before.episodes]) == list(range(400))
    old = after.episodes[after.episodes < 400]
    assert len(set(old) - set(before.episodes)) <= 5 and len(old) >= 15
