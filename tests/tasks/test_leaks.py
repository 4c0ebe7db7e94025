"""A thousand environments of each domain, opened and closed: nothing of them is left.

`make faults` runs this; it takes minutes.
"""

import gc
import os
import threading
from pathlib import Path

import pytest

import jatlab

TASKS = ("babyai-go-to-local", "metaworld-reach", "mujoco-hopper", "atari-pong")
SETTLED, ALL = 300, 1000  # environments: caches are filled by the first


def held() -> dict[str, int]:
    """Bytes of memory, open files and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
        "files": files,
        "threads": threading.active_count(),
    }


def open_and_close(task: str, first: int, end: int) -> None:
    """Make each environment, play two steps and close it."""
    for seed in range(first, end):
        env = jatlab.make_env(task)
        env.reset(seed=seed)
        env.action_space.seed(seed)
        for _ in range(2):
            env.step(env.action_space.sample())
        env.close()


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a Linux process")
@pytest.mark.parametrize("task", TASKS)
def test_a_thousand_environments_leave_nothing(task):
    open_and_close(task, 0, SETTLED)
    before = held()
    open_and_close(task, SETTLED, ALL)
    after = held()
    assert after["files"] == before["files"] and after["threads"] == before["threads"]
    assert after["memory"] < 1.05 * before["memory"]
