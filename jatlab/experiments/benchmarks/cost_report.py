"""`jatlab cost`: the tables of `jatlab.experiments.benchmarks.cost`, for one preset in detail and
for all beside Gato.

Peak rates are the makers' published ones, for dense products of 16-bit numbers, accumulated in
float32. A training uses a share of that peak, its *model FLOP utilisation*; the 35 % assumed here
is what well-kept trainings of this size report, not something measured.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from jatlab.experiments.benchmarks.cost import (
    KINDS,
    PUBLISHED_SHARES,
    PUBLISHED_WINDOWS,
    Window,
    activation_bytes,
    attention_flops,
    forward_flops,
    full_window,
    head_bytes,
    objective_of,
    parameters,
    training_flops,
    weights_bytes,
)
from jatlab.model.config import JatConfig
from jatlab.model.objectives import EVERYTHING, Objective


@dataclass(frozen=True)
class Device:
    """What can be rented: ``peak`` in TFLOP/s, ``memory`` in GB; ``pattern`` finds it in the name
    that its driver tells.
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
    Device("T4", 65, 16, r"\bT4$"),  # float16: it has no bfloat16
    Device("RTX 4090", 165, 24, r"RTX 4090$"),
)
UTILISATION = 0.35
DEVICE_WINDOWS = 8  # of a batch on one device, as published
CPU = "this CPU"


@dataclass(frozen=True)
class Gato:
    """Gato's published size and training (Reed et al. 2022): its code and data were never released."""

    parameters: float = 1.18e9
    layers: int = 24
    width: int = 2048
    context: int = 1024
    steps: int = 1_000_000
    windows: int = 512

    @property
    def flops(self) -> float:
        """Of a step: six for each parameter and token, and attention of all pairs in each window,
        forward and backward.
        """
        attention = 3 * 4 * self.layers * self.width * self.context**2
        return self.windows * (6 * self.parameters * self.context + attention)


def find_device(name: str) -> Device:
    """The device called so, however it is spelt; "cpu" is measured. Raises ValueError naming those
    there are.
    """
    if name.lower() in ("cpu", CPU):
        return Device(CPU, measured_peak(), 0)
    key = "".join(name.lower().split())
    found = [device for device in DEVICES if key in "".join(device.name.lower().split())]
    if not found:
        raise ValueError(
            f"unknown device {name!r}; there are {', '.join(device.name for device in DEVICES)}, cpu"
        )
    return found[0]


def published_peak(driver_name: str) -> float | None:
    """TFLOP/s of the device whose driver calls it so; None if it is not on our list."""
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


# --- a step of the mixture
# ---------------------------------------------------------------------------------------------------


def mean_over_mixture(values: dict[str, float]) -> float:
    """The mean of a window's ``values`` by kind, with the shares of the published mixture."""
    return sum(values[kind] * share for kind, share in PUBLISHED_SHARES.items()) / sum(
        PUBLISHED_SHARES.values()
    )


def step_flops(config: JatConfig, windows: int, objective: Objective = EVERYTHING) -> float:
    return windows * mean_over_mixture(
        {
            kind: training_flops(config, full_window(config, kind), objective=objective)
            for kind in KINDS
        }
    )


def step_tokens(config: JatConfig, windows: int) -> float:
    return windows * mean_over_mixture({kind: full_window(config, kind).tokens for kind in KINDS})


def peak_bytes(
    config: JatConfig,
    checkpointed: bool,
    windows: int = DEVICE_WINDOWS,
    objective: Objective = EVERYTHING,
) -> dict[str, int]:
    """Memory on one device without shards, in bfloat16, at the kind of batch that needs most."""
    return weights_bytes(sum(parameters(config).values())) | {
        "activations": max(
            _batch_bytes(config, full_window(config, kind), checkpointed, windows, objective)
            for kind in KINDS
        )
    }


def _batch_bytes(
    config: JatConfig, window: Window, checkpointed: bool, windows: int, objective: Objective
) -> int:
    activations = activation_bytes(config, window, 2, checkpointed, objective)
    return windows * (activations + head_bytes(config, window))


def hours(flops: float, device: Device, utilisation: float = UTILISATION) -> float:
    return flops / (device.peak * 1e12 * utilisation) / 3600


# --- tables (Markdown)
# -------------------------------------------------------------------------------------------------------


def report(
    preset: str,
    steps: int,
    windows: int = PUBLISHED_WINDOWS,
    device: str | None = None,
    utilisation: float = UTILISATION,
) -> str:
    """Everything about ``preset``, then nano, mini, paper and Gato side by side.

    Raises ValueError for an unknown preset or device, or numbers that are not positive.
    """
    for name, value in (("steps", steps), ("batch", windows), ("utilisation", utilisation)):
        if value <= 0:
            raise ValueError(f"{name} must be positive, not {value}")
    config, devices = (
        JatConfig.preset(preset),
        [find_device(device)] if device else [*DEVICES, find_device("cpu")],
    )
    return "\n\n".join([
        f"# {preset}: {steps:,} steps of {windows} windows", _parameters(config), _kinds(config, objective_of(preset)), _memory(config, objective_of(preset)),
        f"# Side by side: {steps:,} steps of {windows} windows (Gato: as published)", _side_by_side(preset, steps, windows, devices, utilisation),
        f"Hours are of one device at {utilisation:.0%} model FLOP utilisation, an assumption. Peaks in TFLOP/s: "
        + ", ".join(f"{d.name} {d.peak:.3g}" for d in devices) + ".\nTasks are drawn as published: every control task once, text and captioning ten times; all windows are full.\n"
        "Small models and large devices do not come near that share: see `jatlab bench --gpu` for what one does.",
    ])  # fmt: skip


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, padded to read well in a terminal too."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths))
        )
        + " |"
        for row in [head, *rows]
    ]
    rule = (
        "| "
        + " | ".join("-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths))
        + " |"
    )
    return "\n".join([lines[0], rule, *lines[1:]])


def _parameters(config: JatConfig) -> str:
    counts = parameters(config)
    total = sum(counts.values())
    rows = [
        [part, f"{count:,}", f"{count / total:.1%}"]
        for part, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    return table(["parameters", "count", "share"], [*rows, ["all", f"{total:,}", ""]])


def _kinds(config: JatConfig, objective: Objective) -> str:
    rows = []
    for kind in KINDS:
        window = full_window(config, kind)
        parts = forward_flops(config, window, objective=objective)
        total = training_flops(config, window, objective=objective)
        plain = activation_bytes(config, window, objective=objective)
        lean = activation_bytes(config, window, checkpointed=True, objective=objective)
        unseen = attention_flops(config, window.tokens) - attention_flops(
            config, window.tokens, seen_only=True
        )
        rows.append([
            kind, f"{window.tokens}", f"{total / 1e9:,.1f}", f"{total / window.tokens / 1e6:,.1f}", f"{parts['attention'] / sum(parts.values()):.1%}",
            f"{unseen / sum(parts.values()):.1%}", f"{plain / 1e6:,.0f}", f"{lean / 1e6:,.0f}",
        ])  # fmt: skip
    head = [
        "full window of",
        "tokens",
        "GFLOP, forward + backward",
        "MFLOP a token",
        "attention",
        "of it masked away",
        "activations, MB",
        "checkpointed, MB",
    ]
    return table(head, rows)


def _memory(config: JatConfig, objective: Objective) -> str:
    plain, lean = (peak_bytes(config, lean, objective=objective) for lean in (False, True))
    rows = [[name, _giga(plain[name]), _giga(lean[name])] for name in plain]
    return table(
        [f"GB on one device, batches of {DEVICE_WINDOWS}", "plain", "activations checkpointed"],
        [*rows, ["all", _giga(sum(plain.values())), _giga(sum(lean.values()))]],
    )


def _giga(count: float) -> str:
    return f"{count / 1e9:,.2f}"


def _side_by_side(
    preset: str, steps: int, windows: int, devices: list[Device], utilisation: float
) -> str:
    names = ["nano", "mini", "paper"] + (
        [preset] if preset not in ("nano", "mini", "paper") else []
    )
    columns = [
        _column(name, steps, windows, devices, utilisation) for name in names
    ] + [_gato_column(devices, utilisation)]
    return table(
        ["", *names, "Gato"], [[row, *(column[row] for column in columns)] for row in columns[0]]
    )


def _column(
    preset: str, steps: int, windows: int, devices: list[Device], utilisation: float
) -> dict[str, str]:
    config, objective = JatConfig.preset(preset), objective_of(preset)
    tokens, flops = step_tokens(config, windows), step_flops(config, windows, objective)
    count = sum(parameters(config).values())
    memory = [
        sum(peak_bytes(config, checkpointed, objective=objective).values())
        for checkpointed in (False, True)
    ]
    context = f"{config.max_position_embeddings} ({config.max_timesteps})"
    return _rows(
        count, context, tokens, steps, flops, [_giga(m) for m in memory], devices, utilisation
    )


def _gato_column(devices: list[Device], utilisation: float) -> dict[str, str]:
    gato = Gato()
    states = sum(weights_bytes(round(gato.parameters)).values())
    return _rows(
        gato.parameters,
        f"{gato.context} (23)",
        gato.windows * gato.context,
        gato.steps,
        gato.flops,
        [f"{_giga(states)} + activations"] * 2,
        devices,
        utilisation,
    )


def _rows(
    count: float,
    context: str,
    tokens: float,
    steps: int,
    flops: float,
    memory: list[str],
    devices: list[Device],
    utilisation: float,
) -> dict[str, str]:
    return {
        "parameters": f"{count / 1e6:,.1f} M", "context in tokens (Meta-World timesteps)": context, "tokens a step": f"{tokens:,.0f}", "steps": f"{steps:,}",
        "tokens in all": f"{tokens * steps:.2e}", "FLOP a token": f"{flops / tokens:.2e}", "FLOP in all": f"{flops * steps:.2e}",
        "GB on one device": memory[0], "GB, activations checkpointed": memory[1],
    } | {f"hours on one {device.name}" if device.name != CPU else f"hours on {CPU}": f"{hours(flops * steps, device, utilisation):,.1f}" for device in devices}  # fmt: skip
