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


def memory() -> int:
    """Bytes of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def held() -> dict[str, int]:
    """Open files and threads of this process."""
    gc.collect()
    return {"files": len(os.listdir("/proc/self/fd")), "threads": threading.active_count()}


def open_and_close(task: str, first: int, end: int) -> int:
    """Make each environment, play two steps and close it.

    Returns the least memory after any of the last hundred: what MuJoCo frees, the allocator gives
    back only now and then (229 MB after one arm, 209 MB after another).
    """
    least = []
    for seed in range(first, end):
        env = jatlab.make_env(task)
        env.reset(seed=seed)
        env.action_space.seed(seed)
        for _ in range(2):
            env.step(env.action_space.sample())
        env.close()
        if end - seed <= 100:
            least.append(memory())
    return min(least)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a Linux process")
@pytest.mark.parametrize("task", TASKS)
def test_a_thousand_environments_leave_nothing(task):
    least, before = open_and_close(task, 0, SETTLED), held()
    assert open_and_close(task, SETTLED, ALL) < 1.05 * least
    assert held() == before
