"""What a training run keeps on disk, so that it can be stopped at any moment and go on as if
nothing had happened.

A checkpoint is a folder ``checkpoints/step-N`` that appears whole or not at all. It holds a
playable agent (model.safetensors, config.json, tokenizer.json), and beside it what only training
needs: ``state.safetensors`` (AdamW's moments, and the raw weights when the model's are an average)
and ``state.json`` (counters, the mixture's place, the recipe). No pickle anywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from jatlab.data.episodes import explain_full_disk
from jatlab.model import JatModel
from jatlab.model.checkpoint.weights import load_weights
from jatlab.training.fsdp import cut_like, is_sharded, local, whole
from jatlab.utils.files import atomic_write, write_json

MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's state of a parameter, beside its step counter


# --- folders that are whole
# --------------------------------------------------------------------------------------------------


@contextmanager
def atomic_folder(path: Path):
    """Yield a temporary folder beside ``path``; rename it to ``path`` when the block ends well,
    remove it when it does not.

    The files are on the disk before the name is: neither a kill nor a power cut leaves half a
    folder of that name. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.iterdir():
            _sync(file)
        os.rename(temporary, path)
        _sync(path.parent)
    except SafetensorError as error:  # how safetensors reports any failure to write
        raise OSError(
            f"could not write {path}: {error}. Checkpoints written before are whole; free some space and resume"
        ) from error
    except OSError as error:
        raise explain_full_disk(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoints(output: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    return sorted(
        (output / "checkpoints").glob("step-*"),
        key=lambda path: int(path.name.removeprefix("step-")),
    )


def newest(output: Path) -> Path:
    """The newest whole checkpoint. Raises FileNotFoundError if there is none."""
    found = checkpoints(output)
    if not found:
        raise FileNotFoundError(
            f"{output} holds no checkpoint to go on from (checkpoints/step-N); give the folder that `jatlab train` wrote to"
        )
    return found[-1]


def tidy(output: Path, keep: int) -> None:
    """Remove all but the ``keep`` newest checkpoints, and what a kill while saving has left."""
    for folder in [*checkpoints(output)[:-keep], *(output / "checkpoints").glob(".*.tmp")]:
        shutil.rmtree(folder, ignore_errors=True)


# --- tensors
# -----------------------------------------------------------------------------------------------------------------


def save_state(
    folder: Path | None, model: nn.Module, optimizer, average: EmaWeights | None, counters: dict
) -> None:
    """Write ``state.safetensors`` and ``state.json`` into a folder that already has the agent.

    Where the model is sharded every process must call it, those that do not write with None for the
    folder.
    """
    tensors = {}
    for name, parameter in model.named_parameters():
        moments = {
            f"{moment}/{name}": value
            for moment, value in optimizer.state.get(parameter, {}).items()
        }
        weight = {f"weight/{name}": parameter} if average is not None else {}
        for key, value in (moments | weight).items():
            value = whole(value)
            if folder is not None:
                tensors[key] = value.cpu() if is_sharded(parameter) else value
    if folder is not None:
        with atomic_write(folder / "state.safetensors") as temporary:
            save_file(tensors, temporary)
        write_json(folder / "state.json", counters)


@torch.no_grad()
def load_state(folder: Path, model: nn.Module, optimizer, average: EmaWeights | None) -> dict:
    """Put weights, average and moments back where they were; return the counters. Raises ValueError
    for weights of another configuration.

    They may have been saved by any number of processes, sharded or not.
    """
    _load_weights(folder / "model.safetensors", model)
    tensors = load_file(folder / "state.safetensors")
    for name, parameter in model.named_parameters():
        if average is not None:
            average.values[name].copy_(local(parameter))
        if f"weight/{name}" in tensors:
            local(parameter).copy_(local(cut_like(tensors[f"weight/{name}"], parameter)))
        if f"exp_avg/{name}" in tensors:
            optimizer.state[parameter] = {
                "step": tensors[f"step/{name}"].to(_home(parameter, optimizer))
            } | {moment: cut_like(tensors[f"{moment}/{name}"], parameter) for moment in MOMENTS}
    return json.loads((folder / "state.json").read_text())


def _load_weights(path: Path, model: nn.Module) -> None:
    """Fill ``model``, sharded or not, from a file of whole weights."""
    if not any(is_sharded(p) for p in model.parameters()):
        return load_weights(model, path)
    complete = JatModel(model.config)
    load_weights(complete, path)
    for (_, parameter), (_, value) in zip(
        model.named_parameters(), complete.named_parameters(), strict=True
    ):
        local(parameter).copy_(local(cut_like(value.detach(), parameter)))


def _home(parameter: Tensor, optimizer) -> torch.device:
    """Where AdamW keeps its step counter: on the CPU unless it is fused."""
    return parameter.device if optimizer.defaults.get("fused") else torch.device("cpu")


class EmaWeights:
    """Exponential moving average of a model's weights: steadier than the last ones, and it usually
    plays better.

    ``decay`` is the share that the average keeps at each step; early on it keeps less, so that the
    first weights are soon forgotten. Of a sharded model each process averages its shards: an
    average is taken number by number, so that is the same.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.values = {name: local(p).clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        keep = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.values.values()), [local(p) for p in model.parameters()], 1 - keep
        )

    @contextmanager
    def applied(self, model: nn.Module):
        """Within the block the model has the averaged weights."""
        self._exchange(model)
        try:
            yield
        finally:
            self._exchange(model)

    @torch.no_grad()
    def _exchange(self, model: nn.Module) -> None:
        """The weights become the average and the average the weights, in place: shards may not be
        replaced.
        """
        for name, parameter in model.named_parameters():
            kept = local(parameter).clone()
            local(parameter).copy_(self.values[name])
            self.values[name].copy_(kept)


# --- being asked to stop
# -----------------------------------------------------------------------------------------------------


@contextmanager
def interruptible(patience: float = 1.0):
    """Yield an event that Ctrl-C or SIGTERM sets, so that the loop can save and stop between two
    steps.

    Asked again after ``patience`` seconds, it stops at once. (Sooner, it is the same Ctrl-C: a
    launcher passes on what its workers also had from the terminal.)
    """
    event, asked = threading.Event(), []

    def ask(signum, frame):
        asked.append(time.monotonic())
        if asked[-1] - asked[0] > patience:
            raise KeyboardInterrupt
        event.set()

    if (
        threading.current_thread() is not threading.main_thread()
    ):  # only the main thread may handle signals
        yield event
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
