"""Killed with -9 at random moments, and begun again until done: as if never killed.

`make faults` kills each kind of work at fifty moments. Afterwards all files equal those of an
uninterrupted run, byte for byte where they say nothing of time; no process and no shared memory is
left.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.support.warm import Warm
from tests.support.works import MOMENTS, WORKS, finish, kill, shared_memory


@pytest.fixture
def warm(tmp_path):
    with Warm(tmp_path) as launcher:
        yield launcher


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("name", WORKS)
def test_killed_work_ends_as_if_never_killed(name, tmp_path, warm):
    work, before = WORKS[name], shared_memory()
    source = tmp_path / "in"
    source.mkdir()
    work.prepare(source)
    finish(work, source, tmp_path / "first", warm)  # caches are filled
    seconds = finish(work, source, tmp_path / "whole", warm)
    expected = work.result(tmp_path / "whole")
    random_moments, killed = random.Random(MOMENTS), 0
    for number in range(MOMENTS):
        out = tmp_path / f"killed-{number}"
        moment = random_moments.uniform(0, seconds)
        killed += kill(work, source, out, moment, number % 2 == 0, warm)
        if not work.complete(out):
            finish(work, source, out, warm)
        assert work.result(out) == expected, f"killed at moment {number}"
        assert not [path for path in out.rglob("*.tmp*") if path.is_file()]
    assert killed >= MOMENTS / 2, f"{MOMENTS - killed} of {MOMENTS} had ended before"
    assert shared_memory() <= before
