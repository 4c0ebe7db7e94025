"""A controller of our own for Meta-World: come to the object through a funnel, then move it (or
push on).

Meta-World's scripts stop above an object, go down, stop, grasp, stop. Here the way down is a
funnel: the fingertips steer for the contact point plus a height that shrinks as they come closer
sideways, so that they move on all axes at once. Close enough, the second stage takes over: straight
on, past the object (buttons, handles, windows), or with the object to the goal, over a second
funnel if it has to be lifted.

The stage follows from the observation alone, so an imitator can learn it. Positions are metres, in
the space of the fingertips, 4.5 cm below the hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jatlab.teachers.base import Teacher

HAND, OPENING, OBJECT, PREVIOUS_HAND, GOAL = (
    slice(0, 3),
    3,
    slice(4, 7),
    slice(18, 21),
    slice(36, 39),
)  # parts of the observation
FINGERTIPS = np.array([0.0, 0.0, -0.045])  # metres, relative to the hand
STEP = 0.01  # metres that an action of 1 moves the hand's target in a step
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Funnel:
    """The numbers of the controller. What a task *is* comes first; ``jatlab.teachers.fitting.tune``
    finds the rest.
    """

    axis: Vector = (0.0, 0.0, 1.0)  # from the object to where the hand comes from
    carry: bool = False  # move the object to the goal; else push on, past the contact point
    deep: bool = False  # still in contact when past the contact point along the axis
    contact: Vector = (0.0, 0.0, 0.0)  # the contact point, relative to the object
    mouth: float = 0.02  # sideways distance at which the funnel begins to rise
    slope: float = 1.5
    height: float = 0.1  # the highest that it rises
    radius: float = 0.03  # in contact: sideways closer than this …
    depth: float = 0.03  # … and along the axis closer than this
    closed: float = 1.1  # the second stage waits until the gripper's opening (0 to 1) is less
    onward: Vector = (
        0.0,
        0.0,
        0.0,
    )  # where to push, relative to the contact point; or added to the goal
    lift_mouth: float = 0.02
    lift_slope: float = 1.0
    lift: float = 0.0  # the height of the second funnel
    open_grip: float = -1.0  # the gripper's action before contact …
    close_grip: float = 1.0  # … and in contact
    gain: float = 40.0  # action per metre
    damping: float = 0.7  # action per step of velocity


class FunnelTeacher(Teacher):
    """Plays a Meta-World task with a :class:`Funnel`. It needs the goal in the observation, as
    ``make_env`` gives it.
    """

    def __init__(self, funnel: Funnel):
        self.funnel = funnel
        self._axis, self._contact, self._onward = (
            np.array(v, dtype=np.float64) for v in (funnel.axis, funnel.contact, funnel.onward)
        )

    def act(self, observation: dict, executed=None) -> np.ndarray:
        values = observation["continuous_observation"].astype(np.float64)
        target, in_contact = self._target(values)
        velocity = (values[HAND] - values[PREVIOUS_HAND]) / STEP
        action = np.empty(4)
        action[:3] = (
            self.funnel.gain * (target - values[HAND] - FINGERTIPS) - self.funnel.damping * velocity
        )
        action[3] = self.funnel.close_grip if in_contact else self.funnel.open_grip
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _target(self, values: np.ndarray) -> tuple[np.ndarray, bool]:
        """Where the fingertips should be, (3,), and whether they are in contact."""
        f, contact = self.funnel, values[OBJECT] + self._contact
        offset = values[HAND] + FINGERTIPS - contact
        along = float(offset @ self._axis)
        aside = float(np.linalg.norm(offset - along * self._axis))
        if aside >= f.radius or (along if f.deep else abs(along)) >= f.depth:
            return contact + self._axis * min(
                f.height, max(0.0, f.slope * (aside - f.mouth))
            ), False
        if values[OPENING] >= f.closed:
            return contact, True
        return (self._carried(values) if f.carry else contact + self._onward), True

    def _carried(self, values: np.ndarray) -> np.ndarray:
        """Where the fingertips should be so that the object, which moves along, comes to the goal."""
        f, way = self.funnel, values[GOAL] + self._onward - values[OBJECT]
        rise = min(
            f.lift, max(0.0, f.lift_slope * (float(np.hypot(way[0], way[1])) - f.lift_mouth))
        )
        return values[HAND] + FINGERTIPS + way + np.array([0.0, 0.0, rise])
