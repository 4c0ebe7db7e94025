"""`jatlab bench --device cuda`: how fast a device trains, for each kind of batch.

The table has tokens a second, model FLOP utilisation and peak memory. A training step runs forward
in bfloat16, backward, and AdamW, on full windows of random content
(`jatlab.experiments.benchmarks.cost.full_window`). FLOPs are those of `jatlab cost`. They are
compared with the device's published peak, or with this CPU's measured matrix products.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jatlab.experiments.benchmarks.apart import call_apart, peak_megabytes
from jatlab.experiments.benchmarks.cost import (
    KINDS,
    Window,
    full_window,
    objective_of,
    training_flops,
)
from jatlab.experiments.benchmarks.hardware import measured_peak, published_peak
from jatlab.experiments.benchmarks.tables import table
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.utils.files import write_json

NAMES = {
    "continuous": "Meta-World, MuJoCo",
    "discrete": "BabyAI",
    "image": "Atari",
    "text": "text",
    "picture": "captions",
}
WINDOWS = {"cuda": 8, "cpu": 1}  # of a batch
SECONDS = {"cuda": 3.0, "cpu": 0.5}  # of each measurement, at least


@dataclass
class Speed:
    """One line of the table.

    Attributes:
        preset: of the model.
        kind: of the batch.
        windows: of the batch.
        tokens: of a window.
        tokens_per_second: in training.
        tflops: TFLOP/s in training.
        peak: TFLOP/s of the device, None if it is not on our list.
        memory: GB at most.
    """

    preset: str
    kind: str
    windows: int
    tokens: int
    tokens_per_second: float
    tflops: float
    peak: float | None
    memory: float

    @property
    def utilisation(self) -> float | None:
        """Share of the peak that the training reaches."""
        return None if self.peak is None else self.tflops / self.peak


def run_on(
    device: str,
    presets: list[str],
    command: str,
    output: str | Path | None = None,
    kinds: tuple[str, ...] = KINDS,
    timesteps: int | None = None,
) -> str:
    """Measure every preset with every kind of batch on a device, as a table.

    Each line is measured in its own process, so that its peak memory is its own.

    Args:
        device: "cuda" or "cpu".
        presets: of the model.
        command: how the user asked for it, shown above the table.
        output: a JSON file to write.
        kinds: of batches.
        timesteps: of a window; None for full windows.

    Returns:
        The table in Markdown.

    Raises:
        ValueError: a device that this machine does not have, or an unknown preset.
        OSError: a measurement failed; the message has the reason.
    """
    speeds = speeds_on(device, presets, kinds, timesteps)
    if output:
        write_json(output, as_dict(device, speeds, command))
    today = date.today().isoformat()
    title = f"{device_name(device)}, torch {torch.__version__}, {today}, `{command}`"
    return f"{title}\n\n{as_table(speeds)}"


def speeds_on(
    device: str, presets: list[str], kinds: tuple[str, ...] = KINDS, timesteps: int | None = None
) -> list[Speed]:
    """The lines of the table; see `run_on`, which takes the same and raises the same."""
    _check_device(device)
    for preset in presets:
        JatConfig.preset(preset)
    module = "jatlab.experiments.benchmarks.device"
    return [
        Speed(**call_apart(module, "measure", device, preset, kind, timesteps))
        for preset in presets
        for kind in kinds
    ]


def as_dict(device: str, speeds: list[Speed], command: str) -> dict[str, Any]:
    """The lines with the device, the date and the command, as JSON takes them."""
    found = {"device": device_name(device), "date": date.today().isoformat(), "command": command}
    return found | {"speeds": [asdict(speed) for speed in speeds]}


def _check_device(device: str) -> None:
    if device not in WINDOWS:
        raise ValueError(f"device {device!r}: there are {', '.join(WINDOWS)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "this machine has no CUDA device that torch can use; "
            "`jatlab bench --device cpu` measures its CPU"
        )


def device_name(device: str) -> str:
    """What the table calls the device: its driver's name, or the CPU's threads."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def as_table(speeds: list[Speed]) -> str:
    """The measurements in Markdown."""
    head = [
        "preset",
        "windows of",
        "batch",
        "tokens a window",
        "tokens/s",
        "TFLOP/s",
        "of the peak",
        "peak memory, GB",
    ]
    rows = [
        [
            speed.preset,
            NAMES[speed.kind],
            str(speed.windows),
            str(speed.tokens),
            f"{speed.tokens_per_second:,.0f}",
            f"{speed.tflops:.3g}",
            "unknown" if speed.utilisation is None else f"{speed.utilisation:.1%}",
            f"{speed.memory:.2f}",
        ]
        for speed in speeds
    ]
    return table(head, rows)


# --- one measurement ------------------------------------------------------------------------------


def measure(device: str, preset: str, kind: str, timesteps: int | None = None) -> dict[str, Any]:
    """Train a preset on one batch over and over; return the fields of its `Speed`.

    Call it in a new process: the memory is the most that the process has held.
    """
    config, place, windows = JatConfig.preset(preset), torch.device(device), WINDOWS[device]
    window, objective = full_window(config, kind, timesteps), objective_of(preset)
    torch.manual_seed(0)
    model = JatModel(config).to(place).train()
    model.objective = objective
    step = training_step(model, made_up(config, window, windows, place))
    seconds = _seconds_a_step(step, place, SECONDS[device])
    flops = windows * training_flops(config, window, objective=objective)
    speed = Speed(
        preset=preset,
        kind=kind,
        windows=windows,
        tokens=window.tokens,
        tokens_per_second=windows * window.tokens / seconds,
        tflops=flops / seconds / 1e12,
        peak=measured_peak() if device == "cpu" else published_peak(device_name(device)),
        memory=_memory(device),
    )
    return asdict(speed)


def training_step(model: JatModel, batch: dict[str, Tensor]) -> Callable[[], None]:
    """Forward in bfloat16, backward and AdamW, as in training."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        with torch.autocast(next(iter(batch.values())).device.type, torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def made_up(
    config: JatConfig, window: Window, size: int, device: torch.device
) -> dict[str, Tensor]:
    """A batch of ``size`` windows with random content.

    Observations and actions have the sizes that tasks have; a grid has as few different integers as
    BabyAI's.
    """
    t = window.timesteps
    inputs: dict[str, Tensor] = {}
    if window.kind == "continuous":
        inputs["continuous_observations"] = torch.randn(size, t, 39)
        inputs["continuous_actions"] = torch.randn(size, t, 4)
    elif window.kind == "discrete":
        grid = torch.randint(0, 100, (size, t, config.max_discrete_value))
        grid[..., :148] %= 8
        inputs["discrete_observations"] = grid
        inputs["discrete_actions"] = torch.randint(0, 7, (size, t))
    elif window.kind == "image":
        inputs["image_observations"] = torch.rand(size, t, 4, 84, 84) * 2 - 1
        inputs["discrete_actions"] = torch.randint(0, 18, (size, t))
    else:
        inputs["input_ids"] = torch.randint(0, config.vocab_size, (size, window.text))
        if window.patches:
            sides = (config.num_channels, config.image_size, config.image_size)
            inputs["pixel_values"] = torch.randn(size, *sides)
    return {name: value.to(device) for name, value in inputs.items()}


def _seconds_a_step(step: Callable[[], None], device: torch.device, at_least: float) -> float:
    """The mean over steps that take ``at_least`` seconds together, after a warm-up."""
    step()
    step()
    _wait(device)
    start, count = time.perf_counter(), 0
    while count < 3 or time.perf_counter() - start < at_least:
        step()
        count += 1
        _wait(device)
    return (time.perf_counter() - start) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _memory(device: str) -> float:
    """GB at most: of tensors on a GPU, of the whole process on a CPU (on Linux; 0 elsewhere)."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return peak_megabytes() * 2**20 / 1e9
