"""The charts of a report: scores of a domain and learning curves, for the page and as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jatlab.evaluation.results import DomainResults, Results, TaskResults
from jatlab.tasks import domain_of, short_name
from jatlab.viz import plots
from jatlab.viz.report.words import SCALE_WORDS, domain_title, score_or_reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {  # colour of a figure: its variable in the page's style sheet, for light and dark
    plots.INK: "ink",
    plots.MUTED: "muted",
    plots.GRID: "line",
    plots.AGENT: "agent",
    plots.TINT: "tint",
    plots.JAT: "jat",
}


def score_charts(domain: str, tasks: dict[str, TaskResults], found: DomainResults) -> str:
    """The scores of a domain as HTML, a chart for each scale that some task has; "" if none."""
    title, charts = domain_title(domain), []
    for scale in _scales(found):
        words = [
            f"{short_name(name)} {score_or_reason(task[scale])}" for name, task in tasks.items()
        ]
        label = (
            f"Bar chart. Normalised returns of {title} as a share {SCALE_WORDS[scale]}: "
            f"{'; '.join(words)}."
        )
        figure = plots.score_figure(tasks, [scale], found)
        charts.append(f"<figure>{_svg(figure, f'{title}-{scale}', label)}</figure>")
    return "".join(charts)


def learning_charts(results: Results, log: Sequence[dict[str, Any]]) -> str:
    """The learning curves as HTML, a chart for each domain in the log; "" if there is no log."""
    charts = []
    for domain, figure in _learning_figures(results, log):
        title = domain_title(domain)
        label = (
            f"Line chart. Training loss of the {title} tasks against millions of timesteps "
            "trained on."
        )
        svg = _svg(figure, f"learning-{domain}", label)
        charts.append(f"<figure><h3>{escape(title)}</h3>{svg}</figure>")
    return "".join(charts)


def write_charts(results: Results, log: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write all charts as PNG: `DOMAIN.png` and `learning-DOMAIN.png`."""
    for domain, found in results["domains"].items():
        tasks = {name: results["tasks"][name] for name in found["tasks"]}
        figure = plots.score_figure(tasks, _scales(found) or ["by_expert"], averages=found)
        plots.to_png(figure, folder / f"{domain}.png")
    for domain, figure in _learning_figures(results, log):
        plots.to_png(figure, folder / f"learning-{domain}.png")


def _scales(found: DomainResults) -> list[str]:
    """The scales that some task of a domain has."""
    return [scale for scale in SCALE_WORDS if found[scale]["tasks"]]


def _learning_figures(
    results: Results, log: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, Figure]]:
    """(domain, figure) of each domain in the log; the domains of the results come first."""
    seen = {task: domain_of(task) for line in log for task in line["loss"]}
    for domain in [*results["domains"], *sorted(set(seen.values()) - set(results["domains"]))]:
        if domain in seen.values():
            yield domain, plots.learning_figure(log, domain, seen)


def _svg(figure: Figure, salt: str, label: str) -> str:
    """The figure in the page's colours, with a label for screen readers."""
    svg = plots.to_svg(figure, salt)
    for color, name in COLORS.items():
        svg = svg.replace(color, f"var(--{name})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
