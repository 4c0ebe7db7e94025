"""Files are complete or not there."""

import os

import pytest

from jatlab.utils.files import atomic_write, remove_leftovers, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == path.suffix and not path.exists()
    assert names(path.parent) == ["file.txt"]
    with pytest.raises(OSError), atomic_write(path) as temporary:
        temporary.write_text("other")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "half" and names(path.parent) == ["file.txt"]


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert write_text(tmp_path / "a.txt", "ä").read_bytes() == "ä".encode()
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere every process counts as gone")
def test_only_leftovers_of_dead_processes_are_removed(tmp_path):
    ours = f"a.parquet.{os.getpid()}.tmp"
    for name in (ours, "b.parquet.99999999.tmp", "c.parquet"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [ours, "c.parquet"]
