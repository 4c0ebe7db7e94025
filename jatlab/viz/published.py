"""The published JAT's scores, drawn: one row a task, one dot a task for all domains, one task in
its own units, and a selector.

Its authors published the mean and the standard deviation of ten episodes of each task. The bars
here are 95 % intervals of the mean from these two numbers alone, with Student's t: honest about ten
episodes, and only as good as ten normal returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from jatlab.tasks import DOMAINS, expand, get_task, normalise, short_name, task_names, task_scores
from jatlab.viz.plots import AGENT, CYCLE, GRID, INK, JAT, MUTED, SCALES, TINT, style, to_png

EPISODES = 10  # of each task, as published
STUDENT = 2.262  # 97.5 % point of Student's t with nine degrees of freedom
LIMITS = {
    "expert": (-0.35, 1.35),
    "human": (-0.35, 3.0),
}  # scores and intervals beyond are drawn at the edge
TITLES = {"atari": "Atari", "babyai": "BabyAI", "metaworld": "Meta-World", "mujoco": "MuJoCo"}
HUES = dict(zip(DOMAINS, CYCLE, strict=False))
ROW = 0.168  # inches a task
WHO = {  # in a task's own figure: row label, colour
    "published_random": ("random, published", MUTED),
    "random": ("random, ours", TINT),
    "jat": ("JAT, published", JAT),
    "expert": ("expert, published", INK),
    "human": ("human, published", "#009e73"),
    "teacher": ("teacher, ours", AGENT),
}


@dataclass(frozen=True)
class PublishedScore:
    """The published JAT on one task, 0 for random and 1 for the reference; `half`: half the width
    of the 95 % interval of its mean.
    """

    task: str
    score: float
    half: float

    @property
    def low(self) -> float:
        return self.score - self.half

    @property
    def high(self) -> float:
        return self.score + self.half


def published_score(task: str, by: str = "expert") -> PublishedScore | None:
    """The published JAT's score of a task by "expert" or "human"; None where that scale does not
    exist. Raises `ValueError` for an unknown task or scale.
    """
    if by not in LIMITS:
        raise ValueError(
            f"the published JAT is normalised by {' or '.join(LIMITS)}, not {by!r}: only these were published with it"
        )
    jat = task_scores(task).jat
    places = None if jat is None else normalise(task, [jat.mean, jat.mean + (jat.std or 0)], by)
    if places is None:
        return None
    return PublishedScore(
        task, float(places[0]), STUDENT * float(places[1] - places[0]) / sqrt(EPISODES)
    )


def published_scores(
    tasks: str | Iterable[str] = "all", by: str = "expert"
) -> list[PublishedScore]:
    """The scores of all these tasks (names, patterns, domains) that have one, the best first."""
    scores = [published_score(name, by) for name in expand(tasks)]
    return sorted((score for score in scores if score is not None), key=lambda score: -score.score)


def published_rows(tasks: str | Iterable[str], by: str = "expert", axes=None):
    """One row a task, the best on top: the published JAT's score with its 95 % interval, and lines
    at random (0) and at the reference (1).

    Scores beyond the axis stand at its edge, with their value. Raises `ValueError` when no task has
    a score on this scale.
    """
    scores = published_scores(tasks, by)
    if not scores:
        raise ValueError(
            f"none of {tasks!r} has a score by {by}: only Atari has human scores, and there the reference must be above random"
        )
    with style():
        axes = axes or _axes(7.4, ROW * len(scores) + 0.8)
        for row, score in enumerate(scores):
            _draw_row(axes, row, score, LIMITS[by])
        _finish_rows(axes, scores, by)
    above, lost = sum(score.low > 1 for score in scores), sum(score.low <= 0 for score in scores)
    axes.figure.caption = (
        f"The published JAT on {len(scores)} tasks, normalised (1: {_reference(by)}): mean and 95 % interval of 10 episodes. "
        f"{above} whole interval{'s' * (above != 1)} above 1, {lost} that reach{'es' * (lost == 1)} down to random."
    )
    best, worst = scores[0], scores[-1]
    axes.figure.alt = f"{len(scores)} rows from {short_name(best.task)} at {best.score:.2f} down to {short_name(worst.task)} at {worst.score:.2f}."
    return axes.figure


def published_overview(by: str = "expert", axes=None):
    """All tasks as dots, a strip for each domain, its mean and its median marked."""
    domains = [domain for domain in DOMAINS if published_scores(domain, by)]
    low, high = LIMITS[by]
    with style():
        axes = axes or _axes(7.4, 0.95 * len(domains) + 0.7)
        for row, domain in enumerate(domains):
            values = np.array([score.score for score in published_scores(domain, by)])
            shown = values.clip(low, high)
            axes.plot(
                shown,
                row + swarm(shown, 0.012 * (high - low)),
                "o",
                color=HUES[domain],
                markersize=4.5,
                alpha=0.75,
                markeredgecolor="none",
            )
            for value, mark, size, name in (
                (values.mean(), "|", 17, "mean"),
                (np.median(values), "D", 5, "median"),
            ):
                label = name if row == 0 else None
                axes.plot(
                    value,
                    row,
                    mark,
                    color=INK,
                    markersize=size,
                    markeredgewidth=2,
                    markerfacecolor="white",
                    zorder=4,
                    label=label,
                )
        axes.set_yticks(
            range(len(domains)),
            [
                f"{TITLES[d]}\n{len(published_scores(d, by))} of {len(task_names(d))} tasks"
                for d in domains
            ],
        )
        axes.set_ylim(len(domains) - 0.5, -0.5)
        _finish_axis(axes, by)
        axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor=GRID)
    means = [
        f"{TITLES[domain]} with a mean of {np.mean([score.score for score in published_scores(domain, by)]):.2f}"
        for domain in domains
    ]
    axes.figure.caption = f"Every task of the published JAT that has a score on this scale, a dot each: 0 is random, 1 the {_reference(by)}."
    axes.figure.alt = f"Strips of dots by domain: {', '.join(means)}."
    return axes.figure


def published_task(task: str, axes=None):
    """One task in its own units: mean return of everyone who was measured, with their standard
    deviation where it is known.

    Raises `ValueError` for an unknown task.
    """
    scores, domain = task_scores(task), get_task(task).domain
    known = [(who, getattr(scores, who)) for who in WHO if getattr(scores, who) is not None]
    known = [(who, score) for who, score in known if who != "random" or score.source == "measured"]
    with style():
        axes = axes or _axes(6.4, 0.32 * len(known) + 0.8)
        for row, (who, score) in enumerate(known):
            axes.errorbar(
                score.mean,
                row,
                xerr=score.std,
                fmt="o",
                color=WHO[who][1],
                markersize=7,
                linewidth=2,
                capsize=0,
            )
        axes.set_yticks(range(len(known)), [WHO[who][0] for who, _ in known])
        axes.set_ylim(len(known) - 0.5, -0.5)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.08)
        axes.set_xlabel(
            "return (in the task's own points; bars: one standard deviation of episodes)"
        )
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_title(f"{TITLES.get(domain, domain)}: {short_name(task)}", loc="left", color=INK)
    axes.figure.caption = (
        f"{task}: mean returns, ours on today's environment, the published ones on theirs."
    )
    axes.figure.alt = (
        f"{task}: " + ", ".join(f"{WHO[who][0]} {score.mean:.4g}" for who, score in known) + "."
    )
    return axes.figure


def published_selector():
    """Choose a domain, a scale and a task: the rows of the domain, and the task in its own units.
    Raises `ImportError` without ipywidgets.
    """
    import ipywidgets as widgets

    domain = widgets.Dropdown(
        options=[(title, name) for name, title in TITLES.items()],
        value="atari",
        description="domain",
    )
    scale = widgets.Dropdown(
        options=[("published expert", "expert"), ("human", "human")],
        value="expert",
        description="of the",
    )
    task = widgets.Dropdown(options=_options("atari"), description="task")
    rows, one = widgets.Image(format="png", width=640), widgets.Image(format="png", width=560)

    def choose_domain(change=None):
        scale.value, scale.disabled = (
            ("expert" if domain.value != "atari" else scale.value),
            domain.value != "atari",
        )
        task.options = _options(domain.value)

    def draw_rows(change=None):
        rows.value = _png(published_rows(domain.value, scale.value))

    def draw_task(change=None):
        if task.value is not None:
            one.value = _png(published_task(task.value))

    domain.observe(choose_domain, "value")
    for widget in (domain, scale):
        widget.observe(draw_rows, "value")
    task.observe(draw_task, "value")
    draw_rows(), draw_task()
    return widgets.VBox([widgets.HBox([domain, scale, task]), one, rows])


def swarm(values: np.ndarray, width: float, step: float = 0.07) -> np.ndarray:
    """Offsets that keep dots apart: values (n,) -> (n,), 0 for the first of those closer than
    ``width``, then alternately above and below.
    """
    offsets, order = np.zeros(len(values)), np.argsort(values, kind="stable")
    for place, index in enumerate(order):
        taken = {
            round(offsets[other] / step)
            for other in order[:place]
            if values[index] - values[other] < width
        }
        offsets[index] = step * next(
            k
            for k in (sign * n for n in range(len(values) + 1) for sign in (1, -1))
            if k not in taken
        )
    return offsets


# --- drawing
# -----------------------------------------------------------------------------------------------------------------


def _axes(width: float, height: float):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").subplots()


def _draw_row(axes, row: int, score: PublishedScore, limits: tuple[float, float]) -> None:
    color = HUES.get(get_task(score.task).domain, AGENT)
    place, ends = np.clip(score.score, *limits), np.clip([score.low, score.high], *limits)
    axes.plot(ends, [row, row], color=color, linewidth=1.6, alpha=0.5, solid_capstyle="butt")
    axes.plot(place, row, "o", color=color, markersize=4)
    if place != score.score:
        aside = (
            {"ha": "right", "xytext": (-7, 0)} if place > 0 else {"ha": "left", "xytext": (7, 0)}
        )
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        axes.annotate(
            f"{score.score:.2g}",
            (place, row),
            textcoords="offset points",
            va="center",
            size=7.5,
            bbox=ground,
            **aside,
        )


def _finish_rows(axes, scores: list[PublishedScore], by: str) -> None:
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.set_yticks(range(len(scores)), [short_name(score.task) for score in scores])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=7.5)
    axes.spines["left"].set_visible(False)
    _finish_axis(axes, by)


def _finish_axis(axes, by: str) -> None:
    axes.set_xlim(LIMITS[by][0] - 0.03, LIMITS[by][1] + 0.03)
    axes.grid(axis="y", visible=False)
    for place, name in ((0, "random"), (1, _reference(by))):
        axes.axvline(place, color=MUTED, linewidth=0.9, zorder=1.5)
        axes.annotate(
            name,
            (place, 1),
            (0, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            color=MUTED,
            size=8,
        )
    axes.set_xlabel(f"normalised return (0: random, 1: {_reference(by)})")


def _reference(by: str) -> str:
    return SCALES[f"by_{by}"]


def _options(domain: str) -> list[tuple[str, str]]:
    return [(short_name(name), name) for name in task_names(domain)]


def _png(figure) -> bytes:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return to_png(figure, Path(folder) / "figure.png", dpi=90).read_bytes()
