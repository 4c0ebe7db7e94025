"""Training whose batches never leave the device: for one GPU whose memory holds the whole data set.

`Trainer` (`jatlab.training.trainer`) is the one to read and to use. It prepares each batch on the
host, and a GPU that trains a small model waits for it most of the time. Here the windows of all
tasks lie on the device (`resident.py`), a step takes one batch of every domain, sized by the
domain's sampling weight, and nothing in it waits for the host (`static.py`).

What it leaves out: validation, several processes, and resuming in the middle.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jatlab import __version__
from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import save_agent
from jatlab.data.mixed import mix_alike
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import WindowSource, open_source
from jatlab.tasks import get_task
from jatlab.training.on_device.resident import Resident, ResidentPages, TensorBatch, resident
from jatlab.training.on_device.static import GRID_VALUES, static_loss
from jatlab.training.optimization.optimizer import learning_rate, make_optimizer
from jatlab.training.recipe import TrainConfig
from jatlab.training.setup import build_model, by_task, resolve
from jatlab.training.state import EmaWeights
from jatlab.utils.checks import require

if TYPE_CHECKING:
    from jatlab.training.data import TaskSource

Replay = Callable[[list[TensorBatch]], Tensor]  # a step's batches -> its loss
CAPTURES = ("none", "compile", "graph")
LOG_EVERY = 50  # steps: a loss is only fetched from the device this often
SAVE_EVERY = 60.0  # seconds


class DeviceTrainer:
    """One training run on one device: ``DeviceTrainer(config, tasks, device).fit()``.

    Args:
        config: The recipe. Each step has ``batch_timesteps`` x ``accumulate`` timesteps.
        tasks: Names of recorded tasks.
        device: Where everything happens.
        capture: "none"; "compile", the loss by `torch.compile`; "graph", forward and backward pass
            as one CUDA graph.
    """

    def __init__(
        self, config: TrainConfig, tasks: list[str], device: torch.device, capture: str = "none"
    ) -> None:
        require(capture in CAPTURES, f"capture is {' or '.join(CAPTURES)}, not {capture!r}")
        require(not config.in_context, "in_context: train in-context agents with jatlab train")
        self.config, self.device, self.output = config, device, Path(config.output)
        self.setup = resolve(replace(config, tasks=tasks))
        self.tokenizer = self.setup.tokenizer
        self.model = build_model(self.setup, config).to(device).train()
        self.optimizer = make_optimizer(self.model, config)
        self.ema = EmaWeights(self.model, config.average) if config.average else None
        self.tasks, self.capture, self.step = tasks, capture, 0
        self.graphs: dict[bool, Replay] = {}
        self.sources: list[Resident] = []
        self.open_data()
        self.started = self.saved = time.monotonic()  # reading the data is not training
        self.loss_of = (
            torch.compile(static_loss, fullgraph=True, dynamic=False)
            if capture == "compile"
            else static_loss
        )
        self.losses: list[dict] = []
        self.skipped = torch.zeros((), device=device)  # steps with a gradient that is not a number

    def open_data(self) -> None:
        """Read the tasks' data; once more, if episodes have been added to them since."""
        self.graphs.clear()  # they replay batches of the shapes that were
        # what is read is kept where it has not changed: pictures take long to decode
        kept = {s.source.fingerprint: s for s in self.sources if isinstance(s, ResidentPages)}
        self.sources = []  # the device need not hold the data twice
        self.sources, self.counts, self.shares = self._sources(self.tasks, kept)

    def _sources(
        self, tasks: list[str], kept: Mapping[str, Resident]
    ) -> tuple[list[Resident], list[int], list[float]]:
        """The domains' data, how many windows of each a step has, and what share of the loss."""
        config, model_config = self.config, self.model.config
        weights = by_task(config.loss_weights, tasks)
        opened = [
            open_source(
                name,
                config.data,
                model_config,
                self.tokenizer,
                self._window(name),
                config.cache,
                config.random_start,
                weights.get(name),
                config.without_missions,
            )
            for name in tasks
        ]
        for source in opened:
            _check_grid(source)
        mixed, sampling = mix_alike(opened, by_task(config.task_weights, tasks))
        symmetries = GridSymmetries(self.tokenizer) if config.symmetries else None
        total = sum(sampling.get(source.name, 1.0) for source in mixed)
        shares = [sampling.get(source.name, 1.0) / total for source in mixed]
        sources = [
            kept.get(source.fingerprint) or resident(source, self.device, config.seed, symmetries)
            for source in mixed
        ]
        budget = config.batch_timesteps * config.accumulate
        counts = [
            max(1, round(share * budget / _timesteps(source.batch(source.windows[:1]))))
            for share, source in zip(shares, sources, strict=True)
        ]
        return sources, counts, shares

    def _window(self, name: str) -> int | None:
        """Timesteps of a task's windows; None: what the model and the task allow."""
        if not get_task(name).playable:
            return None
        return self.model.config.window(get_task(name), self.setup.settings.windows)

    # --- a step

    def draw(self) -> list[TensorBatch]:
        """The next batch of each domain."""
        return [s.draw(count) for s, count in zip(self.sources, self.counts, strict=True)]

    def total_loss(self, batches: list[TensorBatch], action_only: bool) -> Tensor:
        """The mean of the domains' losses, by their shares."""
        bf16 = self.config.precision != "fp32"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            losses = [self.loss_of(self.model, batch, action_only) for batch in batches]
        return torch.stack(
            [share * loss.float() for share, loss in zip(self.shares, losses, strict=True)]
        ).sum()

    def update(self, progress: float) -> Tensor:
        """One step; its loss, still on the device."""
        every = round(1 / self.model.objective.observations_predicted)
        loss = self._backward(action_only=self.step % every != 0)
        norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), self.config.clip, foreach=True
        )
        # AdamW's fused kernel leaves out a step that this marks, without asking the host
        bad = (~norm.isfinite()).float()
        self.optimizer.found_inf = bad  # type: ignore[attr-defined]
        self.skipped += bad
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, progress)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=self.capture != "graph")
        if self.ema is not None:
            self.ema.update(self.model, self.step)
        self.step += 1
        return loss

    def _backward(self, action_only: bool) -> Tensor:
        batches = self.draw()
        if self.capture == "graph":
            return self._replay(batches, action_only)
        loss = self.total_loss(batches, action_only)
        loss.backward()
        return loss.detach()

    def _replay(self, batches: list[TensorBatch], action_only: bool) -> Tensor:
        """The captured forward and backward pass, on these batches."""
        if action_only not in self.graphs:
            self.graphs[action_only] = self._captured(batches, action_only)
        return self.graphs[action_only](batches)

    def _captured(self, batches: list[TensorBatch], action_only: bool) -> Replay:
        """A function that copies batches to where the graph reads them, and replays it."""
        places = [{name: value.clone() for name, value in batch.items()} for batch in batches]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # a first run allocates what the capture may not
            self.total_loss(places, action_only).backward()
        torch.cuda.current_stream().wait_stream(stream)
        self.optimizer.zero_grad(set_to_none=False)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self.total_loss(places, action_only)
            loss.backward()
        # kept alive, its autograd graph would tie the gradients of later ones to this stream
        loss = loss.detach()

        def replay(fresh: list[TensorBatch]) -> Tensor:
            for place, batch in zip(places, fresh, strict=True):
                for name, value in batch.items():
                    place[name].copy_(value)
            graph.replay()
            return loss

        self.optimizer.zero_grad(set_to_none=False)
        return replay

    # --- the loop

    def progress(self) -> float:
        """How much of the budget is used, from 0 to 1."""
        steps = self.step / self.config.steps if self.config.steps else 0.0
        spent = time.monotonic() - self.started
        minutes = spent / (60 * self.config.minutes) if self.config.minutes else 0.0
        return max(steps, minutes)

    def fit(self) -> Path:
        """Train to the end of the budget, saving as it goes; the agent's folder."""
        while (progress := self.progress()) < 1:
            self.train_to(min(1.0, progress + 0.01))
            self.save_now_and_then()
        self.save()
        return self.output

    def train_to(self, share: float) -> None:
        """Train until this share of the budget, 0 to 1, is used; at least one step."""
        while True:
            loss = self.update(self.progress())
            if self.step % LOG_EVERY == 0:
                self._log(loss)
            if self.progress() >= share:
                return

    def save_now_and_then(self) -> bool:
        """Save, if the last time was `SAVE_EVERY` seconds ago; whether it was."""
        due = time.monotonic() - self.saved > SAVE_EVERY
        if due:
            self.save()
        return due

    def _log(self, loss: Tensor) -> None:
        spent, value, skipped = time.monotonic() - self.started, loss.item(), int(self.skipped)
        require(
            skipped < max(10, self.step / 10),
            f"{skipped} of {self.step} gradients are not numbers: lower lr",
        )
        line = {
            "step": self.step,
            "seconds": round(spent, 1),
            "loss": round(value, 5) if math.isfinite(value) else None,  # JSON has no NaN
            "skipped": skipped,
            "timesteps_per_second": round(self.timesteps / spent),
        }
        self.losses.append(line)
        print(json.dumps(line), flush=True)

    @property
    def timesteps(self) -> int:
        """Timesteps trained on so far, padding included."""
        lengths = [_timesteps(source.batch(source.windows[:1])) for source in self.sources]
        return self.step * sum(n * count for n, count in zip(lengths, self.counts, strict=True))

    def save(self) -> None:
        """Write the agent, with the averaged weights."""
        info = {
            "step": self.step,
            "timesteps": self.timesteps,
            "minutes": round((time.monotonic() - self.started) / 60, 2),
            "device": str(self.device),
            "capture": self.capture,
            "recipe": asdict(self.config),
            "before": self.setup.before,
            "data": {source.source.name: len(source.windows) for source in self.sources},
            "versions": {"jatlab": __version__, "torch": torch.__version__},
            "log": self.losses,
        }
        with self.ema.applied(self.model) if self.ema else nullcontext():
            agent = Agent(self.model, self.tokenizer, info, self.setup.settings)
            save_agent(agent, self.output, torch.bfloat16)
        self.saved = time.monotonic()
        self.model.train()


def _check_grid(source: TaskSource) -> None:
    """Raise ValueError for a grid with integers that `static_loss` does not know."""
    if not isinstance(source, WindowSource):
        return
    largest = source.store.largest.get("discrete_observations", 0)
    require(
        largest < GRID_VALUES,
        f"{source.name} has {largest} in its grids, and training on the device knows integers "
        f"below {GRID_VALUES}: train it with jatlab train",
    )


def _timesteps(batch: TensorBatch) -> int:
    """Timesteps of one window; of text two tokens are one."""
    if "input_ids" in batch:
        return (batch["input_ids"].shape[1] + 1) // 2
    return batch["rewards"].shape[1]
