"""A controller for Meta-World: come to the object through a funnel, then move it (or push on).

Meta-World's scripts stop above an object, go down, stop, grasp, stop. Here the way down is a
funnel: the fingertips steer for the contact point plus a height, which shrinks as they come closer
sideways, so that they move on all axes at once. When they are close enough, the second stage takes
over. It moves straight on, past the object (buttons, handles, windows), or with the object to the
goal, through a second funnel if the object has to be lifted.

The stage follows from the observation only, so an imitator can learn it. Positions are in metres,
and refer to the fingertips, 4.5 cm below the hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import Teacher

# parts of the observation (39,)
HAND = slice(0, 3)
OPENING = 3
OBJECT = slice(4, 7)
PREVIOUS_HAND = slice(18, 21)
GOAL = slice(36, 39)

FINGERTIPS = np.array([0.0, 0.0, -0.045])  # metres, relative to the hand
STEP = 0.01  # metres that an action of 1 moves the hand's target in a step

Vector: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Funnel:
    """The numbers of the controller.

    The first three say what the task is; ``jatlab.teachers.fitting.tune`` finds the others.

    Attributes:
        axis: Direction from the object to where the hand comes from.
        carry: Whether the object is moved to the goal; else the hand pushes on, past the contact
            point.
        deep: Whether the hand is still in contact when past the contact point along the axis.
        contact: The contact point, relative to the object.
        mouth: Sideways distance at which the funnel begins to rise.
        slope: How steeply the funnel rises.
        height: The highest that it rises.
        radius: In contact, the hand is sideways closer than this,
        depth: and closer than this along the axis.
        closed: The second stage waits until the gripper's opening (0 to 1) is less than this.
        onward: Where to push, relative to the contact point; with ``carry`` added to the goal.
        lift_mouth: The mouth of the second funnel.
        lift_slope: The slope of the second funnel.
        lift: The height of the second funnel.
        open_grip: The gripper's action before contact.
        close_grip: The gripper's action in contact.
        gain: Action per metre.
        damping: Action per step of velocity.
    """

    axis: Vector = (0.0, 0.0, 1.0)
    carry: bool = False
    deep: bool = False
    contact: Vector = (0.0, 0.0, 0.0)
    mouth: float = 0.02
    slope: float = 1.5
    height: float = 0.1
    radius: float = 0.03
    depth: float = 0.03
    closed: float = 1.1
    onward: Vector = (0.0, 0.0, 0.0)
    lift_mouth: float = 0.02
    lift_slope: float = 1.0
    lift: float = 0.0
    open_grip: float = -1.0
    close_grip: float = 1.0
    gain: float = 40.0
    damping: float = 0.7


class FunnelTeacher(Teacher):
    """Plays a Meta-World task with a :class:`Funnel`.

    It needs the goal in the observation, as ``make_env`` gives it.
    """

    def __init__(self, funnel: Funnel):
        self.funnel = funnel
        self._axis = np.array(funnel.axis, dtype=np.float64)
        self._contact = np.array(funnel.contact, dtype=np.float64)
        self._onward = np.array(funnel.onward, dtype=np.float64)

    def act(self, observation: Observation, executed: Action | None = None) -> np.ndarray:
        """The action (4,) for an observation: x, y, z, gripper."""
        f, values = self.funnel, observation["continuous_observation"].astype(np.float64)
        target, in_contact = self._target(values)
        velocity = (values[HAND] - values[PREVIOUS_HAND]) / STEP
        action = np.empty(4)
        action[:3] = f.gain * (target - values[HAND] - FINGERTIPS) - f.damping * velocity
        action[3] = f.close_grip if in_contact else f.open_grip
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _target(self, values: np.ndarray) -> tuple[np.ndarray, bool]:
        """Where the fingertips should be, (3,), and whether they are in contact."""
        f, contact = self.funnel, values[OBJECT] + self._contact
        offset = values[HAND] + FINGERTIPS - contact
        along = float(offset @ self._axis)
        aside = float(np.linalg.norm(offset - along * self._axis))
        if aside >= f.radius or (along if f.deep else abs(along)) >= f.depth:
            rise = min(f.height, max(0.0, f.slope * (aside - f.mouth)))
            return contact + self._axis * rise, False
        if values[OPENING] >= f.closed:
            return contact, True
        return (self._carried(values) if f.carry else contact + self._onward), True

    def _carried(self, values: np.ndarray) -> np.ndarray:
        """Where the fingertips should be so that the object they hold comes to the goal."""
        f, way = self.funnel, values[GOAL] + self._onward - values[OBJECT]
        aside = float(np.hypot(way[0], way[1]))
        rise = min(f.lift, max(0.0, f.lift_slope * (aside - f.lift_mouth)))
        return values[HAND] + FINGERTIPS + way + np.array([0.0, 0.0, rise])
