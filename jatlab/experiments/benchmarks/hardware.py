"""What devices can compute: published peaks, and the measured peak of this CPU.

Published peaks are for dense products of 16-bit numbers, accumulated in float32. A training reaches
a share of the peak, its *model FLOP utilisation*. The 35 % assumed here is what well-kept trainings
of this size report; we have not measured it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from jatlab.utils.checks import require


@dataclass(frozen=True)
class Device:
    """A device that can be rented.

    Attributes:
        name: what the tables call it.
        peak: TFLOP/s.
        memory: GB.
        pattern: a regular expression that finds it in the name that its driver reports.
    """

    name: str
    peak: float
    memory: float
    pattern: str = "$^"


DEVICES = (
    Device("A100 40 GB", 312, 40, r"A100\b.*40GB"),
    Device("A100 80 GB", 312, 80, r"A100\b.*80GB"),
    Device("H100 SXM", 989, 80, r"H100 80GB HBM3"),
    Device("L4", 121, 24, r"\bL4$"),
    Device("T4", 65, 16, r"\bT4$"),  # in float16: it has no bfloat16
    Device("RTX 4090", 165, 24, r"RTX 4090$"),
)
UTILISATION = 0.35
CPU = "this CPU"


def find_device(name: str) -> Device:
    """The device of this name, or whose name alone begins so; "cpu" is measured.

    Neither capitals nor spaces matter. Raises ValueError, which names the devices, for an unknown
    one and for the beginning of several names.
    """
    if name.lower() in ("cpu", CPU.lower()):
        return Device(CPU, measured_peak(), 0)
    begin = [device for device in DEVICES if _key(device.name).startswith(_key(name))]
    found = [device for device in begin if _key(device.name) == _key(name)] or begin
    known = ", ".join(device.name for device in DEVICES)
    require(_key(name) and found, f"unknown device {name!r}; there are {known}, cpu")
    several = ", ".join(device.name for device in found)
    require(len(found) == 1, f"device {name!r} may be each of {several}: say which")
    return found[0]


def _key(name: str) -> str:
    """A device's name without capitals and spaces."""
    return "".join(name.lower().split())


def published_peak(driver_name: str) -> float | None:
    """TFLOP/s of the device whose driver reports this name; None if it is not on our list."""
    return next((device.peak for device in DEVICES if re.search(device.pattern, driver_name)), None)


def measured_peak(size: int = 768, repeats: int = 5) -> float:
    """TFLOP/s of this machine's CPU: the fastest of some float32 matrix products."""
    import torch

    a, fastest = torch.randn(size, size), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        a @ a
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 / fastest / 1e12


def measured_bandwidth(megabytes: int = 512, repeats: int = 5) -> float:
    """GB/s at which torch's threads read memory: the fastest of some sums."""
    import torch

    numbers, fastest = torch.ones(megabytes * 2**18), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        numbers.sum()
        fastest = min(fastest, time.perf_counter() - start)
    return numbers.nbytes / fastest / 1e9


def hours(flops: float, device: Device, utilisation: float = UTILISATION) -> float:
    """How long so many FLOPs take on the device, at this share of its peak."""
    return flops / (device.peak * 1e12 * utilisation) / 3600
