"""Episodes cut into windows, and windows put together into batches."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jatlab.data.episodes import write_episodes
from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import WindowSource, cut_windows, open_source, source_for, to_tensors
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from tests.support.synthetic import make_episode, write_task

BABYAI, METAWORLD, ATARI = "babyai-go-to-obj", "metaworld-reach", "atari-pong"
CONFIG = JatConfig.preset("nano", max_position_embeddings=16)


def store_of(name, lengths, seed=0):
    rng = np.random.default_rng(seed)
    episodes = [make_episode(get_task(name), length, rng) for length in lengths]
    return episodes, EpisodeStore.of_episodes(get_task(name), episodes)


def restored(source, rng=None):
    """The episodes, put together again from the batches of single windows and of all windows at
    once.
    """
    windows = source.windows(rng or np.random.default_rng(0))
    together = source.batch(windows)
    rows = {}
    for i, window in enumerate(windows):
        alone = source.batch(window[None])
        for name, values in alone.items():
            assert values.shape[1] == window[1]
            np.testing.assert_array_equal(values[0], together[name][i, : window[1]])
        rows[int(window[0])] = alone
    return {
        name: np.concatenate([rows[start][name][0] for start in sorted(rows)]) for name in together
    }


# --- cutting
# -----------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 20), st.data())
def test_every_timestep_lies_in_one_window_and_no_window_crosses_an_episode(lengths, longest, data):
    lengths = np.array(lengths)
    firsts = data.draw(st.none() | arrays(np.int64, len(lengths), elements=st.integers(1, longest)))
    windows = cut_windows(lengths, longest, firsts=firsts)
    covered = np.concatenate([np.arange(start, start + length) for start, length in windows])
    np.testing.assert_array_equal(covered, np.arange(lengths.sum()))
    assert (windows[:, 1] >= 1).all() and (windows[:, 1] <= longest).all()
    episode = np.repeat(np.arange(len(lengths)), lengths)
    assert all(episode[start] == episode[start + length - 1] for start, length in windows)


def test_windows_start_at_the_episodes_start_and_only_the_last_is_short():
    np.testing.assert_array_equal(
        cut_windows(np.array([7, 3]), 3), [[0, 3], [3, 3], [6, 1], [7, 3]]
    )


# --- what is in a batch
# ------------------------------------------------------------------------------------------------------


def test_windows_by_domain():
    for name, longest in ((METAWORLD, 3), ("mujoco-ant", 8)):
        _, store = store_of(name, [10])
        window = CONFIG.window(store.task, {"metaworld": 3})
        source = source_for(store, CONFIG, max_timesteps=window)
        assert source.windows(np.random.default_rng(0))[:, 1].max() == longest


@pytest.mark.parametrize("name", [BABYAI, METAWORLD, ATARI])
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5), random_start=st.booleans())
def test_windows_hold_the_episodes_and_nothing_else(name, lengths, random_start):
    episodes, store = store_of(name, lengths)
    source = source_for(store, CONFIG, TextTokenizer.load(), random_start=random_start)
    found = restored(source)
    for column in (
        "continuous_observations",
        "image_observations",
        "continuous_actions",
        "discrete_actions",
    ):
        if column in found:
            np.testing.assert_array_equal(
                found[column], np.concatenate([e[column] for e in episodes])
            )
    if "discrete_observations" in found:
        np.testing.assert_array_equal(
            found["discrete_observations"][:, :148],
            np.concatenate([e["discrete_observations"] for e in episodes]),
        )
    arriving = np.concatenate([np.append(np.float32(0), e["rewards"][:-1]) for e in episodes])
    np.testing.assert_array_equal(found["rewards"], arriving)
    assert found["attention_mask"].all()


def test_the_reward_beside_an_observation_came_on_arriving_there_also_across_a_cut():
    episodes, store = store_of(METAWORLD, [10])
    source = source_for(store, CONFIG, max_timesteps=4)
    batch = source.batch(source.windows(None))
    rewards = episodes[0]["rewards"]
    np.testing.assert_array_equal(
        batch["rewards"], [[0, *rewards[0:3]], rewards[3:7], [*rewards[7:9], 0, 0]]
    )
    np.testing.assert_array_equal(
        batch["attention_mask"], [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]
    )


def test_a_batch_has_the_models_names_types_and_shapes_and_padding_is_zero():
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


def test_a_batch_goes_through_the_model_and_padding_changes_no_prediction():
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
        torch.testing.assert_close(
            both.pred_actions[0, :3], short.pred_actions[0], atol=1e-5, rtol=1e-5
        )
        assert torch.isfinite(both.loss)


def test_images_stay_bytes_until_they_are_tensors():
    episodes, store = store_of(ATARI, [3])
    source = source_for(store, CONFIG)
    batch = source.batch(source.windows(None))
    assert batch["image_observations"].dtype == np.uint8
    images = to_tensors(batch)["image_observations"].numpy()
    np.testing.assert_allclose(images[0], episodes[0]["image_observations"] / 127.5 - 1, atol=1e-6)
    assert -1 <= images.min() and images.max() <= 1


def test_atari_windows_are_those_of_the_paper():
    _, store = store_of(ATARI, [70])
    assert source_for(store, JatConfig.preset("nano")).windows(None)[:, 1].tolist() == [32, 32, 6]


# --- held out episodes
# -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 30), st.floats(0, 0.99), st.integers(0, 5))
def test_a_split_keeps_whole_episodes_apart(count, fraction, seed):
    _, store = store_of(METAWORLD, [2] * count)
    train, val = WindowSource(store, 4).split(fraction, seed)
    held = [] if val is None else val.episodes.tolist()
    assert sorted([*train.episodes, *held]) == list(range(count))
    assert len(held) == min(round(count * fraction), count - 1)


# --- on disk
# -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [BABYAI, METAWORLD, ATARI])
def test_from_disk_and_from_memory_are_the_same(name, tmp_path):
    episodes, memory = store_of(name, [3, 9, 1, 4])
    write_episodes(tmp_path / name / "train" / "00000.parquet", episodes[:3], get_task(name))
    write_episodes(tmp_path / name / "train" / "00001.parquet", episodes[3:], get_task(name))
    disk = EpisodeStore.open(get_task(name), tmp_path)
    assert disk.texts == memory.texts
    np.testing.assert_array_equal(disk.offsets, memory.offsets)
    for column, values in memory.columns.items():
        assert (
            isinstance(disk.columns[column], np.memmap)
            and disk.columns[column].dtype == values.dtype
        )
        np.testing.assert_array_equal(disk.columns[column], values)


def test_the_flat_copy_is_written_once_and_anew_when_episodes_are_added(tmp_path):
    task = get_task(METAWORLD)
    write_task(tmp_path, METAWORLD, [5, 6])
    first = EpisodeStore.open(task, tmp_path)
    (cache,) = (tmp_path / METAWORLD / "cache").iterdir()
    written = (cache / "rewards.bin").stat().st_mtime_ns
    assert EpisodeStore.open(task, tmp_path).fingerprint == first.fingerprint
    assert (cache / "rewards.bin").stat().st_mtime_ns == written
    write_task(tmp_path, METAWORLD, [7], file="00001")
    second = EpisodeStore.open(task, tmp_path)
    assert second.lengths.tolist() == [5, 6, 7] and second.fingerprint != first.fingerprint
    assert [p.name for p in (tmp_path / METAWORLD / "cache").iterdir()] == [second.fingerprint]
    np.testing.assert_array_equal(
        first.columns["rewards"], second.columns["rewards"][:11]
    )  # still readable


def test_a_flat_copy_that_lost_bytes_is_written_anew(tmp_path):
    write_task(tmp_path, METAWORLD, [5])
    before = np.array(EpisodeStore.open(get_task(METAWORLD), tmp_path).columns["rewards"])
    (file,) = tmp_path.glob("*/cache/*/rewards.bin")
    os.truncate(file, 4)
    np.testing.assert_array_equal(
        EpisodeStore.open(get_task(METAWORLD), tmp_path).columns["rewards"], before
    )


def test_the_flat_copy_can_lie_elsewhere(tmp_path):
    write_task(tmp_path / "data", METAWORLD, [5])
    EpisodeStore.open(get_task(METAWORLD), tmp_path / "data", cache=tmp_path / "fast")
    assert not (tmp_path / "data" / METAWORLD / "cache").exists()
    assert list((tmp_path / "fast").glob("*/cache/*/index.json"))


def test_writing_the_flat_copy_fails_as_a_whole(tmp_path, monkeypatch):
    write_task(tmp_path, METAWORLD, [5])

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)  # the last file to be written
    with pytest.raises(OSError, match="the disk is full"):
        EpisodeStore.open(get_task(METAWORLD), tmp_path)
    assert list((tmp_path / METAWORLD / "cache").iterdir()) == []


# --- bad input
# ---------------------------------------------------------------------------------------------------------------


def test_windows_longer_than_the_positions():
    _, store = store_of(METAWORLD, [5])
    with pytest.raises(
        ValueError,
        match="windows of 9 timesteps are 18 tokens, but the model has 16 positions; use max_timesteps=8",
    ):
        source_for(store, CONFIG, max_timesteps=9)


def test_an_empty_episode_and_no_episode():
    with pytest.raises(ValueError, match="metaworld-reach, episode 1: the episode is empty"):
        store_of(METAWORLD, [2, 0])
    with pytest.raises(ValueError, match="metaworld-reach: no episodes"):
        store_of(METAWORLD, [])


def test_nan_names_task_episode_and_column():
    episodes, _ = store_of(METAWORLD, [3, 3])
    episodes[1]["continuous_actions"][2, 0] = np.nan
    with pytest.raises(ValueError, match="metaworld-reach, episode 1, column 'continuous_actions'"):
        EpisodeStore.of_episodes(get_task(METAWORLD), episodes)


def test_ids_that_the_model_does_not_have():
    _, store = store_of(BABYAI, [20])
    with pytest.raises(
        ValueError, match="discrete_observations reach 7, but the model's vocab_size is 6"
    ):
        source_for(store, CONFIG.replace(vocab_size=6), TextTokenizer.load())
    with pytest.raises(ValueError, match="148 integers do not fit into max_discrete_value=100"):
        source_for(
            store, CONFIG.replace(max_discrete_value=100, discrete_gates=0), TextTokenizer.load()
        )
    with pytest.raises(ValueError, match="needs a tokenizer"):
        source_for(store, CONFIG)


def test_negative_integers_are_refused():
    episodes, _ = store_of(BABYAI, [3])
    episodes[0]["discrete_observations"][0, 0] = -1
    with pytest.raises(
        ValueError,
        match="babyai-go-to-obj, episode 0, column 'discrete_observations': values from -1",
    ):
        EpisodeStore.of_episodes(get_task(BABYAI), episodes)


def test_nothing_recorded(tmp_path):
    with pytest.raises(FileNotFoundError, match="jatlab record"):
        open_source(METAWORLD, tmp_path, CONFIG)


def test_parquet_that_was_cut_off(tmp_path):
    write_task(tmp_path, METAWORLD, [5])
    (file,) = tmp_path.glob("*/train/*.parquet")
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(ValueError, match="00000.parquet: not a whole Parquet file"):
        open_source(METAWORLD, tmp_path, CONFIG)
    assert not list(tmp_path.glob("*/cache/*"))


def test_nearly_the_same_episodes_are_held_out_when_more_are_recorded_behind_them():
    """An agent that is trained on, with corrections, is not tested on what it has learnt: no more
    than a few of those held out are new among the old.
    """
    few, more = (WindowSource(store_of(METAWORLD, [2] * count)[1], 8) for count in (400, 520))
    (train, before), (_, after) = few.split(0.05, seed=3), more.split(0.05, seed=3)
    assert len(before.episodes) == 20 and len(after.episodes) == 26
    assert sorted([*train.episodes, *before.episodes]) == list(range(400))
    old = after.episodes[after.episodes < 400]
    assert len(set(old) - set(before.episodes)) <= 5 and len(old) >= 15
