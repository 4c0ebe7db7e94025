"""Recording demonstrations: teachers play, and their episodes go to disk in shards.

    <root>/<task>/train/00000.parquet, 00001.parquet …   up to 50 episodes each (see ``jatlab.data.episodes`` for the columns)
    <root>/<task>/recording.json                         teacher, seeds, returns, failures, versions

Episode i of a task uses environment seed ``seed + i``. If the teacher fails there (the BabyAI bot
can go round in circles), the episode is dropped and counted, and the next of the shard's own spare
seeds takes its place: from 100,000 on there are nine for every episode. So a shard depends on
nothing but its number: any number of workers makes the same files, shards that are there are
skipped after a kill, and asking for more episodes later adds to what is there. A shard's facts
travel inside its file; ``recording.json`` is only their summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jatlab.data.episodes import (
    column_names,
    episode_files,
    explain_full_disk,
    read_notes,
    write_episodes,
)
from jatlab.data.recording.measuring import measure
from jatlab.data.recording.playing import EpisodePlayer, Outcome, as_record, versions
from jatlab.tasks import expand, get_task
from jatlab.teachers import TeacherFailed, describe, require_teacher
from jatlab.utils.files import remove_leftovers, write_json
from jatlab.utils.workers import run_jobs

__all__ = ["measure", "record"]

SHARD = {
    "image": 1
    # episodes a file, by observation; 4,500 stacks of frames are 127 MB, and took a searching teacher
    # minutes
}
SHARD_DEFAULT = 50
# seeds below are for episodes, from here to 999,999 for those that replace dropped ones
SPARE_SEEDS = 100_000
SPARES = 9  # for every episode


@dataclass(frozen=True)
class RecordSettings:
    """What decides the content of a recording, besides task and shard."""

    seed: int
    teacher: str
    noise: float
    timeout: float


@dataclass(frozen=True)
class ShardJob:
    """One file to make: ``count`` episodes, from episode number ``first`` on."""

    task: str
    first: int
    count: int
    path: str
    settings: RecordSettings


def record(
    tasks: str | Iterable[str],
    root: str | Path,
    episodes: int | Mapping[str, int],
    workers: int = 2,
    seed: int = 0,
    timeout: float = 60.0,
    teacher: str = "teacher",
    noise: float = 0.0,
    progress: bool = True,
) -> dict[str, dict]:
    """Record ``episodes`` episodes of every task, or of each its own number, into ``root`` and
    return each task's summary (what its ``recording.json`` says).

    ``tasks``: names, patterns or domains, as ``jatlab.tasks.expand`` takes them. ``teacher`` is
    "teacher", "random" or, for Atari, "search". An episode that takes longer than ``timeout``
    seconds is dropped; Atari's teacher, which searches, may take a hundred times as long.
    ``workers`` are processes; 0 records in this one, as tasks and teachers that a notebook defines
    need it. Tasks of text and pictures have ``episodes`` pictures, see
    ``jatlab.data.recording.language``. ``noise`` > 0 disturbs what is *executed* (continuous: by a
    Gaussian of that standard deviation; discrete: with that probability another action at random;
    each episode draws its own level from 0 to ``noise``), so that the data also shows the way back;
    the recorded actions are then the teacher's answers, not the executed ones.

    What is already there is kept: the same call after a kill makes the missing files only, a call
    for more episodes adds to them. Scripts need ``if __name__ == "__main__":``, because the workers
    are spawned processes.

    Raises ValueError for an unknown task, one without a teacher, bad numbers, a teacher that fails
    on most seeds, and a folder recorded with other settings; OSError when the disk is full.
    """
    root, named, settings = (
        Path(root),
        expand(tasks),
        RecordSettings(seed, teacher, float(noise), float(timeout)),
    )
    counts = dict(episodes) if isinstance(episodes, Mapping) else dict.fromkeys(named, episodes)
    names = [name for name in named if get_task(name).playable]
    language = [name for name in named if name not in names]
    _check(names, [counts[name] for name in named], settings)
    if language:
        from jatlab.data.recording.language import record_language

        summaries = {
            name: record_language([name], root, counts[name], workers, seed, progress)[name]
            for name in language
        }
        return summaries | (
            record(names, root, counts, workers, seed, timeout, teacher, noise, progress)
            if names
            else {}
        )
    jobs = [job for name in names for job in _missing_shards(name, root, counts[name], settings)]
    try:
        _run(jobs, workers, progress)
    except BaseException as problem:
        with suppress(
            OSError
        ):  # the summary may not fit on a full disk; the problem itself is the news
            _finish(names, root, settings)
        if isinstance(problem, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"stopped; what is finished is kept in {root}, and the same command goes on from there"
            ) from None
        raise
    summaries = _finish(names, root, settings)
    if progress:
        print("\n".join(report_line(summary) for summary in summaries.values()))
    return summaries


def report_line(summary: dict) -> str:
    """A recording in one line: how much, how good, what was dropped and why."""
    reasons = Counter(failure["reason"] for failure in summary["failures"])
    dropped = "".join(f", {count} dropped ({reason})" for reason, count in reasons.items())
    success = "" if summary["success_rate"] is None else f", success {summary['success_rate']:.0%}"
    return (
        f"{summary['task']}: {summary['episodes']} episodes, {summary['timesteps']:,} timesteps, "
        f"return {summary['mean_return']:.4g} ± {summary['std_return']:.2g}{success}{dropped}"
    )


def _check(names: list[str], episodes: list[int], settings: RecordSettings) -> None:
    fewest, most = min(episodes), max(episodes)
    if fewest < 1:
        raise ValueError(f"episodes must be at least 1, got {fewest}")
    if settings.seed < 0 or settings.seed + most > SPARE_SEEDS:
        raise ValueError(
            f"recording uses seeds 0 to {SPARE_SEEDS - 1:,}: seed {settings.seed} with {most} episodes leaves that range"
        )
    if not 0 <= settings.noise <= 1:
        raise ValueError(f"noise is a number from 0 to 1, got {settings.noise}")
    if settings.timeout <= 0:
        raise ValueError(f"timeout is a number of seconds above 0, got {settings.timeout}")
    for name in names:  # better now than after an hour of recording the others
        require_teacher(name, settings.teacher)


# --- what is there, what is missing
# ----------------------------------------------------------------------------------------------------------


def _missing_shards(
    name: str, root: Path, episodes: int, settings: RecordSettings
) -> list[ShardJob]:
    size, folder = SHARD.get(get_task(name).observation, SHARD_DEFAULT), root / name / "train"
    remove_leftovers(folder)
    jobs = []
    for index, first in enumerate(range(0, episodes, size)):
        job = ShardJob(
            name, first, min(size, episodes - first), str(folder / f"{index:05d}.parquet"), settings
        )
        if _recorded(job) < job.count:
            jobs.append(job)
    return jobs


def _recorded(job: ShardJob) -> int:
    """How many episodes the shard's file holds: 0 if there is none. ValueError if they were
    recorded with other settings.
    """
    if not Path(job.path).exists():
        return 0
    notes, wanted = read_notes(job.path), _identity(job)
    for key, value in wanted.items():
        if notes.get(key) != value:
            raise ValueError(
                f"{job.path} was recorded with {key} = {notes.get(key)!r}, now it is {value!r}; record into another folder, or delete that one"
            )
    return len(notes["episodes"])


def _identity(job: ShardJob) -> dict:
    policy = describe(job.task, job.settings.teacher)
    return {
        "task": job.task,
        "teacher": job.settings.teacher,
        "policy": policy,
        "seed": job.settings.seed,
        "noise": job.settings.noise,
    }


# --- making shards
# ---------------------------------------------------------------------------------------------------------------------------


def _run(jobs: list[ShardJob], workers: int, progress: bool) -> None:
    try:
        _play_jobs(jobs, workers, progress)
    finally:
        # of this process, where it played itself: by the next recording a notebook may have defined
        # its task anew
        _dismiss_player()


def _play_jobs(jobs: list[ShardJob], workers: int, progress: bool) -> None:
    steps = dropped = 0
    with tqdm(
        total=sum(job.count for job in jobs),
        unit=" episodes",
        disable=not progress or not jobs,
        dynamic_ncols=True,
        smoothing=0.05,
    ) as bar:
        for kind, job, value in run_jobs(record_shard, jobs, workers):
            if kind != "progress":
                continue
            if isinstance(value, str):
                bar.set_postfix_str(f"{job.task}, {value}")
                continue
            steps, dropped = steps + value, dropped + (value == 0)
            bar.set_description(job.task, refresh=False)
            rate = steps / max(bar.format_dict["elapsed"], 1e-9)
            bar.set_postfix_str(
                f"{rate:,.0f} steps/s" + (f", {dropped} dropped" if dropped else ""), refresh=False
            )
            bar.update(value > 0)


# a worker keeps its last environment: making one costs more than an episode
_player: EpisodePlayer | None = None


def record_shard(job: ShardJob, report: Callable[[int | str], None]) -> None:
    """Play and write one shard (in a worker); ``report`` gets the timesteps of each episode, 0 for
    a dropped one, and words on the way.
    """
    global _player
    if _player is None or (_player.task.name, _player.who, _player.noise) != (
        job.task,
        job.settings.teacher,
        job.settings.noise,
    ):
        _dismiss_player()
        _player = EpisodePlayer(job.task, job.settings.teacher, job.settings.noise)
    episodes, outcomes, failures = play_shard(_player, job, report)
    notes = _identity(job) | {
        "episodes": [as_record(o) for o in outcomes],
        "failures": failures,
        "versions": versions(_player.task),
    }
    write_episodes(job.path, episodes, _player.task, notes)


def _dismiss_player() -> None:
    global _player
    if _player is not None:
        _player.close()
    _player = None


def play_shard(
    player: EpisodePlayer, job: ShardJob, report: Callable[[int | str], None]
) -> tuple[list[dict], list[Outcome], list[dict]]:
    """The episodes of a shard, their outcomes, and the failures as ``{"seed", "reason"}``."""
    first_spare = SPARE_SEEDS + SPARES * (job.settings.seed + job.first)
    spare = iter(range(first_spare, first_spare + SPARES * job.count))
    episodes, outcomes, failures = [], [], []
    for number in range(job.first, job.first + job.count):
        seed = job.settings.seed + number
        while True:
            try:
                outcome, episode = player.play(seed, job.settings.timeout, watch=report)
                break
            except TeacherFailed as error:
                failures.append({"seed": seed, "reason": str(error)})
                report(0)
            seed = next(spare, None)
            if seed is None:
                raise ValueError(
                    f"{job.task}: the teacher failed on {len(failures)} seeds within {job.count} episodes; the last reason was: "
                    f"{failures[-1]['reason']}. Does it need more than timeout={job.settings.timeout:g} s?"
                )
        report(outcome.length)
        episodes.append(episode)
        outcomes.append(outcome)
    return episodes, outcomes, failures


# --- the summary
# -----------------------------------------------------------------------------------------------------------------------------


def _finish(names: list[str], root: Path, settings: RecordSettings) -> dict[str, dict]:
    """Clean up behind the workers and write every task's summary."""
    for name in names:
        remove_leftovers(root / name / "train")
    return {name: summary for name in names if (summary := _summarise(name, root, settings))}


def _summarise(name: str, root: Path, settings: RecordSettings) -> dict | None:
    """Write ``recording.json`` from what the shards say about themselves; None if there are no
    shards.
    """
    folder = root / name
    try:
        notes = [
            note
            for file in episode_files(folder / "train")
            if "episodes" in (note := read_notes(file))
        ]  # corrections have notes of their own
    except FileNotFoundError:
        return None
    if not notes:
        return None
    outcomes = [episode for note in notes for episode in note["episodes"]]
    returns = np.array([outcome["return"] for outcome in outcomes])
    successes = [outcome["success"] for outcome in outcomes if outcome["success"] is not None]
    summary = {
        "task": name, "teacher": settings.teacher, "policy": notes[-1]["policy"], "seed": settings.seed, "noise": settings.noise,
        "actions": "the teacher's answers; what was executed had noise added" if settings.noise else "as executed",
        "columns": list(column_names(get_task(name))), "episodes": len(outcomes), "timesteps": sum(outcome["length"] for outcome in outcomes),
        "mean_return": float(returns.mean()), "std_return": float(returns.std()), "success_rate": float(np.mean(successes)) if successes else None,
        "failures": [failure for note in notes for failure in note["failures"]], "versions": notes[-1]["versions"],
        "seeds": [outcome["seed"] for outcome in outcomes], "returns": returns.tolist(),
    }  # fmt: skip
    try:
        write_json(folder / "recording.json", summary)
    except OSError as error:
        raise explain_full_disk(error, folder / "recording.json") from error
    return summary
