"""The files of a recording: which are missing, and how each is made.

Episode i of a task uses environment seed ``seed + i``. If the teacher fails there (the BabyAI bot
can go round in circles), the episode is dropped and counted, and the next of the file's spare seeds
takes its place: from 100,000 on, there are nine for every episode. So the content of a file depends
on its number only. A file that a stop has cut short is continued, and comes out the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from jatlab.data.columns import Episode
from jatlab.data.episodes import read_episodes, write_episodes
from jatlab.data.parquet import Notes, read_notes
from jatlab.data.recording.playing import EpisodePlayer, Outcome, as_record, versions
from jatlab.data.recording.stopping import stoppable
from jatlab.tasks import get_task
from jatlab.teachers import TeacherFailed, describe
from jatlab.utils.checks import require
from jatlab.utils.files import remove_leftovers

# Episodes of a file, by observation. The frames of 4,500 timesteps are 127 MB, and a searching
# teacher plays them for minutes.
SHARD = {"image": 1}
SHARD_DEFAULT = 50
# seeds below are for episodes; from here to 999,999 for those that replace dropped ones
SPARE_SEEDS = 100_000
SPARES = 9  # for every episode


@dataclass(frozen=True)
class RecordSettings:
    """What decides the content of a recording, besides task and file."""

    seed: int
    teacher: str
    noise: float
    timeout: float


@dataclass(frozen=True)
class ShardJob:
    """One file to make: ``count`` episodes from number ``first`` on, of which ``done`` exist."""

    task: str
    first: int
    count: int
    path: str
    settings: RecordSettings
    done: int = 0

    def identity(self) -> Notes:
        """The notes that a file must have for its episodes to be the ones wanted."""
        return {
            "task": self.task,
            "teacher": self.settings.teacher,
            "policy": describe(self.task, self.settings.teacher),
            "seed": self.settings.seed,
            "noise": self.settings.noise,
        }


def missing_shards(
    name: str, root: Path, episodes: int, settings: RecordSettings
) -> list[ShardJob]:
    """The files that are not there, or have fewer episodes than wanted.

    Args:
        name: the task.
        root: the folder of the data.
        episodes: how many episodes are wanted in all files.
        settings: those that the files must have been recorded with.

    Raises:
        ValueError: for a file that was recorded with other settings.
    """
    folder = root / name / "train"
    remove_leftovers(folder)
    size = SHARD.get(get_task(name).observation, SHARD_DEFAULT)
    jobs = []
    for index, first in enumerate(range(0, episodes, size)):
        path = str(folder / f"{index:05d}.parquet")
        job = ShardJob(name, first, min(size, episodes - first), path, settings)
        if (done := _count_recorded(job)) < job.count:
            jobs.append(replace(job, done=done))
    return jobs


def _count_recorded(job: ShardJob) -> int:
    """The episodes in the file: 0 if there is none."""
    if not Path(job.path).exists():
        return 0
    notes = read_notes(job.path)
    for key, value in job.identity().items():
        require(
            notes.get(key) == value,
            f"{job.path} was recorded with {key} = {notes.get(key)!r}, now it is {value!r}; "
            "record into another folder, or delete that one",
        )
    return len(notes["episodes"])


@dataclass
class Played:
    """The finished episodes of a file, how they went, and the failures (seed and reason) before."""

    episodes: list[Episode] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, episode: Episode, outcome: Outcome, failures: list[dict[str, Any]]) -> None:
        """Take in one more episode, wholly or, where a stop comes in between, not at all."""
        more = [*self.episodes, episode], [*self.outcomes, as_record(outcome)], [*failures]
        self.episodes, self.outcomes, self.failures = more


# --- in a worker ---

# kept from one file to the next: making an environment costs more than an episode
_player: EpisodePlayer | None = None


def record_shard(job: ShardJob, report: Callable[[int | str], None]) -> None:
    """Play and write one file; if stopped, write the episodes that are finished.

    ``report`` gets the timesteps of each episode, 0 for a dropped one, and words about a slow one.
    """
    player = _player_for(job)
    played = _already_played(job)
    with stoppable() as stop:
        try:
            with stop.allowed():
                play_shard(player, job, report, played)
        except KeyboardInterrupt:
            if played.episodes:
                _write(job, player, played)
            raise
        _write(job, player, played)


def _write(job: ShardJob, player: EpisodePlayer, played: Played) -> None:
    notes = job.identity() | {
        "episodes": played.outcomes,
        "failures": played.failures,
        "versions": versions(player.task),
    }
    write_episodes(job.path, played.episodes, player.task, notes)


def _already_played(job: ShardJob) -> Played:
    """The episodes of the job's file; none if there is no file, or other versions played them."""
    if not Path(job.path).exists():
        return Played()
    notes, task = read_notes(job.path), get_task(job.task)
    if notes["versions"] != versions(task):
        return Played()
    return Played(read_episodes(job.path, task), notes["episodes"], notes["failures"])


def _player_for(job: ShardJob) -> EpisodePlayer:
    global _player
    wanted = (job.task, job.settings.teacher, job.settings.noise)
    if _player is None or (_player.task.name, _player.who, _player.noise) != wanted:
        dismiss_player()
        _player = EpisodePlayer(*wanted)
    return _player


def dismiss_player() -> None:
    """Close the environment that this process has kept."""
    global _player
    if _player is not None:
        _player.close()
    _player = None


def play_shard(
    player: EpisodePlayer, job: ShardJob, report: Callable[[int | str], None], played: Played
) -> None:
    """Play the episodes of a file that ``played`` lacks, and add each when it is finished.

    Args:
        player: plays the job's task as its settings say.
        job: says which episodes.
        report: as for `record_shard`.
        played: the file's first episodes; gets the others.

    Raises:
        ValueError: when the spare seeds are used up.
    """
    first_spare = SPARE_SEEDS + SPARES * (job.settings.seed + job.first)
    spares = range(first_spare, first_spare + SPARES * job.count)
    spare = islice(spares, len(played.failures), None)  # each failure has used one
    failures = list(played.failures)
    for number in range(job.first + len(played.episodes), job.first + job.count):
        seed: int | None = job.settings.seed + number
        while seed is not None:
            try:
                outcome, episode = player.play(seed, job.settings.timeout, watch=report)
                break
            except TeacherFailed as error:
                failures.append({"seed": seed, "reason": str(error)})
                report(0)
            seed = next(spare, None)
        else:
            raise ValueError(_explain(job, failures))
        assert episode is not None  # `play` keeps it
        played.add(episode, outcome, failures)
        report(outcome.length)


def _explain(job: ShardJob, failures: list[dict[str, Any]]) -> str:
    """Why a file could not be made."""
    reason = failures[-1]["reason"]
    out_of_time = f". Does it need more than timeout={job.settings.timeout:g} s?"
    return (
        f"{job.task}: the teacher failed on {len(failures)} seeds within {job.count} episodes; the "
        f"last reason was: {reason}{out_of_time if reason.endswith(' s') else ''}"
    )
