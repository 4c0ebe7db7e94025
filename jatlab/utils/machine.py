"""What this process may use of the machine: cores, memory, packages.

Containers, such as Binder's, often grant only a few of a machine's cores and say so in several
ways.
"""

from __future__ import annotations

import ctypes
import math
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jatlab import __version__

CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """The number of cores that this process may use, at least 1.

    These are the machine's, or fewer where an affinity mask or a container's quota says so.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota())))


def installed_version(package: str) -> str | None:
    """A package's version; None if it is not installed.

    jatlab itself may also be a copy that was never installed, on the search path.
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return __version__ if package == "jatlab" else None


def _quota() -> float:
    """Cores' worth of time that the control group grants; infinite where it sets no limit.

    Reads cgroup version 2, then version 1.
    """
    try:
        granted, period = (CGROUPS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            granted = (CGROUPS / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (CGROUPS / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return math.inf
    return math.inf if granted in ("max", "-1") else int(granted) / int(period)


def limit_threads() -> None:
    """Give torch at most as many threads as there are cores for this process.

    Torch counts the machine's cores. Threads that wait for each other on too few are many times
    slower.
    """
    import torch

    if torch.get_num_threads() > cores():
        torch.set_num_threads(cores())


def keep_memory() -> bool:
    """Make the C library keep freed memory instead of returning it to the system.

    Every training step takes the same hundreds of megabytes again, and fresh pages cost a quarter
    of its time.

    Returns:
        Whether it worked: False where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # parameters of malloc.h
    options = {trim_threshold: 2**31 - 1, top_pad: 2**28, mmap_threshold: 2**30}
    results = [mallopt(option, value) for option, value in options.items()]
    return all(results)


def give_back_memory() -> bool:
    """Return to the system what the process has freed, and `keep_memory` has kept.

    Returns:
        Whether there was any: False too where the C library is not glibc.
    """
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError, TypeError):
        return False
