"""What this process may use of the machine: containers (Binder's among them) often give a few of its cores and say so in their own way."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """The cores that this process may use, at least 1: the machine's, or fewer where an affinity mask or a container's quota says so."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota())))


def _quota() -> float:
    """Cores' worth of time that the control group grants; infinite where it sets no limit (cgroup version 2, then version 1)."""
    try:
        granted, period = (CGROUPS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            granted, period = ((CGROUPS / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return math.inf
    return math.inf if granted in ("max", "-1") else int(granted) / int(period)


def limit_threads() -> None:
    """Give torch no more threads than there are cores for it: it counts the machine's, and threads that wait for each other on too few are many times slower."""
    import torch

    if torch.get_num_threads() > cores():
        torch.set_num_threads(cores())
