"""Published rows are fetched unchanged, resumed after a kill, and never mixed with other data."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jatlab.cli import main
from jatlab.data.episodes import read_episodes
from jatlab.data.parquet import write_table
from jatlab.data.published import fetch as fetching
from jatlab.data.published.fetch import fetch
from jatlab.data.storage import EpisodeStore
from jatlab.tasks import get_task
from tests.support.hub import (
    NAMES,
    PICTURES,
    TEXT,
    make_shards,
    schema_of,
    to_episode,
    write_shards,
)
from tests.support.synthetic import write_task

MUJOCO = NAMES["mujoco"]


def fetch_from(folder, name, target, **options):
    return fetch(name, target, ["train"], source=folder, progress=False, **options)


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", NAMES.values())
def test_what_is_fetched_is_read_as_our_own_recordings_are(repository, tmp_path, name):
    folder, rows = repository
    facts = fetch(name, tmp_path, source=folder, progress=False)
    assert facts[name]["train"] == {"episodes": 5, "timesteps": 24, "empty": 0, "done": True}
    for split in ("train", "test"):
        episodes = [to_episode(row, name) for row in rows[name, split]]
        wanted = EpisodeStore.of_episodes(get_task(name), episodes)
        found = EpisodeStore.open(get_task(name), tmp_path, split)
        np.testing.assert_array_equal(found.offsets, wanted.offsets)
        assert found.texts == wanted.texts and found.columns.keys() == wanted.columns.keys()
        for column, values in wanted.columns.items():
            np.testing.assert_array_equal(found.columns[column], values)


def test_a_card_says_where_the_data_come_from(repository, tmp_path):
    fetch([MUJOCO, TEXT], tmp_path, source=repository[0], progress=False)
    card = (tmp_path / "README.md").read_text()
    assert f"- config_name: {MUJOCO}" in card and f"- config_name: {TEXT}" in card
    assert f"| {MUJOCO} | 5 |" in card and "| 24 |" in card
    assert f"`{MUJOCO}`: fetched from {repository[0].name}" in card


@pytest.mark.parametrize("name", [TEXT, PICTURES])
def test_texts_and_pictures_are_fetched_as_they_are(repository, tmp_path, name):
    folder, rows = repository
    fetch(name, tmp_path, source=folder, progress=False)
    (file,) = (tmp_path / name / "train").glob("*.parquet")
    assert pq.read_table(file).to_pylist() == rows[name, "train"]


def test_the_datasets_library_decodes_fetched_pictures(repository, tmp_path):
    from datasets import load_dataset

    for name, mode in ((NAMES["atari"], "RGBA"), (PICTURES, "RGB")):
        fetch_from(repository[0], name, tmp_path)
        files = str(tmp_path / name / "train" / "*.parquet")
        rows = load_dataset("parquet", data_files=files, split="train", streaming=True)
        row = next(iter(rows))
        picture = row["images"] if name == PICTURES else row["image_observations"][0]
        assert picture.mode == mode


def test_fetching_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    make_shards(tmp_path / "repository", MUJOCO, [[3] * 4, [2] * 3, [4] * 4])
    monkeypatch.setattr(fetching, "SHARD_ROWS_DEFAULT", 2)
    fetch_from(tmp_path / "repository", MUJOCO, tmp_path / "whole")
    written = []

    def killed(path, *args):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        return write_table(path, *args)

    monkeypatch.setattr(fetching, "write_table", killed)
    with pytest.raises(KeyboardInterrupt, match="^stopped; .* train: 4 episodes, .*goes on from"):
        fetch_from(tmp_path / "repository", MUJOCO, tmp_path / "parts")
    assert len(content(tmp_path / "parts" / MUJOCO / "train")) == 2
    monkeypatch.setattr(fetching, "write_table", write_table)
    seen = []

    def check(row, task, where):
        seen.append(where)
        return len(row.column("rewards")[0].values)

    monkeypatch.setattr(fetching, "check_row", check)
    fetch_from(tmp_path / "repository", MUJOCO, tmp_path / "parts")
    parts, whole = (content(tmp_path / name / MUJOCO / "train") for name in ("parts", "whole"))
    assert parts == whole
    assert len(seen) == 11 - 4  # what was there is not read again


def test_asking_for_more_adds_to_what_is_there(tmp_path):
    rows = make_shards(tmp_path / "repository", MUJOCO, [[3, 2], [4, 1, 6]])
    wanted = ((1, 1), (3, 3), (3, 3), (None, 5), (None, 5), (2, 5))
    for episodes, there in wanted:
        facts = fetch_from(tmp_path / "repository", MUJOCO, tmp_path / "data", episodes=episodes)
        found = facts[MUJOCO]["train"]
        assert (found["episodes"], found["done"]) == (there, there == 5)
    found = read_episodes(tmp_path / "data" / MUJOCO / "train", get_task(MUJOCO))
    assert [episode["rewards"].tolist() for episode in found] == [row["rewards"] for row in rows]


def test_files_end_before_they_fill_the_memory(tmp_path, monkeypatch):
    make_shards(tmp_path / "repository", MUJOCO, [[20] * 10])
    monkeypatch.setattr(fetching, "SHARD_BYTES", 8000)
    fetch_from(tmp_path / "repository", MUJOCO, tmp_path / "data")
    # an episode of 20 timesteps has 3,000 bytes
    assert len(content(tmp_path / "data" / MUJOCO / "train")) == 4


def test_empty_episodes_are_left_out_and_counted(tmp_path, capsys):
    make_shards(tmp_path / "repository", MUJOCO, [[3, 0, 2], [0]])
    make_shards(tmp_path / "repository", TEXT, [[0, 4]])
    facts = fetch([MUJOCO, TEXT], tmp_path / "data", ["train"], source=tmp_path / "repository")
    assert facts[MUJOCO]["train"] == {"episodes": 2, "timesteps": 5, "empty": 2, "done": True}
    assert facts[TEXT]["train"]["empty"] == 1
    printed = capsys.readouterr().out
    assert "mujoco-ant train: 2 episodes, 5 timesteps in" in printed
    assert "2 empty ones left out" in printed


def test_nothing_but_empty_episodes_is_an_error(tmp_path):
    make_shards(tmp_path / "repository", MUJOCO, [[0, 0]])
    with pytest.raises(ValueError, match="all 2 episodes of mujoco-ant, split 'train', are empty"):
        fetch(MUJOCO, tmp_path / "data", source=tmp_path / "repository", progress=False)


def test_other_data_in_the_folder_is_not_mixed_in(tmp_path):
    make_shards(tmp_path / "repository", MUJOCO, [[3, 2]])
    write_task(tmp_path / "data", MUJOCO, [5])
    message = "was not fetched from .* as it is now: fetch into another folder"
    with pytest.raises(ValueError, match=message):
        fetch(MUJOCO, tmp_path / "data", source=tmp_path / "repository", progress=False)


def test_fixed_lists_and_wider_numbers_are_the_same_data(tmp_path):
    rows = make_shards(tmp_path / "plain", MUJOCO, [[3, 2]])
    vectors = pa.large_list(pa.list_(pa.float64(), 27))
    wide = schema_of(MUJOCO).set(0, pa.field("continuous_observations", vectors))
    wide = wide.set(2, pa.field("rewards", pa.list_(pa.float64())))
    write_shards(tmp_path / "wide", MUJOCO, [rows], schema=wide.remove_metadata())
    tables = []
    for folder in ("plain", "wide"):
        fetch_from(tmp_path / folder, MUJOCO, tmp_path / f"from-{folder}")
        file = tmp_path / f"from-{folder}" / MUJOCO / "train" / "00000.parquet"
        tables.append(pq.read_table(file))
    assert tables[0].equals(tables[1])


def test_the_command(repository, tmp_path, capsys):
    def run(*arguments, source=str(repository[0])):
        return main(["fetch", *arguments, "--data", str(tmp_path), "--from", source])

    assert run(MUJOCO, TEXT, "--split", "train", "--episodes", "2") == 0
    assert "wikipedia train: 2 rows in" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / TEXT).iterdir()) == ["manifest.json", "train"]
    assert run(MUJOCO, source="./nowhere") == 2
    assert "error: no such folder: ./nowhere" in capsys.readouterr().err
    assert run(MUJOCO, "--episodes", "0") == 2


def test_a_full_disk_leaves_whole_files_alone(tmp_path, monkeypatch):
    make_shards(tmp_path / "repository", MUJOCO, [[3] * 4])
    monkeypatch.setattr(fetching, "SHARD_ROWS_DEFAULT", 2)
    real, calls = pq.write_table, []

    def full(table, file, **options):
        real(table, file, **options)
        calls.append(file)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="the disk is full"):
        fetch_from(tmp_path / "repository", MUJOCO, tmp_path / "data")
    assert list(content(tmp_path / "data" / MUJOCO / "train")) == ["00000.parquet"]
