"""`jatlab bench --gpu`: how fast a device trains, kind by kind: tokens a second, model FLOP
utilisation, peak memory, as a Markdown table.

A training step on made-up full windows (`jatlab.experiments.benchmarks.cost.full_window`): forward
in bfloat16, backward, AdamW. FLOPs are the calculator's, held against the device's published peak;
against the CPU's own matrix products, measured, where the device is the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from jatlab.experiments.benchmarks.cost import (
    KINDS,
    Window,
    full_window,
    objective_of,
    training_flops,
)
from jatlab.experiments.benchmarks.cost_report import measured_peak, published_peak, table
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.utils.files import write_json
from jatlab.utils.machine import call_apart, peak_megabytes

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
    """One line of the table. ``peak`` in TFLOP/s, None where the device is not in our list;
    ``memory`` in GB.
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
        return None if self.peak is None else self.tflops / self.peak


def run_on(
    device: str,
    presets: list[str],
    command: str,
    output: str | Path | None = None,
    kinds: tuple[str, ...] = KINDS,
    timesteps: int | None = None,
) -> str:
    """Measure every preset with every kind of batch; return the table, and write it as JSON to
    ``output`` if given.

    ``timesteps`` makes the windows shorter than full. Each line is measured in a process of its
    own, so that its peak of memory is its own. Raises ValueError for a device that is not there or
    a preset that is unknown.
    """
    _check_device(device)
    for preset in presets:
        JatConfig.preset(preset)
    speeds = [
        Speed(
            **call_apart(
                "jatlab.experiments.benchmarks.device", "measure", device, preset, kind, timesteps
            )
        )
        for preset in presets
        for kind in kinds
    ]
    if output:
        write_json(
            output,
            {
                "device": device_name(device),
                "date": date.today().isoformat(),
                "command": command,
                "speeds": [asdict(speed) for speed in speeds],
            },
        )
    return f"{device_name(device)}, torch {torch.__version__}, {date.today().isoformat()}, `{command}`\n\n{_table(speeds)}"


def _check_device(device: str) -> None:
    if device not in WINDOWS:
        raise ValueError(f"device {device!r}: there are {', '.join(WINDOWS)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "this machine has no CUDA device that torch can use; `jatlab bench --device cpu` measures its CPU"
        )


def device_name(device: str) -> str:
    return (
        torch.cuda.get_device_name()
        if device == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )


def _table(speeds: list[Speed]) -> str:
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
        [s.preset, NAMES[s.kind], str(s.windows), str(s.tokens), f"{s.tokens_per_second:,.0f}", f"{s.tflops:.3g}",
         "unknown" if s.utilisation is None else f"{s.utilisation:.1%}", f"{s.memory:.2f}"]
        for s in speeds
    ]  # fmt: skip
    return table(head, rows)


# --- one measurement
# ---------------------------------------------------------------------------------------------------------


def measure(device: str, preset: str, kind: str, timesteps: int | None = None) -> dict:
    """Train ``preset`` on one batch over and over; the fields of its ``Speed``: the most memory is
    this process's.
    """
    config = JatConfig.preset(preset)
    window, place = full_window(config, kind, timesteps), torch.device(device)
    torch.manual_seed(0)
    model = JatModel(config).to(place).train()
    model.objective = objective_of(preset)
    step = training_step(model, made_up(config, window, WINDOWS[device], place))
    seconds = _seconds_a_step(step, place, SECONDS[device])
    tflops = WINDOWS[device] * training_flops(config, window, objective=model.objective) / seconds / 1e12
    peak = measured_peak() if device == "cpu" else published_peak(device_name(device))
    return asdict(
        Speed(
            preset,
            kind,
            WINDOWS[device],
            window.tokens,
            WINDOWS[device] * window.tokens / seconds,
            tflops,
            peak,
            _memory(device),
        )
    )


def training_step(model: JatModel, batch: dict[str, Tensor]) -> Callable:
    """Forward in bfloat16, backward and AdamW, as training does."""
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
    """A batch of ``size`` such windows: of the sizes that tasks have, with random content (BabyAI's
    integers as few as they are).
    """
    t = window.timesteps
    if window.kind == "continuous":
        inputs = dict(
            continuous_observations=torch.randn(size, t, 39),
            continuous_actions=torch.randn(size, t, 4),
        )
    elif window.kind == "discrete":
        inputs = dict(
            discrete_observations=torch.randint(0, 100, (size, t, config.max_discrete_value)),
            discrete_actions=torch.randint(0, 7, (size, t)),
        )
        inputs["discrete_observations"][..., :148] %= 8
    elif window.kind == "image":
        inputs = dict(
            image_observations=torch.rand(size, t, 4, 84, 84) * 2 - 1,
            discrete_actions=torch.randint(0, 18, (size, t)),
        )
    else:
        inputs = dict(input_ids=torch.randint(0, config.vocab_size, (size, window.text)))
        inputs |= (
            dict(
                pixel_values=torch.randn(
                    size, config.num_channels, config.image_size, config.image_size
                )
            )
            if window.patches
            else {}
        )
    return {name: value.to(device) for name, value in inputs.items()}


def _seconds_a_step(step: Callable, device: torch.device, at_least: float) -> float:
    """The mean over steps that fill ``at_least`` seconds, after a warm-up."""
    step(), step()
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
    """GB: what tensors took at most on a GPU; on a CPU what the whole process did (Linux; 0
    elsewhere).
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return peak_megabytes() * 2**20 / 1e9
