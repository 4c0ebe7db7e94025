"""The ablations' tasks: a memory test, and known tasks with other time steps or fewer missions.

`recall` shows one of four cues in the first timestep, and never again. The right action of every
timestep is that cue, so the attention has to reach further and further back. `reach-every-N`
repeats each action of Meta-World's reach N times, and `reach-by-N` cuts each step into N parts. In
`mspacman-N-frames` a decision of Ms. Pac-Man lasts N frames. `pickup-box` is BabyAI's pickup-dist
with those missions alone that ask for a box. `register_all` registers them all.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike

from jatlab.experiments.ablations.variants import FRAMES, GAME, PICKUP_BOX, REACH, RECALL
from jatlab.experiments.recipes.splits import find_split
from jatlab.tasks import Task, get_task, make_env, normalise, register
from jatlab.tasks.atari import FRAMES_PER_DECISION, AtariGame
from jatlab.tasks.task import Observation
from jatlab.teachers import Teacher, get_teacher, register_teacher
from jatlab.teachers.console import DECISIONS, ConsoleTeacher

CUES = 4
RECALL_STEPS = 32
REPEATS, SPLITS = (4, 8), (2,)
MOST_FRAMES = 108_000  # of a game
PICKUP = "babyai-pickup-dist"


class RecallEnv(gym.Env):
    """The memory test.

    An observation has 5 values. In the first timestep one of the first four is 1: the cue. Later
    they are 0; the last value is always 1. The reward is 1 for the number of the cue.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (CUES + 1,), np.float32)
    action_space = gym.spaces.Discrete(CUES)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a cue, and show it."""
        super().reset(seed=seed)
        self.cue, self.steps = int(self.np_random.integers(CUES)), 0
        return self._observe(self.cue), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Compare the action with the cue."""
        self.steps += 1
        return self._observe(None), float(action == self.cue), False, self.steps == RECALL_STEPS, {}

    @staticmethod
    def _observe(cue: int | None) -> np.ndarray:
        values = np.zeros(CUES + 1, np.float32)
        values[[CUES] if cue is None else [CUES, cue]] = 1
        return values


class RecallTeacher(Teacher):
    """Reads the cue from the environment, which the agent cannot."""

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode."""
        self.game = cast(RecallEnv, env.unwrapped)

    def act(self, observation: Observation, executed: Any = None) -> int:
        """The cue."""
        return self.game.cue


class RepeatedAction(gym.Wrapper):
    """Executes each action ``repeats`` times, and adds the rewards up."""

    def __init__(self, env: gym.Env, repeats: int):
        super().__init__(env)
        self.repeats = repeats

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Execute the action until the repeats or the episode end."""
        total = 0.0
        for _ in range(self.repeats):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class DividedStep(gym.RewardWrapper):
    """A Meta-World environment whose steps last 1 / ``parts`` of the time.

    The hand's target moves that part of a centimetre at most, the simulation runs that part of the
    time, and a reward counts that part.
    """

    def __init__(self, env: gym.Env, parts: int):
        super().__init__(env)
        self.parts = parts
        sawyer = cast(Any, env.unwrapped)  # Meta-World's class has no types
        sawyer.action_scale /= parts
        sawyer.model.opt.timestep /= parts

    def reward(self, reward: Any) -> float:
        """The reward's part."""
        return reward / self.parts


class RememberingGame(AtariGame):
    """A game that keeps the console's memory of the last four frames in ``memories``.

    The teacher measures motion over four frames, however long a decision lasts.
    """

    memories: deque[np.ndarray]

    def _begin(self, rng: np.random.Generator) -> None:
        self.memories = deque(maxlen=FRAMES_PER_DECISION + 1)
        super()._begin(rng)

    def _frame(self, action: Any) -> float:
        if not self.memories:
            self.memories.append(self._ale.getRAM())
        reward = super()._frame(action)
        self.memories.append(self._ale.getRAM())
        return reward


class TimedTeacher(ConsoleTeacher):
    """The game's teacher, asked every ``frames`` frames."""

    def __init__(self, frames: int):
        super().__init__(cast(ConsoleTeacher, get_teacher(GAME)).policy)
        self.max_decisions = DECISIONS * FRAMES_PER_DECISION // frames

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode."""
        super().reset(env, seed)
        self._env = env

    def _earlier(self, now: np.ndarray) -> np.ndarray:
        memories = self._env.get_wrapper_attr("memories")
        return memories[0] if memories else now


class HeldOutMissions(gym.Wrapper):
    """Rooms whose mission is one of those that the split `verb-object` holds out."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw rooms until the mission is one of them."""
        observation, info = self.env.reset(seed=seed, options=options)
        while not is_held_out(observation["text_observation"]):
            observation, info = self.env.reset(options=options)
        return observation, info


def is_held_out(mission: str) -> bool:
    """Whether the split `verb-object` holds a mission out."""
    return any(re.search(pattern, mission) for pattern in find_split("verb-object").missions)


# --- registering them -----------------------------------------------------------------------------


def register_all() -> None:
    """Make the tasks known to `get_task`, `make_env` and `get_teacher`. It can be called again.

    Reach's teacher scores 0.98 and more with finer and with coarser time.
    """
    recall = Task(RECALL, "memory", None, None, "continuous", CUES + 1, "discrete", CUES)
    register(recall, lambda task, render_mode=None: RecallEnv(), check=False)
    register_teacher(RECALL, RecallTeacher, "who knows the cue")
    for repeats in REPEATS:
        _register_reach(f"reach-every-{repeats}", partial(_repeated_reach, repeats))
    for parts in SPLITS:
        _register_reach(f"reach-by-{parts}", partial(_divided_reach, parts))
    for frames, name in FRAMES.items():
        if name != GAME:
            _register_game(name, frames)
    box = replace(get_task(PICKUP), name=PICKUP_BOX, domain="missions", env_id=None)
    register(box, lambda task, render_mode=None: _boxes(render_mode), check=False)
    register_teacher(PICKUP_BOX, lambda: get_teacher(PICKUP), "BabyAI's bot")


def _boxes(render_mode: str | None) -> gym.Env:
    return HeldOutMissions(make_env(PICKUP, render_mode=render_mode))


def _register_reach(name: str, make: Callable[[], gym.Env]) -> None:
    task = Task(name, "time", None, None, "continuous", 39, "continuous", 4, loss_weight=50.0)
    register(task, lambda task, render_mode=None: make(), check=False)
    register_teacher(name, lambda: get_teacher(REACH), "reach's own")


def _repeated_reach(repeats: int) -> gym.Env:
    return RepeatedAction(make_env(REACH, render_mode=None), repeats)


def _divided_reach(parts: int) -> gym.Env:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    from jatlab.tasks.metaworld import EPISODE_LENGTH, SeededSawyer

    sawyer = ALL_V3_ENVIRONMENTS["reach-v3"]()
    return DividedStep(SeededSawyer(sawyer, length=EPISODE_LENGTH * parts), parts)


def _register_game(name: str, frames: int) -> None:
    game = replace(
        get_task(GAME),
        name=name,
        domain="time",
        env_id=None,
        published_env_id=None,
        episode_limit=MOST_FRAMES // frames,
    )
    register(game, lambda task, render_mode=None: _timed_game(frames), check=False)
    register_teacher(name, lambda: TimedTeacher(frames), "the game's own")


def _timed_game(frames: int) -> gym.Env:
    console = gym.make(
        get_task(GAME).env_id or GAME,
        frameskip=1,
        repeat_action_probability=0.0,
        render_mode=None,
        disable_env_checker=True,
    )
    return RememberingGame(console, frames=frames)


# --- scores ---------------------------------------------------------------------------------------


def score(task: str, returns: ArrayLike) -> np.ndarray:
    """Returns on the scale from the random policy (0) to our teacher (1).

    A task that changes another one is scored as that one. Raises ValueError for a
    task whose teacher has not been measured.
    """
    if task == RECALL:
        return (np.asarray(returns, float) / RECALL_STEPS - 1 / CUES) / (1 - 1 / CUES)
    original = {"reach-": REACH, "mspacman-": GAME, PICKUP_BOX: PICKUP}
    scored = next((original[start] for start in original if task.startswith(start)), task)
    scores = normalise(scored, returns)
    if scores is None:
        raise ValueError(
            f"{task} has no measured teacher to compare with: run "
            f"`jatlab teachers {task} --measure` first"
        )
    return scores
