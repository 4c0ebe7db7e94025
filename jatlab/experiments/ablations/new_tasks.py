"""Three tasks outside JAT's benchmarks, each with a teacher, for `jatlab ablate new-tasks`.

- `lander`: gymnasium's LunarLander-v3, a vector of 8 numbers and four buttons. None of the 157
  tasks has a vector as observation and buttons as actions.
- `fetch`: gymnasium-robotics' FetchPickAndPlaceDense-v4. An arm picks up a block and carries it to
  a goal; 31 numbers, 4 forces.
- `highway`: highway-env's highway-fast-v0. Five cars of five numbers each, five decisions of a
  driver.

They need `pip install "jatlab[new-tasks]"`. The teachers act on the observations that the agent
gets, and on nothing else.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from jatlab.tasks import Task, register
from jatlab.tasks.task import Observation
from jatlab.teachers import Teacher, register_teacher

NEW_TASKS = ("lander", "fetch", "highway")
NOTHING, LEFT_ENGINE, MAIN_ENGINE, RIGHT_ENGINE = range(4)
LANE_LEFT, IDLE, LANE_RIGHT, FASTER, SLOWER = range(5)


def register_new_tasks() -> None:
    """Make the three tasks known to `make_env` and `get_teacher`. It can be called again.

    A missing package is reported when an environment is made.
    """
    buttons, decisions = ("continuous", 8, "discrete", 4), ("continuous", 25, "discrete", 5)
    forces = ("continuous", 31, "continuous", 4, 50.0)
    register(Task("lander", "new", "LunarLander-v3", None, *buttons), _make, check=False)
    register(
        Task("fetch", "new", "FetchPickAndPlaceDense-v4", None, *forces), _make_fetch, check=False
    )
    register(
        Task("highway", "new", "highway-fast-v0", None, *decisions), _make_highway, check=False
    )
    register_teacher("lander", Pilot, "a proportional-derivative controller")
    register_teacher("fetch", Porter, "a script: above the block, down, close, carry")
    rules = "rules: as fast as the gap allows, into the lane with the larger one"
    register_teacher("highway", Driver, rules)


def _make(task: Task, render_mode: str | None = None) -> gym.Env:
    try:
        return gym.make(task.env_id or task.name, render_mode=render_mode)
    except gym.error.Error as error:
        raise _missing(task, error) from None


def _make_fetch(task: Task, render_mode: str | None = None) -> gym.Env:
    try:
        import gymnasium_robotics
    except ImportError as error:
        raise _missing(task, error) from None
    gym.register_envs(gymnasium_robotics)
    return WithSuccess(gym.wrappers.FlattenObservation(_make(task, render_mode)))


def _make_highway(task: Task, render_mode: str | None = None) -> gym.Env:
    try:
        import highway_env
    except ImportError as error:
        raise _missing(task, error) from None
    gym.register_envs(highway_env)
    return _make(task, render_mode)


def _missing(task: Task, error: Exception) -> ImportError:
    return ImportError(
        f"{task.name} needs more packages ({error}); "
        'install them with: pip install "jatlab[new-tasks]"'
    )


class WithSuccess(gym.Wrapper):
    """Fetch with its ``is_success`` as ``success``, the name that the other tasks use."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Execute an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        info = {**info, "success": bool(info["is_success"])}
        return observation, reward, terminated, truncated, info


# --- their teachers -------------------------------------------------------------------------------


class Pilot(Teacher):
    """Lands between the flags.

    The lander leans towards the pad, the more the further away it is and the faster it drifts, and
    brakes its fall, the harder the nearer the ground is.
    """

    def act(self, observation: Observation, executed: Any = None) -> int:
        """The engine to fire."""
        x, y, drift, climb, angle, turning, *legs = observation["continuous_observation"]
        lean = np.clip(0.3 * x + drift, -0.4, 0.4)
        turn = 0.0 if any(legs) else 0.5 * (lean - angle) - turning
        lift = -0.5 * climb if any(legs) else 0.35 * (0.5 * abs(x) - y) - 0.5 * climb
        if lift > max(abs(turn), 0.05):
            return MAIN_ENGINE
        return RIGHT_ENGINE if turn < -0.05 else LEFT_ENGINE if turn > 0.05 else NOTHING


class Porter(Teacher):
    """Picks the block up and carries it to the goal.

    Fetch's observation, flattened: the block's position, the goal, then 25 numbers that begin with
    the hand's position.
    """

    ABOVE = 0.05  # metres above the block before the hand goes down
    NEAR = 0.012  # metres
    PER_METRE = 12.0  # action for each metre of distance

    def act(self, observation: Observation, executed: Any = None) -> np.ndarray:
        """The forces on the hand and its fingers."""
        values = observation["continuous_observation"]
        block, goal, hand, fingers = values[:3], values[3:6], values[6:9], values[15:17]
        away = block - hand
        sideways = np.linalg.norm(away[:2])
        if sideways > self.NEAR or np.linalg.norm(away) > 2 * self.NEAR:
            height = self.ABOVE if sideways > 2 * self.NEAR else 0.0
            return self._towards(away + [0, 0, height], grip=1.0)
        held = fingers.sum() < 0.055
        return self._towards(goal - block if held else away, grip=-1.0)

    def _towards(self, way: np.ndarray, grip: float) -> np.ndarray:
        return np.append(np.clip(self.PER_METRE * way, -1, 1), grip).astype(np.float32)


class Driver(Teacher):
    """Drives in the lane with the larger gap, as fast as the gap allows.

    The observation is (5 cars, 5): presence, position (2) and velocity (2). The first row is the
    driver's car, and the other rows are relative to it.
    """

    LANE = 4.0  # metres, a lane's width
    FAR = 200.0  # metres that the observation covers
    ENOUGH = 28.0  # metres, a gap to go faster
    BEHIND = -12.0  # metres, how near a car behind may be

    def act(self, observation: Observation, executed: Any = None) -> int:
        """The decision: change lanes, or go faster or slower."""
        own, *others = observation["continuous_observation"].reshape(5, 5)
        # metres ahead, metres to the right
        cars = [(self.FAR * x, 12 * y) for present, x, y, _, _ in others if present]
        lane = round(12 * own[2] / self.LANE)
        gaps = {change: self._gap(cars, change) for change in (-1, 0, 1) if 0 <= lane + change <= 2}
        best = max(gaps, key=lambda change: (min(gaps[change], 80), change == 0, change))
        if best and gaps[0] < 2 * self.ENOUGH:
            return LANE_RIGHT if best > 0 else LANE_LEFT
        return FASTER if gaps[0] > self.ENOUGH else SLOWER

    def _gap(self, cars: list[tuple[float, float]], change: int) -> float:
        """Metres to the next car in that lane; 0 if a car is beside or close behind."""
        lane = [ahead for ahead, right in cars if abs(right - self.LANE * change) < self.LANE / 2]
        if change and any(self.BEHIND < ahead < -self.BEHIND for ahead in lane):
            return 0.0
        return min((ahead for ahead in lane if ahead > 0), default=self.FAR)
