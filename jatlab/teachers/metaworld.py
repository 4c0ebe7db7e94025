"""Meta-World's scripted policies, made faster: they were written for 500 steps, and an episode here lasts 100.

A scripted policy is a proportional controller: ``action = p (target - hand)``, with a target that depends on the observation alone. We keep
its targets and change how the hand moves there:

    action = speed * (scripted + shift) - damping * velocity

in units of the action (1 moves the hand's target 1 cm a step; so does a velocity of 1). ``speed`` shortens the slow approach at the end
of every movement, ``damping`` takes out the overshoot that this brings, ``shift`` moves the targets a little (deeper into a button), ``grip`` scales
the closing of the gripper. All of it is a function of the current observation: the velocity is the hand's position less the previous
one, both of which an observation holds. So an imitator can learn it. ``gains.json`` holds the numbers that ``jatlab.teachers.tune`` found.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import metaworld.policies
import numpy as np

from jatlab.teachers.base import Teacher

GAINS_FILE = Path(__file__).with_name("gains.json")
HAND, PREVIOUS_HAND = slice(0, 3), slice(18, 21)  # metres
STEP = 0.01  # metres that an action of 1 moves the hand's target

warnings.filterwarnings("ignore", message=r"Constant\(s\) may be too high")  # said at every step by the policies themselves


@dataclass(frozen=True)
class Gains:
    """How a scripted policy's action is changed; the defaults leave it as it is."""

    speed: float = 1.0
    damping: float = 0.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grip: float = 1.0


@cache
def _stored_gains() -> dict[str, dict]:
    return json.loads(GAINS_FILE.read_text()) if GAINS_FILE.exists() else {}


def task_gains(task_name: str) -> Gains:
    """The gains found for a task; those of the plain script if there are none."""
    gains = _stored_gains().get(task_name, {})
    return Gains(**{key: tuple(value) if key == "shift" else value for key, value in gains.items()})


def scripted_policy(task_name: str):
    """Meta-World's own policy of a task."""
    words = task_name.removeprefix("metaworld-").replace("peg-insert-side", "peg-insertion-side").split("-")
    return getattr(metaworld.policies, "Sawyer" + "".join(word.capitalize() for word in words) + "V3Policy")()


class ScriptedTeacher(Teacher):
    """The scripted policy of a task with its gains. It needs the goal in the observation, as ``make_env`` gives it."""

    def __init__(self, task_name: str, gains: Gains | None = None):
        self.gains = task_gains(task_name) if gains is None else gains
        self._policy = scripted_policy(task_name)
        self._shift = np.array(self.gains.shift)

    def act(self, observation: dict, executed=None) -> np.ndarray:
        values = observation["continuous_observation"].astype(np.float64)
        action = np.array(self._policy.get_action(values), dtype=np.float64)  # x, y, z, gripper
        velocity = (values[HAND] - values[PREVIOUS_HAND]) / STEP
        action[:3] = self.gains.speed * (action[:3] + self._shift) - self.gains.damping * velocity
        if action[3] > 0:
            action[3] *= self.gains.grip
        return np.clip(action, -1.0, 1.0).astype(np.float32)
