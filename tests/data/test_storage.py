"""Episodes laid out flat, on disk and in memory."""

import os
import shutil

import numpy as np
import pytest

from jatlab.data.episodes import write_episodes
from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import open_source
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task
from tests.support.synthetic import make_episode, write_task

BABYAI, METAWORLD, ATARI = "babyai-go-to-obj", "metaworld-reach", "atari-pong"
CONFIG = JatConfig.preset("nano", max_position_embeddings=16)


def store_of(name, lengths, seed=0):
    rng = np.random.default_rng(seed)
    episodes = [make_episode(get_task(name), length, rng) for length in lengths]
    return episodes, EpisodeStore.of_episodes(get_task(name), episodes)


# --- on disk ---


@pytest.mark.parametrize("name", [BABYAI, METAWORLD, ATARI])
def test_from_disk_and_from_memory_are_the_same(name, tmp_path):
    episodes, memory = store_of(name, [3, 9, 1, 4])
    write_episodes(tmp_path / name / "train" / "00000.parquet", episodes[:3], get_task(name))
    write_episodes(tmp_path / name / "train" / "00001.parquet", episodes[3:], get_task(name))
    disk = EpisodeStore.open(get_task(name), tmp_path)
    assert disk.texts == memory.texts
    np.testing.assert_array_equal(disk.offsets, memory.offsets)
    for column, values in memory.columns.items():
        mapped = disk.columns[column]
        assert isinstance(mapped, np.memmap) and mapped.dtype == values.dtype
        np.testing.assert_array_equal(mapped, values)


@pytest.mark.parametrize("name", [BABYAI, METAWORLD, ATARI])
def test_a_part_is_the_store_of_these_episodes(name):
    episodes, whole = store_of(name, [3, 9, 1, 4])
    part = whole.part(np.array([2, 0, 3]))
    alone = EpisodeStore.of_episodes(get_task(name), [episodes[i] for i in (2, 0, 3)])
    np.testing.assert_array_equal(part.offsets, alone.offsets)
    for column, values in alone.columns.items():
        mine = part.columns[column][np.arange(8)]
        if column == "text_observations":
            mine, values = np.array(part.texts)[mine], np.array(alone.texts)[values]
        np.testing.assert_array_equal(mine, values)
    assert part.fingerprint != whole.part(np.array([0, 2, 3])).fingerprint


def test_a_part_leaves_frames_where_they_are():
    _, whole = store_of(ATARI, [3, 9])
    frames = whole.part(np.array([1])).columns["image_observations"]
    assert frames.values is whole.columns["image_observations"] and len(frames) == 9
    np.testing.assert_array_equal(frames[2:4], whole.columns["image_observations"][5:7])
    np.testing.assert_array_equal(frames[8], whole.columns["image_observations"][11])


def test_the_flat_copy_is_written_anew_when_episodes_are_added(tmp_path):
    task = get_task(METAWORLD)
    write_task(tmp_path, METAWORLD, [5, 6])
    first = EpisodeStore.open(task, tmp_path)
    (cache,) = (tmp_path / METAWORLD / "cache" / "train").iterdir()
    written = (cache / "rewards.bin").stat().st_mtime_ns
    assert EpisodeStore.open(task, tmp_path).fingerprint == first.fingerprint
    assert (cache / "rewards.bin").stat().st_mtime_ns == written
    write_task(tmp_path, METAWORLD, [7], file="00001")
    second = EpisodeStore.open(task, tmp_path)
    assert second.lengths.tolist() == [5, 6, 7] and second.fingerprint != first.fingerprint
    kept = list((tmp_path / METAWORLD / "cache" / "train").iterdir())
    assert [folder.name for folder in kept] == [second.fingerprint]
    # the first is still readable
    np.testing.assert_array_equal(first.columns["rewards"], second.columns["rewards"][:11])


def test_the_flat_copies_of_both_splits_stay(tmp_path):
    task = get_task(METAWORLD)
    write_task(tmp_path, METAWORLD, [5])
    shutil.copytree(tmp_path / METAWORLD / "train", tmp_path / METAWORLD / "test")
    train, test = (EpisodeStore.open(task, tmp_path, split) for split in ("train", "test"))
    for split, store in (("train", train), ("test", test)):
        assert (tmp_path / METAWORLD / "cache" / split / store.fingerprint / "index.json").exists()


def test_a_flat_copy_that_lost_bytes_is_written_anew(tmp_path):
    write_task(tmp_path, METAWORLD, [5])
    before = np.array(EpisodeStore.open(get_task(METAWORLD), tmp_path).columns["rewards"])
    (file,) = tmp_path.glob("*/cache/train/*/rewards.bin")
    os.truncate(file, 4)
    after = EpisodeStore.open(get_task(METAWORLD), tmp_path).columns["rewards"]
    np.testing.assert_array_equal(after, before)


def test_the_flat_copy_can_lie_elsewhere(tmp_path):
    write_task(tmp_path / "data", METAWORLD, [5])
    EpisodeStore.open(get_task(METAWORLD), tmp_path / "data", cache=tmp_path / "fast")
    assert not (tmp_path / "data" / METAWORLD / "cache").exists()
    assert list((tmp_path / "fast").glob("*/cache/train/*/index.json"))


def test_writing_the_flat_copy_fails_as_a_whole(tmp_path, monkeypatch):
    write_task(tmp_path, METAWORLD, [5])

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)  # the last file to be written
    with pytest.raises(OSError, match="the disk is full"):
        EpisodeStore.open(get_task(METAWORLD), tmp_path)
    assert list((tmp_path / METAWORLD / "cache" / "train").iterdir()) == []


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


def test_negative_integers_are_refused():
    episodes, _ = store_of(BABYAI, [3])
    episodes[0]["discrete_observations"][0, 0] = -1
    where = "babyai-go-to-obj, episode 0, column 'discrete_observations'"
    with pytest.raises(ValueError, match=f"{where}: values from -1"):
        EpisodeStore.of_episodes(get_task(BABYAI), episodes)


def test_parquet_that_was_cut_off(tmp_path):
    write_task(tmp_path, METAWORLD, [5])
    (file,) = tmp_path.glob("*/train/*.parquet")
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(ValueError, match="00000.parquet: not a complete Parquet file"):
        open_source(METAWORLD, tmp_path, CONFIG)
    assert not list(tmp_path.glob("*/cache/train/*"))
