"""Corrections: the agent plays, and at every timestep its teacher says what it would have done
(DAgger: Ross, Gordon and Bagnell 2011, arXiv 1011.0686).

Demonstrations show the states that a teacher comes to. An imitator makes small errors, comes to
others, and nobody has shown it what to do there. Corrections show it, in the very states that it
comes to. They lie beside the demonstrations, in files of their own, and are trained on with them:

    <root>/<task>/train/relabelled-050000.parquet, …    up to 50 episodes each, named by their first seed

Scores of an agent trained on them are to be read with that in mind: its teacher has answered more
questions than one whose pupil only watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent
from jatlab.data.episodes import read_notes, write_episodes
from jatlab.data.recording.playing import as_episode, observed, versions
from jatlab.evaluation.evaluate import identity
from jatlab.tasks import Task, expand, get_task, make_env
from jatlab.teachers import TeacherFailed, describe, get_teacher, require_teacher
from jatlab.utils.workers import run_jobs

FIRST_SEED = 50_000  # demonstrations use smaller ones, evaluation larger ones
LAST_SEED = 100_000
SHARD, FRAMES_SHARD = 50, 2  # episodes of a file; of frames
SLOTS = 16  # environments in lockstep


@dataclass(frozen=True)
class RelabelJob:
    """One file to make: the seeds ``first`` … ``first + count - 1`` of a task, at most
    ``max_steps`` timesteps each.
    """

    task: str
    first: int
    count: int
    path: str
    agent: str  # its folder, or the name that it ships under
    who: str  # its fingerprint
    max_steps: int | None


def relabel(
    agent: str | Path,
    tasks: str | Iterable[str],
    root: str | Path,
    episodes: int | Mapping[str, int],
    workers: int = 2,
    seed: int = FIRST_SEED,
    max_steps: int | None = None,
    progress: bool = True,
) -> dict[str, int]:
    """Let ``agent`` (a folder, or a name that ships) play ``episodes`` episodes of every task and
    record its teacher's answers below ``root``; returns each task's timesteps.

    ``episodes`` is one number for all tasks, or one for each. Episode i has environment seed ``seed
    + i``, from 50,000 to 99,999: another round of corrections wants other seeds. Where the teacher
    does not know how to go on, the episode is cut. Files that are there are kept; ``workers=0``
    plays in this process. Raises ValueError for a task without a teacher, a seed outside, and files
    of another agent.
    """
    names = expand(tasks)
    for name in names:
        require_teacher(name)
    counts = {name: episodes if isinstance(episodes, int) else episodes[name] for name in names}
    for name, count in counts.items():
        if count < 1 or not FIRST_SEED <= seed <= LAST_SEED - count:
            raise ValueError(
                f"corrections use seeds {FIRST_SEED:,} to {LAST_SEED - 1:,}: seed {seed} with {count} episodes of {name} leaves that range"
            )
    who = identity(_loaded(str(agent)))["fingerprint"]
    jobs = [
        job
        for name in names
        for job in _jobs(str(agent), who, name, Path(root), counts[name], seed, max_steps)
    ]
    missing = [job for job in jobs if not _is_there(job)]
    with tqdm(
        total=sum(job.count for job in missing),
        unit=" episodes",
        disable=not progress or not missing,
        dynamic_ncols=True,
    ) as bar:
        for kind, job, value in run_jobs(relabel_one, missing, workers):
            if kind == "progress":
                bar.set_description(job.task, refresh=False)
                bar.update(value)
    return {
        name: sum(read_notes(job.path)["timesteps"] for job in jobs if job.task == name)
        for name in names
    }


@lru_cache(maxsize=1)
def _loaded(agent: str) -> Agent:
    """A worker keeps its agent from file to file."""
    return load_agent(agent)


def _jobs(
    agent: str, who: str, name: str, root: Path, episodes: int, seed: int, max_steps: int | None
) -> list[RelabelJob]:
    size = FRAMES_SHARD if get_task(name).observation == "image" else SHARD
    folder = root / name / "train"
    return [
        RelabelJob(
            name,
            first,
            min(size, seed + episodes - first),
            str(folder / f"relabelled-{first:06d}.parquet"),
            agent,
            who,
            max_steps,
        )
        for first in range(seed, seed + episodes, size)
    ]


def _is_there(job: RelabelJob) -> bool:
    if not Path(job.path).exists():
        return False
    wanted = _about(job)
    for key, value in read_notes(job.path).items():
        if key in wanted and wanted[key] != value:
            raise ValueError(
                f"{job.path} was made with {key} = {value!r}, now it is {wanted[key]!r}; choose other seeds, or delete that file"
            )
    return True


def _about(job: RelabelJob) -> dict:
    return {
        "task": job.task,
        "corrected": job.who,
        "policy": describe(job.task),
        "seeds": [job.first, job.first + job.count - 1],
        "max_steps": job.max_steps,
    }


def relabel_one(job: RelabelJob, report: Callable[[int], None]) -> dict:
    """Play and write one file (in a worker); ``report`` hears of each group of episodes."""
    task, agent = get_task(job.task), _loaded(job.agent)
    slots = [_TeacherSlot(job.task, job.max_steps) for _ in range(min(SLOTS, job.count))]
    played = []
    for first in range(job.first, job.first + job.count, SLOTS):
        seeds = range(first, min(first + SLOTS, job.first + job.count))
        played += play_relabelled(agent, task, slots[: len(seeds)], seeds)
        report(len(seeds))
    for slot in slots:
        slot.env.close()
    notes = _about(job) | {
        "timesteps": sum(len(rewards) for _, rewards, _ in played), "returns": [round(float(sum(rewards)), 4) for _, rewards, _ in played],
        "cut": [failure for *_, failure in played if failure], "versions": versions(task),
    }  # fmt: skip
    write_episodes(
        job.path,
        [as_episode(steps, rewards, task) for steps, rewards, _ in played if rewards],
        task,
        notes,
    )
    return notes


def play_relabelled(
    agent, task: Task, slots: list[_TeacherSlot], seeds: Iterable[int]
) -> list[tuple[list, list, str]]:
    """One episode of each seed, in lockstep: what the agent does is executed, what the teacher says
    is kept. Returns (steps, rewards, why it was cut) of each.
    """
    agent.reset(len(slots), task)
    for slot, seed in zip(slots, seeds, strict=True):
        slot.begin(seed)
    start = True
    while any(slot.open for slot in slots):
        for slot in slots:
            slot.ask()
        actions = agent.act(
            [slot.observation for slot in slots],
            [slot.reward for slot in slots],
            [start] * len(slots),
            seeds=[slot.seed for slot in slots],
        )
        for slot, action in zip(slots, actions, strict=True):
            slot.step(action)
        start = False
    return [(slot.steps[: len(slot.rewards)], slot.rewards, slot.failure) for slot in slots]


class _TeacherSlot:
    """One environment of the lockstep with its teacher. Once its episode has ended the last
    observation stays, so that the others go on as before.
    """

    def __init__(self, task: str, max_steps: int | None):
        self.env, self.teacher, self.max_steps = (
            make_env(task, render_mode=None),
            get_teacher(task),
            max_steps,
        )

    def begin(self, seed: int) -> None:
        self.seed, self.open, self.failure = seed, True, ""
        self.observation, _ = self.env.reset(seed=seed)
        self.teacher.reset(self.env, seed)
        self.steps, self.rewards, self.reward, self.executed = [], [], 0.0, None

    def ask(self) -> None:
        """Hear what the teacher would do now, and keep it; the episode is cut where it does not
        know.
        """
        if not self.open:
            return
        try:
            label = self.teacher.act(self.observation, self.executed)
        except TeacherFailed as error:
            self.open, self.failure = False, str(error)
            return
        self.steps.append((*observed(self.observation, self.env.task), label))

    def step(self, action) -> None:
        """Do what the agent decided."""
        if not self.open:
            return
        if self.env.task.action == "continuous":
            action = np.clip(action, self.env.action_space.low, self.env.action_space.high)
        self.observation, self.reward, terminated, truncated, _ = self.env.step(action)
        self.executed = action
        self.rewards.append(self.reward)
        self.open = not (
            terminated
            or truncated
            or len(self.rewards) in (self.max_steps, self.teacher.max_decisions)
        )
