"""A training recipe: every choice in one dataclass, and what follows from it: learning rate,
optimizer, accelerator, precision.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch

from jatlab.model.objectives import Objective
from jatlab.tasks import expand
from jatlab.training.state import newest
from jatlab.utils.checks import require

# fields that were the model's once -> where they are now
MOVED = {
    "frames_predicted": "TrainConfig.frames_predicted",
    "observations_predicted": "TrainConfig.observations_predicted",
    "past_action_dropout": "TrainConfig.past_action_dropout, or hide_past_actions=True for all",
    "windows": "TrainConfig.windows",
    "action_temperature": "TrainConfig.temperature",
    "continuous_waves": "continuous_fourier_features",
}


@dataclass
class TrainConfig:
    """A training recipe. Give ``steps``, ``minutes`` or both (the first to be reached ends it)."""

    data: str = "data"  # folder with <task>/train/*.parquet
    stream: str | None = (
        # data set that tasks come from which `data` does not have: a hub repository, or a folder
        # like it
        None
    )
    output: str = "runs/agent"  # where the agent, its checkpoints and log.jsonl go
    # names; of patterns and domains what is recorded; None: all that is recorded
    tasks: list[str] | None = None
    preset: str = "nano"  # of the model
    start: str | None = (
        # agent whose weights to begin with, in place of a preset: a folder, or one that ships
        # ("demo")
        None
    )
    model: dict = field(
        default_factory=dict
    )  # JatConfig fields that differ from the preset's, or from the agent's that it starts from
    # --- what a batch predicts, in training alone (`jatlab.model.objectives`); the paper: everything
    frames_predicted: float = 1.0  # share of the timesteps whose next frame is predicted
    # share of the batches that predict observations; the others leave the action tokens out
    observations_predicted: float = 1.0
    # share of the windows whose observations cannot see past actions
    past_action_dropout: float = 0.0
    # --- how the agent plays (its agent.json)
    # domain -> timesteps of a window, in training and in play, where fewer than fit ({"mujoco": 8});
    # None: all that fit, or those of the agent that it starts from
    windows: dict[str, int] | None = None
    # of discrete actions in play; None: 1, or that of the agent that it starts from
    temperature: float | None = None
    # --- the loop
    steps: int | None = None
    minutes: float | None = None  # of wall-clock time, validation and saving included
    batch_timesteps: int = 1024  # of one batch, with padding, at most
    # batches of several tasks of one domain, in place of one task's (jatlab.data.mixed)
    mix: bool = False
    accumulate: int = 1  # batches a process adds up in each step
    max_timesteps: int | None = None  # of a window; None: what the model and the task allow
    # draw each BabyAI window with its colours permuted and mirrored (jatlab.data.symmetries)
    symmetries: bool = False
    random_start: bool = False  # cut long episodes at other places in each epoch
    task_weights: dict[str, float] = field(
        default_factory=dict
    )  # pattern -> how often that task has its turn (1)
    loss_weights: dict[str, float] = field(
        default_factory=dict
    )  # pattern -> weight of its losses (the published one)
    lr: float = 1e-3
    warmup: float = 0.05  # share of the training in which the learning rate rises
    decay: str = "cosine"  # "cosine", "linear" (both to 0) or "constant"
    weight_decay: float = 0.01
    clip: float = 1.0  # largest gradient norm
    average: float = 0.0  # decay of the weights' moving average, such as 0.999; 0: none
    precision: str = "auto"  # "bf16", "fp32", or bf16 where the machine computes in it
    device: str = "auto"  # "cpu", or what Accelerate finds
    # keep each block's input alone and compute the rest again: less memory, more time
    checkpoint_activations: bool = False
    # compile the blocks with torch.compile; where that fails it says so and goes on without
    compile: bool = False
    seed: int = 0
    val_fraction: float = 0.05  # of each task's episodes, held out
    val_batches: int = 4  # of each task
    val_every: int = 250  # steps
    save_every: int = 500  # steps
    log_every: int = 10  # steps
    keep: int = 2  # checkpoints
    cache: str | None = None  # folder for the flat copy of the data; None: beside the data
    progress: bool = True  # show a bar
    resume: bool = False  # go on from the newest checkpoint in `output`

    def __post_init__(self):
        self.tasks = [self.tasks] if isinstance(self.tasks, str) else self.tasks
        self.objective()  # raises where a share is wrong
        moved = sorted(MOVED.keys() & self.model.keys())
        require(
            not moved,
            f"model={{{', '.join(map(repr, moved))}}}: not of the model any more; "
            + "; ".join(f"say {MOVED[name]} in place of {name}" for name in moved),
        )
        require(self.steps or self.minutes, "say how long to train: steps or minutes")
        require(self.tasks or not self.stream, f"name the tasks to stream from {self.stream}")
        require(
            self.decay in ("cosine", "linear", "constant"),
            f"decay is 'cosine', 'linear' or 'constant', not {self.decay!r}",
        )
        require(
            self.precision in ("auto", "bf16", "fp32"),
            f"precision is 'auto', 'bf16' or 'fp32', not {self.precision!r}",
        )
        require(self.device in ("auto", "cpu"), f"device is 'auto' or 'cpu', not {self.device!r}")
        for name in (
            "batch_timesteps",
            "accumulate",
            "lr",
            "clip",
            "val_batches",
            "val_every",
            "save_every",
            "log_every",
            "keep",
        ):
            require(getattr(self, name) > 0, f"{name} must be positive, not {getattr(self, name)}")
        for name in ("warmup", "average", "val_fraction"):
            require(
                0 <= getattr(self, name) < 1,
                f"{name} is a share from 0 to below 1, not {getattr(self, name)}",
            )

    def objective(self) -> Objective:
        """What a batch predicts."""
        return Objective(
            self.frames_predicted, self.observations_predicted, self.past_action_dropout
        )

    @classmethod
    def of_run(cls, output: str | Path, **changes) -> TrainConfig:
        """The recipe of the run in ``output``, to go on with it, with fields changed at will
        (``steps=2000``).

        Raises FileNotFoundError if there is no checkpoint.
        """
        folder = newest(Path(output))
        recipe = json.loads((folder / "state.json").read_text())["recipe"]
        require(
            "frames_predicted" in recipe,
            f"{folder} was saved by an older jatlab, whose recipes cannot be resumed: begin a new run from its agent, start={str(folder)!r}",
        )
        unknown = changes.keys() - {f.name for f in fields(cls)}
        require(not unknown, f"TrainConfig has no field {', '.join(sorted(unknown))}")
        return cls(**{**recipe, **changes, "output": str(output), "resume": True})


def learning_rate(config: TrainConfig, progress: float) -> float:
    """The learning rate when ``progress`` (0 to 1) of the training is done: up to ``lr`` in a
    straight line, then down.
    """
    if progress < config.warmup:
        return config.lr * progress / config.warmup
    done = min((progress - config.warmup) / (1 - config.warmup), 1)
    return (
        config.lr
        * {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[
            config.decay
        ]
    )


def make_optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices alone, not on biases, norms and embeddings."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    matrices = [p for p in model.parameters() if p.ndim > 1 and id(p) not in embeddings]
    others = [p for p in model.parameters() if p.ndim <= 1 or id(p) in embeddings]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.95), fused=True)


def by_task(weights: dict[str, float], names: Iterable[str]) -> dict[str, float]:
    """Weights by pattern or domain, ``{"babyai-*": 2}``, as weights by name; a later entry
    overrides.

    Raises ValueError for an entry that matches none of ``names``.
    """
    names, found = set(names), {}
    for pattern, weight in weights.items():
        matched = names.intersection(expand(pattern))
        require(
            bool(matched),
            f"weight for {pattern!r}: none of the tasks trained on is called so: {', '.join(sorted(names))}",
        )
        found.update(dict.fromkeys(matched, weight))
    return found


def make_accelerator(config: TrainConfig):
    """Accelerate's view of the machine: one process or several (DDP, or FSDP:
    `jatlab.training.fsdp`), CPU or CUDA.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    unused = DistributedDataParallelKwargs(
        find_unused_parameters=True
    )  # a batch of one task leaves the others' encoders out
    # said, or Accelerate would overlook the other processes
    cpu = config.device == "cpu" or not torch.accelerator.is_available()
    accelerator = Accelerator(
        mixed_precision="no", cpu=cpu, kwargs_handlers=[unused]
    )  # bf16: Trainer.loss
    kind, started = accelerator.distributed_type.value, int(os.environ.get("WORLD_SIZE", 1))
    require(
        accelerator.num_processes == started,
        f"{started} processes were started, but each would train alone: choose several processes in `accelerate config`, or --device cpu",
    )
    require(
        kind in ("NO", "FSDP") or kind.startswith("MULTI_"),
        f"training runs in one process, under DDP or FSDP, not under {kind}: choose so in `accelerate config`",
    )
    return accelerator


def uses_bf16(config: TrainConfig, device: torch.device) -> bool:
    """Whether to compute in bfloat16: as the recipe says, or where the machine has instructions for
    it.
    """
    if config.precision != "auto":
        return config.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in cpu)
