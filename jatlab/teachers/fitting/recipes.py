"""How each controller is found: the method, its settings, the number of rounds, the time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jatlab.tasks import get_task
from jatlab.teachers.fitting.ars import Ars, ArsSettings
from jatlab.teachers.fitting.base import Search
from jatlab.teachers.fitting.lqr import Lqr, LqrSettings
from jatlab.teachers.fitting.ppo import Ppo, PpoSettings
from jatlab.utils.checks import require

METHODS = {  # in words, which the controllers' files hold
    LqrSettings: "linear-quadratic regulator",
    ArsSettings: "augmented random search of a linear policy",
    PpoSettings: "proximal policy optimisation of a small network",
}


@dataclass(frozen=True)
class Recipe:
    """How a controller is found.

    Attributes:
        settings: They choose the method.
        rounds: The number of rounds.
        minutes: What all rounds took on one core, as measured.
        check_every: Rounds between two checks of the controller.
        check_episodes: Episodes that a check plays.
    """

    settings: LqrSettings | ArsSettings | PpoSettings
    rounds: int
    minutes: float
    check_every: int = 20
    check_episodes: int = 5

    @property
    def method(self) -> str:
        """The method in words."""
        return METHODS[type(self.settings)]

    def make(self, task: str, seed: int) -> Search:
        """The search, at its beginning."""
        if isinstance(self.settings, LqrSettings):
            return Lqr(task, self.settings, seed)
        if isinstance(self.settings, ArsSettings):
            return Ars(task, self.settings, seed)
        return Ppo(task, self.settings, seed)


PENDULUM = LqrSettings(errors=(1.0, 10.0), speeds=(0.1, 0.1), effort=1.0)
DOUBLE_PENDULUM = LqrSettings(errors=(1.0, 10.0, 10.0), speeds=(0.1, 0.1, 0.1), effort=1.0)
SWIMMER = ArsSettings(directions=8, best=4, step=0.02, spread=0.02)
CONSOLE = PpoSettings(  # from an Atari game's memory
    envs=32, steps=128, hidden=(256, 256), passes=4, change=0.01, entropy=0.01
)

RECIPES = {
    "mujoco-pendulum": Recipe(PENDULUM, 1, 0.1),
    "mujoco-doublependulum": Recipe(DOUBLE_PENDULUM, 1, 0.1),
    "mujoco-swimmer": Recipe(SWIMMER, 100, 2),
    "mujoco-reacher": Recipe(PpoSettings(steps=200), 400, 2, check_episodes=50),
    "mujoco-pusher": Recipe(PpoSettings(steps=200), 800, 6, check_episodes=20),
    "mujoco-hopper": Recipe(PpoSettings(), 400, 4),
    "mujoco-halfcheetah": Recipe(PpoSettings(), 500, 3),
    "mujoco-walker": Recipe(PpoSettings(), 540, 6),
    "mujoco-ant": Recipe(PpoSettings(), 240, 5),
    "mujoco-humanoid": Recipe(PpoSettings(), 480, 15),
    "mujoco-standup": Recipe(PpoSettings(), 400, 15),
    "atari-pong": Recipe(CONSOLE, 600, 15, check_every=100),
    "atari-boxing": Recipe(CONSOLE, 200, 8, check_every=100),
    "atari-breakout": Recipe(CONSOLE, 600, 19, check_every=100),
    "atari-freeway": Recipe(replace(CONSOLE, novelty=0.01), 200, 10),
    "atari-qbert": Recipe(CONSOLE, 300, 9, check_every=100),
    "atari-mspacman": Recipe(CONSOLE, 300, 8, check_every=100),
    "atari-seaquest": Recipe(CONSOLE, 300, 8, check_every=100),
    "atari-spaceinvaders": Recipe(CONSOLE, 600, 17, check_every=100),
}


def recipe_of(task: str) -> Recipe:
    """The recipe of a task. Raises ValueError for an unknown task, and for one without a recipe."""
    get_task(task)
    require(
        task in RECIPES, f"there is no recipe for {task}; there is one for {', '.join(RECIPES)}"
    )
    return RECIPES[task]
