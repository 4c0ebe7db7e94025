"""Recordings go to Minari and LeRobot and come back as they were; others' readers read them."""

import json
import shutil

import numpy as np
import pytest

from jatlab.cli import main
from jatlab.data.convert.command import convert
from jatlab.data.episodes import read_episodes
from jatlab.tasks import get_task
from tests.support.synthetic import write_task

TASKS = ["metaworld-reach", "babyai-go-to-obj", "atari-pong", "mujoco-pendulum"]
LENGTHS = [3, 1, 4]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("recorded")
    for name in TASKS:
        write_task(root, name, LENGTHS)
        write_task(root, name, [2], seed=1, file="00001")
    return root


@pytest.fixture(scope="module")
def converted(data, tmp_path_factory):
    """Folders with all tasks in each format."""
    folders = {}
    for to in ("minari", "lerobot"):
        if to == "minari":
            pytest.importorskip("minari")
        folders[to] = tmp_path_factory.mktemp(to) / "out"
        assert convert(data, folders[to], to) == dict.fromkeys(sorted(TASKS), 4)
    return folders


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        for name in one:
            assert one[name].dtype == other[name].dtype
            np.testing.assert_array_equal(one[name], other[name])


def of(root, name):
    return read_episodes(root / name / "train", get_task(name))


@pytest.mark.parametrize("to", ["minari", "lerobot"])
def test_there_and_back_nothing_changes(data, converted, to, tmp_path):
    counts = convert(converted[to], tmp_path, "jatlab")
    assert counts == dict.fromkeys(TASKS, 4)
    for name in TASKS:
        same(of(tmp_path, name), of(data, name))
    assert (tmp_path / "README.md").exists()


@pytest.mark.parametrize("name", TASKS)
def test_minaris_own_reader_reads_it(data, converted, name, monkeypatch):
    import minari

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(converted["minari"]))
    dataset = minari.load_dataset(f"jatlab/{name}-v0")
    assert dataset.total_episodes == 4 and dataset.total_steps == 10
    assert dataset.env_spec.id == f"jatlab/{name}-v0"
    for read, episode in zip(dataset, of(data, name), strict=True):
        seen = read.observations
        if isinstance(seen, dict):
            assert list(seen["text_observation"])[:-1] == list(episode["text_observations"])
            seen = seen["discrete_observation"]
        recorded = next(value for key, value in episode.items() if key.endswith("observations")
                        and not key.startswith("text"))  # fmt: skip
        np.testing.assert_array_equal(seen[:-1], recorded)
        np.testing.assert_array_equal(read.rewards.astype(np.float32), episode["rewards"])
        assert len(seen) == len(read.rewards) + 1
        assert list(read.terminations) == [False] * (len(read.rewards) - 1) + [True]


def test_lerobots_layout_read_plainly(data, converted):
    """With the datasets library and JSON, the way that lerobot's documentation describes it."""
    from datasets import load_dataset

    folder = converted["lerobot"] / "metaworld-reach"
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["splits"] == {"train": "0:4"}
    assert (info["total_frames"], info["total_tasks"]) == (10, 1)
    rows = load_dataset("parquet", data_files=str(folder / "data/*/*.parquet"), split="train")
    assert set(rows.column_names) == set(info["features"])
    episodes = load_dataset(
        "parquet", data_files=str(folder / "meta/episodes/*/*.parquet"), split="train"
    )
    for place, episode in zip(episodes, of(data, "metaworld-reach"), strict=True):
        span = rows.select(range(place["dataset_from_index"], place["dataset_to_index"]))
        assert place["length"] == len(span) == len(episode["rewards"])
        assert place["tasks"] == ["metaworld-reach"]
        file = info["data_path"].format(
            chunk_index=place["data/chunk_index"], file_index=place["data/file_index"]
        )
        assert (folder / file).is_file()
        assert set(span["episode_index"]) == {place["episode_index"]}
        state = np.array(span["observation.state"], np.float32)
        np.testing.assert_array_equal(state, episode["continuous_observations"])
        np.testing.assert_array_equal(span["next.reward"], episode["rewards"])
        assert span["next.done"][-1] and span["frame_index"] == list(range(len(span)))
    assert rows["index"] == list(range(10))


def test_lerobots_statistics_are_right(data, converted):
    seen = np.concatenate([e["continuous_observations"] for e in of(data, "metaworld-reach")])
    stats = json.loads((converted["lerobot"] / "metaworld-reach/meta/stats.json").read_text())
    found = stats["observation.state"]
    for name in ("mean", "std", "min", "max"):
        np.testing.assert_allclose(found[name], getattr(seen, name)(0), atol=1e-6)
    frames = np.concatenate([e["image_observations"] for e in of(data, "atari-pong")])
    stats = json.loads((converted["lerobot"] / "atari-pong/meta/stats.json").read_text())
    mean = np.array(stats["observation.image"]["mean"])
    np.testing.assert_allclose(mean[:, 0, 0], frames.mean((0, 2, 3)) / 255)


def test_missions_become_lerobots_instructions(data, converted):
    import pandas as pd

    table = pd.read_parquet(converted["lerobot"] / "babyai-go-to-obj/meta/tasks.parquet")
    missions = {text for e in of(data, "babyai-go-to-obj") for text in e["text_observations"]}
    assert set(table.index) == missions and sorted(table["task_index"]) == list(range(len(table)))


def test_what_cannot_be_is_named(data, converted, tmp_path, capsys):
    lerobot = converted["lerobot"]
    assert main(["convert", str(tmp_path), str(tmp_path / "out"), "--to", "minari"]) == 2
    assert "has no recordings" in capsys.readouterr().err
    assert main(["convert", str(data), str(lerobot), "--to", "lerobot"]) == 2
    assert "exists: choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["minari", "lerobot", "jatlab"])
def test_a_task_that_the_data_set_contradicts_is_refused(data, converted, kind, tmp_path):
    """The two tasks have the same shapes, so only the name tells them apart."""
    name, other = "babyai-go-to-obj", "babyai-open"
    if kind == "jatlab":
        write_task(tmp_path / "data", name, LENGTHS)
    folders = {
        "minari": converted["minari"] / "jatlab" / f"{name}-v0",
        "lerobot": converted["lerobot"] / name,
        "jatlab": tmp_path / "data",
    }
    message = f"{name}.* says that its episodes are of {name}, and --task that they are of {other}"
    with pytest.raises(ValueError, match=message):
        convert(folders[kind], tmp_path / "out", "jatlab", other)
    assert not (tmp_path / "out").exists()
    assert convert(folders[kind], tmp_path / "out", "jatlab", name) == {
        name: 3 + (kind != "jatlab")
    }


@pytest.mark.parametrize("kind", ["minari", "lerobot", "jatlab"])
def test_one_task_cannot_be_that_of_several_sets(data, converted, kind, tmp_path):
    source = data if kind == "jatlab" else converted[kind]
    message = r"holds 4 data sets, \['atari-pong', .*\], and --task names the task of one"
    with pytest.raises(ValueError, match=message):
        convert(source, tmp_path / "out", "jatlab", "metaworld-reach")
    assert not (tmp_path / "out").exists()


def test_two_data_sets_of_one_task_are_named(converted, tmp_path):
    for part in ("first", "second"):
        shutil.copytree(
            converted["lerobot"] / "metaworld-reach", tmp_path / part / "metaworld-reach"
        )
    message = "first/metaworld-reach and .*second/metaworld-reach hold episodes of metaworld-reach"
    with pytest.raises(ValueError, match=f"{message}: convert one folder at a time"):
        convert(tmp_path, tmp_path / "out", "jatlab")
    assert convert(tmp_path / "first", tmp_path / "out", "jatlab") == {"metaworld-reach": 4}


@pytest.mark.slow
def test_relative_folders_will_do(data, tmp_path, monkeypatch):
    pytest.importorskip("minari")
    (tmp_path / "data").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    convert("data", "minari", "minari")
    assert convert("minari", "back", "jatlab") == dict.fromkeys(TASKS, 4)
    same(of(tmp_path / "back", TASKS[0]), of(data, TASKS[0]))


def test_a_data_set_of_an_unknown_name_needs_its_task(converted, tmp_path):
    (converted["lerobot"] / "metaworld-reach").rename(tmp_path / "pick")
    with pytest.raises(ValueError, match="name the task"):
        convert(tmp_path / "pick", tmp_path / "out", "jatlab")
    assert convert(tmp_path / "pick", tmp_path / "out", "jatlab", "metaworld-reach")
    (tmp_path / "pick").rename(converted["lerobot"] / "metaworld-reach")


def test_an_older_lerobot_version_is_refused(converted, tmp_path):
    shutil.copytree(converted["lerobot"] / "metaworld-reach", tmp_path / "metaworld-reach")
    path = tmp_path / "metaworld-reach/meta/info.json"
    path.write_text(path.read_text().replace('"v3.0"', '"v2.1"'))
    with pytest.raises(ValueError, match="version v2.1, not v3"):
        convert(tmp_path, tmp_path / "out", "jatlab")
