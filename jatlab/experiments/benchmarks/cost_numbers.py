"""`jatlab cost --json`: what a training of one preset costs, as numbers for scripts."""

from __future__ import annotations

from typing import TypedDict

from jatlab.experiments.benchmarks.cost import (
    KINDS,
    PUBLISHED_WINDOWS,
    full_window,
    objective_of,
    parameters,
    training_flops,
)
from jatlab.experiments.benchmarks.cost_report import (
    check_amounts,
    chosen_devices,
    peak_bytes,
    step_flops,
    step_tokens,
)
from jatlab.experiments.benchmarks.hardware import UTILISATION, hours
from jatlab.model.config import JatConfig


class WindowCost(TypedDict):
    """A full window of one kind of task: its tokens, and FLOPs forward and backward."""

    tokens: int
    flops: float


class Cost(TypedDict):
    """What a training costs; memory is of one device with batches of eight windows."""

    preset: str
    steps: int
    windows: int  # of a step
    utilisation: float  # share of the peak that is assumed
    parameters: dict[str, int]  # by part of the model
    full_windows: dict[str, WindowCost]  # by kind of task
    tokens_per_step: float
    flops_per_step: float
    memory_bytes: dict[str, int]  # by what it is for
    memory_bytes_checkpointed: dict[str, int]  # with activations checkpointed
    hours: dict[str, float]  # on one device of each name


def cost(
    preset: str,
    steps: int,
    windows: int = PUBLISHED_WINDOWS,
    device: str | None = None,
    utilisation: float = UTILISATION,
) -> Cost:
    """The numbers of `jatlab.experiments.benchmarks.cost_report.report`, which takes the same.

    Raises:
        ValueError: an unknown preset or device, steps or windows that are not positive, or a
            utilisation that is no share.
    """
    check_amounts(steps, windows, utilisation)
    config, objective = JatConfig.preset(preset), objective_of(preset)
    flops = step_flops(config, windows, objective)
    full = {kind: full_window(config, kind) for kind in KINDS}
    return {
        "preset": preset,
        "steps": steps,
        "windows": windows,
        "utilisation": utilisation,
        "parameters": parameters(config),
        "full_windows": {
            kind: {
                "tokens": window.tokens,
                "flops": training_flops(config, window, objective=objective),
            }
            for kind, window in full.items()
        },
        "tokens_per_step": step_tokens(config, windows),
        "flops_per_step": flops,
        "memory_bytes": peak_bytes(config, False, objective=objective),
        "memory_bytes_checkpointed": peak_bytes(config, True, objective=objective),
        "hours": {
            one.name: hours(flops * steps, one, utilisation) for one in chosen_devices(device)
        },
    }
