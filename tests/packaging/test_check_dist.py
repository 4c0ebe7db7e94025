"""The check of what a release uploads finds what is missing, too much or too large."""

import io
import tarfile
import zipfile

import pytest

from scripts.check_dist import (
    missing_from_sdist,
    only,
    sdist_files,
    too_large,
    tracked,
    wheel_differences,
    wheel_files,
)
from tests.support import ROOT

FILES = {"README.md", "jatlab/__init__.py", "tests/test_it.py"}


@pytest.fixture
def sdist(tmp_path):
    path = tmp_path / "jatlab-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in sorted(FILES):
            archive.addfile(tarfile.TarInfo(f"jatlab-1/{name}"), io.BytesIO())
    return path


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "jatlab-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("jatlab/__init__.py", "")
        archive.writestr("jatlab-1.dist-info/METADATA", "")
    return path


def test_an_sdist_has_all_tracked_files(sdist):
    assert missing_from_sdist(sdist_files(sdist), FILES) == []
    complaints = missing_from_sdist(sdist_files(sdist), FILES | {"Makefile"})
    assert complaints == ["the sdist lacks Makefile: name it in MANIFEST.in"]


def test_a_wheel_has_the_package_and_nothing_else(wheel):
    assert wheel_differences(wheel_files(wheel), FILES) == []
    lacking = wheel_differences(wheel_files(wheel), FILES | {"jatlab/assets/a.json"})
    assert lacking[0].startswith("the wheel lacks jatlab/assets/a.json")
    too_much = wheel_differences(wheel_files(wheel) | {"tests/test_it.py"}, FILES)
    assert too_much == ["the wheel should not have tests/test_it.py"]


def test_a_large_wheel_is_named_with_its_size(wheel):
    assert too_large(wheel) == []
    assert "at most 1e-06 are allowed" in too_large(wheel, 1e-6)[0]


def test_a_second_build_in_the_folder_is_an_error(wheel):
    assert only("*.whl", wheel.parent) == wheel
    (wheel.parent / "other.whl").touch()
    with pytest.raises(ValueError, match="2 files"):
        only("*.whl", wheel.parent)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an unpacked sdist, not a git repository")
def test_git_is_asked_for_this_repository():
    assert {"pyproject.toml", "jatlab/__init__.py"} <= tracked()
