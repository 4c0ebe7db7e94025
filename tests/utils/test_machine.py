"""How many cores a process may use, in containers of several kinds."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from jatlab import __version__
from jatlab.utils import machine
from tests.support import ROOT


@pytest.fixture
def many_cores(monkeypatch, tmp_path):
    """A machine of 64 cores whose control group is the folder returned."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "content, expected",
    [
        ("max 100000", 64),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("nonsense", 64),
    ],
)
def test_the_quota_of_a_container(many_cores, content, expected):
    (many_cores / "cpu.max").write_text(content + "\n")
    assert machine.cores() == expected


@pytest.mark.parametrize("quota, expected", [("-1", 64), ("400000", 4)])
def test_the_quota_of_an_older_container(many_cores, quota, expected):
    (many_cores / "cpu").mkdir()
    (many_cores / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (many_cores / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.cores() == expected


def test_without_control_groups_the_affinity_decides(many_cores, monkeypatch):
    assert machine.cores() == 64
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert machine.cores() == 1


def test_torch_gets_fewer_threads_but_never_more(many_cores):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        machine.limit_threads()
        assert torch.get_num_threads() == 3
        (many_cores / "cpu.max").write_text("100000 100000")
        machine.limit_threads()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


FREED = """
import torch
from pathlib import Path
from jatlab.utils import machine

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

{call}
block = torch.ones(50_000_000)  # 200 MB
before = resident()
del block
{then}
print(before - resident())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(
    "call, then, given_back",
    [
        ("machine.keep_memory()", "", False),
        ("", "", True),
        ("machine.keep_memory()", "machine.give_back_memory()", True),
    ],
)
def test_freed_memory_is_kept_until_given_back(call, then, given_back):
    code = FREED.format(call=call, then=then)
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (float(result.stdout) > 150) is given_back


def test_another_library_is_no_error(monkeypatch):
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: object())
    assert machine.keep_memory() is False
    assert machine.give_back_memory() is False


def test_a_copy_that_was_never_installed_knows_its_version(monkeypatch):
    def unknown(package):
        raise machine.PackageNotFoundError(package)

    assert machine.installed_version("torch") and machine.installed_version("no-such-one") is None
    monkeypatch.setattr(machine, "version", unknown)
    assert machine.installed_version("jatlab") == __version__
    assert machine.installed_version("torch") is None


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "5"}, "5"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
    ],
)
def test_waiting_threads_soon_sleep_unless_the_user_says_how(given, wanted):
    named = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    environment = {name: value for name, value in os.environ.items() if name not in named}
    code = "import os, jatlab; print(os.environ.get('GOMP_SPINCOUNT'))"
    command = [sys.executable, "-c", code]
    said = subprocess.check_output(command, env=environment | given, text=True, cwd=ROOT)
    assert said.strip() == wanted
