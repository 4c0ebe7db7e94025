"""DAgger relabelling: the agent plays, and its teacher labels every state with the right action.

The method is DAgger (Ross, Gordon and Bagnell 2011, arXiv 1011.0686). Demonstrations only contain
states that a teacher reaches. An imitator makes small errors and reaches other states, for which it
has seen no action. Relabelling records the teacher's action in exactly those states. The new files
lie beside the demonstrations, and training uses both:

    <root>/<task>/train/relabelled-050000.parquet, …    up to 50 episodes each

A file is named after its first seed. Keep one thing in mind when you compare scores: an agent
trained on relabelled episodes has asked its teacher more questions than an agent that only watched.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent
from jatlab.data.card import complete_folder
from jatlab.data.episodes import read_notes, write_episodes
from jatlab.data.recording.playing import as_episode, observed, versions
from jatlab.data.recording.record import episode_counts
from jatlab.evaluation.records import identity
from jatlab.tasks import Task, expand, get_task, make_env
from jatlab.teachers import TeacherFailed, describe, get_teacher, require_teacher
from jatlab.utils.bars import progress_bar
from jatlab.utils.checks import require, whole_number
from jatlab.utils.console import stopped
from jatlab.utils.files import expanded, only_writer
from jatlab.utils.manifest import forget
from jatlab.utils.workers import run_jobs

FIRST_SEED = 50_000  # demonstrations use smaller seeds, evaluation larger ones
END_OF_SEEDS = 90_000  # the first seed that is too large: from here on they are held out
EPISODES_PER_FILE = 50
IMAGE_EPISODES_PER_FILE = 2  # of Atari, whose episodes are large
SLOTS = 16  # environments that are played in lockstep


@dataclass(frozen=True)
class RelabelJob:
    """One file to write: episodes with seeds ``first`` to ``first + count - 1`` of one task."""

    task: str
    first: int
    count: int
    path: str
    agent: str  # the agent's folder, or the name that it ships under
    fingerprint: str  # of the agent's weights
    max_steps: int | None  # most timesteps of an episode
    device: str = "cpu"  # of the agent
    dtype: str | None = None  # of its weights; None: as they are stored

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the file's content. The file's notes repeat it."""
        return {
            "task": self.task,
            "agent": self.fingerprint,
            "policy": describe(self.task),
            "seeds": [self.first, self.first + self.count - 1],
            "max_steps": self.max_steps,
        }


@dataclass(frozen=True)
class RelabelledEpisode:
    """What one slot recorded: T observations with the teacher's actions, and T rewards."""

    steps: list[tuple]  # (what was observed, the teacher's action) of each timestep
    rewards: list[float]
    failure: str  # why the episode was cut, "" if it was not


def relabel(
    agent: str | Path,
    tasks: str | Iterable[str],
    root: str | Path,
    episodes: int | Mapping[str, int],
    workers: int = 2,
    seed: int = FIRST_SEED,
    max_steps: int | None = None,
    progress: bool = True,
    device: str = "cpu",
    dtype: str | None = None,
) -> dict[str, int]:
    """Let an agent play, and record what its teachers would have done.

    Existing files are kept. Where a teacher cannot say how to go on, its episode is cut.

    Args:
        agent: the agent's folder, or the name of one that ships.
        tasks: task names, patterns or domains.
        root: the data folder; files go to ``<root>/<task>/train``.
        episodes: episodes to play of each task: one number, or one for each task name.
        workers: processes that play; 0 plays in this process.
        seed: the environment seed of the first episode; episode i has seed ``seed + i``. Seeds
            run from 50,000 to 89,999. A second round of relabelling needs other seeds.
        max_steps: most timesteps of an episode; None for the task's limit.
        progress: whether to show a progress bar.
        device: of the agent, see `jatlab.utils.devices.choose_device`.
        dtype: of its weights, "float32" or "bfloat16"; None for that of the file.

    Returns:
        The number of timesteps in the files of each task.

    Raises:
        ValueError: a task has no teacher or no number of episodes, a seed is outside the range, a
            file that exists was written with another agent or other settings, or the agent's
            weights change while it plays.
        BlockingIOError: another process writes episodes of one of the tasks into ``root``.
    """
    names, root = expand(tasks), expanded(root)
    for name in names:
        require_teacher(name)
    counts = episode_counts(names, episodes)
    seed = whole_number(seed, "seed")
    max_steps = None if max_steps is None else whole_number(max_steps, "max_steps", 1)
    for name, count in counts.items():
        _check_seeds(name, seed, count)
    _cached_agent.cache_clear()  # other weights may lie in the same folder now
    _, fingerprint = _cached_agent(str(agent), device, dtype)
    jobs = [
        RelabelJob(name, first, count, str(path), str(agent), fingerprint, max_steps, device, dtype)
        for name in names
        for first, count, path in _files(root, name, seed, counts[name])
    ]
    with only_writer(*(root / name for name in names)):
        missing = [job for job in jobs if not _is_done(job)]
        forget(Path(job.path) for job in missing)
        try:
            _run(missing, workers, progress)
        except KeyboardInterrupt:
            raise stopped(_what_is_kept(root, jobs)) from None
        finally:
            complete_folder(root, names)
    timesteps = dict.fromkeys(names, 0)
    for job in jobs:
        timesteps[job.task] += read_notes(job.path)["timesteps"]
    return timesteps


def _check_seeds(name: str, seed: int, count: int) -> None:
    if count < 1 or not FIRST_SEED <= seed <= END_OF_SEEDS - count:
        raise ValueError(
            f"relabelling uses seeds {FIRST_SEED:,} to {END_OF_SEEDS - 1:,} and at least one "
            f"episode: seed {seed} with {count} episodes of {name} does not fit"
        )


def _files(root: Path, name: str, seed: int, episodes: int) -> list[tuple[int, int, Path]]:
    """The files of a task: (first seed, number of episodes, path) of each."""
    images = get_task(name).observation == "image"
    size = IMAGE_EPISODES_PER_FILE if images else EPISODES_PER_FILE
    folder, end = root / name / "train", seed + episodes
    return [
        (first, min(size, end - first), folder / f"relabelled-{first:06d}.parquet")
        for first in range(seed, end, size)
    ]


def _is_done(job: RelabelJob) -> bool:
    """Whether the job's file exists; ValueError if it was written with other settings."""
    if not Path(job.path).exists():
        return False
    notes = read_notes(job.path)
    for key, wanted in job.settings.items():
        if notes.get(key) != wanted:
            raise ValueError(
                f"{job.path} was recorded with {key} = {notes.get(key)!r}, now it is {wanted!r}; "
                "choose other seeds, or delete that file"
            )
    return True


def _what_is_kept(root: Path, jobs: list[RelabelJob]) -> str:
    """What a stop has left on the disk, in words: files are written whole."""
    kept, wanted = Counter[str](), Counter[str]()
    for job in jobs:
        wanted[job.task] += job.count
        kept[job.task] += job.count if Path(job.path).exists() else 0
    told = [f"{kept[task]:,} of {count:,} episodes of {task}" for task, count in wanted.items()]
    return f"{root} has {', '.join(told)}"


def _run(jobs: list[RelabelJob], workers: int, progress: bool) -> None:
    total, show = sum(job.count for job in jobs), progress and bool(jobs)
    with progress_bar(show, total=total, unit=" episodes") as bar:
        for kind, job, value in run_jobs(relabel_one, jobs, workers):
            if kind == "progress":
                bar.set_description(job.task, refresh=False)
                bar.update(value)


@lru_cache(maxsize=1)
def _cached_agent(agent: str, device: str, dtype: str | None) -> tuple[Agent, str]:
    """The agent and the fingerprint of its weights.

    A process keeps them from one file to the next, and `relabel` forgets those of an earlier call.
    """
    loaded = load_agent(agent, device=device, dtype=dtype)
    return loaded, identity(loaded)["fingerprint"]


def _agent_of(job: RelabelJob) -> Agent:
    """Who plays a job. Raises ValueError if the folder has not the weights that its notes name."""
    agent, fingerprint = _cached_agent(job.agent, job.device, job.dtype)
    require(
        fingerprint == job.fingerprint,
        f"the weights of {job.agent} have changed since relabelling began (they were "
        f"{job.fingerprint}, now they are {fingerprint}): let nothing write there meanwhile, and "
        "relabel again with other seeds",
    )
    return agent


def relabel_one(job: RelabelJob, report: Callable[[int], None]) -> dict[str, Any]:
    """Play the episodes of one file and write it; this runs in a worker process.

    ``report`` gets the number of episodes after each group that was played in lockstep. Returns the
    file's notes.
    """
    task, agent = get_task(job.task), _agent_of(job)
    slots = [_TeacherSlot(task, job.max_steps) for _ in range(min(SLOTS, job.count))]
    played: list[RelabelledEpisode] = []
    end = job.first + job.count
    for first in range(job.first, end, SLOTS):
        seeds = range(first, min(first + SLOTS, end))
        played += play_relabelled(agent, task, slots[: len(seeds)], seeds)
        report(len(seeds))
    for slot in slots:
        slot.env.close()
    notes = job.settings | {
        "timesteps": sum(len(episode.rewards) for episode in played),
        "returns": [round(float(sum(episode.rewards)), 4) for episode in played],
        "cut": [episode.failure for episode in played if episode.failure],
        "versions": versions(task),
    }
    recorded = [as_episode(e.steps, e.rewards, task) for e in played if e.rewards]
    write_episodes(job.path, recorded, task, notes)
    return notes


def play_relabelled(
    agent: Agent, task: Task, slots: Sequence[_TeacherSlot], seeds: Iterable[int]
) -> list[RelabelledEpisode]:
    """Play one episode of each seed in lockstep.

    The environments execute the agent's actions, and the episodes keep the teachers'.

    Args:
        agent: who acts.
        task: what is played.
        slots: an environment with its teacher for each seed.
        seeds: the environment seeds.

    Returns:
        One episode of each seed, in that order.
    """
    agent.reset(len(slots), task)
    for slot, seed in zip(slots, seeds, strict=True):
        slot.begin(seed)
    start = True
    while any(slot.open for slot in slots):
        for slot in slots:
            slot.ask_teacher()
        actions = agent.act(
            [slot.observation for slot in slots],
            [slot.reward for slot in slots],
            [start] * len(slots),
            seeds=[slot.seed for slot in slots],
        )
        for slot, action in zip(slots, actions, strict=True):
            slot.step(action)
        start = False
    return [slot.episode() for slot in slots]


class _TeacherSlot:
    """One environment of the lockstep, with its teacher.

    When its episode has ended, the slot keeps showing the last observation, so that the other slots
    can go on.
    """

    def __init__(self, task: Task, max_steps: int | None):
        self.task, self.max_steps = task, max_steps
        self.env, self.teacher = make_env(task.name, render_mode=None), get_teacher(task.name)

    def begin(self, seed: int) -> None:
        self.seed, self.open, self.failure = seed, True, ""
        self.observation: dict[str, Any] = self.env.reset(seed=seed)[0]
        self.teacher.reset(self.env, seed)
        self.steps: list[tuple] = []
        self.rewards: list[float] = []
        self.reward = 0.0
        self.executed: np.ndarray | int | None = None

    def ask_teacher(self) -> None:
        """Keep the teacher's action for this observation; cut the episode if it has none."""
        if not self.open:
            return
        try:
            answer = self.teacher.act(self.observation, self.executed)
        except TeacherFailed as error:
            self.open, self.failure = False, str(error)
            return
        label = copy.copy(answer)  # the teacher may reuse its array
        self.steps.append((*observed(self.observation, self.task), label))

    def step(self, action: np.ndarray | int) -> None:
        """Execute the agent's action."""
        if not self.open:
            return
        space = self.env.action_space
        if isinstance(space, Box):
            action = np.clip(action, space.low, space.high)
        self.observation, self.reward, terminated, truncated, info = self.env.step(action)
        if "cut" in info:
            self.failure = f"no end after {info['cut']:,} steps, which is its task's limit"
        self.executed = action
        self.rewards.append(self.reward)
        limits = (self.max_steps, self.teacher.max_decisions)
        self.open = not (terminated or truncated or len(self.rewards) in limits)

    def episode(self) -> RelabelledEpisode:
        """What was recorded; an episode that was cut has one label more than rewards."""
        steps = self.steps[: len(self.rewards)]
        return RelabelledEpisode(steps, self.rewards, self.failure)
