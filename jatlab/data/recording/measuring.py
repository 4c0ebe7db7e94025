"""Measuring teachers and the random policy: the returns that scores are normalised by.

``measured_scores.json`` maps a task to ``{"teacher": entry, "random": entry}``; an Atari game has
an entry of "search" too. An entry holds:

- the mean and standard deviation of the return, over ``episodes`` seeds from 2,000,000 on;
- ``seeds``: the first and the last;
- the success rate, where the task has one, and the mean length;
- how many episodes were dropped because the teacher failed; they are not in the means;
- the policy in words, and the versions of the packages;
- for a teacher that searches, what it cost, see its ``facts``.

An episode of a searching teacher takes minutes. So each is kept beside the file, in
``measured_scores.TASK.json``, until the task is finished: a run that was killed goes on from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jatlab.data.recording.playing import EpisodePlayer, Outcome, versions
from jatlab.tasks import expand, get_task, task_names
from jatlab.teachers import WHO, TeacherFailed, describe, has_teacher, require_teacher
from jatlab.utils.bars import progress_bar
from jatlab.utils.checks import require, shortened, whole_number
from jatlab.utils.console import say
from jatlab.utils.files import ASSETS, expanded, only_writer, write_json
from jatlab.utils.workers import run_jobs

Entry = dict[str, Any]  # one policy on one task
Scores = dict[str, dict[str, Entry]]  # by task and policy
PlayedEpisode = dict[str, Any]  # outcome (None if the teacher failed), reason, seconds, facts

MEASURED_FILE = ASSETS / "scores" / "measured_scores.json"  # of the package
OUTPUT = "measured_scores.json"  # in the current folder
FIRST_SEED = 2_000_000
WAIT = 60.0  # seconds, for another process that stores an entry


@dataclass(frozen=True)
class MeasureJob:
    """One policy on one task over ``episodes`` seeds from ``seed`` on."""

    task: str
    who: str
    episodes: int
    seed: int
    timeout: float
    path: str

    @property
    def seeds(self) -> range:
        """The seeds of the episodes."""
        return range(self.seed, self.seed + self.episodes)


def measure(
    tasks: str | Iterable[str],
    episodes: int = 100,
    workers: int = 2,
    who: Iterable[str] = ("teacher", "random"),
    seed: int = FIRST_SEED,
    timeout: float = 120.0,
    path: str | Path = OUTPUT,
    again: bool = False,
    progress: bool = True,
) -> Scores:
    """Measure the returns of teachers and of the random policy, and store them.

    Each entry is stored as soon as it is known, so a run that is killed loses little.

    Args:
        tasks: names, patterns or domains, as `jatlab.tasks.expand` takes them. Tasks without a
            teacher are measured with the random policy only.
        episodes: how many, of each task and policy.
        workers: processes; 0 plays in this one.
        who: some of "teacher", "random" and, for Atari, "search".
        seed: of the first episode.
        timeout: seconds of an episode, times the teacher's ``slowness``.
        path: the file that the entries are merged into; `jatlab.tasks.register_scores` reads it.
        again: measure also what is there with the same policy, versions and at least these seeds.
        progress: show a bar, and print a line for each task.

    Returns:
        All that the file holds, by task and policy.

    Raises:
        ValueError: for unknown tasks or policies, or a file that is not JSON.
        OSError: when the file cannot be written.
    """
    who, path = list(who), expanded(path)
    unknown = sorted(set(who) - set(WHO))
    require(not unknown, f"unknown policies {unknown}; measure some of {', '.join(WHO)}")
    episodes, seed = whole_number(episodes, "episodes", 1), whole_number(seed, "seed")
    scores, names = _read(path), expand(tasks)
    for name in names if "search" in who else ():
        require_teacher(name, "search")
    jobs = [
        MeasureJob(name, policy, episodes, seed, timeout, str(path))
        for name in names
        for policy in who
        if policy != "teacher" or has_teacher(name)
    ]
    jobs = [job for job in jobs if again or not _is_known(job, scores)]
    scores = _run(jobs, workers, progress) or scores
    if progress:
        say("\n".join(report_line(name, scores[name]) for name in names if name in scores))
    return scores


def _run(jobs: list[MeasureJob], workers: int, progress: bool) -> Scores:
    """Do the jobs, store each entry, and return all entries of the file; {} without jobs."""
    scores: Scores = {}
    total, show = sum(job.episodes for job in jobs), progress and bool(jobs)
    with progress_bar(show, total=total, unit=" episodes") as bar:
        for kind, job, value in run_jobs(measure_one, jobs, workers):
            if kind == "progress" and isinstance(value, str):
                bar.set_postfix_str(f"{job.task}, {value}")
            elif kind == "progress":
                bar.set_description(f"{job.task}, {job.who}", refresh=False)
                bar.update(value)
            else:
                scores = _store(Path(job.path), job, value)
    return scores


def report_line(task_name: str, entries: dict[str, Entry]) -> str:
    """A task's measured policies in one line."""
    parts = [
        f"{who} {entry['mean']:.4g} ± {entry['std']:.2g} over {entry['episodes']} episodes"
        + (f" ({entry['dropped']} dropped)" if entry["dropped"] else "")
        for who, entry in entries.items()
    ]
    return f"{task_name}: {', '.join(parts)}"


# --- in a worker ---


def measure_one(job: MeasureJob, report: Callable[[int | str], None]) -> Entry:
    """The entry of one policy on one task.

    ``report`` gets 1 after each episode and, in between, words about a slow one. Raises ValueError
    if the policy fails on all seeds.
    """
    player = EpisodePlayer(job.task, job.who)
    is_slow = player.teacher.slowness > 1
    played: dict[int, PlayedEpisode] = _KeptEpisodes(job, player) if is_slow else {}
    for seed in job.seeds:
        if seed not in played:
            played[seed] = _play_one(player, job, seed, report)
        report(1)
    player.close()
    outcomes = [Outcome(**record["outcome"]) for record in played.values() if record["outcome"]]
    if not outcomes:
        raise ValueError(
            f"{job.task}: the {job.who} policy failed on all {job.episodes} seeds "
            f"from {job.seed}; the last reason was: {played[job.seeds[-1]]['reason']}"
        )
    entry = _statistics(outcomes, job) | {
        "policy": describe(job.task, job.who),
        "versions": versions(player.task),
    }
    return entry | (_cost(played.values()) if is_slow else {})


def _statistics(outcomes: list[Outcome], job: MeasureJob) -> Entry:
    returns = [outcome.total for outcome in outcomes]
    successes = [outcome.success for outcome in outcomes if outcome.success is not None]
    return {
        "mean": round(float(np.mean(returns)), 4),
        "std": round(float(np.std(returns)), 4),
        "episodes": len(returns),
        "dropped": job.episodes - len(outcomes),
        "seeds": [job.seeds[0], job.seeds[-1]],
        "success": round(float(np.mean(successes)), 4) if successes else None,
        "length": round(float(np.mean([outcome.length for outcome in outcomes])), 2),
    }


def _play_one(
    player: EpisodePlayer, job: MeasureJob, seed: int, report: Callable[[int | str], None]
) -> PlayedEpisode:
    """One episode as JSON, with the seconds of processor time that it took.

    Its "outcome" is None if the teacher failed; "reason" then says why.
    """
    started = time.process_time()  # not the clock: on a busy machine a teacher would look slower
    outcome, reason = None, None
    try:
        outcome = asdict(player.play(seed, job.timeout, keep=False, watch=report)[0])
    except TeacherFailed as error:
        reason = str(error)
    return {
        "outcome": outcome,
        "reason": reason,
        "seconds": round(time.process_time() - started, 3),
        "facts": player.teacher.facts(),
    }


def _cost(played: Iterable[PlayedEpisode]) -> Entry:
    """What searching cost: decisions per second of one core, and means of the teacher's facts.

    The game's own time is included in the seconds; the means are over decisions.
    """
    good = [record for record in played if record["outcome"]]
    lengths = np.array([record["outcome"]["length"] for record in good])
    seconds = sum(record["seconds"] for record in good)
    entry: Entry = {"decisions_per_second": round(float(lengths.sum() / seconds), 2)}
    for name in good[0]["facts"]:
        values = [record["facts"][name] for record in good]
        entry[name] = round(float(np.average(values, weights=lengths)), 4)
    return entry


class _KeptEpisodes(dict[int, PlayedEpisode]):
    """Episodes by seed, written to disk after each, so that a killed run goes on from there.

    Those of another policy or of other versions are not read again.
    """

    def __init__(self, job: MeasureJob, player: EpisodePlayer):
        self.path = partial_file(job.path, job.task)
        self.identity = {"policy": describe(job.task, job.who), "versions": versions(player.task)}
        stored = _read(self.path)
        if stored.get("identity") == self.identity:
            episodes = {int(seed): record for seed, record in stored["episodes"].items()}
            super().__init__({seed: episodes[seed] for seed in episodes if seed in job.seeds})

    def __setitem__(self, seed: int, record: PlayedEpisode) -> None:
        super().__setitem__(seed, record)
        write_json(self.path, {"identity": self.identity, "episodes": self})


# --- files ---


def partial_file(path: str | Path, task: str) -> Path:
    """Where the episodes of a task that is not finished are kept."""
    return Path(path).with_name(f"{Path(path).stem}.{task}.json")


def _is_known(job: MeasureJob, scores: Scores) -> bool:
    entry = scores.get(job.task, {}).get(job.who, {})
    first, last = entry.get("seeds", (None, -1))
    known = (first, entry.get("versions"), entry.get("policy"))
    wanted = (job.seed, versions(get_task(job.task)), describe(job.task, job.who))
    return known == wanted and last >= job.seeds[-1]


def _read(path: Path) -> dict[str, Any]:
    advice = "restore it, or delete it and measure again"
    try:
        scores = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); {advice}") from None
    found = f"{path} holds {shortened(scores)}: expected scores by task"
    require(isinstance(scores, dict), f"{found}; {advice}")
    return scores


def _store(path: Path, job: MeasureJob, entry: Entry) -> Scores:
    """Merge one entry into the file, atomically; tasks stay in the published order."""
    order = {name: i for i, name in enumerate(task_names())}
    with only_writer(path, wait=WAIT):
        scores = _read(path)  # again: another process may have written to it
        scores.setdefault(job.task, {})[job.who] = entry
        scores = dict(sorted(scores.items(), key=lambda item: order.get(item[0], len(order))))
        write_json(path, scores)
    if job.who != "random":
        partial_file(path, job.task).unlink(missing_ok=True)
    return scores
