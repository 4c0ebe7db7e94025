"""Which keys stand for which actions, for a person who plays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jatlab.tasks.env import task_of
from jatlab.tasks.task import Action, Task
from jatlab.teachers.human.names import action_names
from jatlab.utils.checks import require

if TYPE_CHECKING:
    import gymnasium as gym

# an action's name -> its key, as browsers call it
KEYS = {
    "left": "ArrowLeft",
    "right": "ArrowRight",
    "forward": "ArrowUp",
    "up": "ArrowUp",
    "down": "ArrowDown",
    "pick up": "p",
    "drop": "d",
    "toggle": "t",
    "done": "e",
    "noop": "n",
    "fire": "f",
}
ARM = {  # Meta-World's hand: to the right, away, up; the grip stays as it was left
    "x −": "ArrowLeft",
    "x +": "ArrowRight",
    "y −": "ArrowDown",
    "y +": "ArrowUp",
    "z −": "s",
    "z +": "w",
    "grip +": "c",
    "grip −": "o",
    "stay": "n",
}
SPARE = "1234567890qwertyuiopasdfghjklzxcvbnm"  # for actions without a key of their own
IDLE = ("noop", "done", "stay")  # what happens where no key was pressed


class Pad:
    """The actions of a task, each with a name and a key.

    A real number of an action has two names, such as "x +" and "x −", which set it to 1 and -1 for
    one timestep. Meta-World's grip keeps what it was set to.

    Args:
        task: What is played.
        names: Of the actions, or of the numbers of a continuous one, as `action_names` gives them.
        most: The largest value of each number; 1 unless given, and never more.

    Attributes:
        names: Of everything that a key can do.
        keys: key -> name, keys as browsers call them: "ArrowLeft", "p".
    """

    def __init__(self, task: Task, names: Sequence[str], most: np.ndarray | None = None) -> None:
        self.task, self.held = task, np.zeros(len(names), np.float32)
        self._actions: dict[str, Action] = dict(zip(names, range(len(names)), strict=True))
        if task.action == "continuous":
            self._actions = _pushes(names, 1.0 if most is None else np.minimum(most, 1.0))
        self.names = list(self._actions)
        known = ARM if task.domain == "metaworld" else KEYS
        taken = {known[name] for name in self.names if name in known}
        free = iter([key for key in SPARE if key not in taken])
        self.keys: dict[str, str] = {}
        for name in self.names:
            key = known.get(name) or next(free, "")
            if key:
                self.keys[key] = name

    def action(self, name: str) -> Action:
        """The action of this name: a number, or float32 (m,).

        Raises:
            ValueError: There is no such action.
        """
        require(
            isinstance(name, str) and name in self._actions,
            f"{self.task.name} has no action {name!r}; it has {', '.join(self.names)}",
        )
        action = self._actions[name]
        if not isinstance(action, np.ndarray):
            return action
        if name.startswith("grip"):
            self.held = action
        return np.where(action == 0, self.held, action).astype(np.float32)

    @classmethod
    def of(cls, env: gym.Env) -> Pad:
        """The pad of an environment from `jatlab.make_env`."""
        most = getattr(env.action_space, "high", None)
        return cls(task_of(env), action_names(env), most)

    @property
    def idle(self) -> Action:
        """What happens where no key was pressed: nothing, as far as the task has such an action."""
        return self.action(next((name for name in IDLE if name in self._actions), self.names[0]))


def _pushes(names: Sequence[str], most: np.ndarray | float) -> dict[str, Action]:
    actions: dict[str, Action] = {}
    rows = (np.eye(len(names)) * most).astype(np.float32)
    for row, name in zip(rows, names, strict=True):
        actions[f"{name} +"], actions[f"{name} −"] = row, -row
    return actions | {"stay": np.zeros(len(names), np.float32)}
