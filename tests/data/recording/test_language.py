"""What is recorded of documents and scenes: the published columns, train and test apart."""

import re

import pytest
from datasets import load_dataset

from jatlab.data.recording.language import SceneJob, record_language, record_scenes, write_rows
from jatlab.data.recording.record import record


def rows(root, name, split):
    files, cache = str(root / name / split / "*.parquet"), str(root / "datasets")
    return load_dataset("parquet", data_files=files, split="train", cache_dir=cache)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("recorded")
    tasks = ["minigrid-captions", "minigrid-questions"]
    return root, record(tasks, root, 12, workers=1, progress=False)


def test_pictures_are_recorded_in_the_published_columns(recorded):
    root, summaries = recorded
    for name, summary in summaries.items():
        assert (summary["train"]["rows"], summary["test"]["rows"]) == (12, 1)
        train = rows(root, name, "train")
        assert train.column_names == ["images", "text"]
        assert train[0]["images"].size == (112, 112) and train[0]["images"].mode == "RGB"
    train, test = (rows(root, "minigrid-questions", split) for split in ("train", "test"))
    assert all(re.fullmatch(r"(Q: .+\? A: .+(\n|$))+", row["text"]) for row in train)
    assert test[0]["text"].count("Q:") == 1


def test_what_is_there_is_kept_and_more_is_added(recorded):
    root, _ = recorded
    file = root / "minigrid-captions/train/00000.parquet"
    before = file.stat().st_mtime_ns
    record_language(["minigrid-captions"], root, 12, workers=1, progress=False)
    assert file.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="begins with seed 0, now it would be 5"):
        record_language(["minigrid-captions"], root, 12, workers=1, seed=5, progress=False)


def test_a_shard_depends_on_nothing_but_its_seeds(recorded, tmp_path):
    root, _ = recorded
    again, first = tmp_path / "a.parquet", root / "minigrid-questions/train/00000.parquet"
    record_scenes(SceneJob("minigrid-questions", "train", 0, 12, str(again)), lambda n: None)
    assert again.read_bytes() == first.read_bytes()


def test_only_what_can_be_recorded_is(tmp_path):
    with pytest.raises(ValueError, match="wikipedia cannot be recorded: .*published.*python-docs"):
        record("wikipedia", tmp_path, 1, progress=False)
    message = "uses seeds 0 to 99,999: seed 0 with 100001 episodes leaves that range"
    with pytest.raises(ValueError, match=message):
        record("minigrid-captions", tmp_path, 100_001, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    import errno

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="the disk is full"):
        write_rows(tmp_path / "a.parquet", {"text": ["a"]})
    assert list(tmp_path.iterdir()) == []
