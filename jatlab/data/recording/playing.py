"""One episode played by a teacher: bounded in time, and the same for the same seed."""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jatlab.data.columns import Episode, column_names
from jatlab.tasks import get_task, make_env
from jatlab.teachers import HUMAN, Teacher, TeacherFailed, get_teacher
from jatlab.utils.machine import installed_version

if TYPE_CHECKING:
    import gymnasium as gym

    from jatlab.tasks import Task

Action = np.ndarray | int
Watch = Callable[[str], None]

WATCH_EVERY = 50  # decisions between two reports of a slow teacher
_PACKAGES = {
    "babyai": ("minigrid",),
    "metaworld": ("metaworld", "mujoco"),
    "mujoco": ("mujoco",),
    "atari": ("ale-py",),
}


@dataclass(frozen=True)
class Outcome:
    """How an episode went.

    Attributes:
        seed: the environment's.
        total: the undiscounted return.
        length: timesteps.
        success: whether the task was solved; None where the task does not say.
    """

    seed: int
    total: float
    length: int
    success: bool | None


class OutOfTime(Exception):
    """Raised inside an episode that has used up its time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block after ``seconds`` of wall-clock time.

    It interrupts even a loop that never returns. It uses SIGALRM, so it works only in the main
    thread of a process, and not on Windows; elsewhere the block has no limit.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not (is_main and hasattr(signal, "setitimer")):
        yield
        return

    def ring(signum: int, frame: FrameType | None) -> None:
        raise OutOfTime(f"no end after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class EpisodePlayer:
    """One task's environment and teacher, kept from episode to episode.

    Args:
        task_name: the task.
        who: one of `jatlab.teachers.WHO`, or "human".
        noise: how much of what is executed is disturbed, see `Disturbance`: each episode draws its
            level between 0 and this.

    Raises:
        ValueError: for an unknown task, or one that ``who`` does not play.
    """

    def __init__(self, task_name: str, who: str = "teacher", noise: float = 0.0):
        self.task, self.who, self.noise = get_task(task_name), who, noise
        self.teacher: Teacher = get_teacher(task_name, who)
        self._env: gym.Env | None = None

    @property
    def env(self) -> gym.Env:
        """The environment, made when it is first needed."""
        if self._env is None:
            drawn = "rgb_array" if self.who == HUMAN else None  # only a person looks
            self._env = make_env(self.task.name, render_mode=drawn)
        return self._env

    def close(self) -> None:
        """Close the environment; the next episode makes another."""
        if self._env is not None:
            self._env.close()
        self._env = None

    def play(
        self, seed: int, timeout: float, keep: bool = True, watch: Watch | None = None
    ) -> tuple[Outcome, Episode | None]:
        """Play the episode of ``seed``.

        Args:
            seed: the environment's, from which the teacher's and the noise's draws follow too.
            timeout: seconds, times the teacher's ``slowness``.
            keep: whether to return the arrays.
            watch: hears from a slow teacher, in words, how the episode goes.

        Returns:
            How the episode went, and its arrays (None without ``keep``).

        Raises:
            TeacherFailed: when the teacher gives up, the time is over, or the environment does not
                end its episode (see `jatlab.tasks.env.TaskEnv`).
        """
        env = self.env  # making it does not count as the episode's time
        try:
            with time_limit(timeout * self.teacher.slowness):
                return self._play(env, seed, keep, watch if self.teacher.slowness > 1 else None)
        except OutOfTime as error:
            self.close()  # interrupted anywhere, it may be in any state
            raise TeacherFailed(str(error)) from None

    def _play(
        self, env: gym.Env, seed: int, keep: bool, watch: Watch | None
    ) -> tuple[Outcome, Episode | None]:
        observation, _ = env.reset(seed=seed)
        self.teacher.reset(env, seed)
        rng = np.random.default_rng([seed, 1])
        # from calm to noisy: an imitator acts without noise, and has to know calm episodes too
        level = self.noise * rng.random()
        disturb = Disturbance(self.task, env.action_space, level, rng)
        steps: list[tuple] = []
        rewards: list[float] = []
        executed: Action | None = None
        done = False
        while not done:
            label = copy.copy(self.teacher.act(observation, executed))  # it may reuse its array
            executed = disturb(label) if level else label
            if keep:
                steps.append((*observed(observation, self.task), label))
            observation, reward, terminated, truncated, info = env.step(executed)
            rewards.append(float(reward))
            if "cut" in info:
                raise TeacherFailed(
                    f"no end after {info['cut']:,} steps, which is its task's limit"
                )
            done = terminated or truncated or len(rewards) == self.teacher.max_decisions
            if watch and len(rewards) % WATCH_EVERY == 0:
                watch(f"seed {seed}: {sum(rewards):g} after {len(rewards):,} decisions")
        success = bool(info["success"]) if "success" in info else None
        outcome = Outcome(seed, float(sum(rewards)), len(rewards), success)
        return outcome, as_episode(steps, rewards, self.task) if keep else None


class Disturbance:
    """Changes the actions that are executed, so that data shows how to recover from mistakes.

    Undisturbed, a teacher meets only the states that it leads to itself.

    Discrete actions: with probability ``level``, any action in place of the teacher's. Continuous
    actions: a Gaussian step away from the teacher's; and for stretches of time a steady push, or
    weakness, down to standing still. Without these stretches, an imitator learns that a body at
    rest has arrived, and stops short of its goal.

    Args:
        task: the task that is played.
        space: the environment's action space.
        level: a probability; of continuous actions also a standard deviation, in units of half the
            range of the action.
        rng: of all draws.
    """

    STRETCH = (4, 64)  # timesteps; the logarithm is uniform

    def __init__(self, task: Task, space: gym.Space, level: float, rng: np.random.Generator):
        self.task, self.level, self.rng = task, level, rng
        self.strength, self.left = 1.0, 0
        self.push: np.ndarray | float = 0.0
        if task.action == "continuous":
            self.box = cast("gym.spaces.Box", space)
            reach = (self.box.high - self.box.low) / 2
            self.scale = level * np.where(np.isfinite(reach), reach, 1.0)  # (m,)

    def __call__(self, action: Action) -> Action:
        """What to execute in place of ``action``: float32 (m,), or an int."""
        if self.task.action == "continuous":
            return self._shake(np.asarray(action))
        if self.rng.random() < self.level:
            return int(self.rng.integers(self.task.action_size))
        return action

    def _shake(self, action: np.ndarray) -> np.ndarray:
        if self.left == 0:
            self._begin_stretch(action.shape)
        self.left -= 1
        step = self.strength * self.scale * self.rng.normal(size=action.shape)
        shaken = self.strength * action + self.push + step
        return np.clip(shaken, self.box.low, self.box.high).astype(np.float32)

    def _begin_stretch(self, shape: tuple[int, ...]) -> None:
        self.left = round(np.exp(self.rng.uniform(*np.log(self.STRETCH))))
        weak, pushed = self.rng.random(2) < self.level
        self.strength = max(0.0, self.rng.uniform(-1, 1)) if weak else 1.0
        self.push = self.scale * self.rng.normal(size=shape) if pushed and not weak else 0.0


def observed(observation: dict[str, Any], task: Task) -> tuple:
    """What is kept of an observation: its values, after its mission where it has one."""
    if task.observation == "discrete":
        return observation["text_observation"], observation["discrete_observation"]
    return (observation[f"{task.observation}_observation"],)


def as_episode(steps: list[tuple], rewards: list[float], task: Task) -> Episode:
    """The columns of an episode of T timesteps, at least one.

    Args:
        steps: for each timestep, what was `observed`, and the action to record.
        rewards: what came after each action.
        task: the task that was played.
    """
    episode: Episode = {"rewards": np.array(rewards, dtype=np.float32)}
    for column, values in zip(column_names(task)[:-1], zip(*steps, strict=True), strict=True):
        dtype = {"text_observations": object, "discrete_actions": np.int64}.get(column)
        episode[column] = np.array(values, dtype=dtype)
    return episode


def versions(task: Task) -> dict[str, str]:
    """The versions of the packages that decide how ``task`` plays."""
    packages = ("jatlab", "gymnasium", *_PACKAGES.get(task.domain, ()))
    return {name: installed_version(name) or "not installed" for name in packages}


def as_record(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON, with its return rounded to what float32 rewards can tell."""
    return {
        "seed": outcome.seed,
        "return": round(outcome.total, 4),
        "length": outcome.length,
        "success": outcome.success,
    }
