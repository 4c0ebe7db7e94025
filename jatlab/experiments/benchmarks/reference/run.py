"""`jatlab bench --reference`: jatlab against the published way, and against the machine's limits.

Somebody without this package would act and train with `PlainJat`
(`jatlab.experiments.benchmarks.reference.plain`), which has the published network on the GPT-Neo of
transformers. Both have the paper's size, compute on one thread and are measured in turn, so that a
slow moment of the machine affects both.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch

from jatlab.experiments.benchmarks.apart import call_apart, peak_megabytes
from jatlab.experiments.benchmarks.cost import full_window
from jatlab.experiments.benchmarks.device import made_up
from jatlab.experiments.benchmarks.hardware import measured_bandwidth, measured_peak
from jatlab.experiments.benchmarks.reference import everyday, queries
from jatlab.experiments.benchmarks.reference.actors import (
    CPU,
    FORMS,
    TASKS,
    TIMES,
    actor,
    in_turn,
    model_of,
    plain_actor,
)
from jatlab.experiments.benchmarks.tables import table
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.linear.int8 import Int8Linear
from jatlab.utils.files import write_json
from jatlab.utils.machine import cores

TRAININGS = 2  # that each is measured, after a warm-up
DEFAULT_SPINS = "300000"  # of OpenMP, where nobody says how threads shall wait
EVERYDAY = "jatlab.experiments.benchmarks.reference.everyday"
QUERIES = "jatlab.experiments.benchmarks.reference.queries"
MODULE = "jatlab.experiments.benchmarks.reference.run"
Found = dict[str, Any]


def run(output: str | Path | None = None, preset: str = "paper", say: Any = print) -> Found:
    """Measure acting, training and memory for each kind of task; about eight minutes.

    Args:
        output: a JSON file to write.
        preset: the size of both models.
        say: is called with what is measured next.

    Returns:
        What the JSON file holds.

    Raises:
        OSError: a measurement failed; the message has the reason.
    """
    found: Found = {
        "processor": processor(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "preset": preset,
        "limits": call_apart(MODULE, "limits"),
    }
    say("acting with mini …")
    found["mini"] = {kind: call_apart(EVERYDAY, "acting", kind) for kind in TASKS}
    for name in ("acting", "training", "memory"):
        found[name] = {}
        for kind in TASKS:
            say(f"{name}, {kind} …")
            found[name][kind] = call_apart(MODULE, name, kind, preset)
    for name in ("delivery", "lengths", "rollout_memory"):
        say(f"{name} …")
        found[name] = call_apart(EVERYDAY, name)
    say("queries …")
    found["queries"] = call_apart(QUERIES, "queries")
    say("beside other load …")
    found["load"] = beside_load(preset)
    if output:
        write_json(output, found)
    return found


def processor() -> str:
    """The processor's name and the instructions that matter here."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    name = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    sets = [one for one in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {one}" in text]
    return ", ".join([name[1] if name else platform.processor(), *sets])


def limits() -> Found:
    """What one thread can do: TFLOP/s of matrix products, and GB/s that are read."""
    torch.set_num_threads(1)
    return {"tflops": measured_peak(), "gigabytes_per_second": measured_bandwidth()}


# --- acting ---------------------------------------------------------------------------------------


def acting(kind: str, preset: str) -> Found:
    """Milliseconds of a step when the memory is full, by who acts; and megabytes of its weights.

    "reading" is how long it takes to read the trunk's matrices in float32, in turn with the steps.
    """
    torch.set_num_threads(1)
    calls, weights = {"plain": plain_actor(kind, preset)}, {}
    for form in FORMS:
        model = model_of(preset, form)
        calls[form] = actor(model, kind)
        weights[form] = sum(weight.nbytes for weight in trunk_matrices(model)) / 1e6
    matrices = trunk_matrices(model_of(preset, "float32"))
    calls["reading"] = lambda: [weight.amax() for weight in matrices]
    return {"milliseconds": in_turn(calls, TIMES, 1e3), "weights": weights}


def trunk_matrices(model: JatModel) -> list[torch.Tensor]:
    """All that a step reads of the trunk's weights, but for biases and norms."""
    layers = (m for m in model.trunk.modules() if isinstance(m, torch.nn.Linear | Int8Linear))
    return [layer.weight.detach() for layer in layers]


# --- training -------------------------------------------------------------------------------------


def training(kind: str, preset: str) -> Found:
    """Timesteps a second of training on full windows, by who trains."""
    torch.set_num_threads(1)
    config = JatConfig.preset(preset)
    window = full_window(config, kind)
    forms = ("plain", "float32", "bfloat16")
    found = in_turn({form: Training(form, kind, preset) for form in forms}, TRAININGS, 1)
    return {form: window.timesteps / seconds for form, seconds in found.items()}


class Training:
    """One step of AdamW on one full window at each call.

    Args:
        form: "plain", or ours in "float32" or "bfloat16".
        kind: of the window.
        preset: of the model.
    """

    def __init__(self, form: str, kind: str, preset: str):
        from jatlab.experiments.benchmarks.reference.plain import PlainJat

        torch.manual_seed(0)
        config = JatConfig.preset(preset)
        model = PlainJat(config) if form == "plain" else JatModel(config)
        self.model, self.bfloat16 = model.train(), form == "bfloat16"
        window = full_window(config, kind)
        self.batch = made_up(config, window, 1, CPU) | {"rewards": torch.randn(1, window.timesteps)}
        self.optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def __call__(self) -> None:
        """Forward, backward and AdamW."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            loss = self.model(**self.batch).loss
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def megabytes(self) -> float:
        """Of gradients and AdamW's moments, after a step."""
        return sum(3 * parameter.nbytes for parameter in self.optimizer.state) / 2**20


def memory(kind: str, preset: str) -> Found:
    """Megabytes beside weights, gradients and moments at the peak of training, by who trains."""
    return {form: call_apart(MODULE, "peak", form, kind, preset) for form in ("plain", "float32")}


def peak(form: str, kind: str, preset: str) -> float:
    """Megabytes that two steps add to what was there before, less what AdamW must hold."""
    torch.set_num_threads(1)
    step, before = Training(form, kind, preset), peak_megabytes()
    step()
    step()
    return peak_megabytes() - before - step.megabytes()


# --- beside other load ----------------------------------------------------------------------------


def beside_load(preset: str) -> Found:
    """Milliseconds of acting and of a training step with all threads.

    "alone"; "beside load", as many endless loops as there are cores; and "as by default", the same
    with threads that wait as OpenMP lets them.
    """
    found = {"alone": call_apart(MODULE, "with_all_threads", preset)}
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores())]
    try:
        found["beside load"] = call_apart(MODULE, "with_all_threads", preset)
        found["as by default"] = call_apart(
            MODULE, "with_all_threads", preset, GOMP_SPINCOUNT=DEFAULT_SPINS
        )
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    return found


def with_all_threads(preset: str) -> Found:
    """Milliseconds of acting with ``preset``, and of a training step of `nano` on arms."""
    torch.set_num_threads(cores())
    config = JatConfig.preset("nano")
    step = Training("float32", "continuous", "nano")
    step.batch = made_up(config, full_window(config, "continuous", 8), 64, CPU)
    acting = in_turn({"acting": actor(model_of(preset, "float32"), "continuous")}, 5, 1e3)
    return acting | in_turn({"training": step}, 5, 1e3)


# --- tables ---------------------------------------------------------------------------------------


def as_tables(found: Found) -> str:
    """The tables in Markdown."""
    rates = found["limits"]["gigabytes_per_second"]
    return "\n\n".join(
        [
            f"One thread of {found['processor']}, torch {found['torch']}, {found['date']}; "
            f"{1e3 * found['limits']['tflops']:.0f} GFLOP/s in matrix products, {rates:.1f} GB/s "
            "read.",
            table(*_acting_rows(found["acting"])),
            table(*_training_rows(found["training"], found["memory"])),
            table(*_load_rows(found["load"])),
            *everyday.as_tables(found),
            queries.as_table(found["queries"]),
        ]
    )


def _acting_rows(acting: Found) -> tuple[list[str], list[list[str]]]:
    head = ["a step, ms", "plain", *FORMS, *(f"ratio, {form}" for form in FORMS)]
    head += [f"reading {form}" for form in FORMS]
    rows = []
    for kind, one in acting.items():
        times = one["milliseconds"]
        ratios = [f"{times['plain'] / times[form]:.1f}" for form in FORMS]
        a_megabyte = times["reading"] / one["weights"]["float32"]
        reading = [f"{one['weights'][form] * a_megabyte:.1f}" for form in FORMS]
        shown = [f"{times[form]:.0f}" for form in ("plain", *FORMS)]
        rows.append([kind, *shown, *ratios, *reading])
    return head, rows


def _training_rows(training: Found, memory: Found) -> tuple[list[str], list[list[str]]]:
    forms = ("float32", "bfloat16")
    head = ["timesteps/s", "plain", *forms, *(f"ratio, {form}" for form in forms)]
    head += ["MB, plain", "MB, float32", "ratio"]
    rows = []
    for kind, speed in training.items():
        ratios = [f"{speed[form] / speed['plain']:.2f}" for form in forms]
        held = [memory[kind]["plain"], memory[kind]["float32"]]
        row = [kind, *(f"{speed[form]:.1f}" for form in ("plain", *forms)), *ratios]
        rows.append([*row, *(f"{one:,.0f}" for one in held), f"{held[1] / held[0]:.2f}"])
    return head, rows


def _load_rows(load: Found) -> tuple[list[str], list[list[str]]]:
    head = ["all threads, ms", *load, "beside load against alone"]
    rows = []
    for what in ("acting", "training"):
        ratio = load["beside load"][what] / load["alone"][what]
        rows.append([what, *(f"{one[what]:,.0f}" for one in load.values()), f"{ratio:.1f}"])
    return head, rows
