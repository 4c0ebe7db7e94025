"""Training one agent on many tasks: read `Trainer.fit` first.

A step draws batches from the mixture, each of one task, adds up their gradients and lets AdamW move
the weights. Everything else here serves that: the learning rate over the steps or minutes given,
validation on held-out episodes, the log, checkpoints, and stopping politely.

With several processes or gradient accumulation, a step is the mean over its ``accumulate`` x
processes batches, whichever process computes them. (``accelerate launch`` starts the processes on
GPUs, ``torchrun --nproc-per-node 2 -m jatlab train …`` on CPUs; Accelerate's configuration says
whether each has the whole model or a shard of it.) Dropout is seeded by the batch's number. So two
processes, or one that accumulates two batches, take the same steps up to rounding; and a run that
was stopped and resumed equals one that was not, on a CPU bit for bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import increment_version

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import save_agent
from jatlab.agents.travelling import SEALED
from jatlab.data.mixture import BatchPlan, prefetch
from jatlab.data.windows import Batch, to_tensors
from jatlab.training.clock import Clock
from jatlab.training.compile import compile_blocks, is_compiled
from jatlab.training.data import arrange, facts, open_sources
from jatlab.training.fsdp import LossOf, ShardedLoss, shard, sharding_plugin, whole, whole_model
from jatlab.training.log import Losses, open_log
from jatlab.training.optimization.optimizer import learning_rate, make_optimizer
from jatlab.training.recipe import SEED_LIMIT, TrainConfig, make_accelerator, uses_bf16
from jatlab.training.setup import build_model, resolve
from jatlab.training.state import (
    EmaWeights,
    check_config,
    end_with_launcher,
    interruptible,
    load_state,
    newest,
    save_state,
    tidy,
)
from jatlab.training.validation import mean_losses
from jatlab.utils.checks import require
from jatlab.utils.files import atomic_folder, only_writer
from jatlab.utils.machine import give_back_memory, installed_version, keep_memory
from jatlab.utils.manifest import is_whole

__all__ = ["TrainConfig", "Trainer", "TrainingInterrupted", "train"]

Report = Callable[[dict[str, Any]], None]


class TrainingInterrupted(KeyboardInterrupt):
    """Training was asked to stop and has saved everything; the message says how to go on."""


def train(config: TrainConfig, on_report: Report | None = None) -> Path:
    """Train an agent.

    Args:
        config: the recipe.
        on_report: gets each line of the log when it is written, every ``log_every`` steps; such as
            `jatlab.viz.live.LiveCurves`.

    Returns:
        The agent's folder: model.safetensors, config.json, agent.json, tokenizer.json,
        training.json, log.jsonl and checkpoints.

    Raises:
        ValueError: for data or a recipe that cannot be trained on, and a loss that is not finite.
        FileNotFoundError: if there is no data.
        BlockingIOError: if another run writes into the output folder.
        OSError: if the disk is full.
        TrainingInterrupted: after Ctrl-C or SIGTERM, when everything is saved.
    """
    is_first = os.environ.get("RANK", "0") == "0"  # of several processes
    end_with_launcher()
    try:
        with only_writer(Path(config.output)) if is_first else nullcontext():
            return Trainer(config, on_report).fit()
    finally:
        give_back_memory()  # what runs next, in a notebook or a recipe, needs it


class Trainer:
    """One training run: ``Trainer(config).fit()``."""

    def __init__(self, config: TrainConfig, on_report: Report | None = None):
        keep_memory()
        self.config, self.output, self.on_report = config, Path(config.output), on_report
        setup = resolve(config)
        self.tokenizer, self.settings, self.before = setup.tokenizer, setup.settings, setup.before
        self.accelerator = make_accelerator(config)
        self.bf16 = uses_bf16(config, self.accelerator.device)
        self.model = build_model(setup, config)
        if config.compile:
            compile_blocks(self.model, self.accelerator.device, self.bf16, self.accelerator.print)
        self.scored = self._scored_model()
        self.optimizer = make_optimizer(self.model, config)
        self.average = EmaWeights(self.model, config.average) if config.average else None
        with self.accelerator.main_process_first():  # it writes the flat files for the others
            sources = open_sources(setup, config)
        data = arrange(sources, setup, config)
        self.sources, self.mixture, self.held_out = data.sources, data.mixture, data.held_out
        self.losses = Losses()
        self.step = self.timesteps = 0
        self.clock = Clock(config)
        if config.resume:
            self._resume()

    def _scored_model(self) -> LossOf:
        """Inputs -> loss: the whole model, a replica of it (DDP), or a shard (FSDP)."""
        plugin = sharding_plugin(self.accelerator)
        if plugin is not None:
            return shard(self.model, plugin, self.accelerator.device)
        return self.accelerator.prepare(LossOf(self.model))

    def _resume(self) -> None:
        """Go to where the newest checkpoint was saved."""
        check_config(folder := newest(self.output), self.model.config)
        state = load_state(folder, self.model, self.optimizer, self.average)
        self.mixture.load_state_dict(state["mixture"])
        self.step, self.timesteps = state["step"], state["timesteps"]
        self.clock.seconds = state["seconds"]

    # --- the loop

    def fit(self) -> Path:
        """Train to the end of the budget and return the agent's folder."""
        config = self.config
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        if self._lacks_only_its_agent():
            return self._finish(interrupted=False)
        progress = self._start()
        with interruptible() as interrupted, self.log:
            for plans, batches in prefetch(
                self.mixture, config.accumulate * processes, process, processes
            ):
                self.update(plans[process::processes], batches, lr=learning_rate(config, progress))
                self._count(plans)
                progress, stop = self._agree(interrupted.is_set())
                done = progress >= 1
                validate = done or self._due(config.val_every)
                if validate or stop or self._due(config.log_every):
                    self._report(validate)
                if done or stop or self._due(config.save_every):
                    self.save()
                if done or stop:
                    return self._finish(interrupted=not done)
        raise AssertionError("a mixture has no end")

    def _lacks_only_its_agent(self) -> bool:
        """Whether a kill came after the last checkpoint, before the agent was written from it."""
        lacks = self.clock.was_done(self.step) and not is_whole(self.output, SEALED)
        self.accelerator.wait_for_everyone()  # before anybody writes what the others look at
        return lacks

    def _start(self) -> float:
        """Open the log; returns how much of the budget is used."""
        total, unit = self.clock.budget
        self.clock.start()
        progress = self.clock.progress(self.step)
        require(
            progress < 1,
            f"{self.output} has already had its {total:g} {unit}: give it more to go on",
        )
        self.log = open_log(self.config, self.accelerator, self.step, self.clock)
        self.clock.mark(self.timesteps)
        return progress

    def _due(self, every: int) -> bool:
        return self.step % every == 0

    def _count(self, plans: Sequence[BatchPlan]) -> None:
        self.step += 1
        self.timesteps += sum(plan.timesteps for plan in plans)
        self.place = plans[-1].state  # the mixture itself is ahead: batches are prepared early

    def update(self, plans: Sequence[BatchPlan], batches: Sequence[Batch], lr: float) -> None:
        """One step: the mean gradient of these batches, clipped, then AdamW."""
        self.model.train()
        for plan, batch in zip(plans, batches, strict=True):
            # dropout: the same, whichever process computes this batch
            torch.manual_seed((self.config.seed * 1_000_003 + plan.number) % SEED_LIMIT)
            with nullcontext() if plan is plans[-1] else self.accelerator.no_sync(self.scored):
                loss = self.loss(self.scored, batch)
                self.accelerator.backward(loss * (plan.share / len(plans)))
            self.losses.add(self.step + 1, plan, loss)
        if isinstance(self.scored, ShardedLoss):
            self.scored.forget_unused()
        norm = self.accelerator.clip_grad_norm_(self.scored.parameters(), self.config.clip)
        self.norm = whole(norm)
        self._move(lr)

    def loss(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of a batch, in bfloat16 where that was chosen; the weights stay float32."""
        device = self.accelerator.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            return model(**to_tensors(batch, device))

    def _move(self, lr: float) -> None:
        self.lr = lr
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        # the fused step does not say that it wrote, but tables made of the weights must know
        increment_version(self.model.parameters())
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.model, self.step)

    def _agree(self, interrupted: bool) -> tuple[float, bool]:
        """Progress and whether to stop, the same in every process.

        The clock is the first process's; an interruption of any process counts.
        """
        progress = self.clock.progress(self.step)
        if self.accelerator.num_processes == 1:
            return progress, interrupted
        mine = [progress * self.accelerator.is_main_process, float(interrupted)]
        progress, stops = self.accelerator.reduce(
            torch.tensor(mine, dtype=torch.float64, device=self.accelerator.device)
        ).tolist()
        return progress, stops > 0

    # --- validation and the log

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The mean loss of each task on the held-out episodes; with EMA weights, if any."""
        self.model.eval()
        scored = self.scored if isinstance(self.scored, ShardedLoss) else LossOf(self.model)
        with self._averaged():
            losses = mean_losses(
                self.held_out,
                lambda plan: self.loss(scored, plan.load()).item(),
                self.accelerator,
            )
        wrong = [name for name, loss in losses.items() if not np.isfinite(loss)]
        require(
            not wrong,
            f"the validation loss after step {self.step} is not finite for {', '.join(wrong)}: go "
            "on from the last checkpoint with a lower lr",
        )
        return losses

    def _averaged(self) -> AbstractContextManager[None]:
        """A block in which the model has the averaged weights, where there are some."""
        return nullcontext() if self.average is None else self.average.applied(self.model)

    def _report(self, validate: bool) -> None:
        """A line for the log and the bar."""
        self._check_finite()
        record: dict[str, Any] = {
            "step": self.step,
            "timesteps": self.timesteps,
            "seconds": round(self.clock.elapsed(), 2),
            "lr": self.lr,
            "gradient_norm": self.norm.item(),
            "timesteps_per_second": round(self.clock.speed(self.timesteps), 1),
            "loss": self.losses.by_task(self.accelerator),
        }
        if validate and self.held_out:
            record["validation"] = self.validate()
        self.log.line(record, self.clock.done(self.step))
        if self.on_report and self.accelerator.is_main_process:
            self.on_report(record)
        self.clock.mark(self.timesteps)

    def _check_finite(self) -> None:
        self.losses.check()
        require(
            torch.isfinite(self.norm),
            f"the gradient is not finite after step {self.step}: go on from the last checkpoint "
            "with a lower lr, or precision='fp32'",
        )

    # --- save, finish

    def save(self) -> None:
        """Write the checkpoint ``checkpoints/step-N`` atomically, and remove old ones."""
        self._check_finite()
        main = self.accelerator.is_main_process  # the others only give their shards
        path = self.output / "checkpoints" / f"step-{self.step:06d}"
        with atomic_folder(path) if main else nullcontext() as folder:
            self._save_agent(folder)
            save_state(folder, self.model, self.optimizer, self.average, self._counters())
        if main:
            tidy(self.output, self.config.keep)
        self.accelerator.wait_for_everyone()
        self.clock.mark(self.timesteps)

    def _counters(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "timesteps": self.timesteps,
            "seconds": self.clock.elapsed(),
            "mixture": self.place,
            "recipe": asdict(self.config) | {"resume": False},
        }

    def _save_agent(self, folder: Path | None) -> None:
        """Write the agent to ``folder``; without one, take part in it."""
        with self._averaged():
            model = whole_model(self.model, keep=folder is not None)
            if folder is not None and model is not None:
                save_agent(Agent(model, self.tokenizer, self.info(), self.settings), folder)

    def info(self) -> dict[str, Any]:
        """What ``training.json`` says: how this agent came about."""
        packages = ("jatlab", "torch", "numpy", "accelerate")
        return {
            "step": self.step,
            "timesteps": self.timesteps,
            "minutes": round(self.clock.elapsed() / 60, 2),
            "precision": "bf16" if self.bf16 else "fp32",
            "device": self.accelerator.device.type,
            "processes": self.accelerator.num_processes,
            "sharded": isinstance(self.scored, ShardedLoss),
            "compiled": is_compiled(self.model),
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "data": facts(self.sources),
            "recipe": asdict(self.config),
            "before": self.before,
            "versions": {"python": python_version()}
            | {name: installed_version(name) for name in packages},
        }

    def _finish(self, interrupted: bool) -> Path:
        if interrupted:
            raise TrainingInterrupted(
                f"stopped after step {self.step}; everything is saved. Go on with: "
                f"jatlab train --resume {self.output}"
            )
        self._save_agent(self.output if self.accelerator.is_main_process else None)
        self.accelerator.wait_for_everyone()
        return self.output
