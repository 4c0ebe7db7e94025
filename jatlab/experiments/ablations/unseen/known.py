"""The agents that know the other tasks of a domain: those that are not held out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jatlab.experiments.ablations.tasks import PICKUP_BOX
from jatlab.experiments.ablations.variants import GAME, OBJECT, REACH
from jatlab.experiments.recipes import mini, stages
from jatlab.experiments.recipes.splits import hidden_missions, remaining
from jatlab.tasks import domain_of, get_task

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.training.recipe import TrainConfig

MODEL: dict[str, Any] = {"continuous_symlog": True}  # beside the preset nano


@dataclass(frozen=True)
class Known:
    """What the agents of a domain learn before they are shown a task that is held out.

    Attributes:
        domain: of the tasks.
        without: the splits that are held out.
        episodes: of demonstration of each other task.
        noise: that disturbs them.
        window: timesteps that the ordinary agent remembers.
        old: two of the other tasks, which a tuned agent may forget.
        training: the recipe of the ordinary agent, where it is the domain's own.
        in_context: the recipe of the in-context agent, likewise.
    """

    domain: str
    without: tuple[str, ...]
    episodes: int
    noise: float
    window: int
    old: tuple[str, str]
    training: dict[str, Any] = field(default_factory=dict)
    in_context: dict[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> bool:
        """Whether the tasks observe frames."""
        return get_task(self.old[0]).observation == "image"

    def tasks(self) -> list[str]:
        """The tasks that are not held out, of those that jatlab-mini learns."""
        names = [name for name in mini.all_tasks() if domain_of(name) == self.domain]
        return remaining(names, self.without)


ARMS = Known(
    "metaworld",
    ("ml45",),
    episodes=20,
    noise=0.8,
    window=8,
    old=(REACH, "metaworld-drawer-open"),
)
BODIES = Known(
    "mujoco",
    ("bodies",),
    episodes=20,
    noise=0.1,
    window=8,
    old=("mujoco-walker", "mujoco-ant"),
)
ROOMS = Known(
    "babyai",
    ("level", "verb-object"),
    episodes=300,
    noise=0.3,
    window=32,
    old=(OBJECT, "babyai-open-door"),
    training={"optimizer": "muon", "lr": 3e-3, "symmetries": True, "steps": 1500},
    in_context={"steps": 2500},
)
GAMES = Known(
    "atari",
    ("pong",),
    episodes=10,
    noise=0.2,
    window=8,
    old=(GAME, "atari-boxing"),
    training={
        "optimizer": "muon",
        "lr": 3e-3,
        "accumulate": 1,
        "frames_predicted": 0.125,
        "steps": 1000,
    },
    in_context={"steps": 1000},
)
KNOWN = (ARMS, BODIES, ROOMS, GAMES)
# of all domains
TRAINING: dict[str, Any] = {
    "steps": 2000,
    "batch_timesteps": 512,
    "accumulate": 2,
    "random_start": True,
    "observations_predicted": 0.125,
}
IN_CONTEXT: dict[str, Any] = {
    "in_context": True,
    "steps": 5000,
    "batch_timesteps": 672,
    "retrieved": 20,
    "sharpness": 2.0,
    "permute_actions": True,
}


def known_to(task: str) -> Known:
    """What is known to the agents that a task is new to. A new domain is as arms are."""
    domain = "babyai" if task == PICKUP_BOX else get_task(task).domain
    return next((known for known in KNOWN if known.domain == domain), ARMS)


def base_agent(known: Known, folder: Path, seed: int) -> Agent:
    """The ordinary agent of the other tasks; it is trained where it is missing.

    Args:
        known: what it learns.
        folder: of the agents.
        seed: of its training.
    """
    fields = TRAINING | {"windows": {known.domain: known.window}} | known.training
    return _trained(known, folder, f"agent-{seed}", fields | {"seed": seed})


def context_agent(known: Known, folder: Path, seed: int) -> Agent:
    """The in-context agent of the other tasks; it is trained where it is missing.

    Args:
        known: what it learns.
        folder: of the agents.
        seed: of its training.
    """
    fields = IN_CONTEXT | known.in_context
    if known.frames:  # compared by a network that was not shown the task either
        base_agent(known, folder, seed)
        fields |= {"frame_encoder": str(folder / known.domain / f"agent-{seed}")}
    return _trained(known, folder, f"in-context-{seed}", fields | {"seed": seed})


def _trained(known: Known, folder: Path, name: str, fields: dict[str, Any]) -> Agent:
    from jatlab.agents.checkpoints import load_agent
    from jatlab.data.recording.record import record

    folder = folder / known.domain
    if not (folder / name / "training.json").exists():
        record(known.tasks(), folder / "data", known.episodes, noise=known.noise)
        stages.train_once(recipe(known, folder, name, fields))
    return load_agent(folder / name)


def recipe(known: Known, folder: Path, name: str, fields: dict[str, Any]) -> TrainConfig:
    """How an agent of the other tasks is trained.

    Args:
        known: what it learns.
        folder: has the recordings of the other tasks.
        name: of the agent.
        fields: of the recipe, that are this agent's own.
    """
    from jatlab.training.recipe import TrainConfig

    names = known.tasks()
    return TrainConfig(
        data=str(folder / "data"),
        output=str(folder / name),
        tasks=names,
        without_missions=hidden_missions(known.without),
        mix=True,
        average=0.99,
        model=MODEL,
        loss_weights=stages.loss_weights(names, folder / "data"),
        val_fraction=0.0,
        save_every=250,
        **fields,
    )
