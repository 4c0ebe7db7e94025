"""Where the files of the published layout are found, and what is said where they are not."""

import os
import shutil

import pytest

from jatlab.data.published.layout import PUBLISHED, find, published_names
from tests.support.hub import NAMES, make_shards
from tests.support.synthetic import write_task

MUJOCO = NAMES["mujoco"]


def test_all_published_tasks_have_a_name():
    names = published_names()
    assert len(names) == 161 and "python-docs" not in names
    assert {"wikipedia", "oscar", "conceptual-captions", "ok-vqa"} <= set(names)


@pytest.mark.parametrize("card", [True, False])
def test_files_are_found_with_and_without_a_card(repository, tmp_path, card):
    folder = repository[0]
    if not card:
        folder = tmp_path / "plain"
        make_shards(folder, MUJOCO, [[5, 9, 2], [7, 1]])
    found = find(MUJOCO, folder)
    assert [os.path.basename(file) for file in found.files] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    assert len(list(found.rows())) == 5


@pytest.mark.parametrize("card", [True, False])
def test_a_missing_part_is_named(repository, tmp_path, card):
    folder = shutil.copytree(repository[0], tmp_path / "part")
    if not card:
        (folder / "README.md").unlink()
    next(folder.rglob(f"{MUJOCO}/**/train-00000-of-00002.parquet")).unlink()
    with pytest.raises(ValueError, match="1 of 2 are there, the first that is missing is number 0"):
        find(MUJOCO, folder)


def test_our_own_recordings_are_such_a_folder_too(tmp_path):
    write_task(tmp_path, MUJOCO, [5, 6])
    assert [example["number"] for example in find(MUJOCO, tmp_path).rows()] == [0, 1]


NO_TASK = (
    "FOLDER has no task mujoco-walker, neither .* put its files there by hand"
    ".*jatlab record mujoco-walker"
)
NO_SPLIT = "FOLDER has no split 'validation' of mujoco-ant; it has train, test"


@pytest.mark.parametrize(
    "name, source, split, message",
    [
        (MUJOCO, "no/such/folder", "train", "no such folder: no/such/folder"),
        ("mujoco-walker", "FOLDER", "train", NO_TASK),
        (MUJOCO, "FOLDER", "validation", NO_SPLIT),
    ],
)
def test_what_is_not_there_is_said(repository, name, source, split, message):
    folder = str(repository[0])
    with pytest.raises(FileNotFoundError, match=message.replace("FOLDER", folder)):
        find(name, source.replace("FOLDER", folder), split)


def test_without_a_network_the_message_says_how_to_go_on():
    with pytest.raises(ConnectionError) as error:
        find("wikipedia", PUBLISHED)
    message = str(error.value)
    assert "jat-project/jat-dataset on the Hugging Face hub could not be reached" in message
    assert "FOLDER/wikipedia/train-00000-of-00001.parquet" in message
    assert "--from FOLDER" in message
    assert "`jatlab record python-docs --episodes N`" in message


def test_a_data_set_that_the_hub_does_not_know(monkeypatch):
    from datasets.exceptions import DatasetNotFoundError

    def unknown(name):
        raise DatasetNotFoundError(f"Dataset '{name}' doesn't exist or cannot be accessed.")

    monkeypatch.setattr("datasets.get_dataset_config_names", unknown)
    message = "there is no public data set 'nobody/nothing' on the Hugging Face hub.*by hand"
    with pytest.raises(FileNotFoundError, match=message):
        find(MUJOCO, "nobody/nothing")
