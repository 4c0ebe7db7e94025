"""One episode played by a teacher: bounded in time, the same for the same seed, with or without
noise.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from jatlab.data.episodes import Episode, column_names
from jatlab.tasks import get_task, make_env
from jatlab.teachers import Teacher, TeacherFailed, get_teacher

if TYPE_CHECKING:
    import gymnasium as gym

    from jatlab.tasks import Task

WATCH_EVERY = 50  # decisions of a slow teacher
_PACKAGES = {
    "babyai": ("minigrid",),
    "metaworld": ("metaworld", "mujoco"),
    "mujoco": ("mujoco",),
    "atari": ("ale-py",),
}


@dataclass(frozen=True)
class Outcome:
    """How an episode went: its seed, undiscounted return, timesteps, and success (None where the
    task does not say).
    """

    seed: int
    total: float
    length: int
    success: bool | None


class OutOfTime(Exception):
    """Raised inside an episode that has used up its time."""


@contextmanager
def time_limit(seconds: float):
    """Raise OutOfTime in the block after ``seconds`` of wall-clock time, even from a loop that
    never returns.

    It uses SIGALRM, so it works in the main thread of a process, and not on Windows; elsewhere the
    block runs unbounded.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def ring(signum, frame):
        raise OutOfTime(f"no end after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class EpisodePlayer:
    """One task's environment and teacher, kept from episode to episode. ``who`` is one of
    `jatlab.teachers.WHO`.

    Raises ValueError for an unknown task and for one that ``who`` does not play.
    """

    def __init__(self, task_name: str, who: str = "teacher", noise: float = 0.0):
        self.task, self.who, self.noise = get_task(task_name), who, noise
        self.teacher: Teacher = get_teacher(task_name, who)
        self._env: gym.Env | None = None

    @property
    def env(self) -> gym.Env:
        if self._env is None:
            self._env = make_env(self.task.name, render_mode=None)
        return self._env

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
        self._env = None

    def play(
        self,
        seed: int,
        timeout: float,
        keep: bool = True,
        watch: Callable[[str], None] | None = None,
    ) -> tuple[Outcome, Episode | None]:
        """Play the episode of ``seed``; its arrays are returned if ``keep``. ``watch`` hears from a
        slow teacher, in words, how the episode goes.

        Raises TeacherFailed when the teacher gives up or ``timeout`` seconds (times the teacher's
        ``slowness``) are over.
        """
        env = self.env  # making it is not the episode's time
        try:
            with time_limit(timeout * self.teacher.slowness):
                return self._play(env, seed, keep, watch if self.teacher.slowness > 1 else None)
        except OutOfTime as error:
            self.close()  # it was interrupted anywhere, so nothing in it can be relied on
            raise TeacherFailed(str(error)) from None

    def _play(
        self, env: gym.Env, seed: int, keep: bool, watch: Callable[[str], None] | None
    ) -> tuple[Outcome, Episode | None]:
        observation, _ = env.reset(seed=seed)
        self.teacher.reset(env, seed)
        rng = np.random.default_rng([seed, 1])
        # from calm to noisy: the imitator will act without noise, and has to know that too
        level = self.noise * rng.random()
        disturb = Disturbance(self.task, env.action_space, level, rng)
        steps, rewards, executed, done = [], [], None, False
        while not done:
            label = self.teacher.act(observation, executed)
            action = executed = disturb(label) if level else label
            if keep:
                steps.append((*observed(observation, self.task), label))
            observation, reward, terminated, truncated, info = env.step(action)
            rewards.append(reward)
            done = terminated or truncated or len(rewards) == self.teacher.max_decisions
            if watch and len(rewards) % WATCH_EVERY == 0:
                watch(f"seed {seed}: {sum(rewards):g} after {len(rewards):,} decisions")
        outcome = Outcome(
            seed,
            float(sum(rewards)),
            len(rewards),
            None if "success" not in info else bool(info["success"]),
        )
        return outcome, as_episode(steps, rewards, self.task) if keep else None


class Disturbance:
    """What is executed instead of a teacher's action, so that the data shows states that a teacher
    alone would not come to, and the way back.

    Discrete: now and then any other choice. Continuous (``level`` is in units of half the action's
    range): a Gaussian step away from it; and for stretches of time a steady push, or weakness, down
    to standing still. Without the stretches an imitator learns that a body at rest has arrived, and
    stops short of its goal.
    """

    STRETCH = (4, 64)  # steps; the logarithm is uniform

    def __init__(self, task: Task, space: gym.Space, level: float, rng: np.random.Generator):
        self.task, self.space, self.level, self.rng = task, space, level, rng
        self.push, self.strength, self.left = 0.0, 1.0, 0
        if task.action == "continuous":
            reach = (space.high - space.low) / 2
            self.scale = level * np.where(np.isfinite(reach), reach, 1.0)  # (m,)

    def __call__(self, action):
        if self.task.action == "discrete":
            return (
                int(self.rng.integers(self.task.action_size))
                if self.rng.random() < self.level
                else action
            )
        if self.left == 0:
            self._begin_stretch(action.shape)
        self.left -= 1
        shaken = (
            self.strength * action
            + self.push
            + self.strength * self.scale * self.rng.normal(size=action.shape)
        )
        return np.clip(shaken, self.space.low, self.space.high).astype(np.float32)

    def _begin_stretch(self, shape: tuple[int, ...]) -> None:
        self.left = round(np.exp(self.rng.uniform(*np.log(self.STRETCH))))
        weak, pushed = self.rng.random(2) < self.level
        self.strength = max(0.0, self.rng.uniform(-1, 1)) if weak else 1.0
        self.push = self.scale * self.rng.normal(size=shape) if pushed and not weak else 0.0


def observed(observation: dict, task: Task) -> tuple:
    """What is kept of an observation: its values, after its mission where it has one."""
    if task.observation == "discrete":
        return observation["text_observation"], observation["discrete_observation"]
    return (observation[f"{task.observation}_observation"],)


def as_episode(steps: list[tuple], rewards: list[float], task: Task) -> Episode:
    """The columns of an episode, from what was `observed` in each timestep and done, and the
    rewards that came after.
    """
    episode: Episode = {"rewards": np.array(rewards, dtype=np.float32)}
    for column, values in zip(column_names(task)[:-1], zip(*steps)):
        dtype = {"text_observations": object, "discrete_actions": np.int64}.get(column)
        episode[column] = np.array(values, dtype=dtype)
    return episode


def versions(task: Task) -> dict[str, str]:
    """The versions of the packages that decide how ``task`` plays."""
    found = {}
    for package in ("jatlab", "gymnasium", *_PACKAGES.get(task.domain, ())):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found


def as_record(outcome: Outcome) -> dict:
    """An outcome as JSON, with its return rounded to what float32 rewards can tell."""
    record = asdict(outcome)
    return {
        "seed": record["seed"],
        "return": round(record["total"], 4),
        "length": record["length"],
        "success": record["success"],
    }
