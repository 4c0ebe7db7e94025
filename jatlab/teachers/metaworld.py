"""Meta-World's teachers: its scripted policies, made faster, and for some tasks a funnel.

The scripts were written for 500 steps, and an episode here lasts 100. A script is a proportional
controller: ``action = p (target - hand)``, with a target that depends on the observation only. We
keep its targets and change how the hand moves there:

    action = speed * (scripted + shift) - damping * velocity

The unit is that of the action: 1 moves the hand's target 1 cm a step, and so does a velocity of 1.

- ``speed`` shortens the slow approach at the end of every movement.
- ``damping`` removes the overshoot that this causes.
- ``shift`` moves the targets a little (deeper into a button).
- ``grip`` scales the closing of the gripper.

All of it is a function of the current observation, which holds the hand's present and previous
positions and so its velocity. An imitator can therefore learn it.

``jatlab.teachers.tuned`` knows which of the two plays a task, and with what numbers. The funnel is
``jatlab.teachers.funnel``.
"""

from __future__ import annotations

import warnings
from typing import Protocol

import metaworld.policies
import numpy as np

from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import Teacher
from jatlab.teachers.funnel import HAND, PREVIOUS_HAND, STEP, Funnel, FunnelTeacher
from jatlab.teachers.tuned import UNTUNED, Gains, tuned_parameters

# the policies themselves warn so at every step
warnings.filterwarnings("ignore", message=r"Constant\(s\) may be too high")


class ScriptedPolicy(Protocol):
    """What Meta-World's policies offer."""

    def get_action(self, obs: np.ndarray) -> np.ndarray:
        """The action (4,) for an observation (39,)."""


def make_metaworld_teacher(
    task_name: str, parameters: Gains | Funnel | None = None
) -> ScriptedTeacher | FunnelTeacher:
    """The teacher of a Meta-World task, with these parameters or the stored ones."""
    if parameters is None:
        parameters = tuned_parameters(task_name)
    if isinstance(parameters, Funnel):
        return FunnelTeacher(parameters)
    return ScriptedTeacher(task_name, parameters)


def scripted_policy(task_name: str) -> ScriptedPolicy:
    """Meta-World's policy of a task."""
    name = task_name.removeprefix("metaworld-").replace("peg-insert-side", "peg-insertion-side")
    words = "".join(word.capitalize() for word in name.split("-"))
    return getattr(metaworld.policies, f"Sawyer{words}V3Policy")()


class ScriptedTeacher(Teacher):
    """The scripted policy of a task with these gains.

    It needs the goal in the observation, as ``make_env`` gives it.
    """

    def __init__(self, task_name: str, gains: Gains = UNTUNED):
        self.gains = gains
        self._policy = scripted_policy(task_name)
        self._shift = np.array(gains.shift)

    def act(self, observation: Observation, executed: Action | None = None) -> np.ndarray:
        """The action (4,) for an observation: x, y, z, gripper."""
        values = observation["continuous_observation"].astype(np.float64)
        action = np.array(self._policy.get_action(values), dtype=np.float64)
        velocity = (values[HAND] - values[PREVIOUS_HAND]) / STEP
        action[:3] = self.gains.speed * (action[:3] + self._shift) - self.gains.damping * velocity
        if action[3] > 0:
            action[3] *= self.gains.grip
        return np.clip(action, -1.0, 1.0).astype(np.float32)
