"""The tables that ``jatlab teachers`` prints: who teaches what, and how well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict

from jatlab.tasks.listing import format_columns, format_number, mean_of
from jatlab.tasks.scores import Score, TaskScores, normalise, task_scores
from jatlab.teachers.registry import describe, has_teacher
from jatlab.utils.checks import require

HEADER = ("task", "random", "teacher", "±", "episodes", "expert", "share", "taught by")
LEGEND = """\
Mean returns. random, teacher (± its standard deviation over episodes): measured on today's \
environments.
expert: published by the authors of JAT, on their versions of the environments.
share: (teacher - random) / (expert - random), with the published random. \
-: not measured, or no such scale."""
LONGEST = 70  # characters of a teacher's description

# a column's head, and the key of a row of `search_table`
SEARCH_COLUMNS = {
    "teacher": "teacher",
    "±": "std",
    "random": "random",
    "human": "human",
    "JAT": "jat",
    "expert": "expert",
    "of human": "human_share",
    "of expert": "expert_share",
    "simulated": "simulated",
    "decisions/s": "decisions_per_second",
    "no reward": "blind",
}


class TeacherRow(TypedDict):
    """A task with its teacher; returns are means, and None where there is none."""

    task: str
    random: float | None
    teacher: float | None
    published_random: float | None
    expert: float | None
    std: float | None
    episodes: int | None
    seeds: tuple[int, int] | None
    share: float | None  # of the published expert
    taught_by: str


def teacher_table(names: Iterable[str]) -> list[TeacherRow]:
    """One row a task that has a teacher. Raises ValueError for an unknown name."""
    return [_row(name) for name in names if has_teacher(name)]


def _row(name: str) -> TeacherRow:
    scores = task_scores(name)
    teacher = scores.teacher
    return {
        "task": name,
        "random": mean_of(scores.random),
        "teacher": mean_of(teacher),
        "published_random": mean_of(scores.published_random),
        "expert": mean_of(scores.expert),
        "std": teacher.std if teacher else None,
        "episodes": teacher.episodes if teacher else None,
        "seeds": teacher.seeds if teacher else None,
        "share": _share(name, teacher, "expert"),
        "taught_by": describe(name),
    }


def _share(name: str, teacher: Score | None, by: str) -> float | None:
    """(teacher - random) / (reference - random); None without a teacher or such a scale."""
    share = None if teacher is None else normalise(name, teacher.mean, by=by)
    return None if share is None else float(share)


def format_teachers(names: Iterable[str]) -> str:
    """The table as text. Raises ValueError if none of the tasks has a teacher."""
    rows = teacher_table(names)
    require(rows, "none of these tasks has a teacher; `jatlab teachers` lists all that have one")
    table = format_columns([HEADER, *map(_cells, rows)], left=(0, len(HEADER) - 1))
    return f"{table}\n\n{len(rows)} teacher{'s' * (len(rows) != 1)}. {LEGEND}"


def _cells(row: TeacherRow) -> tuple[str, ...]:
    about = row["taught_by"]
    return (
        row["task"],
        format_number(row["random"]),
        format_number(row["teacher"]),
        format_number(row["std"]),
        "-" if row["episodes"] is None else str(row["episodes"]),
        format_number(row["expert"]),
        "-" if row["share"] is None else f"{row['share']:.2f}",
        about if len(about) <= LONGEST else f"{about[: LONGEST - 2]} …",
    )


def search_table(names: Iterable[str]) -> list[dict[str, Any]]:
    """One row a game that the look-ahead search was measured on.

    A row has ``task``, ``teacher``, ``std`` and ``episodes``; the published ``random``, ``human``,
    ``jat`` and ``expert``; ``human_share`` and ``expert_share``, (teacher - random) /
    (that - random); ``budget``, ``simulated``, ``frames_limit``, ``decisions_per_second`` and
    ``blind``, the share of decisions without a reward in sight.
    """
    scores = {name: task_scores(name) for name in names}
    return [
        _search_row(name, score, score.search)
        for name, score in scores.items()
        if score.search is not None and score.search.search is not None
    ]


def _search_row(name: str, scores: TaskScores, search: Score) -> dict[str, Any]:
    row = {
        "task": name,
        "teacher": search.mean,
        "std": search.std,
        "episodes": search.episodes,
        "random": mean_of(scores.published_random),
        "human": mean_of(scores.human),
        "jat": mean_of(scores.jat),
        "expert": mean_of(scores.expert),
        "human_share": _share(name, search, "human"),
        "expert_share": _share(name, search, "expert"),
    }
    return row | (search.search or {})


def format_searches(names: Iterable[str]) -> str:
    """Atari's search beside human, published JAT and expert, as text.

    Empty if it was measured on none of the tasks.
    """
    rows = search_table(names)
    if not rows:
        return ""
    table = format_columns(
        [("task", *SEARCH_COLUMNS, "episodes"), *map(_search_cells, rows)], left=(0,)
    )
    return f"{table}\n\n{_search_legend(rows)}"


def _search_cells(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = (format_number(row[key]) for key in SEARCH_COLUMNS.values())
    return (row["task"], *numbers, str(row["episodes"]))


def _search_legend(rows: list[dict[str, Any]]) -> str:
    budgets = " or ".join(f"{budget:g}" for budget in sorted({row["budget"] for row in rows}))
    limits = " or ".join(f"{limit:,.0f}" for limit in sorted({row["frames_limit"] for row in rows}))
    human, jat, expert = (
        sum(row[who] is not None and row["teacher"] > row[who] for row in rows)
        for who in ("human", "jat", "expert")
    )
    return (
        f"Look-ahead search, at most {budgets} simulated steps of four frames a decision, "
        f"at most {limits} frames an episode (the published scores had up to 108,000).\n"
        f"Above the human on {human} of {len(rows)} games, above the published JAT on {jat}, "
        f"above the published expert on {expert}. simulated: steps a decision, on average; "
        "no reward: share of decisions without a reward in sight."
    )
