"""The teachers' picture, and the table of Atari's search, from the stored scores.

`python -m scripts.teachers` writes docs/images/teachers.png, and the table between the marks in
docs/results/teachers.md. It plays no game and takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.figure import Figure

from jatlab.tasks import normalise, short_name, task_names, task_scores
from jatlab.tasks.scores import TaskScores
from jatlab.teachers.listing import search_table
from jatlab.viz.plots import AGENT, INK, MUTED, style, to_png
from scripts.readme import insert

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "teachers.png"
COLUMNS = (("babyai", "mujoco"), ("metaworld",), ("atari",))
TITLES = {"atari": "Atari", "babyai": "BabyAI", "metaworld": "Meta-World", "mujoco": "MuJoCo"}
LIMITS = (-0.3, 1.7)  # of scores; beyond them a mark is drawn at the edge, with its value
ROW, HEAD = 0.17, 0.62  # inches: a task, and a panel's title and axis
HUMAN, SEARCH = "#009e73", "#e69f00"


class Mark(NamedTuple):
    """How the scores of one player are drawn."""

    label: str
    color: str
    marker: str
    size: float
    offset: float  # of a value at the edge, in points, so that several do not overlap


MARKS = {
    "random": Mark("random, ours", MUTED, "|", 7, 3.0),
    "human": Mark("human, published (Atari)", HUMAN, "D", 4, -3.0),
    "search": Mark("look-ahead search, ours (Atari)", SEARCH, "s", 4.5, 3.0),
    "teacher": Mark("teacher, ours", AGENT, "o", 5.5, 3.0),
}


def main() -> None:
    to_png(picture(), PICTURE, dpi=110)
    if rows := search_table(task_names("atari")):
        insert("atari-teachers", table(rows))


# --- the picture ----------------------------------------------------------------------------------


def picture() -> Figure:
    """A panel for each domain, a row for each task.

    0 is the published random score, 1 the published expert's.
    """
    heights = [sum(HEAD + ROW * len(task_names(domain)) for domain in column) for column in COLUMNS]
    with style():
        figure = Figure(figsize=(14.5, max(heights) + 0.8))
        for number, column in enumerate(COLUMNS):
            top = figure.get_figheight() - 0.4
            for domain in column:
                top = draw_panel(figure, number, top, domain)
        handles = {}
        for axes in figure.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles[label] = handle
        count = len(handles)
        figure.legend(handles.values(), handles, loc="upper center", ncols=count, frameon=False)
    return figure


def draw_panel(figure: Figure, column: int, top: float, domain: str) -> float:
    """Draw a domain from ``top`` inches down in a column; return where the next one begins."""
    names, (width, height) = task_names(domain), figure.get_size_inches()
    tall = ROW * len(names)
    left = (0.125 + column / len(COLUMNS)) * width - 0.03 * width
    axes = figure.add_axes((left / width, (top - HEAD / 2 - tall) / height, 0.215, tall / height))
    for row, name in enumerate(names):
        draw_row(axes, row, name)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.axvline(1, color=INK, linewidth=1.2, label="expert, published")
    axes.set(xlim=LIMITS, ylim=(len(names) - 0.4, -0.6), xlabel="0: random, 1: published expert")
    axes.set_yticks(range(len(names)), [short_name(name) for name in names], fontsize=7)
    axes.set_title(TITLES[domain], loc="left", color=INK)
    return top - HEAD - tall


def draw_row(axes: Axes, row: int, name: str) -> None:
    """The scores of one task."""
    scores = task_scores(name)
    for who, mark in MARKS.items():
        share = share_of(name, scores, who)
        if share is not None:
            draw_mark(axes, row, share, mark)
    if no_scale(scores):
        axes.text(
            0.5,
            row,
            "no scale: expert not above random",
            ha="center",
            va="center",
            fontsize=6,
            color=MUTED,
            bbox={"color": "white", "pad": 1},
        )


def share_of(name: str, scores: TaskScores, who: str) -> float | None:
    """A player's score of a task on the experts' scale; None if it is not drawn."""
    score = getattr(scores, who)
    if score is None or (who == "random" and score.source == "published"):
        return None
    if who == "teacher" and scores.teacher is scores.search:
        return None  # it is drawn as the search
    share = normalise(name, score.mean, by="expert")
    return None if share is None else float(share)


def draw_mark(axes: Axes, row: int, share: float, mark: Mark) -> None:
    """One score; beyond the limits at the edge, with its value."""
    shown = min(max(share, LIMITS[0]), LIMITS[1])
    axes.plot(
        shown,
        row,
        mark.marker,
        color=mark.color,
        markersize=mark.size,
        markeredgewidth=1.6 if mark.marker == "|" else 0,
        label=None if row else mark.label,
        clip_on=False,
        zorder=3,
    )
    if shown != share:
        axes.annotate(
            f"{share:.2g}" if abs(share) < 10 else f"{share:,.0f}",
            (shown, row),
            (6, mark.offset),
            textcoords="offset points",
            va="center",
            fontsize=6,
            color=mark.color,
            annotation_clip=False,
        )


def no_scale(scores: TaskScores) -> bool:
    """Whether the published expert is not better than the published random policy."""
    expert, random = scores.expert, scores.published_random
    return expert is None or random is None or expert.mean <= random.mean


# --- the table ------------------------------------------------------------------------------------


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """A row for each game: the search's return beside everyone published, and what it cost."""
    rows = list(rows)
    head = (
        "| game | search | over seeds | random | human | published JAT | expert | of human "
        "| of expert | simulated | decisions/s |"
    )
    return "\n".join([summary(rows), "", head, "| --- |" + " ---: |" * 10, *map(line, rows)])


def line(row: Mapping[str, Any]) -> str:
    shares = (row["human_share"], row["expert_share"])
    cells = [
        row["task"].removeprefix("atari-"),
        f"**{number(row['teacher'])}** ± {number(row['std'])}",
        str(row["episodes"]),
        *(number(row[who]) for who in ("random", "human", "jat", "expert")),
        *("–" if share is None else f"{share:.2f}" for share in shares),
        f"{row['simulated']:.0f}",
        f"{row['decisions_per_second']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def summary(rows: list[Mapping[str, Any]]) -> str:
    """How many games the search plays better than others, and what the table's numbers are."""
    human, jat, expert = (
        sum(row["teacher"] > row[who] for row in rows) for who in ("human", "jat", "expert")
    )
    budget = max(row["budget"] for row in rows)
    frames = max(row["frames_limit"] for row in rows)
    return (
        f"{len(rows)} games: above the published human on {human}, above the published JAT on "
        f"{jat}, above the published expert on {expert}. Mean ± standard deviation over seeds; "
        f"at most {budget:.0f} simulated steps of four frames a decision (*simulated*: on "
        f"average), at most {frames:,.0f} frames an episode (the published scores had up to "
        "108,000); decisions per second of one core."
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


if __name__ == "__main__":
    main()
