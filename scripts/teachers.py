"""The teachers' picture and the table of Atari's search, from the stored scores: no game is played.

`python -m scripts.teachers` writes docs/images/teachers.png, and the table between the marks in
docs/results/teachers.md. It takes seconds.
"""

from pathlib import Path

from matplotlib.figure import Figure

from jatlab.tasks import normalise, short_name, task_names, task_scores
from jatlab.tasks.scores import TaskScores
from jatlab.teachers.listing import search_table
from jatlab.viz.plots import AGENT, INK, MUTED, style, to_png
from scripts.readme import insert

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "teachers.png"
COLUMNS = (("babyai", "mujoco"), ("metaworld",), ("atari",))
TITLES = {"atari": "Atari", "babyai": "BabyAI", "metaworld": "Meta-World", "mujoco": "MuJoCo"}
LIMITS = (-0.3, 1.7)  # what lies beyond is drawn at the edge, with its value
HUMAN, SEARCH = "#009e73", "#e69f00"
WHO = {
    "random": ("random, ours", MUTED, "|", 7),
    "human": ("human, published (Atari)", HUMAN, "D", 4),
    "search": ("look-ahead search, ours (Atari)", SEARCH, "s", 4.5),
    "teacher": ("teacher, ours", AGENT, "o", 5.5),
}
OFFSETS = {
    "human": -3.0,
    "teacher": 3.0,
    "search": 3.0,
    "random": 3.0,
}  # points; values at the same edge stand apart
ROW, HEAD = 0.17, 0.62  # inches: a task, and a panel's title and axis


def main() -> None:
    to_png(picture(), PICTURE, dpi=110)
    if rows := search_table(task_names("atari")):
        insert("atari-teachers", table(rows))


# --- the picture
# -------------------------------------------------------------------------------------------------------------


def picture() -> Figure:
    """Every task a row, a panel a domain; 0 is the published random score, 1 the published
    expert's.
    """
    heights = [sum(HEAD + ROW * len(task_names(domain)) for domain in column) for column in COLUMNS]
    with style():
        figure = Figure(figsize=(14.5, max(heights) + 0.8))
        for i, column in enumerate(COLUMNS):
            top = figure.get_figheight() - 0.4
            for domain in column:
                top = panel(figure, i, top, domain)
        marks = {
            label: handle
            for axes in figure.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(marks.values(), marks, loc="upper center", ncols=len(marks), frameon=False)
    return figure


def panel(figure: Figure, column: int, top: float, domain: str) -> float:
    """Draw a domain from ``top`` inches down in a column; return where the next one begins."""
    names, width, height = task_names(domain), *figure.get_size_inches()
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


def draw_row(axes, row: int, name: str) -> None:
    scores = task_scores(name)
    for who, (label, colour, mark, size) in WHO.items():
        score = (
            None if who == "teacher" and scores.teacher is scores.search else getattr(scores, who)
        )
        share = (
            None
            if score is None or score.source == "published" and who == "random"
            else normalise(name, score.mean, by="expert")
        )
        if share is None:
            continue
        shown = min(max(float(share), LIMITS[0]), LIMITS[1])
        axes.plot(
            shown,
            row,
            mark,
            color=colour,
            markersize=size,
            markeredgewidth=1.6 if mark == "|" else 0,
            label=None if row else label,
            clip_on=False,
            zorder=3,
        )
        if shown != share:
            value = f"{share:.2g}" if abs(share) < 10 else f"{share:,.0f}"
            axes.annotate(
                value,
                (shown, row),
                (6, OFFSETS.get(who, 0)),
                textcoords="offset points",
                va="center",
                fontsize=6,
                color=colour,
                annotation_clip=False,
            )
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


def no_scale(scores: TaskScores) -> bool:
    return (
        scores.expert is None
        or scores.published_random is None
        or scores.expert.mean <= scores.published_random.mean
    )


# --- the table
# ---------------------------------------------------------------------------------------------------------------


def table(rows: list[dict]) -> str:
    """A line a game: the search's return beside everyone published, on their scales, and what it
    cost.
    """
    head = [
        "| game | search | over seeds | random | human | published JAT | expert | of human | of expert | simulated | decisions/s |",
        "| --- |" + " ---: |" * 10,
    ]
    return "\n".join([told(rows), "", *head, *(line(row) for row in rows)])


def line(row: dict) -> str:
    name = row["task"].removeprefix("atari-")
    returns = " | ".join(number(row[who]) for who in ("random", "human", "jat", "expert"))
    shares = " | ".join(
        "–" if row[share] is None else f"{row[share]:.2f}"
        for share in ("human_share", "expert_share")
    )
    return f"| {name} | **{number(row['teacher'])}** ± {number(row['std'])} | {row['episodes']} | {returns} | {shares} | {row['simulated']:.0f} | {row['decisions_per_second']:.0f} |"


def told(rows: list[dict]) -> str:
    above = {
        who: sum(row["teacher"] > row[who] for row in rows) for who in ("human", "jat", "expert")
    }
    return (
        f"{len(rows)} games: above the published human on {above['human']}, above the published JAT on {above['jat']}, above the published expert on {above['expert']}. "
        f"Mean ± standard deviation over seeds; at most {max(row['budget'] for row in rows):.0f} simulated steps of four frames a decision (*simulated*: on average), "
        f"at most {max(row['frames_limit'] for row in rows):,.0f} frames an episode (the published scores had up to 108,000); decisions per second of one core."
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


if __name__ == "__main__":
    main()
