"""What is recorded of documents and scenes: the published columns, train and test apart."""

import re

import numpy as np
import pytest
from datasets import load_dataset

from jatlab.data.recording.corpus import documents, split_documents
from jatlab.data.recording.language import SceneJob, record_language, record_scenes, write_rows
from jatlab.data.recording.record import record


def rows(root, name, split):
    return load_dataset(
        "parquet",
        data_files=str(root / name / split / "*.parquet"),
        split="train",
        cache_dir=str(root / "datasets"),
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("recorded")
    return root, record(
        ["minigrid-captions", "minigrid-questions"], root, 12, workers=1, progress=False
    )


def test_pictures_are_recorded_in_the_published_columns(recorded):
    root, summaries = recorded
    for name, summary in summaries.items():
        assert (summary["train"]["rows"], summary["test"]["rows"]) == (12, 1)
        train = rows(root, name, "train")
        assert train.column_names == ["images", "text"]
        assert train[0]["images"].size == (112, 112) and train[0]["images"].mode == "RGB"
    assert all(
        re.fullmatch(r"(Q: .+\? A: .+(\n|$))+", row["text"])
        for row in rows(root, "minigrid-questions", "train")
    )
    assert rows(root, "minigrid-questions", "test")[0]["text"].count("Q:") == 1


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
    record_scenes(
        SceneJob("minigrid-questions", "train", 0, 12, str(tmp_path / "a.parquet")), lambda n: None
    )
    assert (tmp_path / "a.parquet").read_bytes() == (
        root / "minigrid-questions/train/00000.parquet"
    ).read_bytes()


def test_only_what_can_be_recorded_is(tmp_path):
    with pytest.raises(ValueError, match="wikipedia cannot be recorded: .*published.*python-docs"):
        record("wikipedia", tmp_path, 1, progress=False)
    with pytest.raises(
        ValueError, match="uses seeds 0 to 99,999: seed 0 with 100001 episodes leaves that range"
    ):
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


# --- the corpus
# --------------------------------------------------------------------------------------------------------------


def test_documents_are_real_english_of_cpython():
    texts = documents()
    first = [next(texts) for _ in range(100)]
    assert len(set(first)) == 100
    assert (
        any("statement" in text for text in first) and np.mean([len(text) for text in first]) > 500
    )


def words_of(text):
    return re.findall(r"\w+", text.lower())


def test_test_documents_are_others_and_share_no_paragraph_with_training():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(3000)]

    def paragraph():
        return " ".join(rng.choice(words, 20))

    copied = [
        paragraph() for _ in range(5)
    ]  # into every third document, with other case and punctuation
    texts = [
        "\n\n".join(
            [paragraph(), paragraph()] + ([copied[i % 5].upper() + "!"] if i % 3 == 0 else [])
        )
        for i in range(600)
    ]
    train, test = split_documents(texts)
    assert 10 < len(test) < 60 and len(train) > 500
    assert set(train) <= set(texts)
    assert split_documents(reversed(texts))[1] == test[::-1], (
        "the split does not depend on the order"
    )
    assert split_documents(texts[:300])[0] == [text for text in train if text in texts[:300]], (
        "nor on what else there is"
    )
    known = {tuple(words_of(p)) for text in train for p in text.split("\n\n")}
    assert not any(tuple(words_of(p)) in known for text in test for p in text.split("\n\n"))


def test_near_copies_are_no_test():
    rng = np.random.default_rng(1)
    base = [" ".join(f"w{n}" for n in rng.integers(0, 9999, 40)) for _ in range(200)]
    nearly = [text.replace(text.split()[20], "changed") for text in base]
    train, test = split_documents(base + nearly)
    for text in test:
        twin = next(
            t for t in base + nearly if t != text and len(set(t.split()) ^ set(text.split())) <= 2
        )
        assert twin not in train
