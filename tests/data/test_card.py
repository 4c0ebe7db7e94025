"""The data set card: the datasets library loads every task by its name."""

import json

import numpy as np
import pytest
import yaml

from jatlab.data.card import MARK, recorded_tasks, write_card
from jatlab.data.episodes import read_episodes
from jatlab.data.recording.record import record
from jatlab.tasks import get_task

datasets = pytest.importorskip("datasets")
NAMES = ["babyai-go-to-local", "metaworld-reach", "minigrid-captions", "mujoco-pendulum"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    record(NAMES, root, 3, workers=0, progress=False)
    return root


def front_matter(path):
    return yaml.safe_load(path.read_text(encoding="utf-8").split("---")[1])


def test_a_recording_has_a_card_with_an_entry_for_each_task(folder):
    card = front_matter(folder / "README.md")
    assert [config["config_name"] for config in card["configs"]] == NAMES
    splits = {
        config["config_name"]: [files["split"] for files in config["data_files"]]
        for config in card["configs"]
    }
    assert splits["metaworld-reach"] == ["train"]
    assert splits["minigrid-captions"] == ["train", "test"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_datasets_loads_a_task_by_its_name(folder, name, streaming, tmp_path):
    rows = datasets.load_dataset(
        str(folder), name, split="train", streaming=streaming, cache_dir=str(tmp_path)
    )
    rows = list(rows)
    assert len(rows) == 3
    if name == "minigrid-captions":
        assert rows[0]["images"].size[0] > 0 and rows[0]["text"]
        return
    stored = read_episodes(folder / name / "train" / "00000.parquet", get_task(name))
    for row, episode in zip(rows, stored, strict=True):
        for column, values in episode.items():
            np.testing.assert_array_equal(np.asarray(row[column], np.asarray(values).dtype), values)


def test_the_card_says_what_was_recorded(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    summary = json.loads((folder / "metaworld-reach" / "recording.json").read_text())
    assert f"{summary['mean_return']:.4g} ± {summary['std_return']:.2g} | 100 % | 0 to 2 |" in text
    assert f"- `metaworld-reach`: teacher ({summary['policy']}), noise 0" in text
    assert (
        "continuous_observations: list of list of float" in text and "images: PNG picture" in text
    )
    assert f"mujoco {summary['versions']['mujoco']}" in text
    assert "## Licence" in text and MARK in text


def test_a_card_of_the_users_stays(folder, tmp_path):
    assert write_card(folder) == folder / "README.md"
    (tmp_path / "babyai-go-to-local").symlink_to(folder / "babyai-go-to-local")
    path = tmp_path / "README.md"
    path.write_text("mine")
    assert write_card(tmp_path) is None and path.read_text() == "mine"
    path.unlink()
    assert write_card(tmp_path) == path and MARK in path.read_text(encoding="utf-8")


def test_a_folder_without_tasks_gets_no_card(tmp_path):
    assert write_card(tmp_path) is None and write_card(tmp_path / "nowhere") is None
    assert list(tmp_path.iterdir()) == []


def test_files_from_elsewhere_are_described_by_their_rows(folder, tmp_path):
    train = tmp_path / "metaworld-reach" / "train"
    train.mkdir(parents=True)
    content = (folder / "metaworld-reach" / "train" / "00000.parquet").read_bytes()
    (train / "part.parquet").write_bytes(content)
    (train / ".hidden.parquet").write_bytes(b"")
    [task] = recorded_tasks(tmp_path)
    assert task.rows == {"train": 3} and task.facts == {}
    assert "| metaworld-reach | 3 | - | - | - | - | - |" in write_card(tmp_path).read_text("utf-8")
