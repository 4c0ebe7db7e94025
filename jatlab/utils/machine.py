"""What this process may use of the machine: containers (Binder's among them) often give a few of
its cores and say so in their own way.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import subprocess
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """The cores that this process may use, at least 1: the machine's, or fewer where an affinity
    mask or a container's quota says so.
    """
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, math.ceil(min(allowed, _quota())))


def _quota() -> float:
    """Cores' worth of time that the control group grants; infinite where it sets no limit (cgroup
    version 2, then version 1).
    """
    try:
        granted, period = (CGROUPS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            granted, period = (
                (CGROUPS / "cpu" / f"cpu.cfs_{name}_us").read_text().strip()
                for name in ("quota", "period")
            )
        except OSError:
            return math.inf
    return math.inf if granted in ("max", "-1") else int(granted) / int(period)


def limit_threads() -> None:
    """Give torch no more threads than there are cores for it: it counts the machine's, and threads
    that wait for each other on too few are many times slower.
    """
    import torch

    if torch.get_num_threads() > cores():
        torch.set_num_threads(cores())


def peak_megabytes() -> float:
    """The most memory that this process ever held (Linux; 0 elsewhere). `getrusage` would count its
    parent's.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def call_apart(module: str, function: str, *arguments):
    """What ``module.function(*arguments)`` returns in a process of its own, whose peak of memory
    and time of loading are its own.

    Arguments as ``repr`` writes them, the answer as JSON does. Raises OSError with the last line of
    what the process said where it failed.
    """
    code = f"import json, {module}; print(json.dumps({module}.{function}(*{arguments!r})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1:] or ["it was killed: too little memory?"]
        raise OSError(f"{function}{arguments!r} failed in its process: {reason[0]}")
    return json.loads(result.stdout.splitlines()[-1])


def keep_memory() -> bool:
    """Have the C library keep what is freed, in place of giving it back to the system: every
    training step takes the same hundreds of megabytes again, and fresh pages cost a quarter of its
    time. False where the library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # names of malloc.h's parameters
    return all(
        [
            mallopt(trim_threshold, 2**31 - 1),
            mallopt(top_pad, 2**28),
            mallopt(mmap_threshold, 2**30),
        ]
    )
