"""Measuring teachers and the random policy: the returns that scores are normalised by.

``measured_scores.json`` maps a task to ``{"teacher": entry, "random": entry}``, an Atari game to
one of the ``"search"`` too. An entry holds mean and standard deviation of the return over
``episodes`` seeds from 2,000,000 on (``seeds``: first and last), the success rate where the task
has one, how many episodes were dropped because the teacher failed (they are in no mean), the policy
in words, and the versions of the packages. A teacher that searches adds what it cost: see its
``facts``. Its episodes take minutes, so each is kept beside the file
(``measured_scores.TASK.json``) until the task is finished, and a killed run goes on from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jatlab.data.episodes import explain_full_disk
from jatlab.data.recording.playing import EpisodePlayer, Outcome, versions
from jatlab.tasks import expand, get_task, task_names
from jatlab.teachers import WHO, TeacherFailed, describe, has_teacher, require_teacher
from jatlab.utils.files import ASSETS, write_json
from jatlab.utils.workers import run_jobs

MEASURED_FILE = ASSETS / "scores" / "measured_scores.json"
FIRST_SEED = 2_000_000


@dataclass(frozen=True)
class MeasureJob:
    """One policy on one task over ``episodes`` seeds from ``seed`` on."""

    task: str
    who: str
    episodes: int
    seed: int
    timeout: float
    path: str


def measure(
    tasks: str | Iterable[str],
    episodes: int = 100,
    workers: int = 2,
    who: Iterable[str] = ("teacher", "random"),
    seed: int = FIRST_SEED,
    timeout: float = 120.0,
    path: str | Path = MEASURED_FILE,
    again: bool = False,
    progress: bool = True,
) -> dict[str, dict]:
    """Measure teacher and random returns of ``tasks`` (names, patterns, domains) and merge them
    into the file at ``path``; return all it holds.

    ``who``: "teacher", "random", for Atari "search", or several of them; tasks without a teacher
    are measured with the random policy alone. Each entry is stored as soon as it is known, so a
    killed run loses little and the next one skips what is there: the same policy, versions, and at
    least these seeds. ``again`` measures anyway.

    Raises ValueError for unknown tasks or policies, OSError when the file cannot be written.
    """
    unknown = set(who) - set(WHO)
    if unknown or episodes < 1:
        raise ValueError(
            f"measure {', '.join(WHO)} over at least 1 episode, not {sorted(unknown) or ''} {episodes}"
        )
    path, scores, names = Path(path), _read(Path(path)), expand(tasks)
    for name in names if "search" in who else ():
        require_teacher(name, "search")
    jobs = [
        MeasureJob(name, policy, episodes, seed, timeout, str(path))
        for name in names
        for policy in who
        if policy != "teacher" or has_teacher(name)
    ]
    jobs = [job for job in jobs if again or not _is_known(job, scores)]
    with tqdm(
        total=episodes * len(jobs),
        unit=" episodes",
        disable=not progress or not jobs,
        dynamic_ncols=True,
    ) as bar:
        for kind, job, value in run_jobs(measure_one, jobs, workers):
            if kind == "progress" and isinstance(value, str):
                bar.set_postfix_str(f"{job.task}, {value}")
            elif kind == "progress":
                bar.set_description(f"{job.task}, {job.who}", refresh=False)
                bar.update(value)
            else:
                scores = _store(path, job, value)
    if progress:
        print("\n".join(report_line(name, scores[name]) for name in names if name in scores))
    return scores


def report_line(task_name: str, entries: dict) -> str:
    """A task's measured policies in one line."""
    parts = [
        f"{who} {entry['mean']:.4g} ± {entry['std']:.2g} over {entry['episodes']} episodes"
        + (f" ({entry['dropped']} dropped)" if entry["dropped"] else "")
        for who, entry in entries.items()
    ]
    return f"{task_name}: {', '.join(parts)}"


def measure_one(job: MeasureJob, report: Callable[[int | str], None]) -> dict:
    """The entry of one policy on one task (in a worker); ``report(1)`` after each episode, and
    words on the way.
    """
    player = EpisodePlayer(job.task, job.who)
    slow = player.teacher.slowness > 1
    played = _Played(job, player) if slow else {}
    for seed in range(job.seed, job.seed + job.episodes):
        if seed not in played:
            played[seed] = _play_one(player, job, seed, report)
        report(1)
    player.close()
    outcomes = [Outcome(**record["outcome"]) for record in played.values() if record["outcome"]]
    dropped = job.episodes - len(outcomes)
    if not outcomes:
        raise ValueError(
            f"{job.task}: the {job.who} policy failed on all {job.episodes} seeds from {job.seed}; the last reason was: {played[job.seed + job.episodes - 1]['reason']}"
        )
    returns, successes = (
        [o.total for o in outcomes],
        [o.success for o in outcomes if o.success is not None],
    )
    return {
        "mean": round(float(np.mean(returns)), 4), "std": round(float(np.std(returns)), 4), "episodes": len(returns), "dropped": dropped,
        "seeds": [job.seed, job.seed + job.episodes - 1], "success": round(float(np.mean(successes)), 4) if successes else None,
        "length": round(float(np.mean([o.length for o in outcomes])), 2), "policy": describe(job.task, job.who), "versions": versions(player.task),
    } | (_cost(played.values()) if slow else {})  # fmt: skip


def _play_one(
    player: EpisodePlayer, job: MeasureJob, seed: int, report: Callable[[int | str], None]
) -> dict:
    """One episode as JSON: the outcome, or None and the reason if the teacher failed; the seconds
    of processor time that it took and the teacher's facts.
    """
    started = time.process_time()  # not by the clock: a busy machine is no slower teacher
    try:
        outcome = asdict(player.play(seed, job.timeout, keep=False, watch=report)[0])
        reason = None
    except TeacherFailed as error:
        outcome, reason = None, str(error)
    return {
        "outcome": outcome,
        "reason": reason,
        "seconds": round(time.process_time() - started, 3),
        "facts": player.teacher.facts(),
    }


def _cost(played: Iterable[dict]) -> dict:
    """What searching cost: decisions per second of one core, the game itself included, and the
    teacher's facts; its shares are means over decisions.
    """
    good = [record for record in played if record["outcome"]]
    lengths = np.array([record["outcome"]["length"] for record in good])
    shares = {
        name: round(
            float(np.average([record["facts"][name] for record in good], weights=lengths)), 4
        )
        for name in good[0]["facts"]
    }
    return {
        "decisions_per_second": round(
            float(lengths.sum() / sum(record["seconds"] for record in good)), 2
        )
    } | shares


class _Played(dict):
    """Episodes by seed, on disk after each, so that a killed run goes on; those of another policy
    or other versions do not count.
    """

    def __init__(self, job: MeasureJob, player: EpisodePlayer):
        self.path = partial_file(job.path, job.task)
        self.identity = {"policy": describe(job.task, job.who), "versions": versions(player.task)}
        stored = _read(self.path)
        wanted = range(job.seed, job.seed + job.episodes)
        if stored.get("identity") == self.identity:
            super().__init__(
                {
                    int(seed): record
                    for seed, record in stored["episodes"].items()
                    if int(seed) in wanted
                }
            )

    def __setitem__(self, seed: int, record: dict) -> None:
        super().__setitem__(seed, record)
        write_json(self.path, {"identity": self.identity, "episodes": self})


def partial_file(path: str | Path, task: str) -> Path:
    """Where the episodes of a task that is not finished are kept."""
    return Path(path).with_name(f"{Path(path).stem}.{task}.json")


def _is_known(job: MeasureJob, scores: dict) -> bool:
    entry = scores.get(job.task, {}).get(job.who, {})
    first, last = entry.get("seeds", (None, -1))
    facts = (job.seed, versions(get_task(job.task)), describe(job.task, job.who))
    return (
        first,
        entry.get("versions"),
        entry.get("policy"),
    ) == facts and last >= job.seed + job.episodes - 1


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); restore it, or delete it and measure again"
        ) from None


def _store(path: Path, job: MeasureJob, entry: dict) -> dict:
    """Merge one entry into the file, whole or not at all; tasks stay in the published order."""
    scores = _read(path)  # again: another process may have written meanwhile
    scores.setdefault(job.task, {})[job.who] = entry
    order = {name: i for i, name in enumerate(task_names())}
    scores = dict(sorted(scores.items(), key=lambda item: order.get(item[0], len(order))))
    try:
        write_json(path, scores)
    except OSError as error:
        raise explain_full_disk(error, path) from error
    if job.who != "random":
        partial_file(path, job.task).unlink(missing_ok=True)
    return scores
