"""Meta-World's teachers: its scripted policies, made faster, and for some tasks a controller of our
own (``jatlab.teachers.funnel``).

The scripts were written for 500 steps, and an episode here lasts 100. A script is a proportional
controller: ``action = p (target - hand)``, with a target that depends on the observation alone. We
keep its targets and change how the hand moves there:

    action = speed * (scripted + shift) - damping * velocity

in units of the action (1 moves the hand's target 1 cm a step; so does a velocity of 1). ``speed``
shortens the slow approach at the end of every movement, ``damping`` takes out the overshoot that
this brings, ``shift`` moves the targets a little (deeper into a button), ``grip`` scales the
closing of the gripper. All of it is a function of the current observation: the velocity is the
hand's position less the previous one, both of which an observation holds. So an imitator can learn
it.

``jatlab.teachers.tuned`` knows which of the two plays a task, and with what numbers.
"""

from __future__ import annotations

import warnings

import metaworld.policies
import numpy as np

from jatlab.teachers.base import Teacher
from jatlab.teachers.funnel import HAND, PREVIOUS_HAND, STEP, Funnel, FunnelTeacher
from jatlab.teachers.tuned import Gains, tuned_parameters

warnings.filterwarnings(
    "ignore", message=r"Constant\(s\) may be too high"
)  # said at every step by the policies themselves


def make_teacher(task_name: str, parameters: Gains | Funnel | None = None) -> Teacher:
    """The teacher of a Meta-World task, with the stored parameters or with these."""
    parameters = tuned_parameters(task_name) if parameters is None else parameters
    return (
        FunnelTeacher(parameters)
        if isinstance(parameters, Funnel)
        else ScriptedTeacher(task_name, parameters)
    )


def scripted_policy(task_name: str):
    """Meta-World's own policy of a task."""
    words = (
        task_name.removeprefix("metaworld-")
        .replace("peg-insert-side", "peg-insertion-side")
        .split("-")
    )
    return getattr(
        metaworld.policies, "Sawyer" + "".join(word.capitalize() for word in words) + "V3Policy"
    )()


class ScriptedTeacher(Teacher):
    """The scripted policy of a task with these gains. It needs the goal in the observation, as
    ``make_env`` gives it.
    """

    def __init__(self, task_name: str, gains: Gains = Gains()):
        self.gains = gains
        self._policy = scripted_policy(task_name)
        self._shift = np.array(gains.shift)

    def act(self, observation: dict, executed=None) -> np.ndarray:
        values = observation["continuous_observation"].astype(np.float64)
        action = np.array(self._policy.get_action(values), dtype=np.float64)  # x, y, z, gripper
        velocity = (values[HAND] - values[PREVIOUS_HAND]) / STEP
        action[:3] = self.gains.speed * (action[:3] + self._shift) - self.gains.damping * velocity
        if action[3] > 0:
            action[3] *= self.gains.grip
        return np.clip(action, -1.0, 1.0).astype(np.float32)
