"""Where to compute: the device that a user named, checked before any work begins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jatlab.utils.checks import require

if TYPE_CHECKING:
    import torch

FORMS = "auto, cpu, cuda, cuda:NUMBER or mps"


def check_device_name(name: object) -> str:
    """A device's name, whether this machine has the device or not.

    Raises ValueError for a name of another form than `FORMS`.
    """
    require(
        re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", str(name)),
        f"device is {str(name)!r}: expected {FORMS}",
    )
    return str(name)


def choose_device(name: str | torch.device) -> torch.device:
    """The device of this name on this machine.

    Args:
        name: "cpu", "cuda" (the first NVIDIA GPU), "cuda:1" (the second), "mps" (Apple's GPU), or
            "auto", the first of cuda, mps and cpu that is there.

    Raises:
        ValueError: for another name, or a device that this machine does not have.
    """
    import torch

    wanted = check_device_name(name)
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    device = torch.device(wanted)
    there = _names(torch.cuda.device_count() if cuda else 0, mps)
    hint = (
        "" if device.type != "cuda" or torch.version.cuda else ". This torch is built without CUDA"
    )
    require(
        device.type in there and (device.index is None or str(device) in there),
        f"there is no device {wanted!r} here: torch finds {', '.join(there)}{hint}",
    )
    return device


def _names(gpus: int, mps: bool) -> list[str]:
    """Every name that stands for a device of this machine."""
    cuda = ["cuda", *(f"cuda:{number}" for number in range(gpus))] if gpus else []
    return ["cpu", *cuda, *(["mps"] if mps else [])]
