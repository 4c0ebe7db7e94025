"""Checkpoints of a training run, and stopping it: a resumed run continues as if never stopped.

A checkpoint is a folder ``checkpoints/step-N`` that appears complete or not at all. It holds a
playable agent (model.safetensors, config.json, tokenizer.json) and what only training needs:
``state.safetensors`` (the optimizer's moments, and the raw weights if the model's are an average)
and ``state.json`` (counters, the mixture's position, the recipe). Nothing is pickled.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from jatlab.model import JatModel
from jatlab.model.checkpoint.official import read_config
from jatlab.model.checkpoint.weights import load_weights
from jatlab.model.config import JatConfig
from jatlab.training.fsdp import cut_like, is_sharded, local, whole
from jatlab.utils.checks import require
from jatlab.utils.files import atomic_write, read_json, write_json
from jatlab.utils.manifest import check_files, seal

STATE, COUNTERS = "state.safetensors", "state.json"
SEALED = ("model.safetensors", STATE, COUNTERS)
# the optimizer's state of a parameter, beside AdamW's step counter; Muon has the first alone
MOMENTS = ("exp_avg", "exp_avg_sq")


# --- folders ---


def checkpoints(output: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first.

    Other folders beside them, such as a copy called step-000500-copy, are not the run's.
    """
    folders = (output / "checkpoints").glob("step-*")
    found = [path for path in folders if re.fullmatch("step-[0-9]+", path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def newest(output: Path) -> Path:
    """The newest complete checkpoint of a run. Raises FileNotFoundError if there is none."""
    found = checkpoints(output)
    if not found:
        raise FileNotFoundError(
            f"{output} holds no checkpoint to go on from (checkpoints/step-N); "
            "give the folder that `jatlab train` wrote to"
        )
    return found[-1]


def tidy(output: Path, keep: int) -> None:
    """Remove all but the ``keep`` newest checkpoints, and the remains of interrupted saving."""
    for folder in [*checkpoints(output)[:-keep], *(output / "checkpoints").glob(".*.tmp")]:
        shutil.rmtree(folder, ignore_errors=True)


# --- tensors --------------------------------------------------------------------------------------


def save_state(
    folder: Path | None,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: EmaWeights | None,
    counters: dict[str, Any],
) -> None:
    """Write ``state.safetensors`` and ``state.json`` beside the agent of a checkpoint.

    Args:
        folder: where to write; None in processes that only contribute their shards. If the model
            is sharded, every process must call this.
        model: the model with its raw weights.
        optimizer: whose moments are saved.
        average: the weights' moving average; if there is one, the raw weights are saved as well.
        counters: what ``state.json`` holds.
    """
    tensors = {}
    for name, parameter in model.named_parameters():
        moments = optimizer.state.get(parameter, {})
        values = {f"{moment}/{name}": value for moment, value in moments.items()}
        if average is not None:
            values[f"weight/{name}"] = parameter
        for key, value in values.items():
            value = whole(value)
            if folder is not None:
                tensors[key] = value.cpu() if is_sharded(parameter) else value
    if folder is not None:
        with atomic_write(folder / STATE) as temporary, _errors_of_writing(folder / STATE):
            save_file(tensors, temporary)
        write_json(folder / COUNTERS, counters)
        seal(folder, [STATE, COUNTERS])


@contextmanager
def _errors_of_writing(path: Path) -> Iterator[None]:
    """Raise OSError for what safetensors raises at any failure to write."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(
            f"could not write {path}: {error}. "
            "Earlier checkpoints are complete: free some space and resume"
        ) from error


def check_config(folder: Path, config: JatConfig) -> None:
    """Raise ValueError, which names the differences, if a checkpoint is of another model."""
    old, new = read_config(folder / "config.json").to_dict(), config.to_dict()
    changes = [f"{name} was {old[name]}, is {new[name]}" for name in new if old[name] != new[name]]
    require(
        not changes,
        f"{folder} is of another model: {'; '.join(changes)}. Resume it with the same "
        "configuration, or start a new run",
    )


@torch.no_grad()
def load_state(
    folder: Path, model: JatModel, optimizer: torch.optim.Optimizer, average: EmaWeights | None
) -> dict[str, Any]:
    """Restore weights, average and moments from a checkpoint.

    Any number of processes may have saved it, sharded or not.

    Args:
        folder: the checkpoint.
        model: gets the raw weights.
        optimizer: gets its moments.
        average: gets the averaged weights, if the run keeps an average.

    Returns:
        The counters that `save_state` was given.

    Raises:
        ValueError: the weights are of another configuration, or a file is not what the manifest
            lists.
    """
    check_files(folder, SEALED)
    _load_weights(folder / "model.safetensors", model)
    tensors = _read_tensors(folder / STATE)
    for name, parameter in model.named_parameters():
        if average is not None:
            average.values[name].copy_(local(parameter))
        if f"weight/{name}" in tensors:
            local(parameter).copy_(local(cut_like(tensors[f"weight/{name}"], parameter)))
        moments = [key for key in MOMENTS if f"{key}/{name}" in tensors]
        if moments:
            state = {key: cut_like(tensors[f"{key}/{name}"], parameter) for key in moments}
            if f"step/{name}" in tensors:  # AdamW's; Muon has none
                state["step"] = tensors[f"step/{name}"].to(_step_device(parameter, optimizer))
            optimizer.state[parameter] = state
    return read_json(folder / COUNTERS)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or cut short ({error}): copy it again, or delete this checkpoint "
            "and go on from an earlier one"
        ) from None


def _load_weights(path: Path, model: JatModel) -> None:
    """Fill ``model``, sharded or not, from a file of whole weights."""
    if not any(is_sharded(p) for p in model.parameters()):
        load_weights(model, path)
        return
    complete = JatModel(model.config)
    load_weights(complete, path)
    for parameter, value in zip(model.parameters(), complete.parameters(), strict=True):
        local(parameter).copy_(local(cut_like(value.detach(), parameter)))


def _step_device(parameter: Tensor, optimizer: torch.optim.Optimizer) -> torch.device:
    """Where AdamW keeps its step counter: on the CPU unless it is fused."""
    return parameter.device if optimizer.defaults.get("fused") else torch.device("cpu")


class EmaWeights:
    """Exponential moving average of a model's weights.

    The average changes less than the last weights, and usually plays better. ``decay`` is the
    share of the average that each step keeps. Early steps keep less, so that the first weights
    are soon forgotten. Of a sharded model each process averages its shards, which gives the same
    numbers.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.values = {name: local(p).clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the model's weights after ``step`` steps."""
        keep = min(self.decay, (1 + step) / (10 + step))
        weights = [local(p) for p in model.parameters()]
        torch._foreach_lerp_(list(self.values.values()), weights, 1 - keep)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Within the block the model has the averaged weights."""
        self._exchange(model)
        try:
            yield
        finally:
            self._exchange(model)

    @torch.no_grad()
    def _exchange(self, model: nn.Module) -> None:
        """Exchange weights and average, in place because shards may not be replaced."""
        for name, parameter in model.named_parameters():
            kept = local(parameter).clone()
            local(parameter).copy_(self.values[name])
            self.values[name].copy_(kept)


# --- stopping -------------------------------------------------------------------------------------


@contextmanager
def interruptible(patience: float = 1.0) -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets, so that the loop can save and stop after a step.

    A second signal more than ``patience`` seconds later raises KeyboardInterrupt at once. A second
    signal before that is the same Ctrl-C: a launcher forwards what its workers have already
    received from the terminal.
    """
    event = threading.Event()
    times: list[float] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        times.append(time.monotonic())
        if times[-1] - times[0] > patience:
            raise KeyboardInterrupt
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_launcher() -> None:
    """Where a launcher of several processes has started this one: stop when the launcher is gone.

    torchrun and `accelerate launch` put their processes into sessions of their own, so that these
    would train on when the launcher is killed. They save and stop then, as after SIGTERM.

    Raises:
        ConnectionError: the launcher, which brings the processes together, is gone already.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.name != "posix":
        return
    launcher = os.getppid()
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":  # or this process waits minutes
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        try:
            socket.create_connection(address, timeout=30).close()
        except OSError as error:
            raise ConnectionError(f"the launcher of these processes is gone: {error}") from None
    threading.Thread(target=_watch_launcher, args=(launcher,), daemon=True).start()


def _watch_launcher(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
    os._exit(1)  # the others are gone, and it waits for them
