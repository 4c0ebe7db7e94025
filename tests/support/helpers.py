"""What test modules of several areas share: a small configuration, and waiting for processes."""

import os
import time
from collections.abc import Callable

from jatlab.model.config import JatConfig


def small(**changes) -> JatConfig:
    """Two layers, 32 wide: large enough to be wrong in, small enough to be quick."""
    fields = {
        "hidden_size": 32,
        "num_heads": 4,
        "num_layers": 2,
        "attention_types": [[["global", "local"], 1]],
        "vocab_size": 40,
        "max_position_embeddings": 32,
        "window_size": 5,
        "max_discrete_value": 6,
        "max_continuous_size": 8,
        "discrete_bottleneck": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    return JatConfig(**(fields | changes))


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    """Return as soon as `condition()` is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def group_is_alive(group: int) -> bool:
    """Whether a process of this process group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
