"""What an agent is not shown, so that it can be tried on it afterwards: named splits, fixed.

`jatlab mini --without ml45 bodies` leaves two of them out. The splits were fixed before anything
was measured with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jatlab.utils.checks import require


@dataclass(frozen=True)
class Split:
    """What is held out.

    Attributes:
        about: what it is, in words.
        tasks: that are not shown at all.
        missions: regular expressions; episodes whose mission matches one are not shown.
    """

    about: str
    tasks: tuple[str, ...] = ()
    missions: tuple[str, ...] = ()


ML45 = tuple(
    f"metaworld-{name}"
    for name in ("bin-picking", "box-close", "hand-insert", "door-lock", "door-unlock")
)
SPLITS = {
    "ml45": Split("Meta-World's ML45 test tasks, which REGENT holds out too", ML45),
    "bodies": Split(
        "two MuJoCo bodies, which REGENT holds out too", ("mujoco-halfcheetah", "mujoco-hopper")
    ),
    "pong": Split("a game, one of the five that REGENT holds out", ("atari-pong",)),
    "level": Split("a BabyAI level: a box behind a locked door", ("babyai-unlock-pickup",)),
    "verb-object": Split(
        "BabyAI's missions to pick up a box; boxes are gone to, and other things picked up",
        ("babyai-unlock-pickup", "babyai-blocked-unlock-pickup"),  # they have no other mission
        missions=(r"pick up (a|the) (\w+ )?box",),
    ),
    "outside": Split(
        "tasks outside the benchmarks, which jatlab-mini was never shown",
        ("lander", "fetch", "highway"),
    ),
}


def find_split(name: str) -> Split:
    """The split of this name. Raises ValueError for an unknown one."""
    require(name in SPLITS, f"unknown split {name!r}; there are {', '.join(SPLITS)}")
    return SPLITS[name]


def remaining(tasks: Iterable[str], without: Iterable[str]) -> list[str]:
    """The tasks that are in none of the splits; raises ValueError for an unknown split."""
    hidden = {task for name in without for task in find_split(name).tasks}
    return [task for task in tasks if task not in hidden]


def hidden_missions(without: Iterable[str]) -> list[str]:
    """The regular expressions of the missions that the splits hold out."""
    return [pattern for name in without for pattern in find_split(name).missions]
