"""`jatlab cost`: what a training of one preset costs, in tables, and side by side with Gato."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jatlab.experiments.benchmarks.cost import (
    KINDS,
    PUBLISHED_SHARES,
    PUBLISHED_WINDOWS,
    attention_flops,
    forward_flops,
    full_window,
    objective_of,
    parameters,
    training_flops,
)
from jatlab.experiments.benchmarks.cost_memory import activation_bytes, head_bytes, weights_bytes
from jatlab.experiments.benchmarks.hardware import (
    CPU,
    DEVICES,
    UTILISATION,
    Device,
    find_device,
    hours,
)
from jatlab.experiments.benchmarks.tables import table
from jatlab.model.config import JatConfig
from jatlab.model.objectives import EVERYTHING, Objective
from jatlab.utils.checks import require

DEVICE_WINDOWS = 8  # of a batch on one device, as published
SHOWN = ("nano", "mini", "paper")  # presets that every report shows side by side


@dataclass(frozen=True)
class Gato:
    """Gato's published size and training (Reed et al. 2022).

    Its code and data were never released.
    """

    parameters: float = 1.18e9
    layers: int = 24
    width: int = 2048
    context: int = 1024
    steps: int = 1_000_000
    windows: int = 512

    @property
    def flops(self) -> float:
        """FLOPs of a step.

        Six for each parameter and token, and attention of all pairs in each window, forward and
        backward.
        """
        attention = 3 * 4 * self.layers * self.width * self.context**2
        return self.windows * (6 * self.parameters * self.context + attention)


# --- a step of the mixture ------------------------------------------------------------------------


def mean_over_mixture(values: Mapping[str, float]) -> float:
    """The mean of a window's ``values`` by kind, with the shares of the published mixture."""
    total = sum(values[kind] * share for kind, share in PUBLISHED_SHARES.items())
    return total / sum(PUBLISHED_SHARES.values())


def step_flops(config: JatConfig, windows: int, objective: Objective = EVERYTHING) -> float:
    """FLOPs of a training step of so many full windows."""
    flops = {
        kind: training_flops(config, full_window(config, kind), objective=objective)
        for kind in KINDS
    }
    return windows * mean_over_mixture(flops)


def step_tokens(config: JatConfig, windows: int) -> float:
    """Tokens of a training step of so many full windows."""
    return windows * mean_over_mixture({kind: full_window(config, kind).tokens for kind in KINDS})


def peak_bytes(
    config: JatConfig,
    checkpointed: bool,
    windows: int = DEVICE_WINDOWS,
    objective: Objective = EVERYTHING,
) -> dict[str, int]:
    """Memory on one device without shards, in bfloat16, with the kind of batch that needs most.

    Args:
        config: of the model.
        checkpointed: whether activations are checkpointed.
        windows: of a batch.
        objective: what a batch predicts.

    Returns:
        Bytes by what they are for.
    """
    activations = 0
    for kind in KINDS:
        window = full_window(config, kind)
        kept = activation_bytes(config, window, 2, checkpointed, objective)
        activations = max(activations, windows * (kept + head_bytes(config, window)))
    return weights_bytes(sum(parameters(config).values())) | {"activations": activations}


# --- the report -----------------------------------------------------------------------------------


def report(
    preset: str,
    steps: int,
    windows: int = PUBLISHED_WINDOWS,
    device: str | None = None,
    utilisation: float = UTILISATION,
) -> str:
    """Everything about a preset, then nano, mini, paper and Gato side by side, in Markdown.

    Args:
        preset: of the model.
        steps: of the training.
        windows: of a step.
        device: whose hours are shown; None for all devices.
        utilisation: share of a device's peak that the training reaches.

    Raises:
        ValueError: an unknown preset or device, steps or windows that are not positive, or a
            utilisation that is no share.
    """
    check_amounts(steps, windows, utilisation)
    config, objective = JatConfig.preset(preset), objective_of(preset)
    devices = chosen_devices(device)
    size = f"{steps:,} steps of {windows} windows"
    parts = [
        f"# {preset}: {size}",
        _parameters_table(config),
        _kinds_table(config, objective),
        _memory_table(config, objective),
        f"# Side by side: {size} (Gato: as published)",
        _side_by_side(preset, steps, windows, devices, utilisation),
        _notes(devices, utilisation),
    ]
    return "\n\n".join(parts)


def check_amounts(steps: float, windows: float, utilisation: float) -> None:
    """Raise ValueError for what no training can have: below 0, infinite, above the peak."""
    for name, value in (("steps", steps), ("batch", windows)):
        require(0 < value < math.inf, f"{name} must be positive, not {value}")
    require(
        0 < utilisation <= 1,
        f"utilisation is {utilisation}: expected a share of the peak, above 0 and at most 1, such "
        f"as {UTILISATION}",
    )


def chosen_devices(name: str | None) -> list[Device]:
    """The device of this name, or all. Raises ValueError for an unknown one."""
    return [*DEVICES, find_device("cpu")] if name is None else [find_device(name)]


def _notes(devices: list[Device], utilisation: float) -> str:
    peaks = ", ".join(f"{device.name} {device.peak:.3g}" for device in devices)
    return (
        f"Hours are of one device at {utilisation:.0%} model FLOP utilisation, an assumption. "
        f"Peaks in TFLOP/s: {peaks}.\n"
        "Tasks are drawn as published: every control task once, text and captioning ten times; "
        "all windows are full.\n"
        "Small models and large devices do not come near that share: "
        "see `jatlab bench --gpu` for what one does."
    )


def _parameters_table(config: JatConfig) -> str:
    counts = parameters(config)
    total = sum(counts.values())
    largest_first = sorted(counts.items(), key=lambda item: -item[1])
    rows = [[part, f"{count:,}", f"{count / total:.1%}"] for part, count in largest_first]
    return table(["parameters", "count", "share"], [*rows, ["all", f"{total:,}", ""]])


def _kinds_table(config: JatConfig, objective: Objective) -> str:
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
    return table(head, [_kind_row(config, kind, objective) for kind in KINDS])


def _kind_row(config: JatConfig, kind: str, objective: Objective) -> list[str]:
    window = full_window(config, kind)
    parts = forward_flops(config, window, objective=objective)
    total = training_flops(config, window, objective=objective)
    seen = attention_flops(config, window.tokens, seen_only=True)
    unseen = attention_flops(config, window.tokens) - seen
    plain = activation_bytes(config, window, objective=objective)
    lean = activation_bytes(config, window, checkpointed=True, objective=objective)
    return [
        kind,
        f"{window.tokens}",
        f"{total / 1e9:,.1f}",
        f"{total / window.tokens / 1e6:,.1f}",
        f"{parts['attention'] / sum(parts.values()):.1%}",
        f"{unseen / sum(parts.values()):.1%}",
        f"{plain / 1e6:,.0f}",
        f"{lean / 1e6:,.0f}",
    ]


def _memory_table(config: JatConfig, objective: Objective) -> str:
    plain, lean = (peak_bytes(config, lean, objective=objective) for lean in (False, True))
    rows = [[name, _giga(plain[name]), _giga(lean[name])] for name in plain]
    rows.append(["all", _giga(sum(plain.values())), _giga(sum(lean.values()))])
    head = [f"GB on one device, batches of {DEVICE_WINDOWS}", "plain", "activations checkpointed"]
    return table(head, rows)


def _giga(count: float) -> str:
    return f"{count / 1e9:,.2f}"


# --- side by side ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """A training in the table side by side."""

    parameters: float
    context: str  # tokens (Meta-World timesteps)
    tokens: float  # of a step
    steps: int
    flops: float  # of a step
    memory: tuple[str, str]  # GB on one device, plain and with checkpointed activations


def _side_by_side(
    preset: str, steps: int, windows: int, devices: list[Device], utilisation: float
) -> str:
    names = [*SHOWN, *([preset] if preset not in SHOWN else [])]
    trainings = [*(_training(name, steps, windows) for name in names), _gato_training()]
    columns = [_column(training, devices, utilisation) for training in trainings]
    rows = [[row, *(column[row] for column in columns)] for row in columns[0]]
    return table(["", *names, "Gato"], rows)


def _training(preset: str, steps: int, windows: int) -> Training:
    config, objective = JatConfig.preset(preset), objective_of(preset)
    plain, lean = (
        _giga(sum(peak_bytes(config, checkpointed, objective=objective).values()))
        for checkpointed in (False, True)
    )
    return Training(
        parameters=sum(parameters(config).values()),
        context=f"{config.max_position_embeddings} ({config.max_timesteps})",
        tokens=step_tokens(config, windows),
        steps=steps,
        flops=step_flops(config, windows, objective),
        memory=(plain, lean),
    )


def _gato_training() -> Training:
    gato = Gato()
    memory = f"{_giga(sum(weights_bytes(round(gato.parameters)).values()))} + activations"
    return Training(
        parameters=gato.parameters,
        context=f"{gato.context} (23)",
        tokens=gato.windows * gato.context,
        steps=gato.steps,
        flops=gato.flops,
        memory=(memory, memory),
    )


def _column(training: Training, devices: list[Device], utilisation: float) -> dict[str, str]:
    flops = training.flops * training.steps
    column = {
        "parameters": f"{training.parameters / 1e6:,.1f} M",
        "context in tokens (Meta-World timesteps)": training.context,
        "tokens a step": f"{training.tokens:,.0f}",
        "steps": f"{training.steps:,}",
        "tokens in all": f"{training.tokens * training.steps:.2e}",
        "FLOP a token": f"{training.flops / training.tokens:.2e}",
        "FLOP in all": f"{flops:.2e}",
        "GB on one device": training.memory[0],
        "GB, activations checkpointed": training.memory[1],
    }
    for device in devices:
        name = CPU if device.name == CPU else f"one {device.name}"
        column[f"hours on {name}"] = f"{hours(flops, device, utilisation):,.1f}"
    return column
