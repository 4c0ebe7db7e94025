"""The page of a report: one HTML file that needs no network and no script.

With few tasks everything is inside. With many, the videos stay beside the page and load when they
are looked at, and the details of a domain are folded below its averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from jatlab.evaluation.results import DomainResults, Results, TaskResults
from jatlab.tasks import short_name
from jatlab.utils.console import percent
from jatlab.utils.files import ASSETS
from jatlab.viz.report.charts import learning_charts, score_charts
from jatlab.viz.report.tables import (
    LANGUAGE_COLUMNS,
    NOTHING,
    OVERVIEW_COLUMNS,
    language_rows,
    overview,
    ratio_or_nothing,
    without_empty,
)
from jatlab.viz.report.videos import clips, grid_figure
from jatlab.viz.report.words import (
    AS_REPORTED,
    ONE_EPISODE,
    SCALE_WORDS,
    comparison,
    domain_title,
    failures,
    heading,
    interval,
    is_published,
    left_out,
    number,
    plural,
    provenance,
    ratio,
)

STYLESHEET = ASSETS / "report.css"
UNFOLDED = 12  # tasks of a domain that a page shows at once; more are folded away
KEY = "Bars: mean return of a task; lines: its 95 % interval."
KEY_OF_JAT = (
    ' <span class="key">◇ published JAT</span>, which its authors measured on the environments\n'
    "of their day."
)
COLUMNS = (
    "Return",
    "Success",
    "Of our teacher",
    "Of the published expert",
    "Published JAT, of the expert",
    "Of human play",
    "Random",
    "Our teacher",
    "Published expert",
    "Published JAT",
)


def page(results: Results, log: Sequence[dict[str, Any]], videos: Path | None) -> str:
    """The whole page as HTML.

    Args:
        results: of `jatlab.evaluate`.
        log: lines of a training log that hold losses; none if empty.
        videos: folder with videos of the first episodes; none if None.
    """
    name = escape(results["agent"]["name"])
    domains = "".join(_domain(results, domain, videos) for domain in results["domains"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading(name)}</title>
<style>
{STYLESHEET.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
{_head(results, name)}
{grid_figure(results, videos)}
{_language(results)}
{domains}
{_learning(results, log)}
{_provenance(results)}
</main>
</body>
</html>
"""


# --- the parts of the page


def _head(results: Results, name: str) -> str:
    parameters = results["agent"]["parameters"]
    size = f"{parameters:,} parameters, " if parameters else ""
    cards = "".join(_card(domain, found) for domain, found in results["domains"].items())
    failed = "".join(f'<p class="failed">{escape(line)}</p>' for line in failures(results))
    published = any(map(is_published, results["domains"]))
    reported = f'<p class="muted">{escape(AS_REPORTED)}</p>' if published else ""
    return f"""<header>
<h1>{heading(name)}</h1>
<p class="lead">One agent, {size}{_scope(results)}</p>
{failed}
<div class="domains">{cards}</div>
{reported}
</header>"""


def _scope(results: Results) -> str:
    """What the agent was evaluated on, and how its scores are to be read."""
    if not results["tasks"]:
        data_sets = plural(len(results["language"]), "data set")
        return (
            f"scored on what was held out of {data_sets} of text and pictures; "
            "ranges are 95 % intervals."
        )
    episodes = results["settings"]["episodes"]
    ranges = "ranges are 95 % intervals" if episodes > 1 else ONE_EPISODE
    return (
        f"{plural(len(results['tasks']), 'task')}, {plural(episodes, 'seeded episode')} of each, "
        "on seeds that no demonstration was recorded with.\n"
        f"0 is the random policy, 1 the reference; {ranges}."
    )


def _card(domain: str, found: DomainResults) -> str:
    """A domain's averages beside the published JAT's, and what is left out of them."""
    rate = found["success_rate"]
    success = "" if rate is None else f", {percent(rate)} of episodes succeed"
    tasks = plural(len(found["tasks"]), "task")
    head = f"<h3>{escape(domain_title(domain))} <span>{tasks}{success}</span></h3>"
    rows = overview(found, domain)
    table = _averages(rows) if rows else '<p class="muted">No task has a normalised score.</p>'
    missing = "".join(f'<p class="muted">{escape(line)}</p>' for line in left_out(found))
    return f'<section class="card">{head}{table}{missing}</section>'


def _averages(rows: list[list[str]]) -> str:
    """The rows of `overview` as a table with a heading for each scale."""
    (_, _, *head), rows = without_empty(OVERVIEW_COLUMNS, rows)
    group = f'<tr><th scope="rowgroup" colspan="{1 + len(head)}">'
    parts = []
    for index, (scale, average, ours, *others) in enumerate(rows):
        if index == 0 or rows[index - 1][0] != scale:
            parts.append(f"{group}{escape(scale)}</th></tr>")
        score, _, bounds = ours.partition(" ")
        cells = "".join(f'<td class="key">{other}</td>' for other in others)
        parts.append(
            f'<tr><th scope="row">{average}</th>'
            f"<td><b>{score}</b> <small>{bounds}</small></td>{cells}</tr>"
        )
    return _html_table(("", *head), "".join(parts), "averages")


def _language(results: Results) -> str:
    """The scores of text and picture tasks; "" if there are none."""
    escaped = [[escape(cell) for cell in row] for row in language_rows(results)]
    rows = "".join(_cells(name, cells, LANGUAGE_COLUMNS[1:]) for name, *cells in escaped)
    if not rows:
        return ""
    table = _html_table(LANGUAGE_COLUMNS, rows)
    return f"<section><h2>Text and pictures</h2>{table}</section>"


def _domain(results: Results, domain: str, videos: Path | None) -> str:
    """A domain's section: its comparison, charts, table and videos."""
    found = results["domains"][domain]
    tasks = {name: results["tasks"][name] for name in found["tasks"]}
    count, folded = plural(len(tasks), "task"), len(tasks) > UNFOLDED
    charts, moving = score_charts(domain, tasks, found), clips(tasks, videos)
    if charts:
        key = KEY + (KEY_OF_JAT if is_published(domain) else "")
        content = f'<div class="pair">{charts}</div><p class="muted">{key}</p>'
        charts = _fold(f"Charts of {count}", content, folded)
    return f"""<section>
<h2>{escape(domain_title(domain))}</h2>
<p>{escape(comparison(tasks, found))}</p>
{charts}
{_fold(f"Table of {count}", _task_table(tasks, found), folded)}
{_fold("First episodes", moving, folded) if moving else ""}
</section>"""


def _fold(words: str, content: str, folded: bool) -> str:
    """Content that a click unfolds, or the content itself."""
    return f"<details><summary>{escape(words)}</summary>{content}</details>" if folded else content


def _learning(results: Results, log: Sequence[dict[str, Any]]) -> str:
    """The learning curves; "" without a log."""
    charts = learning_charts(results, log)
    if not charts:
        return ""
    return f"""<section>
<h2>How it learnt</h2>
<p>Lines: training loss, averaged over neighbours. Dots: loss on held-out episodes. The loss of
discrete actions is a cross-entropy (nats), that of continuous actions a squared error with the
task's weight: compare a task with itself, not with others.</p>
<div class="pair">{charts}</div>
</section>"""


def _provenance(results: Results) -> str:
    """How the results came about."""
    rows = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in provenance(results)
    )
    return f"""<section>
<h2>How it was made</h2>
<pre>{escape(results["command"])}</pre>
<dl class="made">{rows}</dl>
</section>"""


# --- the table of a domain's tasks


def _task_table(tasks: dict[str, TaskResults], found: DomainResults) -> str:
    """A row a task; columns in which no task has anything are left out."""
    rows = {short_name(name): _task_row(task) for name, task in tasks.items()}
    kept = [i for i in range(len(COLUMNS)) if any(row[i] != NOTHING for row in rows.values())]
    labels = [COLUMNS[i] for i in kept]
    body = "".join(
        _cells(escape(name), [row[i] for i in kept], labels) for name, row in rows.items()
    )
    if len(tasks) > 1:
        mean = _mean_row(found)
        body += _cells("mean of tasks", [mean[i] for i in kept], labels, "mean")
    return _html_table(("Task", *labels), body)


def _task_row(task: TaskResults) -> list[str]:
    returned, references = task["return"], task["references"]
    spread = f"<b>{number(returned['mean'])}</b> ± {number(returned['std'])}"
    return [
        f"{spread} <small>{interval(returned['interval'])}</small>",
        _success(task["success"]),
        _scaled(task["by_teacher"]),
        _scaled(task["by_expert"]),
        ratio_or_nothing(task["jat_by_expert"]),
        _scaled(task["by_human"]),
        *(
            number(references[who]["mean"]) if references[who] else NOTHING
            for who in ("random", "teacher", "expert", "jat")
        ),
    ]


def _success(success: dict[str, Any] | None) -> str:
    if success is None:
        return NOTHING
    bounds = interval([100 * bound for bound in success["interval"]], 0)
    return f"{percent(success['rate'])} <small>{bounds}</small>"


def _scaled(score: dict[str, Any]) -> str:
    if "left_out" in score:
        return NOTHING
    return f"<b>{ratio(score['mean'])}</b> <small>{interval(score['interval'], 2)}</small>"


def _mean_row(found: DomainResults) -> list[str]:
    means = {scale: _mean(found[scale]) for scale in SCALE_WORDS}
    rate = found["success_rate"]
    return [
        "",
        NOTHING if rate is None else percent(rate),
        means["by_teacher"],
        means["by_expert"],
        ratio_or_nothing(found["by_expert"]["jat"]),
        means["by_human"],
        *[""] * 4,
    ]


def _mean(average: dict[str, Any]) -> str:
    if not average["tasks"]:
        return NOTHING
    return _scaled({"mean": average["mean"], "interval": average["mean_interval"]})


def _cells(name: str, cells: list[str], labels: Sequence[str], kind: str = "task") -> str:
    columns = "".join(
        f'<td data-label="{label}">{cell}</td>' if cell else "<td></td>"
        for label, cell in zip(labels, cells, strict=True)
    )
    return f'<tr class="{kind}"><th scope="row">{name}</th>{columns}</tr>'


def _html_table(head: Sequence[str], body: str, kind: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    columns = "".join(f'<th scope="col">{escape(column)}</th>' for column in head)
    return f"<table{attributes}><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>"
