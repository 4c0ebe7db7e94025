"""What a task's returns are measured against: random, teacher, published expert, human and the
published JAT.

Two files of means hold them. ``published_scores.json`` keeps what the authors of JAT reported on
the environments of their day; ``measured_scores.json`` keeps our own random policy and teacher on
today's, with episodes and seeds.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from jatlab.tasks.registry import get_task
from jatlab.utils.files import ASSETS

FOLDER = ASSETS / "scores"
SEARCH_FACTS = ("budget", "simulated", "frames_limit", "blind", "decisions_per_second")
REFERENCES = ("teacher", "expert", "human")


@dataclass(frozen=True)
class Score:
    """The mean return of one policy. ``std``, ``episodes``, ``seeds`` (first, last) and ``length``
    (mean steps of an episode) are None where they were not reported; ``source`` is "published" or
    "measured". ``search``: what a teacher that searches adds (budget, speed …), see
    ``jatlab.data.recording.measuring``.
    """

    mean: float
    std: float | None = None
    episodes: int | None = None
    seeds: tuple[int, int] | None = None
    source: str = "published"
    length: float | None = None
    search: dict | None = None


@dataclass(frozen=True)
class TaskScores:
    """The scores of a task; None where there is none. ``random`` is the measured one if it exists,
    else the published. ``search``: of Atari's look-ahead, which is the ``teacher`` too where no
    other was measured.
    """

    random: Score | None = None
    teacher: Score | None = None
    expert: Score | None = None
    human: Score | None = None
    jat: Score | None = None
    search: Score | None = None
    published_random: Score | None = None


@cache
def _read(path: Path, modified: float) -> dict:
    """``modified`` is part of the key, so that a file written while we run is read again."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); restore it, or measure again with `jatlab measure`"
        ) from error


_REGISTERED: dict[str, dict[str, Score]] = {}  # of tasks that have no entry in the files


def register_scores(name: str, entries: dict[str, dict]) -> None:
    """Let a task of your own be normalised: ``entries`` as
    ``jatlab.data.recording.measuring.measure`` returns them for it, ``{"teacher": {"mean": …},
    "random": …}``.

    They are kept in memory. Raises ValueError for an unknown task, for one that has measured scores
    already, and for entries without a mean.
    """
    get_task(name)
    if _read_scores("measured_scores.json", name):
        raise ValueError(
            f"{name} has measured scores already; measure them anew with `jatlab measure {name}`"
        )
    if not set(entries) <= {"teacher", "random"} or not all(
        "mean" in entry for entry in entries.values()
    ):
        raise ValueError(
            f"scores of {name}: expected 'teacher' and 'random', each with a 'mean', got {entries}"
        )
    _REGISTERED[name] = {who: _score(entry, "measured") for who, entry in entries.items()}


def _scores(file: str, name: str) -> dict[str, Score]:
    found = _read_scores(file, name)
    return found or (_REGISTERED.get(name, {}) if file.startswith("measured") else {})


def _read_scores(file: str, name: str) -> dict[str, Score]:
    path = FOLDER / file
    if not path.exists():
        return {}
    entries = _read(path, path.stat().st_mtime).get(name, {})
    source = file.split("_")[0]
    return {
        who: _score(entry, source)
        for who, entry in entries.items()
        if isinstance(entry, dict) and "mean" in entry
    }


def _score(entry: dict, source: str) -> Score:
    seeds = entry.get("seeds")
    search = {name: entry[name] for name in SEARCH_FACTS} if "budget" in entry else None
    return Score(
        float(entry["mean"]),
        entry.get("std"),
        entry.get("episodes"),
        tuple(seeds) if seeds else None,
        source,
        entry.get("length"),
        search,
    )


def task_scores(name: str) -> TaskScores:
    """The scores of a task. Raises ValueError for an unknown one."""
    get_task(name)
    published, measured = (
        _scores("published_scores.json", name),
        _scores("measured_scores.json", name),
    )
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


def normalise(name: str, returns, by: str = "teacher") -> np.ndarray | None:
    """Returns on a scale where 0 is the random policy and 1 the reference: (x - random) /
    (reference - random), float64.

    ``by="teacher"`` uses our measured random policy and teacher, ``"expert"`` and ``"human"`` the
    published scores. None where that scale does not exist: a score is missing, or the reference is
    no better than random (Bowling and Venture by their published expert). Raises ValueError for an
    unknown task or reference.
    """
    if by not in REFERENCES:
        raise ValueError(f"normalise by {', '.join(REFERENCES)}, not {by!r}")
    scores = task_scores(name)
    random = scores.random if by == "teacher" else scores.published_random
    reference = getattr(scores, by)
    if random is None or reference is None or reference.mean <= random.mean:
        return None
    if by == "teacher" and random.source != "measured":
        return None
    return (np.asarray(returns, dtype=np.float64) - random.mean) / (reference.mean - random.mean)
