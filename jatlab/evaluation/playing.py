"""Playing seeded episodes of one task: `play_task`.

Several environments of the task run in lockstep, so that the agent answers all of them with one
forward pass. An environment whose episode ends starts the next seed. When no seed is left it waits,
and the actions that the agent chooses for it are ignored.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import gymnasium as gym
import numpy as np

from jatlab.tasks import get_task, make_env
from jatlab.tasks.frames import draw, fitted
from jatlab.tasks.task import Action, Observation
from jatlab.utils.checks import check_temperature, require, whole_number

FIRST_SEED = 1_000_000  # demonstrations are recorded with smaller seeds
VIDEO_FRAMES = 48


class EvaluatedAgent(Protocol):
    """What plays in an evaluation: `jatlab.Agent`, the random policy, an agent of your own.

    It may also have `info["name"]`, `temperature` (its own, for sampling) and `model`, whose
    weights identify it and which text and picture tasks need.
    """

    def reset(self, n: int, task: str) -> None:
        """Forget everything and prepare for `n` environments of `task`."""

    def act(
        self,
        observations: Sequence[Observation],
        rewards: np.ndarray,
        starts: np.ndarray,
        *,
        greedy: bool = ...,
        temperature: float = ...,
        seeds: Sequence[int | None] = ...,
    ) -> Sequence[Action]:
        """Return one action for each environment.

        Args:
            observations: n observations, as `jatlab.make_env` describes them.
            rewards: float32 (n,), what came with them; 0 where an episode starts.
            starts: bool (n,), where an episode starts.
            greedy: take the likeliest action instead of sampling.
            temperature: of the sampling.
            seeds: n episode seeds; sampling starts anew from this seed where an episode starts.
                None where an environment has no episode left.
        """


MOST_EPISODES, MOST_ENVS = 1_000_000, 4096  # of a task; more is a slip of the keyboard


@dataclass(frozen=True)
class PlaySettings:
    """What decides the returns, beside agent and task; only `envs` does not.

    Args:
        episodes: episodes of each task.
        seed: first seed; episode i has seed `seed + i`.
        envs: most environments in lockstep.
        greedy: take the likeliest action instead of sampling.
        temperature: of the sampling of discrete actions; 0 takes the likeliest action.
        max_steps: end an episode after so many steps; the task's limit if None.

    Raises:
        ValueError: a setting is out of its range.
    """

    episodes: int = 30
    seed: int = FIRST_SEED
    envs: int = 16
    greedy: bool = False
    temperature: float = 1.0
    max_steps: int | None = None

    def __post_init__(self) -> None:
        for name, most in (("episodes", MOST_EPISODES), ("envs", MOST_ENVS)):
            self._set_whole(name, 1)
            value = getattr(self, name)
            require(value <= most, f"{name} is {value:,}: expected at most {most:,}")
        self._set_whole("seed", None)
        if self.seed < FIRST_SEED:
            raise ValueError(
                f"seed is {self.seed}: evaluation starts at {FIRST_SEED}, "
                "because demonstrations are recorded with smaller seeds"
            )
        object.__setattr__(self, "temperature", check_temperature(self.temperature))
        if self.max_steps is not None:  # else the task's own limit
            self._set_whole("max_steps", 1)

    def _set_whole(self, name: str, least: int | None) -> None:
        """Make a setting an int of Python's, which JSON can hold."""
        object.__setattr__(self, name, whole_number(getattr(self, name), name, least))


@dataclass(frozen=True)
class Episode:
    """One episode that was played."""

    seed: int
    total: float  # the return: the sum of its rewards
    length: int  # steps
    success: bool | None  # None where the task cannot tell
    cut: bool  # a limit ended it, not the task: `max_steps`, or that of an unending environment
    mission: str = ""  # what the agent was told, in words


class EpisodeVideo:
    """The frames of one episode, thinned evenly: every `stride`-th, and the last.

    When there are twice `limit` frames, every second is dropped and the stride is doubled. An
    environment that cannot be drawn has no video; its episode is played all the same.

    Attributes:
        frames: uint8 (h, w, 3) each, all of the first one's size.
        captions: what was true at each frame (`step`, `total`, `mission` …).
        problem: why there is no video; "" if there is one.
    """

    def __init__(self, limit: int = VIDEO_FRAMES, stride: int = 1) -> None:
        self.frames: list[np.ndarray] = []
        self.captions: list[dict] = []
        self.problem = ""
        self.limit, self.stride, self.count = limit, stride, 0

    def add(self, render: Callable[[], object], caption: dict, last: bool = False) -> None:
        """Keep the next frame, if the stride asks for it or it is the last one.

        Args:
            render: draws the frame, in any form that `jatlab.tasks.frames.as_rgb` takes; called
                only for a frame that is kept.
            caption: what to keep with it.
            last: the episode ends with this frame.
        """
        if self.problem:
            return
        if last or self.count % self.stride == 0:
            self._draw(render, caption)
        if len(self.frames) >= 2 * self.limit and not last:
            self.frames, self.captions = self.frames[::2], self.captions[::2]
            self.stride *= 2
        self.count += 1

    def _draw(self, render: Callable[[], object], caption: dict) -> None:
        try:
            frame = draw(render)
        except Exception as error:  # whatever the environment raises: the scores come first
            self.problem = str(error) or type(error).__name__
            self.frames, self.captions = [], []
            return
        first = self.frames[0] if self.frames else frame
        self.frames.append(fitted(frame, *first.shape[:2]))
        self.captions.append(caption)


class _Slot:
    """One environment of the lockstep, and the episode that it plays."""

    def __init__(
        self,
        env: gym.Env,
        seeds: Iterator[int],
        limit: int,
        video: EpisodeVideo | None,
    ) -> None:
        self.env, self.seeds, self.limit, self.video = env, seeds, limit, video
        self._begin()

    def _begin(self) -> None:
        """Start the episode of the next seed; without one, wait."""
        self.reward, self.start, self.seed = 0.0, True, next(self.seeds, None)
        if self.seed is not None:
            self.observation = copy.deepcopy(self.env.reset(seed=self.seed)[0])
            self.total, self.length = 0.0, 0
            self.mission = self.observation.get("text_observation", "")
            self._record()

    def step(self, action: Action) -> Episode | None:
        """Act once and return the episode, if it has ended.

        A slot that waits reports a start at every step, which costs the agent least.
        """
        if self.seed is None:
            return None
        observation, reward, terminated, truncated, info = self.env.step(copy.deepcopy(action))
        self.observation = copy.deepcopy(observation)  # `make` may give an env that reuses it
        self.start, self.reward = False, float(reward)
        self.total, self.length = self.total + self.reward, self.length + 1
        cut = "cut" in info or (self.length == self.limit and not (terminated or truncated))
        ended = terminated or truncated or cut
        self._record(last=ended)
        return self._end(self.seed, info, cut) if ended else None

    def _end(self, seed: int, info: dict, cut: bool) -> Episode:
        if not np.isfinite(self.total):
            raise ValueError(
                f"seed {seed}: the return is {self.total}; a reward was NaN or infinite"
            )
        success = None if info.get("success") is None else bool(info["success"])
        episode = Episode(seed, float(self.total), self.length, success, cut, self.mission)
        self.video = None  # of the first episode only
        self._begin()
        return episode

    def _record(self, last: bool = False) -> None:
        if self.video is not None:
            caption = {"step": self.length, "total": self.total, "mission": self.mission}
            self.video.add(self.env.render, caption, last)


def play_task(
    agent: EvaluatedAgent,
    task: str,
    settings: PlaySettings,
    video: EpisodeVideo | None = None,
    on_episode: Callable[[Episode], None] = lambda episode: None,
    make: Callable[[str], gym.Env] = make_env,
    limit: int | None = None,
) -> list[Episode]:
    """Play the seeds `settings.seed` … `settings.seed + settings.episodes - 1` of one task.

    Sampling starts anew from the seed of each episode. So the number of environments does not
    matter, except that sums in another order may differ in their last digit.

    Args:
        agent: who plays.
        task: the task's name.
        settings: episodes, seeds and sampling.
        video: records the first episode.
        on_episode: called with each episode when it ends.
        make: makes an environment from the task's name.
        limit: cut an episode that its environment has not ended after so many steps; the task's
            `longest_episode` if None.

    Returns:
        The episodes in the order of their seeds.

    Raises:
        ValueError: a return is not finite. Any error of the agent or the environment is passed on,
            with a note that names the task and the seeds in play.
    """
    seeds = range(settings.seed, settings.seed + settings.episodes)
    waiting = iter(seeds)
    limit = limit or get_task(task).longest_episode
    limit = min(settings.max_steps or limit, limit)
    slots: list[_Slot] = []
    done: dict[int, Episode] = {}
    try:
        for index in range(lockstep(settings.episodes, settings.envs)):
            recorded = video if index == 0 else None
            slots.append(_Slot(make(task), waiting, limit, recorded))
        agent.reset(len(slots), task)
        while len(done) < len(seeds):
            for episode in _step(agent, slots, settings):
                done[episode.seed] = episode
                on_episode(episode)
    except Exception as error:
        error.add_note(f"while playing {task}, seeds in play: {[slot.seed for slot in slots]}")
        raise
    finally:
        for slot in slots:
            slot.env.close()
    return [done[seed] for seed in seeds]


def lockstep(episodes: int, envs: int) -> int:
    """How many environments to run: as few as need no more rounds than `envs` of them.

    30 episodes on at most 16 environments take two rounds, so 15 environments are enough.
    """
    return -(-episodes // -(-episodes // envs))


def _step(agent: EvaluatedAgent, slots: list[_Slot], settings: PlaySettings) -> list[Episode]:
    """One step of all slots; the episodes that end with it."""
    actions = agent.act(
        [slot.observation for slot in slots],
        np.array([slot.reward for slot in slots], dtype=np.float32),
        np.array([slot.start for slot in slots]),
        greedy=settings.greedy,
        temperature=settings.temperature,
        seeds=[slot.seed for slot in slots],
    )
    episodes = [slot.step(action) for slot, action in zip(slots, actions, strict=True)]
    return [episode for episode in episodes if episode is not None]
