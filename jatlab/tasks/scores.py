"""The scores that returns are compared with: random, teacher, expert, human, the published JAT.

Two files hold them. ``published_scores.json`` has what the authors of JAT reported for the
environments of their day; ``measured_scores.json`` has the mean returns of our random policy and
our teachers on today's environments, with episodes and seeds.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jatlab.tasks.registry import get_task
from jatlab.utils.checks import require
from jatlab.utils.files import ASSETS, expanded

FOLDER = ASSETS / "scores"
# what the look-ahead search adds to its entry; "blind" is the share of decisions without a reward
# in sight
SEARCH_FACTS = ("budget", "simulated", "frames_limit", "blind", "decisions_per_second")
REFERENCES = ("teacher", "expert", "human")


@dataclass(frozen=True)
class Score:
    """The mean return of one policy; other fields are None where they were not reported.

    Attributes:
        mean: The mean return.
        std: Its standard deviation over episodes.
        episodes: The number of episodes.
        seeds: The first and the last seed.
        source: "published" or "measured".
        length: The mean number of steps of an episode.
        search: ``SEARCH_FACTS`` of the look-ahead search.
    """

    mean: float
    std: float | None = None
    episodes: int | None = None
    seeds: tuple[int, int] | None = None
    source: str = "published"
    length: float | None = None
    search: dict[str, float] | None = None


@dataclass(frozen=True)
class TaskScores:
    """The scores of a task; None where there is none.

    ``random`` is the measured score if there is one, else the published one. ``search`` is that of
    Atari's look-ahead search, which is the ``teacher`` too where no other teacher was measured.
    """

    random: Score | None = None
    teacher: Score | None = None
    expert: Score | None = None
    human: Score | None = None
    jat: Score | None = None
    search: Score | None = None
    published_random: Score | None = None


_REGISTERED: dict[str, dict[str, Score]] = {}  # of tasks without an entry in the files


def register_scores(
    name: str, entries: Mapping[str, Mapping[str, Any]] | str | os.PathLike
) -> None:
    """Register the measured scores of a task of your own, so that its returns can be normalised.

    The scores are kept in memory.

    Args:
        name: The task.
        entries: As ``jatlab.data.recording.measuring.measure`` returns them for the task:
            ``{"teacher": {"mean": …}, "random": …}``; or the file that it, or `jatlab measure`, has
            written.

    Raises:
        ValueError: For an unknown task, a task with measured scores in the package's file,
            entries without a finite mean, and a file without this task.
        FileNotFoundError: There is no such file.
    """
    get_task(name)
    require(
        not _read_scores("measured_scores.json", name),
        f"{name} has measured scores already, which ship with the package",
    )
    if isinstance(entries, str | os.PathLike):
        entries = _entries_of(name, expanded(entries))
    known = set(entries) <= {"teacher", "random"}
    require(
        known and all(_has_mean(entry) for entry in entries.values()),
        f"scores of {name}: expected 'teacher' and 'random', each with a finite 'mean', got "
        f"{entries}",
    )
    _REGISTERED[name] = {who: _score(entry, "measured") for who, entry in entries.items()}


def _has_mean(entry: Any) -> bool:
    mean = entry.get("mean") if isinstance(entry, Mapping) else None
    return isinstance(mean, Real) and math.isfinite(mean)


def _entries_of(name: str, path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path}: `jatlab measure {name} --output {path}` writes it"
        )
    entries = _read_file(path, path.stat().st_mtime)
    require(name in entries, f"{path} has no scores of {name}, only of {', '.join(entries)}")
    return entries[name]


def task_scores(name: str) -> TaskScores:
    """The scores of a task. Raises ValueError for an unknown one."""
    get_task(name)
    published = _read_scores("published_scores.json", name)
    measured = _read_scores("measured_scores.json", name) or _REGISTERED.get(name, {})
    random = published.get("random")
    return TaskScores(
        random=measured.get("random", random),
        teacher=measured.get("teacher", measured.get("search")),
        expert=published.get("expert"),
        human=published.get("human"),
        jat=published.get("jat"),
        search=measured.get("search"),
        published_random=random,
    )


def _read_scores(file: str, name: str) -> dict[str, Score]:
    path = FOLDER / file
    if not path.exists():
        return {}
    entries = _read_file(path, path.stat().st_mtime).get(name, {})
    source = file.split("_")[0]
    return {
        who: _score(entry, source)
        for who, entry in entries.items()
        if isinstance(entry, dict) and "mean" in entry
    }


@cache
def _read_file(path: Path, modified: float) -> dict[str, dict[str, Any]]:
    """``modified`` is part of the key, so that a file written while we run is read again."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); restore it, or measure again with "
            "`jatlab measure`"
        ) from error


def _score(entry: Mapping[str, Any], source: str) -> Score:
    seeds = entry.get("seeds")
    return Score(
        mean=float(entry["mean"]),
        std=entry.get("std"),
        episodes=entry.get("episodes"),
        seeds=(seeds[0], seeds[1]) if seeds else None,
        source=source,
        length=entry.get("length"),
        search={fact: entry[fact] for fact in SEARCH_FACTS} if "budget" in entry else None,
    )


def normalise(name: str, returns: ArrayLike, by: str = "teacher") -> np.ndarray | None:
    """Returns on a scale where 0 is the random policy and 1 the reference, float64.

    This is (return - random) / (reference - random).

    Args:
        name: The task.
        returns: Returns, of any shape.
        by: The reference. "teacher" uses our measured random policy and teacher, "expert" and
            "human" the published scores.

    Returns:
        The scaled returns, of the same shape, or None where that scale does not exist: a score is
        missing, or the reference is no better than random (the published expert is not on Bowling
        and Venture).

    Raises:
        ValueError: For an unknown task or reference.
    """
    require(by in REFERENCES, f"normalise by {', '.join(REFERENCES)}, not {by!r}")
    scores = task_scores(name)
    random = scores.random if by == "teacher" else scores.published_random
    reference: Score | None = getattr(scores, by)
    if random is None or reference is None or reference.mean <= random.mean:
        return None
    if by == "teacher" and random.source != "measured":
        return None
    return (np.asarray(returns, dtype=np.float64) - random.mean) / (reference.mean - random.mean)
