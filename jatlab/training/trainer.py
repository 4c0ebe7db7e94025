"""Training one agent on many tasks: read `Trainer.fit` first.

A step draws batches from the mixture, each of one task, adds up their gradients and lets AdamW move
the weights. Everything else here is around that: the learning rate over the steps or minutes given,
validation on episodes held out, the log, checkpoints, and stopping politely.

Several processes and gradient accumulation mean the same: a step is the mean over its
``accumulate`` x processes batches, whoever computes them. (``accelerate launch`` starts the
processes on GPUs, ``torchrun --nproc-per-node 2 -m jatlab train …`` on CPUs; Accelerate's
configuration says whether each has the whole model or a shard of it.) Dropout and the like are
drawn from the seed and the batch's number. So 2 processes, or 1 that accumulates 2, make the same
steps up to rounding, and a run that was stopped and resumed is the run that was not: on a CPU, bit
for bit.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import numpy as np
import torch
from torch.autograd.graph import increment_version

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent, read_config, save_agent
from jatlab.agents.settings import AgentSettings
from jatlab.data.mixed import mix_alike
from jatlab.data.mixture import BatchPlan, Mixture, cut_batches, prefetch
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import Batch, open_source, to_tensors
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import expand, get_task, language_tasks, task_names
from jatlab.training.compile import compile_blocks, is_compiled
from jatlab.training.fsdp import LossOf, shard, sharding_plugin, whole, whole_model
from jatlab.training.log import Log, Losses, mean_over_processes
from jatlab.training.recipe import (
    TrainConfig,
    by_task,
    learning_rate,
    make_accelerator,
    make_optimizer,
    uses_bf16,
)
from jatlab.training.state import (
    EmaWeights,
    atomic_folder,
    checkpoints,
    interruptible,
    load_state,
    newest,
    save_state,
    tidy,
)
from jatlab.utils.machine import keep_memory

__all__ = ["TrainConfig", "Trainer", "TrainingInterrupted", "train"]


class TrainingInterrupted(KeyboardInterrupt):
    """Training was asked to stop and has saved everything; the message says where and how to go on."""


def train(config: TrainConfig, on_report: Callable[[dict], None] | None = None) -> Path:
    """Train an agent and return its folder: model.safetensors, config.json, tokenizer.json,
    training.json, log.jsonl, checkpoints.

    ``on_report`` gets each line of the log when it is written, every ``log_every`` steps, such as
    `jatlab.viz.live.LiveCurves`. Raises ValueError for data or a recipe that cannot be trained on
    and for a loss that is not finite, FileNotFoundError for missing data, OSError for a full disk,
    `TrainingInterrupted` after Ctrl-C or SIGTERM, when everything is saved.
    """
    return Trainer(config, on_report).fit()


class Trainer:
    """One training run: ``Trainer(config).fit()``."""

    def __init__(self, config: TrainConfig, on_report: Callable[[dict], None] | None = None):
        self.config, self.output, self.on_report = config, Path(config.output), on_report
        keep_memory()
        self.accelerator = make_accelerator(config)
        self.sharding = sharding_plugin(self.accelerator)
        self.bf16 = uses_bf16(config, self.accelerator.device)
        self._check_output()
        self._build_model()
        self._build_data()
        self.losses = Losses()
        self.step = self.timesteps = 0
        self.seconds, self.started = 0.0, time.monotonic()  # of earlier sittings; of this one
        if config.resume:
            self._resume()

    def _check_output(self) -> None:
        used = checkpoints(self.output) or (self.output / "training.json").exists()
        again = (
            f"go on with it (jatlab train --resume {self.output}), or choose another output folder"
        )
        if used and not self.config.resume:
            raise ValueError(f"{self.output} already holds a training run: {again}")

    def _build_model(self) -> None:
        config, agent = self.config, self._first_agent()
        model_config = (
            agent.model.config.replace(**config.model)
            if agent
            else JatConfig.preset(config.preset, **config.model)
        )
        before = agent.settings if agent else AgentSettings()
        self.settings = AgentSettings(
            before.temperature if config.temperature is None else config.temperature,
            before.windows if config.windows is None else config.windows,
        )
        objective = config.objective()
        objective.check(model_config)
        model_config.check_windows(self.settings.windows)
        self.before = self._history(agent)
        self.tokenizer = agent.tokenizer if agent else TextTokenizer.load(model_config.tokenizer)
        torch.manual_seed(config.seed)
        self.model = JatModel(model_config)
        self.model.objective = objective
        if agent:
            self._copy_weights(agent)
        self.model.trunk.checkpoint_activations = config.checkpoint_activations
        if config.compile:
            compile_blocks(self.model, self.accelerator.device, self.bf16, self.accelerator.print)
        self.scored = self._spread()
        self.optimizer = make_optimizer(self.model, config)
        self.average = EmaWeights(self.model, config.average) if config.average else None

    def _first_agent(self) -> Agent | None:
        """The agent to start from, if the recipe names one; of a run that goes on, its own newest
        checkpoint.
        """
        if self.config.start is None:
            return None
        return load_agent(newest(self.output) if self.config.resume else self.config.start)

    def _history(self, agent: Agent | None) -> dict | None:
        """What training the weights have had before this run: steps, timesteps, minutes and recipe,
        and what was before that; None from nothing.
        """
        if agent is None:
            return None
        return (
            agent.info.get("before")
            if self.config.resume
            else {
                key: agent.info.get(key)
                for key in ("step", "timesteps", "minutes", "recipe", "before")
            }
        )

    def _copy_weights(self, agent: Agent) -> None:
        """The agent's weights, copied: a loaded agent's are mapped from its file."""
        try:
            self.model.load_state_dict(agent.model.state_dict())
        except RuntimeError as error:
            raise ValueError(
                f"{self.config.start} cannot be the start of a model with {self.config.model}: {error}"
            ) from None

    def _spread(self) -> torch.nn.Module:
        """Inputs -> loss, on this process's device: alone, as one of several whole copies (DDP), or
        as shards of one (FSDP).
        """
        if self.sharding is not None:
            return shard(self.model, self.sharding, self.accelerator.device)
        return self.accelerator.prepare(LossOf(self.model))

    def _build_data(self) -> None:
        config, names = self.config, self._tasks()
        weights = by_task(config.loss_weights, names)
        with (
            self.accelerator.main_process_first()
        ):  # it writes the flat copies, the others find them
            sources = [self._open(name, weights.get(name)) for name in names]
        splits = [source.split(config.val_fraction, config.seed) for source in sources]
        self.held_out = [
            plan for _, val in splits if val is not None for plan in self._plan_validation(val)
        ]
        transform = GridSymmetries(self.tokenizer) if config.symmetries else None
        self.sources, sampling_weights = (
            [train for train, _ in splits],
            by_task(config.task_weights, names),
        )
        sources, sampling_weights = (
            mix_alike(self.sources, sampling_weights)
            if config.mix
            else (self.sources, sampling_weights)
        )
        self.mixture = Mixture(
            sources, config.batch_timesteps, sampling_weights, config.seed, transform
        )

    def _tasks(self) -> list[str]:
        """The tasks asked for; of patterns and domains, those that are recorded (all, where a
        stream has them).
        """
        c = self.config
        if c.stream:
            return expand(c.tasks)
        recorded = [
            name
            for name in (*task_names(), *language_tasks())
            if (Path(c.data) / name / "train").is_dir()
        ]
        names = (
            recorded
            if c.tasks is None
            else [name for name in expand(c.tasks) if name in recorded or name in c.tasks]
        )
        if not names:
            raise FileNotFoundError(
                f"no recorded task in {c.data}; record some with `jatlab record TASK --episodes N`"
            )
        return names

    def _open(self, name: str, loss_weight: float | None):
        c, config = self.config, self.model.config
        task, max_timesteps = get_task(name), c.max_timesteps
        if max_timesteps is None and task.playable:
            max_timesteps = config.window(task, self.settings.windows)
        if c.stream and not (Path(c.data) / name / "train").is_dir():
            from jatlab.data.published.streams import open_stream

            choices = {
                "max_timesteps": max_timesteps,
                "random_start": c.random_start,
                "loss_weight": loss_weight,
                "buffer": 16 * c.batch_timesteps,
            }
            return open_stream(name, c.stream, config, self.tokenizer, c.seed, **choices)
        return open_source(
            name,
            c.data,
            config,
            self.tokenizer,
            max_timesteps,
            c.cache,
            c.random_start,
            loss_weight,
        )

    def _plan_validation(self, source) -> list[BatchPlan]:
        rng = np.random.default_rng(self.config.seed)
        windows = source.windows(rng)
        groups = cut_batches(windows[:, 1], self.config.batch_timesteps, rng)[
            : self.config.val_batches
        ]
        return [BatchPlan(number, source, windows[group]) for number, group in enumerate(groups)]

    # --- the loop
    # ------------------------------------------------------------------------------------------------------------

    def fit(self) -> Path:
        """Train to the end of the budget and return the agent's folder."""
        config, process, processes = (
            self.config,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        progress = self._start()
        with interruptible() as interrupted, self.log.bar:
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

    def _due(self, every: int) -> bool:
        return self.step % every == 0

    def _count(self, plans: list[BatchPlan]) -> None:
        self.step += 1
        self.timesteps += sum(plan.timesteps for plan in plans)
        self.place = plans[-1].state  # the mixture itself is ahead: batches are prepared early

    def update(self, plans: list[BatchPlan], batches: list[Batch], lr: float) -> None:
        """One step: the mean gradient of these batches, clipped, then AdamW."""
        self.model.train()
        for plan, batch in zip(plans, batches, strict=True):
            torch.manual_seed(
                self.config.seed * 1_000_003 + plan.number
            )  # dropout: the same, whoever computes this batch and when
            with nullcontext() if plan is plans[-1] else self.accelerator.no_sync(self.scored):
                loss = self.loss(self.scored, batch)
                self.accelerator.backward(loss * (plan.share / len(plans)))
            self.losses.add(self.step + 1, plan, loss)
        if self.sharding is not None:
            self.scored.forget_unused()
        self.norm = whole(
            self.accelerator.clip_grad_norm_(self.scored.parameters(), self.config.clip)
        )
        self._move(lr)

    def loss(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """The model's loss of a batch, in bfloat16 where that was chosen (the weights stay
        float32).
        """
        device = self.accelerator.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            return model(**to_tensors(batch, device))

    def _move(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr = lr
        self.optimizer.step()
        increment_version(
            self.model.parameters()
        )  # the fused step does not say that it wrote; tables made of the weights must know
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.model, self.step)

    def progress(self) -> float:
        """How much of the budget is used, from 0 to 1: the learning rate follows it."""
        steps = self.step / self.config.steps if self.config.steps else 0
        minutes = self.elapsed() / (60 * self.config.minutes) if self.config.minutes else 0
        return max(steps, minutes)

    def elapsed(self) -> float:
        """Seconds of training, earlier sittings included."""
        return self.seconds + time.monotonic() - self.started

    def _agree(self, interrupted: bool) -> tuple[float, bool]:
        """Progress and whether to stop, the same in every process: the first one's clock, and
        anyone's interruption.
        """
        if self.accelerator.num_processes == 1:
            return self.progress(), interrupted
        mine = [self.progress() * self.accelerator.is_main_process, float(interrupted)]
        progress, stops = self.accelerator.reduce(
            torch.tensor(mine, dtype=torch.float64, device=self.accelerator.device)
        ).tolist()
        return progress, stops > 0

    # --- validation and the log
    # ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The mean loss of each task on the episodes held out, with the averaged weights where
        there are some.
        """
        self.model.eval()
        sums = defaultdict(lambda: [0.0, 0])
        with self.average.applied(self.model) if self.average else nullcontext():
            scored = LossOf(self.model) if self.sharding is None else self.scored
            for plan, counts in self._my_held_out():
                loss = self.loss(scored, plan.load()).item()
                sums[plan.task][0] += loss * plan.timesteps * counts
                sums[plan.task][1] += plan.timesteps * counts
        losses = mean_over_processes(sums, self.accelerator)
        if wrong := [name for name, loss in losses.items() if not np.isfinite(loss)]:
            raise ValueError(
                f"the validation loss after step {self.step} is not finite for {', '.join(wrong)}: go on from the last checkpoint with a lower lr"
            )
        return losses

    def _my_held_out(self) -> list[tuple[BatchPlan, bool]]:
        """This process's plans for validation, and whether each counts: all processes get equally
        many, since shards are gathered together.
        """
        mine = range(
            self.accelerator.process_index,
            len(self.held_out) + self.accelerator.num_processes - 1,
            self.accelerator.num_processes,
        )
        rounds = -(-len(self.held_out) // self.accelerator.num_processes)
        return [
            (self.held_out[min(number, len(self.held_out) - 1)], number < len(self.held_out))
            for number in mine[:rounds]
        ]

    def _report(self, validate: bool) -> None:
        """A line for the log and the bar."""
        self._check_finite()
        speed = (self.timesteps - self.mark[1]) / (time.monotonic() - self.mark[0])
        record = {
            "step": self.step, "timesteps": self.timesteps, "seconds": round(self.elapsed(), 2), "lr": self.lr,
            "gradient_norm": self.norm.item(), "timesteps_per_second": round(speed, 1), "loss": self.losses.by_task(self.accelerator),
        }  # fmt: skip
        if validate and self.held_out:
            record["validation"] = self.validate()
        self.log.line(record, self._done())
        if self.on_report and self.accelerator.is_main_process:
            self.on_report(record)
        self._mark()

    def _check_finite(self) -> None:
        self.losses.check()
        if not torch.isfinite(self.norm):
            raise ValueError(
                f"the gradient is not finite after step {self.step}: go on from the last checkpoint with a lower lr, or precision='fp32'"
            )

    def _mark(self) -> None:
        """From here on the speed is measured: validation and saving are left out of it."""
        self.mark = (time.monotonic(), self.timesteps)

    def _done(self) -> float:
        """How far the bar is: steps, or seconds where only minutes are given."""
        return self.step if self.config.steps else self.elapsed()

    # --- start, save, finish
    # -------------------------------------------------------------------------------------------------

    def _start(self) -> float:
        config, main = self.config, self.accelerator.is_main_process
        self.started = time.monotonic()
        progress = self.progress()
        if progress >= 1:
            raise ValueError(
                f"{self.output} has already had its {config.steps or config.minutes} {'steps' if config.steps else 'minutes'}: give it more to go on"
            )
        total, unit = (config.steps, "steps") if config.steps else (60 * config.minutes, "s")
        self.log = Log(
            self.output,
            self.step,
            total,
            unit,
            self._done(),
            show=config.progress and main,
            write=main,
        )
        self._mark()
        return progress

    def save(self) -> None:
        """Write the checkpoint ``checkpoints/step-N``, whole or not at all, and remove old ones."""
        self._check_finite()
        main = self.accelerator.is_main_process  # the others only give their shards
        with (
            atomic_folder(self.output / "checkpoints" / f"step-{self.step:06d}")
            if main
            else nullcontext() as folder
        ):
            self._save_agent(folder)
            save_state(folder, self.model, self.optimizer, self.average, self._counters())
        if main:
            tidy(self.output, self.config.keep)
        self.accelerator.wait_for_everyone()
        self._mark()

    def _counters(self) -> dict:
        recipe = asdict(self.config) | {"resume": False}
        return {
            "step": self.step,
            "timesteps": self.timesteps,
            "seconds": self.elapsed(),
            "mixture": self.place,
            "recipe": recipe,
        }

    def _save_agent(self, folder: Path | None) -> None:
        """Write the agent to ``folder``; without one, take part in it."""
        with self.average.applied(self.model) if self.average else nullcontext():
            model = whole_model(self.model, keep=folder is not None)
            if folder is not None:
                agent = Agent(model, self.tokenizer, self.info(), self.settings)
                save_agent(agent, folder)

    def info(self) -> dict:
        """What ``training.json`` says: how this agent came about."""
        return {
            "step": self.step, "timesteps": self.timesteps, "minutes": round(self.elapsed() / 60, 2), "precision": "bf16" if self.bf16 else "fp32",
            "device": self.accelerator.device.type, "processes": self.accelerator.num_processes,
            "sharded": self.sharding is not None, "compiled": is_compiled(self.model), "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "data": {s.name: {"episodes": len(s.episodes), "timesteps": s.timesteps, "fingerprint": s.fingerprint} for s in self.sources},
            "recipe": asdict(self.config), "before": self.before,
            "versions": {"python": python_version()} | {name: version(name) for name in ("jatlab", "torch", "numpy", "accelerate")},
        }  # fmt: skip

    def _resume(self) -> None:
        folder = newest(self.output)
        before, now = read_config(folder / "config.json").to_dict(), self.model.config.to_dict()
        if changed := {
            name: (before[name], now[name]) for name in now if before[name] != now[name]
        }:
            differences = "; ".join(f"{name} was {a}, is {b}" for name, (a, b) in changed.items())
            raise ValueError(
                f"{folder} is of another model: {differences}. Resume with its own configuration, or start a new run"
            )
        state = load_state(folder, self.model, self.optimizer, self.average)
        self.mixture.load_state_dict(state["mixture"])
        self.step, self.timesteps, self.seconds = (
            state["step"],
            state["timesteps"],
            state["seconds"],
        )

    def _finish(self, interrupted: bool) -> Path:
        if interrupted:
            raise TrainingInterrupted(
                f"stopped after step {self.step}; everything is saved. Go on with: jatlab train --resume {self.output}"
            )
        self._save_agent(self.output if self.accelerator.is_main_process else None)
        self.accelerator.wait_for_everyone()
        return self.output
