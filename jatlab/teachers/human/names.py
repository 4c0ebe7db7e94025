"""What the actions and the numbers of a task are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jatlab.tasks import Task
from jatlab.tasks.env import task_of

if TYPE_CHECKING:
    import gymnasium as gym

METAWORLD_ACTIONS = ("x", "y", "z", "grip")  # where the hand goes, and how hard it closes
# MiniGrid's seven, in its order
BABYAI_ACTIONS = ("left", "right", "forward", "pick up", "drop", "toggle", "done")
AXES, TURN = ("x", "y", "z"), tuple(f"turn {number}" for number in range(1, 5))
# of one moment of Meta-World, 18 numbers
ARM = (
    *(f"hand {axis}" for axis in AXES),
    "gripper",
    *(f"object {part}" for part in (*AXES, *TURN)),
    *(f"second {part}" for part in (*AXES, *TURN)),
)


def actions_of(task: Task) -> list[str]:
    """The names of a task's actions, or of the numbers of a continuous one.

    BabyAI's and Meta-World's have names; others are a0, a1, … or action 0, action 1, …
    """
    named = {"babyai": BABYAI_ACTIONS, "metaworld": METAWORLD_ACTIONS}.get(task.domain)
    if named is not None:
        return list(named)
    stem = "a" if task.action == "continuous" else "action "
    return [f"{stem}{index}" for index in range(task.action_size)]


def action_names(env: gym.Env) -> list[str]:
    """What the actions of an environment are called; Atari's are named by the game."""
    if hasattr(env.unwrapped, "get_action_meanings"):
        return [name.lower() for name in env.unwrapped.get_action_meanings()]
    return actions_of(task_of(env))


def observations_of(task: Task) -> list[str]:
    """The names of the numbers of a task's vector; none where nobody has named them.

    Meta-World's 39: hand, gripper and two objects now, the same a moment ago, and the goal.
    """
    if task.domain != "metaworld" or task.observation_size != 39:
        return []
    return [*ARM, *(f"{name}, before" for name in ARM), *(f"goal {axis}" for axis in AXES)]
