"""The ablations' own tasks: a test of memory, and Meta-World's reach and Ms. Pac-Man with finer and
coarser time. `register_all` makes them known by name.

`recall` shows one of four cues in the first timestep and never again; at every timestep the right
action is that cue. The longer ago it was, the further the attention has to reach. `reach-every-N`
repeats each action N times, `reach-by-N` cuts each step into N; in `mspacman-N-frames` a decision
lasts N frames of the game.
"""

from __future__ import annotations

from collections import deque

import gymnasium as gym
import numpy as np

from jatlab.experiments.ablations.runs import FRAMES, GAME
from jatlab.tasks import get_task, make_env, normalise
from jatlab.tasks.atari import FRAMES_PER_DECISION, AtariGame
from jatlab.tasks.registry import Task, register
from jatlab.teachers import Teacher, get_teacher, register_teacher
from jatlab.teachers.console import DECISIONS, ConsoleTeacher

CUES = 4
RECALL_STEPS = 32
REPEATS, SPLITS = (4, 8), (2,)
REACH = "metaworld-reach"


class Recall(gym.Env):
    """Observation (5,): the cue as one of four ones in the first timestep, zeros afterwards, and a
    last value that is always 1. Reward 1 for the cue's number.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (CUES + 1,), np.float32)
    action_space = gym.spaces.Discrete(CUES)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cue, self.steps = int(self.np_random.integers(CUES)), 0
        return self._observe(self.cue), {}

    def step(self, action):
        self.steps += 1
        return self._observe(None), float(action == self.cue), False, self.steps == RECALL_STEPS, {}

    @staticmethod
    def _observe(cue: int | None) -> np.ndarray:
        values = np.zeros(CUES + 1, np.float32)
        values[[CUES] if cue is None else [CUES, cue]] = 1
        return values


class RecallTeacher(Teacher):
    """Reads the cue where the agent cannot: in the environment."""

    def reset(self, env, seed: int | None = None) -> None:
        self.env = env

    def act(self, observation: dict, executed=None) -> int:
        return self.env.unwrapped.cue


class EveryNth(gym.Wrapper):
    """Each action is executed ``repeats`` times; rewards are added up."""

    def __init__(self, env: gym.Env, repeats: int):
        super().__init__(env)
        self.repeats = repeats

    def step(self, action):
        total = 0.0
        for _ in range(self.repeats):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += reward
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class Nths(gym.RewardWrapper):
    """Each step lasts an Nth of the time: the hand's target moves an Nth of a centimetre at most,
    the simulation runs an Nth as long, a reward counts an Nth.
    """

    def __init__(self, env: gym.Env, parts: int):
        super().__init__(env)
        self.parts = parts
        env.unwrapped.action_scale /= parts
        env.unwrapped.model.opt.timestep /= parts

    def reward(self, reward):
        return reward / self.parts


class RememberingGame(AtariGame):
    """A game whose ``memories`` go back four frames, in which the teacher's sense of motion is at
    home, however long a decision is.
    """

    def _begin(self, rng: np.random.Generator) -> None:
        self.memories = deque(maxlen=FRAMES_PER_DECISION + 1)
        super()._begin(rng)

    def _frame(self, action) -> float:
        if not self.memories:
            self.memories.append(self._ale.getRAM())
        reward = super()._frame(action)
        self.memories.append(self._ale.getRAM())
        return reward


class TimedTeacher(ConsoleTeacher):
    """The game's own teacher, asked every ``frames`` frames."""

    def __init__(self, frames: int):
        super().__init__(get_teacher(GAME).policy)
        self.max_decisions = DECISIONS * FRAMES_PER_DECISION // frames

    def reset(self, env, seed: int | None = None) -> None:
        super().reset(env, seed)
        self._memories = lambda: env.get_wrapper_attr("memories")

    def _earlier(self, now: np.ndarray) -> np.ndarray:
        memories = self._memories()
        return memories[0] if memories else now


def register_all() -> None:
    """Make the ablations' tasks known to `get_task`, `make_env` and `get_teacher`. Calling it again
    changes nothing.

    Reach's own teacher does as well with finer and coarser time: 0.98 and more of its score.
    """
    register(
        Task("recall", "memory", None, None, "continuous", CUES + 1, "discrete", CUES),
        lambda task, render_mode=None: Recall(),
    )
    register_teacher("recall", RecallTeacher, "who knows the cue")
    facts = ("time", None, None, "continuous", 39, "continuous", 4, 50.0)
    for repeats in REPEATS:
        register(
            Task(f"reach-every-{repeats}", *facts),
            lambda task, render_mode=None, repeats=repeats: EveryNth(
                make_env(REACH, render_mode=None), repeats
            ),
        )
    for parts in SPLITS:
        register(
            Task(f"reach-by-{parts}", *facts),
            lambda task, render_mode=None, parts=parts: _split_reach(parts),
        )
    for task in [f"reach-every-{repeats}" for repeats in REPEATS] + [
        f"reach-by-{parts}" for parts in SPLITS
    ]:
        register_teacher(task, lambda: get_teacher(REACH), "reach's own")
    game = get_task(GAME)
    for frames, name in ((frames, name) for frames, name in FRAMES.items() if name != GAME):
        task = Task(
            name,
            "time",
            None,
            None,
            "image",
            game.observation_size,
            "discrete",
            game.action_size,
            max_timesteps=game.max_timesteps,
        )
        register(task, lambda task, render_mode=None, frames=frames: _timed_game(frames))
        register_teacher(task.name, lambda frames=frames: TimedTeacher(frames), "the game's own")


def _timed_game(frames: int) -> gym.Env:
    console = gym.make(
        get_task(GAME).env_id,
        frameskip=1,
        repeat_action_probability=0.0,
        render_mode=None,
        disable_env_checker=True,
    )
    return RememberingGame(console, frames=frames)


def _split_reach(parts: int) -> gym.Env:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    from jatlab.tasks.metaworld import EPISODE_LENGTH, SeededSawyer

    sawyer = ALL_V3_ENVIRONMENTS["reach-v3"]()
    return Nths(SeededSawyer(sawyer, length=EPISODE_LENGTH * parts), parts)


def score(task: str, returns) -> np.ndarray:
    """Returns on the scale from the random policy (0) to our teacher (1); with other time steps, on
    the scale of the task itself.
    """
    if task == "recall":
        return (np.asarray(returns, float) / RECALL_STEPS - 1 / CUES) / (1 - 1 / CUES)
    itself = next(
        (
            whole
            for start, whole in (("reach-", REACH), ("mspacman-", GAME))
            if task.startswith(start)
        ),
        task,
    )
    scores = normalise(itself, returns)
    if scores is None:
        raise ValueError(
            f"{task} has no measured teacher to compare with: run `jatlab measure {task}` first"
        )
    return scores
