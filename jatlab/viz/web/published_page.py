"""The published scores as a page that needs no kernel: choose a domain, a scale and a task."""

from __future__ import annotations

from typing import Any

from jatlab.tasks import short_name, task_names, task_scores
from jatlab.viz.published import LIMITS, TITLES, WHO, bar, published_score
from jatlab.viz.web.page import HEIGHT, Page, fill

TITLE = "The published JAT's scores"
REFERENCES = {"expert": "the published expert", "human": "a human player"}


def published_page(height: int = HEIGHT) -> Page:
    """Every task's published score, and the returns of everyone who was measured on it.

    A reader chooses a domain, a scale and a task, as `jatlab.viz.published` draws them; no kernel
    is needed.

    Args:
        height: Of its frame in a notebook, in pixels.
    """
    domains = [
        {"name": name, "title": title, "tasks": [_task(task) for task in task_names(name)]}
        for name, title in TITLES.items()
    ]
    shown = {"domains": domains, "limits": LIMITS, "references": REFERENCES}
    return Page(fill("published", shown, TITLE), TITLE, height)


def _task(task: str) -> dict[str, Any]:
    scores = {by: published_score(task, by) for by in LIMITS}
    return {
        "name": task,
        "short": short_name(task),
        "scores": {by: one and [_round(one.score), _round(one.half)] for by, one in scores.items()},
        "returns": _returns(task),
    }


def _returns(task: str) -> list[list[Any]]:
    """For everyone measured: in words, the colour, the mean, and a deviation to each side."""
    scores, rows = task_scores(task), []
    for who, (label, colour) in WHO.items():
        score = getattr(scores, who)
        if score is None or (who == "random" and score.source != "measured"):
            continue
        [[below], [above]] = bar(task, score) or [[0.0], [0.0]]
        rows.append([label, colour, *map(_round, (score.mean, below, above))])
    return rows


def _round(value: float) -> float:
    """Five digits, which are more than a picture shows."""
    return float(f"{value:.5g}")
