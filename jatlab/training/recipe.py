"""A training recipe: every choice of a training in one dataclass.

With it, what follows directly from these choices: accelerator and precision.
`jatlab.training.setup` resolves the rest, which needs the data and the agent to start from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from jatlab.model.objectives import Objective
from jatlab.training.state import newest
from jatlab.utils.checks import check_fields, regular_expressions, require, whole_number
from jatlab.utils.devices import check_device_name, choose_device
from jatlab.utils.files import expanded, read_json

if TYPE_CHECKING:
    from accelerate import Accelerator

DECAYS = ("cosine", "linear", "constant")
TRACKERS = ("tensorboard", "trackio", "wandb")
OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("auto", "bf16", "fp32")
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_tile")
POSITIVE = (
    "batch_timesteps", "accumulate", "lr", "clip", "val_batches", "val_every", "save_every",
    "log_every", "keep",
)  # fmt: skip
OR_NONE = ("steps", "minutes", "max_timesteps", "retrieved")  # positive, where they are given
SHARES = ("warmup", "average", "val_fraction")
SEED_LIMIT = 2**63  # torch takes smaller ones
# fields that were once the model's -> what to say instead
MOVED = {
    "frames_predicted": "TrainConfig.frames_predicted",
    "observations_predicted": "TrainConfig.observations_predicted",
    "past_action_dropout": "TrainConfig.past_action_dropout, or hide_past_actions=True for 1",
    "windows": "TrainConfig.windows",
    "action_temperature": "TrainConfig.temperature",
    "continuous_waves": "continuous_fourier_features",
}


@dataclass
class TrainConfig:
    """A training recipe. Give ``steps``, ``minutes`` or both (the first to be reached ends it).

    Raises:
        ValueError: for a value that cannot be; the message names it.
    """

    # --- where
    data: str = "data"  # folder with <task>/train/*.parquet
    # data set with the tasks that `data` lacks: a hub repository, or a folder of that layout
    stream: str | None = None
    output: str = "runs/agent"  # where the agent, its checkpoints and log.jsonl go
    cache: str | None = None  # folder for the flat copy of the data; None: beside the data

    # --- what
    # names; of patterns and domains what is recorded; None: all that is recorded
    tasks: list[str] | None = None
    preset: str | None = None  # of the model; None: nano, or the sizes of `start`
    # agent whose weights to begin with, in place of a preset: a folder, or "jatlab-mini"
    start: str | None = None
    # JatConfig fields that differ from the preset's, or from those of the agent to start from
    model: dict[str, Any] = field(default_factory=dict)

    # --- what a training batch predicts; the defaults are the paper's: everything
    frames_predicted: float = 1.0  # share of the timesteps whose next frame is predicted
    # share of the batches that predict observations; the others are action-only
    observations_predicted: float = 1.0
    # share of the windows whose observations cannot see past actions
    past_action_dropout: float = 0.0

    # --- what stands before an observation: its episode, or what is retrieved for it
    # train an in-context agent (jatlab.data.retrieval.context): before each timestep stand those of
    # other episodes of its task that look most like it
    in_context: bool = False
    retrieved: int | None = None  # of them; None: those of the agent to start from, or 20
    # lambda of the mixture with the nearest one's action; None: that of the agent to start from,
    # or 10
    sharpness: float | None = None
    # in training, change the order and the signs of the numbers of continuous actions, for each
    # sequence anew, so that they must be read from it (docs/design/retrieval.md)
    permute_actions: bool = False
    # agent whose encoder compares frames, in training and in play: a folder, or "jatlab-mini";
    # None: that of the agent to start from, or jatlab-mini
    frame_encoder: str | None = None

    # --- how the agent plays (its agent.json)
    # domain -> timesteps of a window, in training and in play, where fewer than fit, such as
    # {"mujoco": 8}; for other domains: those of the agent to start from, or all that fit
    windows: dict[str, int] | None = None
    # of discrete actions in play; None: 1, or that of the agent to start from
    temperature: float | None = None

    # --- how long
    steps: int | None = None
    minutes: float | None = None  # of wall-clock time, validation and saving included

    # --- batches
    batch_timesteps: int = 1024  # of one batch, with padding, at most
    # batches of several tasks of one domain, in place of one task's (jatlab.data.mixed)
    mix: bool = False
    accumulate: int = 1  # batches a process adds up in each step
    max_timesteps: int | None = None  # of a window; None: what the model and the task allow
    # draw each BabyAI window with its colours permuted and mirrored (jatlab.data.symmetries)
    symmetries: bool = False
    # episodes whose mission matches one of these regular expressions are left out
    without_missions: list[str] = field(default_factory=list)
    random_start: bool = False  # cut long episodes at other places in each epoch
    # pattern -> sampling weight: how often that task's batches come, beside 1
    task_weights: dict[str, float] = field(default_factory=dict)
    # pattern -> weight of its losses, in place of the published one
    loss_weights: dict[str, float] = field(default_factory=dict)

    # --- optimisation
    # "adamw", as published; "muon": AdamW, but Muon for the matrices of encoders and trunk: fewer
    # steps, each of which takes longer (jatlab.training.optimization.muon)
    optimizer: str = "adamw"
    lr: float = 1e-3
    warmup: float = 0.05  # share of the training in which the learning rate rises
    decay: str = "cosine"  # "cosine", "linear" (both to 0) or "constant"
    weight_decay: float = 0.01
    clip: float = 1.0  # largest gradient norm
    average: float = 0.0  # decay of the weights' moving average, such as 0.999; 0: none
    seed: int = 0

    # --- computing
    precision: str = "auto"  # "bf16", "fp32", or bf16 where the machine computes in it
    device: str = "auto"  # "cpu", "cuda", "cuda:1", "mps", or what Accelerate finds
    # keep only each block's input and compute the rest again: less memory, more time
    checkpoint_activations: bool = False
    # compile the blocks with torch.compile; where that fails, say so and go on without
    compile: bool = False

    # --- validation, checkpoints, log
    val_fraction: float = 0.05  # of each task's episodes, held out
    val_batches: int = 4  # of each task
    val_every: int = 250  # steps
    save_every: int = 500  # steps
    log_every: int = 10  # steps
    keep: int = 2  # checkpoints
    # experiment trackers beside log.jsonl: "tensorboard", "trackio", "wandb"
    track: list[str] = field(default_factory=list)
    progress: bool = True  # show a bar
    resume: bool = False  # go on from the newest checkpoint in `output`

    def __post_init__(self) -> None:
        self._convert()
        check_fields(self)
        for name in self.track:
            require(name in TRACKERS, f"track is one of {', '.join(TRACKERS)}, not {name!r}")
        require(
            self.preset is None or self.start is None,
            f"preset is {self.preset!r} and start is {self.start!r}: an agent to start from has "
            "its sizes already, so give one of the two",
        )
        self.objective()  # raises where a share is wrong
        self._check_model()
        self._check_numbers()
        require(self.steps or self.minutes, "say how long to train: steps or minutes")
        require(self.tasks or not self.stream, f"name the tasks to stream from {self.stream}")
        require(
            not (self.stream and self.without_missions),
            "without_missions needs recorded episodes: a stream does not tell their missions first",
        )
        require(
            not (self.in_context and self.stream),
            "in_context needs recorded episodes to retrieve from: leave stream out",
        )
        regular_expressions(self.without_missions, "without_missions")
        check_device_name(self.device)
        choices = {"decay": DECAYS, "precision": PRECISIONS, "optimizer": OPTIMIZERS}
        for name, known in choices.items():
            value, names = getattr(self, name), ", ".join(map(repr, known))
            require(value in known, f"{name} is one of {names}, not {value!r}")

    def _convert(self) -> None:
        """What may be given in a short form, or in a type of another library."""
        self.tasks = [self.tasks] if isinstance(self.tasks, str) else self.tasks
        self.track = [self.track] if isinstance(self.track, str) else self.track
        self.seed = whole_number(self.seed, "seed")
        require(self.seed < SEED_LIMIT, f"seed is {self.seed}: expected below 2 to the power of 63")
        for name in ("data", "stream", "output", "cache", "start", "frame_encoder"):
            if isinstance(path := getattr(self, name), str | os.PathLike):
                setattr(self, name, str(expanded(path)))

    def _check_numbers(self) -> None:
        for name in POSITIVE:
            require(getattr(self, name) > 0, f"{name} must be positive, not {getattr(self, name)}")
        for name in OR_NONE:
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} must be positive, not {value}")
        for name in SHARES:
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} is a share from 0 to below 1, not {value}")
        for name in ("weight_decay", "sharpness"):
            value = getattr(self, name)
            require(value is None or value >= 0, f"{name} is {value}: expected at least 0")
        for name in ("task_weights", "loss_weights"):
            for pattern, weight in getattr(self, name).items():
                where = f"{name}[{pattern!r}]"
                require(weight >= 0, f"{where} is {weight}: expected a number of at least 0")

    def _check_model(self) -> None:
        moved = [name for name in MOVED if name in self.model]
        require(
            not moved,
            f"{', '.join(moved)}: no field of the model any more; use "
            + "; ".join(MOVED[name] for name in moved),
        )

    @property
    def size(self) -> str:
        """The preset of a model that does not start from an agent."""
        return self.preset or "nano"

    def objective(self) -> Objective:
        """What a batch predicts."""
        return Objective(
            self.frames_predicted, self.observations_predicted, self.past_action_dropout
        )

    @classmethod
    def of_run(cls, run: str | Path, /, **changes: Any) -> TrainConfig:
        """The recipe of a run, to go on with it.

        Args:
            run: its folder, in which it stays.
            changes: fields to change, such as ``steps=2000``.

        Raises:
            FileNotFoundError: if there is no checkpoint.
            ValueError: for an unknown field, another output folder, or a run of a release whose
                runs cannot be resumed.
        """
        folder = newest(expanded(run))
        recipe = read_json(folder / "state.json").get("recipe", {})
        known = {f.name for f in fields(cls)}
        require(
            "frames_predicted" in recipe,
            f"{folder} was saved by an older release of jatlab, and its training cannot be "
            f"resumed: begin a new run with its weights (start={str(folder)!r})",
        )
        unknown = sorted(changes.keys() - known)
        require(not unknown, f"TrainConfig has no field {', '.join(unknown)}")
        _check_stays(run, changes)
        if recipe["start"]:
            recipe["preset"] = None  # runs of older releases have both
        return cls(**{**recipe, **changes, "output": str(run), "resume": True})


def _check_stays(run: str | Path, changes: dict[str, Any]) -> None:
    """Raise ValueError if a run that goes on shall do so elsewhere, or from its beginning."""
    output, resume = changes.get("output", run), changes.get("resume", True)
    stays = isinstance(output, str | os.PathLike) and expanded(output).resolve() == (
        expanded(run).resolve()
    )
    require(
        stays,
        f"output is {str(output)!r}, but a run that goes on stays in its folder, {run}: leave "
        f"output out, or begin a new run with its weights (start={str(run)!r})",
    )
    require(resume, f"resume is {resume!r}, but this is how {run} goes on: leave it out")


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Accelerate's view of the machine: one process or several (DDP or FSDP), and its device.

    Raises ValueError for a device that is not there, and for a configuration of Accelerate that
    training does not support.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    # a batch of one task does not use the others' encoders
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    # said explicitly, or Accelerate would overlook the other processes
    cpu = config.device == "cpu" or not torch.accelerator.is_available()
    # "no": the trainer decides where bfloat16 is used
    with _device_of_accelerate(config.device):
        accelerator = Accelerator(mixed_precision="no", cpu=cpu, kwargs_handlers=[unused])
    kind, started = accelerator.distributed_type.value, int(os.environ.get("WORLD_SIZE", 1))
    require(
        accelerator.num_processes == started,
        f"{started} processes were started, but each would train alone: choose several processes "
        "in `accelerate config`, or --device cpu",
    )
    require(
        config.device == "auto" or accelerator.device.type == torch.device(config.device).type,
        f"device is {config.device!r}, but Accelerate computes on {accelerator.device}: it keeps "
        "the device of this process's first training",
    )
    require(
        kind in ("NO", "FSDP") or kind.startswith("MULTI_"),
        f"training runs in one process, under DDP or FSDP, not under {kind}: choose so in "
        "`accelerate config`",
    )
    return accelerator


@contextmanager
def _device_of_accelerate(name: str) -> Iterator[None]:
    """Make Accelerate take the device that the recipe names, which it does not choose itself.

    Of several processes, each has its own device of the kind, so a number makes no sense there.
    """
    variable = "ACCELERATE_TORCH_DEVICE"
    if name in ("auto", "cpu"):
        yield
        return
    device, processes = choose_device(name), int(os.environ.get("WORLD_SIZE", 1))
    require(
        processes == 1 or device.index is None,
        f"device is {name!r}, but {processes} processes were started, each for a device of its "
        "own: use --device cuda, and choose the devices with CUDA_VISIBLE_DEVICES",
    )
    before = os.environ.get(variable)
    if processes == 1:
        os.environ[variable] = str(device)
    try:
        yield
    finally:
        os.environ.pop(variable, None)
        os.environ.update({} if before is None else {variable: before})


def uses_bf16(config: TrainConfig, device: torch.device) -> bool:
    """Whether to compute in bfloat16.

    As the recipe says; "auto" means where the machine has instructions for it, and torch may use
    them (``ATEN_CPU_CAPABILITY=avx2`` forbids it: that is how a weaker machine is imitated).
    """
    if config.precision != "auto":
        return config.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    return any(getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in BF16_INSTRUCTIONS)
