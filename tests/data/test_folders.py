"""Stray files in a folder of data: hidden ones are passed over, copies and halves are refused."""

import shutil

import pytest

from jatlab.data.episodes import episode_files, read_episodes
from jatlab.data.folders import data_files
from jatlab.data.language.rows import language_files
from jatlab.data.published.fetch import fetch
from jatlab.data.published.layout import find
from jatlab.data.recording.record import record
from jatlab.data.storage import EpisodeStore
from jatlab.tasks import Task, get_task

NAME = "metaworld-reach"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    record(NAME, folder, 2, workers=0, progress=False)
    return folder


@pytest.fixture
def recording(recorded, tmp_path):
    shutil.copytree(recorded / NAME, tmp_path / NAME)
    return tmp_path / NAME / "train"


def names(folder):
    return [file.name for file in data_files(folder)]


@pytest.mark.parametrize("hidden", [".00000.parquet", "._00000.parquet", "._x.parquet"])
@pytest.mark.parametrize("content", ["copy", "rubbish"])
def test_hidden_files_are_passed_over(recording, hidden, content):
    if content == "copy":
        shutil.copy(recording / "00000.parquet", recording / hidden)
    else:
        (recording / hidden).write_bytes(b"\x00\x05\x16\x07Mac OS X")
    assert names(recording) == ["00000.parquet"]
    assert len(read_episodes(recording, get_task(NAME))) == 2
    assert len(EpisodeStore.open(get_task(NAME), recording.parent.parent).lengths) == 2
    [summary] = record(NAME, recording.parent.parent, 2, workers=0, progress=False).values()
    assert summary["episodes"] == 2


def test_a_folder_called_like_a_file_is_passed_over(recording):
    (recording / "old.parquet").mkdir()
    assert names(recording) == ["00000.parquet"]


COPIES = [
    "00000 (1)",
    "00000(1)",
    "00000 copy",
    "00000 copy 3",
    "00000 2",
    "00000 - Copy",
    "00000 - Copy (2)",
    "Copy of 00000",
    "00000 (Ada's conflicted copy 2026-05-01)",
    "00000.sync-conflict-20260501-101010-ABCDEFG",
    "00000-LAPTOP",
    "00000_old",
    "00000.bak",
]


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_refused_by_name(recording, copy):
    shutil.copy(recording / "00000.parquet", recording / f"{copy}.parquet")
    with open(recording / f"{copy}.parquet", "ab") as file:
        file.write(b" ")  # an older version
    doors = (
        lambda: read_episodes(recording, get_task(NAME)),
        lambda: EpisodeStore.open(get_task(NAME), recording.parent.parent),
        lambda: record(NAME, recording.parent.parent, 2, workers=0, progress=False),
        lambda: fetch(NAME, "nowhere", ["train"], source=str(recording.parent.parent)),
    )
    for door in doors:
        with pytest.raises(ValueError, match="looks like a copy of 00000.parquet") as refused:
            door()
        assert f"{copy}.parquet" in str(refused.value)


def test_the_same_bytes_under_another_name_are_refused(recording):
    shutil.copy(recording / "00000.parquet", recording / "spare.parquet")
    message = "spare.parquet is the same as 00000.parquet, byte for byte"
    with pytest.raises(ValueError, match=message):
        episode_files(recording)


def test_files_of_other_names_are_no_copies(tmp_path):
    kept = [
        "00000",
        "00001",
        "relabelled-050000",
        "relabelled-050050",
        "train-00000-of-00002",
        "train-00001-of-00002",
        "my run (1)",
        "my run (2)",
        "part 1",
        "part 2",
        "episodes-2",
        "episodes",
    ]
    for number, name in enumerate(kept):
        (tmp_path / f"{name}.parquet").write_text(str(number))
    assert sorted(names(tmp_path)) == sorted(f"{name}.parquet" for name in kept)


def parts(folder, *numbers, of, prefix="train-"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{prefix}{number:05d}-of-{of:05d}.parquet").write_text(f"{prefix} {number} {of}")


@pytest.mark.parametrize("prefix", ["train-", "", "data-"])
def test_missing_parts_are_named(tmp_path, prefix):
    parts(tmp_path, 0, 2, of=3, prefix=prefix)
    message = "-of-00003 are not complete: 2 of 3 are there, the first that is missing is number 1"
    for read in (data_files, episode_files):
        with pytest.raises(ValueError, match=message):
            read(tmp_path)
    parts(tmp_path, 1, of=3, prefix=prefix)
    assert len(data_files(tmp_path)) == 3


def test_parts_of_two_sets_are_refused(tmp_path):
    parts(tmp_path, 0, 1, of=2)
    parts(tmp_path, 0, of=1)
    with pytest.raises(ValueError, match="train-…-of-0000., 0000. are sets of different sizes"):
        data_files(tmp_path)


def test_two_complete_sets_of_other_names_are_kept(tmp_path):
    parts(tmp_path, 0, 1, of=2)
    parts(tmp_path, 0, 1, of=2, prefix="some-more-")
    assert len(data_files(tmp_path)) == 4


def test_language_data_and_sources_are_checked_too(tmp_path):
    parts(tmp_path / "wikipedia" / "train", 0, of=2)
    for read in (
        lambda: language_files(tmp_path, "wikipedia", "train"),
        lambda: find("wikipedia", tmp_path, "train"),
    ):
        with pytest.raises(ValueError, match="1 of 2 are there"):
            read()


def test_another_tasks_recording_is_refused(recording):
    other = Task("odd-arm", "odd", None, None, "continuous", 39, "continuous", 4)
    message = "00000.parquet was recorded in metaworld-reach, not in odd-arm"
    with pytest.raises(ValueError, match=message):
        read_episodes(recording, other)
    assert len(read_episodes(recording, get_task(NAME))) == 2
