"""The table of tasks that ``jatlab tasks`` prints."""

from collections.abc import Iterable

from jatlab.tasks.registry import Task, get_task
from jatlab.tasks.scores import Score, task_scores

HEADER = ("task", "observation", "action", "random", "teacher", "expert", "JAT", "note")
_OBSERVATIONS = {"image": "4 frames 84x84", "text": "text", "picture": "picture, text"}
LEGEND = (
    "Mean returns. random and teacher: measured on today's environments (random~: published, not yet measured here).\n"
    "expert and JAT: published by the authors of JAT, on their versions of the environments."
)


def task_table(names: Iterable[str]) -> list[dict]:
    """One row a task: the Task's facts, and the mean returns of random, teacher, expert and JAT
    (None where there is none).

    Raises ValueError for an unknown name.
    """
    return [_row(get_task(name)) for name in names]


def _row(task: Task) -> dict:
    scores = task_scores(task.name)
    means = {who: _mean(getattr(scores, who)) for who in ("random", "teacher", "expert", "jat")}
    return {
        "task": task.name,
        "domain": task.domain,
        "observation": _observation(task),
        "action": _action(task),
        **means,
        "random_measured": scores.random is not None and scores.random.source == "measured",
        "note": task.note,
    }


def _mean(score: Score | None) -> float | None:
    return None if score is None else score.mean


def _numbers(count: int) -> str:
    return f"{count} number{'s' * (count != 1)}"


def _observation(task: Task) -> str:
    if task.observation == "continuous":
        return _numbers(task.observation_size)
    return _OBSERVATIONS.get(task.observation) or f"text + {task.observation_size} integers"


def _action(task: Task) -> str:
    if task.action == "text":
        return "the next word"
    return _numbers(task.action_size) if task.action == "continuous" else f"1 of {task.action_size}"


def format_tasks(names: Iterable[str]) -> str:
    """The table as text: a line a task, the notes numbered below it."""
    rows = task_table(names)
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))
    cells = [HEADER, *(_cells(row, notes) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            _align(cell, width, i) for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    footnotes = [f"[{number}] {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(
        [*lines, "", f"{len(rows)} task{'s' * (len(rows) != 1)}. {LEGEND}", *footnotes]
    )


def print_tasks(names: Iterable[str]) -> None:
    """Print :func:`format_tasks`."""
    print(format_tasks(names))


def _cells(row: dict, notes: list[str]) -> tuple[str, ...]:
    random = _number(row["random"]) + (
        "" if row["random_measured"] or row["random"] is None else "~"
    )
    scores = [random, *(_number(row[who]) for who in ("teacher", "expert", "jat"))]
    note = f"[{notes.index(row['note']) + 1}]" if row["note"] else ""
    return (row["task"], row["observation"], row["action"], *scores, note)


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


def _align(cell: str, width: int, column: int) -> str:
    return (
        cell.rjust(width)
        if HEADER[column] in ("random", "teacher", "expert", "JAT")
        else cell.ljust(width)
    )
