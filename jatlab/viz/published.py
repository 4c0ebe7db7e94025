"""The published JAT's scores, drawn.

A row for each task, a dot for each task of all domains, and one task in its own units.
The authors published the mean and the standard deviation of ten episodes of each task. The bars
here are 95 % intervals of the mean from these two numbers, with Student's t. They assume that
returns are normally distributed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.tasks import DOMAINS, expand, get_task, normalise, short_name, task_names, task_scores
from jatlab.viz.figures import panel, words
from jatlab.viz.plots import AGENT, CYCLE, GRID, INK, JAT, MUTED, SCALES, TINT, mark, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jatlab.tasks import Score

EPISODES = 10  # of each task, as published
STUDENT = 2.262  # 97.5 % point of Student's t with nine degrees of freedom
# scores and intervals beyond are drawn at the edge
LIMITS = {"expert": (-0.35, 1.35), "human": (-0.35, 3.0)}
TITLES = {"atari": "Atari", "babyai": "BabyAI", "metaworld": "Meta-World", "mujoco": "MuJoCo"}
HUES = dict(zip(DOMAINS, CYCLE, strict=False))
ROW = 0.168  # inches a task
# games in which an episode may lose points; bodies may have negative returns as well
BELOW_ZERO = {
    "boxing", "doubledunk", "fishingderby", "icehockey", "pitfall", "pong", "privateeye", "skiing",
    "surround", "tennis",
}  # fmt: skip
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
    """The published JAT on one task, 0 for random and 1 for the reference.

    Attributes:
        task: The task's name.
        score: The normalised mean of its ten episodes.
        half: Half the width of the 95 % interval of that mean.
    """

    task: str
    score: float
    half: float

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.score - self.half

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.score + self.half


def published_score(task: str, by: str = "expert") -> PublishedScore | None:
    """The published JAT's score of a task by "expert" or "human".

    None where that scale does not exist.

    Raises:
        ValueError: The task or the scale is unknown.
    """
    if by not in LIMITS:
        raise ValueError(
            f"the published JAT is normalised by {' or '.join(LIMITS)}, not {by!r}: "
            "only these were published with it"
        )
    jat = task_scores(task).jat
    places = None if jat is None else normalise(task, [jat.mean, jat.mean + (jat.std or 0)], by)
    if places is None:
        return None
    score, above = (float(place) for place in places)
    return PublishedScore(task, score, STUDENT * (above - score) / sqrt(EPISODES))


def published_scores(
    tasks: str | Iterable[str] = "all", by: str = "expert"
) -> list[PublishedScore]:
    """The scores of all these tasks (names, patterns, domains) that have one, the best first."""
    scores = [published_score(name, by) for name in expand(tasks)]
    return sorted((score for score in scores if score is not None), key=lambda score: -score.score)


# --- rows ---


def published_rows(
    tasks: str | Iterable[str], by: str = "expert", axes: Axes | None = None
) -> Figure:
    """One row for each task, the best on top: the score with its 95 % interval.

    Lines stand at random (0) and at the reference (1). Scores beyond the axis stand at its edge,
    with their value.

    Args:
        tasks: Names, patterns or domains.
        by: The reference, "expert" or "human".
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: No task has a score on this scale.
    """
    scores = published_scores(tasks, by)
    if not scores:
        raise ValueError(
            f"none of {tasks!r} has a score by {by}: only Atari has human scores, "
            "and there the reference must be above random"
        )
    with panel(axes, 7.4, ROW * len(scores) + 0.8) as axes:
        for row, score in enumerate(scores):
            _draw_row(axes, row, score, LIMITS[by])
        axes.set_ylim(len(scores) - 0.4, -0.6)
        axes.set_yticks(range(len(scores)), [short_name(score.task) for score in scores])
        axes.tick_params(axis="y", labelcolor=INK, labelsize=7.5)
        axes.spines["left"].set_visible(False)
        _finish_axis(axes, by)
    above, lost = sum(score.low > 1 for score in scores), sum(score.low <= 0 for score in scores)
    caption = (
        f"The published JAT on {len(scores)} tasks, normalised (1: {_reference(by)}): "
        f"mean and 95 % interval of 10 episodes. "
        f"{above} whole interval{'s' * (above != 1)} above 1, "
        f"{lost} that reach{'es' * (lost == 1)} down to random."
    )
    best, worst = scores[0], scores[-1]
    alt = (
        f"{len(scores)} rows from {short_name(best.task)} at {best.score:.2f} "
        f"down to {short_name(worst.task)} at {worst.score:.2f}."
    )
    return words(axes, caption, alt)


def _draw_row(axes: Axes, row: int, score: PublishedScore, limits: tuple[float, float]) -> None:
    color = HUES.get(get_task(score.task).domain, AGENT)
    place, ends = np.clip(score.score, *limits), np.clip([score.low, score.high], *limits)
    axes.plot(ends, [row, row], color=color, linewidth=1.6, alpha=0.5, solid_capstyle="butt")
    axes.plot(place, row, "o", color=color, markersize=4)
    if place != score.score:
        side, offset = ("right", (-7, 0)) if place > 0 else ("left", (7, 0))
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        look = dict(ha=side, va="center", size=7.5, bbox=ground)
        note(axes, f"{score.score:.2g}", (place, row), offset, **look)


def _finish_axis(axes: Axes, by: str) -> None:
    axes.set_xlim(LIMITS[by][0] - 0.03, LIMITS[by][1] + 0.03)
    axes.grid(axis="y", visible=False)
    mark(axes, 0, "random", 0.9)
    mark(axes, 1, _reference(by), 0.9)
    axes.set_xlabel(f"normalised return (0: random, 1: {_reference(by)})")


def _reference(by: str) -> str:
    return SCALES[f"by_{by}"]


# --- dots ---


def published_overview(by: str = "expert", axes: Axes | None = None) -> Figure:
    """All tasks as dots, a strip for each domain, with its mean and its median."""
    domains = {domain: published_scores(domain, by) for domain in DOMAINS}
    values = {d: np.array([one.score for one in found]) for d, found in domains.items() if found}
    labels = [
        f"{TITLES[name]}\n{len(scores)} of {len(task_names(name))} tasks"
        for name, scores in values.items()
    ]
    with panel(axes, 7.4, 0.95 * len(values) + 0.7) as axes:
        for row, (domain, scores) in enumerate(values.items()):
            _draw_strip(axes, row, scores, LIMITS[by], HUES[domain])
        axes.set_yticks(range(len(values)), labels)
        axes.set_ylim(len(values) - 0.5, -0.5)
        _finish_axis(axes, by)
        axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor=GRID)
    caption = (
        "Every task of the published JAT that has a score on this scale, a dot each: "
        f"0 is random, 1 the {_reference(by)}."
    )
    means = [f"{TITLES[name]} with a mean of {found.mean():.2f}" for name, found in values.items()]
    return words(axes, caption, f"Strips of dots by domain: {', '.join(means)}.")


def _draw_strip(
    axes: Axes, row: int, scores: np.ndarray, limits: tuple[float, float], color: str
) -> None:
    shown = scores.clip(*limits)
    places = row + swarm(shown, 0.012 * (limits[1] - limits[0]))
    axes.plot(shown, places, "o", color=color, markersize=4.5, alpha=0.75, markeredgecolor="none")
    look: Any = dict(color=INK, markeredgewidth=2, markerfacecolor="white", zorder=4)
    labels = ("mean", "median") if row == 0 else (None, None)  # one legend for all strips
    axes.plot(scores.mean(), row, "|", markersize=17, label=labels[0], **look)
    axes.plot(np.median(scores), row, "D", markersize=5, label=labels[1], **look)


def swarm(values: np.ndarray, width: float, step: float = 0.07) -> np.ndarray:
    """Offsets that keep dots apart: values (n,) -> (n,).

    Of dots closer than ``width`` the first has 0, the others lie alternately above and below.
    """
    offsets, order = np.zeros(len(values)), np.argsort(values, kind="stable")
    candidates = [sign * n for n in range(len(values) + 1) for sign in (1, -1)]
    for place, index in enumerate(order):
        taken = {
            round(offsets[other] / step)
            for other in order[:place]
            if values[index] - values[other] < width
        }
        offsets[index] = step * next(k for k in candidates if k not in taken)
    return offsets


# --- one task ---


def published_task(task: str, axes: Axes | None = None) -> Figure:
    """One task in its own units: the mean return of everyone who was measured.

    Bars show the standard deviation where it is known, but end where no return can be.

    Raises:
        ValueError: The task is unknown.
    """
    scores, domain = task_scores(task), get_task(task).domain
    known = [(who, getattr(scores, who)) for who in WHO if getattr(scores, who) is not None]
    known = [(who, score) for who, score in known if who != "random" or score.source == "measured"]
    look: Any = dict(fmt="o", markersize=7, linewidth=2, capsize=0)
    with panel(axes, 6.4, 0.32 * len(known) + 0.8) as axes:
        reaches = [bar(task, score) for _, score in known]
        for row, ((who, score), reach) in enumerate(zip(known, reaches, strict=True)):
            axes.errorbar(score.mean, row, xerr=reach, color=WHO[who][1], **look)
        axes.set_yticks(range(len(known)), [WHO[who][0] for who, _ in known])
        axes.set_ylim(len(known) - 0.5, -0.5)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.08)
        cut = any(reach and reach[0][0] < reach[1][0] for reach in reaches)
        bars = f"bars: one standard deviation of episodes{', cut at 0' * cut}"
        axes.set_xlabel(f"return (in the task's own points; {bars})")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_title(f"{TITLES.get(domain, domain)}: {short_name(task)}", loc="left", color=INK)
    caption = f"{task}: mean returns, ours on today's environment, the published ones on theirs."
    means = ", ".join(f"{WHO[who][0]} {score.mean:.4g}" for who, score in known)
    return words(axes, caption, f"{task}: {means}.")


def bar(task: str, score: Score) -> list[list[float]] | None:
    """How far a bar reaches to the left and to the right of the mean; None without a deviation."""
    if score.std is None:
        return None
    bounded = get_task(task).domain != "mujoco" and short_name(task) not in BELOW_ZERO
    return [[min(score.std, score.mean) if bounded else score.std], [score.std]]
