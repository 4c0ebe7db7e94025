"""The table of tasks that ``jatlab tasks`` prints."""

from collections.abc import Iterable, Sequence
from typing import TypedDict

from jatlab.tasks.registry import get_task
from jatlab.tasks.scores import Score, task_scores
from jatlab.tasks.task import Task
from jatlab.utils.console import say

HEADER = ("task", "observation", "action", "random", "teacher", "expert", "JAT", "note")
LEFT = (0, 1, 2, 7)  # the columns aligned to the left: words
LEGEND = """\
Mean returns. random and teacher: measured on today's environments \
(random~: published, not yet measured here).
expert and JAT: published by the authors of JAT, on their versions of the environments."""
_OBSERVATIONS = {"image": "4 frames 84x84", "text": "text", "picture": "picture, text"}


class TaskRow(TypedDict):
    """A task's facts, and mean returns; None where there is none."""

    task: str
    domain: str
    observation: str
    action: str
    random: float | None
    teacher: float | None
    expert: float | None
    jat: float | None
    random_measured: bool
    note: str


def task_table(names: Iterable[str]) -> list[TaskRow]:
    """One row a task. Raises ValueError for an unknown name."""
    return [_row(get_task(name)) for name in names]


def _row(task: Task) -> TaskRow:
    scores = task_scores(task.name)
    return {
        "task": task.name,
        "domain": task.domain,
        "observation": _observation(task),
        "action": _action(task),
        "random": mean_of(scores.random),
        "teacher": mean_of(scores.teacher),
        "expert": mean_of(scores.expert),
        "jat": mean_of(scores.jat),
        "random_measured": scores.random is not None and scores.random.source == "measured",
        "note": task.note,
    }


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
    table = format_columns([HEADER, *(_cells(row, notes) for row in rows)], LEFT)
    footnotes = [f"[{number}] {note}" for number, note in enumerate(notes, 1)]
    count = f"{len(rows)} task{'s' * (len(rows) != 1)}"
    return "\n".join([table, "", f"{count}. {LEGEND}", *footnotes])


def print_tasks(names: Iterable[str]) -> None:
    """Print :func:`format_tasks`."""
    say(format_tasks(names))


def _cells(row: TaskRow, notes: list[str]) -> tuple[str, ...]:
    published = row["random"] is not None and not row["random_measured"]
    return (
        row["task"],
        row["observation"],
        row["action"],
        format_number(row["random"]) + ("~" if published else ""),
        format_number(row["teacher"]),
        format_number(row["expert"]),
        format_number(row["jat"]),
        f"[{notes.index(row['note']) + 1}]" if row["note"] else "",
    )


def mean_of(score: Score | None) -> float | None:
    """The mean return of a score; None without one."""
    return None if score is None else score.mean


def format_number(value: float | None) -> str:
    """About three digits of a number; "-" for None."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def format_columns(rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Rows of cells as aligned columns with a line under the first row, which is the head.

    The columns ``left`` are aligned to the left, the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)
