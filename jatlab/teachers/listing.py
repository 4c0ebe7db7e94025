"""The table of teachers that ``jatlab teachers`` prints: who teaches what, and how well."""

from __future__ import annotations

from collections.abc import Iterable

from jatlab.tasks.registry import get_task
from jatlab.tasks.scores import normalise, task_scores
from jatlab.teachers import describe, has_teacher

HEADER = ("task", "random", "teacher", "±", "episodes", "expert", "share", "taught by")
LEGEND = (
    "Mean returns. random, teacher (± its standard deviation over episodes): measured on today's environments.\n"
    "expert: published by the authors of JAT, on their versions of the environments.\n"
    "share: (teacher - random) / (expert - random), with the published random. -: not measured, or no such scale."
)


def teacher_table(names: Iterable[str]) -> list[dict]:
    """One row a task that has a teacher: ``task``, the returns ``random``, ``teacher`` (``std``, ``episodes``, ``seeds``), ``published_random`` and ``expert``,
    the ``share`` of the published expert, ``taught_by`` in words. None where there is none. Raises ValueError for an unknown name."""
    return [_row(name) for name in names if has_teacher(name)]


def _row(name: str) -> dict:
    get_task(name)
    scores = task_scores(name)
    teacher = scores.teacher
    share = normalise(name, teacher.mean, by="expert") if teacher else None
    means = {who: None if score is None else score.mean for who, score in
             (("random", scores.random), ("teacher", teacher), ("published_random", scores.published_random), ("expert", scores.expert))}
    facts = {fact: getattr(teacher, fact, None) for fact in ("std", "episodes", "seeds")}
    return {"task": name, **means, **facts, "share": None if share is None else float(share), "taught_by": describe(name)}


def format_teachers(names: Iterable[str]) -> str:
    """The table as text. Raises ValueError if none of the tasks has a teacher."""
    rows = teacher_table(names)
    if not rows:
        raise ValueError("none of these tasks has a teacher; `jatlab teachers` lists all that have one")
    cells = [HEADER, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(_align(cell, width, i) for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip() for line in cells]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, "", f"{len(rows)} teacher{'s' * (len(rows) != 1)}. {LEGEND}"])


def _align(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column in (0, len(HEADER) - 1) else cell.rjust(width)


def _cells(row: dict) -> tuple[str, ...]:
    share = "-" if row["share"] is None else f"{row['share']:.2f}"
    episodes = "-" if row["episodes"] is None else str(row["episodes"])
    return (row["task"], _number(row["random"]), _number(row["teacher"]), _number(row["std"]), episodes, _number(row["expert"]), share, _shortened(row["taught_by"]))


def _shortened(text: str, longest: int = 70) -> str:
    return text if len(text) <= longest else text[:longest - 2] + " …"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
