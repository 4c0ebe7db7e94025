"""Killed with -9 at random moments, and begun again until done: as if never killed.

`make faults` kills each kind of work at fifty moments. Afterwards all files equal those of an
uninterrupted run, byte for byte where they say nothing of time; no process and no shared memory is
left.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.support.works import MOMENTS, WORKS, finish, kill, shared_memory


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("name", WORKS)
def test_killed_work_ends_as_if_never_killed(name, tmp_path):
    work, before = WORKS[name], shared_memory()
    source = tmp_path / "in"
    source.mkdir()
    work.prepare(source)
    seconds = finish(work, source, tmp_path / "whole")
    expected = work.result(tmp_path / "whole")
    random_moments = random.Random(MOMENTS)
    for number in range(MOMENTS):
        out = tmp_path / f"killed-{number}"
        kill(work, source, out, random_moments.uniform(0, seconds), number % 2 == 0)
        if not work.complete(out):
            finish(work, source, out)
        assert work.result(out) == expected, f"killed at moment {number}"
        assert not [path for path in out.rglob("*.tmp*") if path.is_file()]
    assert shared_memory() <= before
