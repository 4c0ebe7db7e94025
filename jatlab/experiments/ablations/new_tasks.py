"""Three tasks outside JAT's benchmarks, each with a teacher: what `jatlab ablate new-tasks`
fine-tunes the shipped agent on. `register_new_tasks` makes them known.

- `lander`: gymnasium's LunarLander-v3. A vector of 8 and four buttons: none of the 157 tasks pairs a vector with buttons.
- `fetch`: gymnasium-robotics' FetchPickAndPlaceDense-v4. An arm picks up a block and carries it to a goal: 31 numbers, 4 forces.
- `highway`: highway-env's highway-fast-v0. Five cars of five numbers each, five decisions of a driver.

They need `pip install "jatlab[new-tasks]"`. The teachers act on what their pupil sees, and on
nothing else.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from jatlab.tasks import Task, register
from jatlab.teachers import Teacher, register_teacher

NEW_TASKS = ("lander", "fetch", "highway")
NOTHING, LEFT_ENGINE, MAIN_ENGINE, RIGHT_ENGINE = range(4)
LANE_LEFT, IDLE, LANE_RIGHT, FASTER, SLOWER = range(5)


def register_new_tasks() -> None:
    """Make the three known to `make_env` and `get_teacher`. Calling it again changes nothing; what
    is missing is named when an environment is made.
    """
    register(Task("lander", "new", "LunarLander-v3", None, "continuous", 8, "discrete", 4), _make)
    register(
        Task(
            "fetch",
            "new",
            "FetchPickAndPlaceDense-v4",
            None,
            "continuous",
            31,
            "continuous",
            4,
            loss_weight=50.0,
        ),
        _make_fetch,
    )
    register(
        Task("highway", "new", "highway-fast-v0", None, "continuous", 25, "discrete", 5),
        _make_highway,
    )
    register_teacher("lander", Pilot, "a proportional-derivative controller")
    register_teacher("fetch", Porter, "a script: above the block, down, close, carry")
    register_teacher(
        "highway", Driver, "rules: as fast as the gap allows, into the lane with the larger one"
    )


def _make(task: Task, render_mode: str | None = None) -> gym.Env:
    try:
        return gym.make(task.env_id, render_mode=render_mode)
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
        f'{task.name} needs more packages ({error}); install them with: pip install "jatlab[new-tasks]"'
    )


class WithSuccess(gym.Wrapper):
    """Fetch's `is_success` under the name that the other tasks use."""

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return (
            observation,
            reward,
            terminated,
            truncated,
            {**info, "success": bool(info["is_success"])},
        )


# --- their teachers
# ----------------------------------------------------------------------------------------------------------


class Pilot(Teacher):
    """Lands: leans towards the pad as far as place and drift ask for, and brakes the fall the
    harder the nearer the ground.
    """

    def act(self, observation: dict, executed=None) -> int:
        x, y, drift, climb, angle, turning, *legs = observation["continuous_observation"]
        lean = np.clip(0.3 * x + drift, -0.4, 0.4)
        turn = 0.0 if any(legs) else 0.5 * (lean - angle) - turning
        lift = -0.5 * climb if any(legs) else 0.35 * (0.5 * abs(x) - y) - 0.5 * climb
        if lift > max(abs(turn), 0.05):
            return MAIN_ENGINE
        return RIGHT_ENGINE if turn < -0.05 else LEFT_ENGINE if turn > 0.05 else NOTHING


class Porter(Teacher):
    """Picks the block up and carries it to the goal. Fetch's observation, flattened: the block's
    place, the goal, then the hand's place first of 25 numbers.
    """

    ABOVE, NEAR, PER_METRE = 0.05, 0.012, 12.0  # metres, metres, action

    def act(self, observation: dict, executed=None) -> np.ndarray:
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
    """Keeps to the lane with the larger gap, faster where there is room, slower where there is
    none. The observation is (5 cars, 5): presence, place and velocity, relative to one's own car in
    the first row.
    """

    LANE, FAR = 4.0, 200.0  # metres: a lane's width, how far the observation reaches
    ENOUGH, BEHIND = 28.0, -12.0  # metres: a gap to go faster, how near a car behind may be

    def act(self, observation: dict, executed=None) -> int:
        own, *others = observation["continuous_observation"].reshape(5, 5)
        cars = [
            (self.FAR * x, 12 * y) for present, x, y, _, _ in others if present
        ]  # metres ahead, metres to the right
        lane = round(12 * own[2] / self.LANE)
        gaps = {change: self._gap(cars, change) for change in (-1, 0, 1) if 0 <= lane + change <= 2}
        best = max(gaps, key=lambda change: (min(gaps[change], 80), change == 0, change))
        if best and gaps[0] < 2 * self.ENOUGH:
            return LANE_RIGHT if best > 0 else LANE_LEFT
        return FASTER if gaps[0] > self.ENOUGH else SLOWER

    def _gap(self, cars: list, change: int) -> float:
        """Metres to the next car in that lane; 0 where a car is beside or close behind."""
        lane = [ahead for ahead, right in cars if abs(right - self.LANE * change) < self.LANE / 2]
        if change and any(self.BEHIND < ahead < -self.BEHIND for ahead in lane):
            return 0.0
        return min((ahead for ahead in lane if ahead > 0), default=self.FAR)
