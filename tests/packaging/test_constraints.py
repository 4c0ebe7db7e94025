"""The three sets of versions that are tested: what people get, the oldest and the newest."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.packaging.test_metadata import PROJECT
from tests.support import ROOT

NAMES = ("constraints.txt", "constraints-oldest.txt", "constraints-newest.txt")


def pins(name: str) -> dict[str, Version]:
    """Package -> version of one file."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(line.split("==")[0]): Version(line.split("==")[1]) for line in lines}


def requirements(extra: str = "test") -> list[Requirement]:
    """What `pip install ".[test]"` asks for, through extras of jatlab too."""
    found = []
    for line in map(Requirement, PROJECT["optional-dependencies"][extra]):
        own = line.name == "jatlab"
        found += [one for name in line.extras for one in requirements(name)] if own else [line]
    return found + list(map(Requirement, PROJECT["dependencies"]))


@pytest.mark.parametrize("name", NAMES)
def test_every_direct_dependency_is_pinned_within_its_bounds(name):
    versions = pins(name)
    for one in requirements():
        assert versions[canonicalize_name(one.name)] in one.specifier, one


def test_oldest_are_the_lower_bounds():
    lowest: dict[str, Version] = {}
    for one in requirements():
        bound = Version(re.fullmatch(r">=([\d.]+)", str(one.specifier))[1])
        package = canonicalize_name(one.name)
        lowest[package] = max(bound, lowest.get(package, bound))
    oldest = pins("constraints-oldest.txt")
    later = {package for package, bound in lowest.items() if oldest[package] != bound}
    # transformers 5, which the lessons need, asks for newer ones of these two
    assert later <= {"huggingface-hub", "tokenizers"}


def test_newest_are_not_older_than_the_pins():
    now, newest = pins("constraints.txt"), pins("constraints-newest.txt")
    direct = {canonicalize_name(one.name) for one in requirements()}
    assert all(newest[package] >= now[package] for package in direct)


@pytest.mark.parametrize("name", NAMES[1:])
def test_compat_uses_both_files(name):
    assert f"CONSTRAINTS={name}" in (ROOT / "Makefile").read_text()
