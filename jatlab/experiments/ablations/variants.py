"""What an ablation varies: a `Variant` of one small recipe, and the recipe that trains it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jatlab.experiments.recipes import mini
from jatlab.experiments.recipes.splits import ML45, SPLITS

if TYPE_CHECKING:
    from jatlab.training.recipe import TrainConfig

OBJECT, REACH, RECALL, GAME = "babyai-go-to-obj", "metaworld-reach", "recall", "atari-mspacman"
PICKUP_BOX = "pickup-box"
# frames that a decision of the game lasts -> the task
FRAMES = {2: "mspacman-2-frames", 4: GAME, 8: "mspacman-8-frames", 16: "mspacman-16-frames"}
# beside the preset nano: its four layers and 64 timesteps, half as wide
MODEL: dict[str, Any] = {"hidden_size": 96, "num_heads": 4, "image_channels": (4, 4, 4)}
STEPS = 300  # of training
BATCH = 512  # timesteps
SCALAR_BATCH = 64  # timesteps of a scalar agent's batch: of a grid, about ten thousand tokens
LR = 3e-3
TUNED_LR = 1e-3  # for trained weights, and for random ones of the same size: jatlab-mini's
AVERAGE = 0.98  # decay of the weights' moving average
EPISODES = 50  # that an agent plays of each task

RECORDINGS: dict[str, tuple[int, float]] = {  # task: (episodes of demonstration, noise)
    OBJECT: (1500, 0.3),
    REACH: (100, 0.8),
    RECALL: (500, 0.0),
    "babyai-open-door": (1000, 0.3),
    "metaworld-drawer-open": (100, 0.8),
    "mujoco-hopper": (50, 0.1),
    "mujoco-walker": (50, 0.1),
    "python-docs": (1, 0.0),  # all there are
    "lander": (100, 0.2),
    "fetch": (500, 0.5),
    "highway": (300, 0.0),
    "atari-pong": (60, 0.2),
    **dict.fromkeys(FRAMES.values(), (60, 0.2)),
}
# of tasks that are held out: as a user would show them
UNSEEN_BODIES = SPLITS["bodies"].tasks
UNSEEN_ROOMS = (*SPLITS["level"].tasks, PICKUP_BOX)
UNSEEN_GAME = SPLITS["pong"].tasks
SHOWN = {
    **dict.fromkeys((*ML45, *UNSEEN_BODIES, *UNSEEN_ROOMS), (100, 0.0)),
    **dict.fromkeys(UNSEEN_GAME, (100, 0.2)),  # without noise many would be equal
}


@dataclass(frozen=True)
class Variant:
    """One answer to an ablation's question: what is trained on, and how it differs.

    Attributes:
        name: of the variant, in tables and figures.
        tasks: what the agent is trained on and plays.
        value: the variant's place on a numeric axis.
        model: `JatConfig` fields that differ.
        training: `TrainConfig` fields that differ.
        steps: of training.
        memory: (cache policy, timesteps) for jatlab-mini, in place of its own; nothing is trained
            then.
        token: what one token stands for: a "timestep", or a "scalar"
            (`jatlab.experiments.baselines.scalar_agent`, batches of `SCALAR_BATCH` timesteps).
        start: "jatlab-mini" to train that agent on, "nothing" for random weights of its size,
            "specialist" for the network that people use in the task's domain, None for random
            weights of the small `MODEL`.
        method: of a task never seen, see `jatlab.experiments.ablations.unseen`; None elsewhere.
        shown: how many demonstrations of it there are.
        minutes: of training, in place of steps.
        against: "specialists", see `jatlab.experiments.ablations.specialists`; None elsewhere.
    """

    name: str
    tasks: tuple[str, ...] = (OBJECT, REACH)
    value: float | None = None
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    steps: int = STEPS
    memory: tuple[str, int] | None = None
    token: str = "timestep"
    start: str | None = None
    method: str | None = None
    shown: int | None = None
    minutes: float | None = None
    against: str | None = None


def demonstrations(task: str) -> tuple[int, float]:
    """How many demonstrations of a task are recorded to learn from, and the noise in them."""
    return RECORDINGS.get(task, RECORDINGS[REACH])


def shown_demonstrations(task: str) -> tuple[int, float]:
    """The same of a task that is new: as a user would show it, if it is one that is held out."""
    return SHOWN.get(task, demonstrations(task))


def recipe(variant: Variant, seed: int, data: str | Path, output: str | Path) -> TrainConfig:
    """A variant's training recipe.

    Args:
        variant: what to train.
        seed: of the weights and the batches.
        data: the folder of the demonstrations.
        output: the agent goes to ``<output>/agent``.
    """
    from jatlab.training.recipe import TrainConfig

    return TrainConfig(
        data=str(data),
        output=f"{output}/agent",
        tasks=list(variant.tasks),
        steps=variant.steps,
        batch_timesteps=BATCH,
        average=AVERAGE,
        symmetries=any(task.startswith("babyai") for task in variant.tasks),
        seed=seed,
        val_fraction=0.0,
        save_every=10**9,  # never
        progress=False,
        **_network(variant),
    )


def _network(variant: Variant) -> dict[str, Any]:
    """The recipe's fields for the network, its first weights, and how it learns."""
    if variant.start is None:
        return {"model": MODEL | variant.model, "lr": LR, **variant.training}
    fields = {"lr": TUNED_LR, **mini.TRAINING, **variant.training}
    if variant.start in ("nothing", "specialist"):
        return {"preset": "mini", "model": mini.MODEL | variant.model, **fields}
    return {"start": variant.start, "model": variant.model, **fields}
