"""The table of teachers that ``jatlab teachers`` prints: who teaches what, and how well."""

from __future__ import annotations

from collections.abc import Iterable

from jatlab.tasks.registry import get_task
from jatlab.tasks.scores import TaskScores, normalise, task_scores
from jatlab.teachers import describe, has_teacher

HEADER = ("task", "random", "teacher", "±", "episodes", "expert", "share", "taught by")
SEARCH_HEADER = (
    "task",
    "teacher",
    "±",
    "random",
    "human",
    "JAT",
    "expert",
    "of human",
    "of expert",
    "simulated",
    "decisions/s",
    "blind",
    "episodes",
)
LEGEND = (
    "Mean returns. random, teacher (± its standard deviation over episodes): measured on today's environments.\n"
    "expert: published by the authors of JAT, on their versions of the environments.\n"
    "share: (teacher - random) / (expert - random), with the published random. -: not measured, or no such scale."
)


def teacher_table(names: Iterable[str]) -> list[dict]:
    """One row a task that has a teacher: ``task``, the returns ``random``, ``teacher`` (``std``,
    ``episodes``, ``seeds``), ``published_random`` and ``expert``, the ``share`` of the published
    expert, ``taught_by`` in words. None where there is none. Raises ValueError for an unknown name.
    """
    return [_row(name) for name in names if has_teacher(name)]


def _row(name: str) -> dict:
    get_task(name)
    scores = task_scores(name)
    teacher = scores.teacher
    share = normalise(name, teacher.mean, by="expert") if teacher else None
    means = {
        who: None if score is None else score.mean
        for who, score in (
            ("random", scores.random),
            ("teacher", teacher),
            ("published_random", scores.published_random),
            ("expert", scores.expert),
        )
    }
    facts = {fact: getattr(teacher, fact, None) for fact in ("std", "episodes", "seeds")}
    return {
        "task": name,
        **means,
        **facts,
        "share": None if share is None else float(share),
        "taught_by": describe(name),
    }


def format_teachers(names: Iterable[str]) -> str:
    """The table as text. Raises ValueError if none of the tasks has a teacher."""
    rows = teacher_table(names)
    if not rows:
        raise ValueError(
            "none of these tasks has a teacher; `jatlab teachers` lists all that have one"
        )
    cells = [HEADER, *(_cells(row) for row in rows)]
    return f"{_format(cells, left=(0, len(HEADER) - 1))}\n\n{len(rows)} teacher{'s' * (len(rows) != 1)}. {LEGEND}"


def search_table(names: Iterable[str]) -> list[dict]:
    """One row a game that the search was measured on: ``task``, ``teacher``, ``std``, ``episodes``;
    the published ``random``, ``human``, ``jat`` and ``expert``; ``human_share`` and
    ``expert_share``, (teacher - random) / (that - random); ``budget``, ``simulated``,
    ``decisions_per_second`` and ``blind``, the share of decisions without a reward in sight.
    """
    scores = {name: task_scores(name) for name in names}
    return [_search_row(name, score) for name, score in scores.items() if score.search]


def _search_row(name: str, scores: TaskScores) -> dict:
    references = {
        who: score.mean if score else None
        for who, score in (
            ("random", scores.published_random),
            ("human", scores.human),
            ("jat", scores.jat),
            ("expert", scores.expert),
        )
    }
    teacher = scores.search
    shares = {
        f"{by}_share": None
        if (share := normalise(name, teacher.mean, by=by)) is None
        else float(share)
        for by in ("human", "expert")
    }
    return (
        {"task": name, "teacher": teacher.mean, "std": teacher.std, "episodes": teacher.episodes}
        | references
        | shares
        | teacher.search
    )


def format_searches(names: Iterable[str]) -> str:
    """Atari's search beside human, published JAT and expert, as text; empty if it was measured on
    none of the tasks.
    """
    rows = search_table(names)
    if not rows:
        return ""
    columns = (
        "teacher",
        "std",
        "random",
        "human",
        "jat",
        "expert",
        "human_share",
        "expert_share",
        "simulated",
        "decisions_per_second",
        "blind",
    )
    cells = [
        SEARCH_HEADER,
        *(
            (row["task"], *(_number(row[column]) for column in columns), str(row["episodes"]))
            for row in rows
        ),
    ]
    above = {
        who: sum(row[who] is not None and row["teacher"] > row[who] for row in rows)
        for who in ("human", "jat", "expert")
    }
    budgets, limits = (sorted({row[fact] for row in rows}) for fact in ("budget", "frames_limit"))
    says = (
        f"Look-ahead search, at most {' or '.join(f'{x:g}' for x in budgets)} simulated steps of four frames a decision, at most {' or '.join(f'{x:,.0f}' for x in limits)} frames an episode "
        "(the published scores had up to 108,000).\n"
        f"Above the human on {above['human']} of {len(rows)} games, above the published JAT on {above['jat']}, above the published expert on {above['expert']}. "
        "simulated: steps a decision, on average; blind: decisions without a reward in sight."
    )
    return _format(cells, left=(0,)) + f"\n\n{says}"


def _format(cells: list[tuple[str, ...]], left: tuple[int, ...]) -> str:
    """Rows of cells in columns, the first row as their heads; the columns ``left`` are aligned to
    the left.
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _cells(row: dict) -> tuple[str, ...]:
    share = "-" if row["share"] is None else f"{row['share']:.2f}"
    episodes = "-" if row["episodes"] is None else str(row["episodes"])
    return (
        row["task"],
        _number(row["random"]),
        _number(row["teacher"]),
        _number(row["std"]),
        episodes,
        _number(row["expert"]),
        share,
        _shortened(row["taught_by"]),
    )


def _shortened(text: str, longest: int = 70) -> str:
    return text if len(text) <= longest else text[: longest - 2] + " …"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{value:,.0f}"
        if abs(value) >= 1000
        else f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
    )
