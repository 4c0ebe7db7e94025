"""The tables of a report: rows of words, and the Markdown that is made from them."""

from __future__ import annotations

from collections.abc import Sequence

from jatlab.evaluation.results import PUBLISHED, DomainResults, LanguageScores, Results, TaskResults
from jatlab.tasks import short_name
from jatlab.utils.console import percent
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

NOTHING = "–"  # in a cell
OVERVIEW_COLUMNS = (
    "scale",
    "average",
    "this agent",
    "published JAT, same tasks",
    "as reported, whole domain",
)
AVERAGES = {  # key in the results: its name, and the published JAT's key
    "mean": ("mean", "jat"),
    "iqm": ("IQM", "jat_iqm"),
    "median": ("median", "jat_median"),
}
LANGUAGE_COLUMNS = ("task", "metric", "score", "trivial baseline", "measured on")
LANGUAGE_METRICS = {  # key in the scores: its name, and its baseline's key
    "perplexity": ("Perplexity", "unigram"),
    "exact_match": ("Exact match", "majority"),
}
TASK_COLUMNS = (
    "task",
    "return",
    "success",
    "of our teacher",
    "of the published expert",
    "published JAT, of the expert",
)


def overview(found: DomainResults, domain: str) -> list[list[str]]:
    """Rows of `OVERVIEW_COLUMNS`: mean, IQM and median on each scale that some task has."""
    rows = []
    for scale, words in SCALE_WORDS.items():
        average, official = found[scale], PUBLISHED.get(domain, {}).get(scale, {})
        if not average["tasks"]:
            continue
        tasks = f"{words}, {len(average['tasks'])} of {plural(len(found['tasks']), 'task')}"
        for key, (name, jat) in AVERAGES.items():
            ours = f"{ratio(average[key])} [{interval(average[f'{key}_interval'], 2)}]"
            reported = f"{official[key]:g}" if key in official else NOTHING
            rows.append([tasks, name, ours, ratio_or_nothing(average.get(jat)), reported])
    return rows


def without_empty(
    head: Sequence[str], rows: list[list[str]], first: int = 3
) -> tuple[list[str], list[list[str]]]:
    """A table without the columns, from ``first`` on, in which no row has anything."""
    kept = [i for i in range(len(head)) if i < first or any(row[i] != NOTHING for row in rows)]
    return [head[i] for i in kept], [[row[i] for i in kept] for row in rows]


def ratio_or_nothing(value: float | None) -> str:
    """A normalised score, or the sign for nothing."""
    return NOTHING if value is None else ratio(value)


def language_rows(results: Results) -> list[list[str]]:
    """Rows of `LANGUAGE_COLUMNS`, one for each metric of each text and picture task."""
    rows = []
    for name, scores in results["language"].items():
        for key, (words, baseline) in LANGUAGE_METRICS.items():
            if key in scores:
                score, trivial, amount = _language_cells(scores, key, baseline)
                rows.append([name, words, score, f"{baseline} {trivial}", amount])
    return rows


def _language_cells(scores: LanguageScores, key: str, baseline: str) -> tuple[str, str, str]:
    """A metric with its interval, its baseline, and what it was measured on."""
    if key == "exact_match":
        bounds = "–".join(percent(bound) for bound in scores["interval"])
        amount = plural(scores["questions"], "question")
        return f"{percent(scores[key])} [{bounds}]", percent(scores[baseline]), amount
    score, amount = number(scores[key]), plural(scores["tokens"], "token")
    if "exact_match" not in scores:  # otherwise the interval is that of the answers
        score += f" [{'–'.join(number(bound) for bound in scores['interval'])}]"
    return score, number(scores[baseline]), amount


def summary(results: Results) -> str:
    """The averages by domain, what is left out of them, and what failed, for a terminal."""
    lines = []
    for domain, found in results["domains"].items():
        rate = found["success_rate"]
        success = "" if rate is None else f", success {percent(rate)}"
        lines.append(f"{domain_title(domain)}, {plural(len(found['tasks']), 'task')}{success}")
        rows = overview(found, domain)
        head, rows = without_empty(OVERVIEW_COLUMNS, rows)
        lines += _aligned([head, *rows]) if rows else ["  no normalised score"]
        lines += [f"  {line}" for line in left_out(found)]
    lines += [" ".join(row) for row in language_rows(results)]
    return "\n".join([*lines, *(f"FAILED: {line}" for line in failures(results))])


def _aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines with cells of equal width; a first cell like the one above is left empty."""
    firsts = [
        "" if index and rows[index - 1][0] == row[0] else row[0] for index, row in enumerate(rows)
    ]
    rows = [[first, *row[1:]] for first, row in zip(firsts, rows, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return lines


def markdown(results: Results) -> str:
    """Everything as Markdown, for a README or a model card."""
    episodes, seed = results["settings"]["episodes"], results["settings"]["seed"]
    ranges = "95 % intervals in brackets" if episodes > 1 else ONE_EPISODE
    parts = [
        f"# {as_markdown(heading(results['agent']['name']))}\n",
        f"{plural(episodes, 'episode')} a task, seeds from {seed:,}; {ranges}.\n",
    ]
    parts += [f"**{as_markdown(line)}**\n" for line in failures(results)]
    for domain in results["domains"]:
        parts += _domain_parts(results, domain)
    if any(map(is_published, results["domains"])):
        parts.append(f"{AS_REPORTED}\n")
    if results["language"]:
        table = _markdown_table(LANGUAGE_COLUMNS, language_rows(results))
        parts += ["## Text and pictures\n", table]
    parts += ["## How it was made\n", f"    {' '.join(results['command'].split())}\n"]
    parts += [f"- {term}: {as_markdown(words)}" for term, words in provenance(results)]
    return "\n".join(parts) + "\n"


def as_markdown(text: str) -> str:
    """A text from elsewhere, such as an agent's name, in one line and without HTML of its own."""
    return " ".join(text.split()).replace("<", "&lt;")


def _domain_parts(results: Results, domain: str) -> list[str]:
    """One domain as Markdown: its averages, its comparison, its tasks and its figure."""
    found, title = results["domains"][domain], as_markdown(domain_title(domain))
    tasks = {name: results["tasks"][name] for name in found["tasks"]}
    rows = overview(found, domain)
    return [
        f"## {title}\n",
        *([_markdown_table(*without_empty(OVERVIEW_COLUMNS, rows))] if rows else []),
        f"{comparison(tasks, found)}\n",
        *(f"{as_markdown(line)}\n" for line in left_out(found)),
        _task_table(tasks),
        f"![Scores of the {title} tasks, as bars with 95 % intervals](figures/{domain}.png)\n",
    ]


def _task_table(tasks: dict[str, TaskResults]) -> str:
    human = any("mean" in task["by_human"] for task in tasks.values())
    rows = [_task_row(short_name(name), task, human) for name, task in tasks.items()]
    return _markdown_table(
        *without_empty([*TASK_COLUMNS, *(["of human play"] if human else [])], rows)
    )


def _task_row(name: str, task: TaskResults, human: bool) -> list[str]:
    returned, success = task["return"], task["success"]
    spread = f"{number(returned['mean'])} ± {number(returned['std'])}"
    row = [
        as_markdown(name).replace("|", r"\|"),
        f"{spread} [{interval(returned['interval'])}]",
        percent(success["rate"]) if success else NOTHING,
        _scaled(task, "by_teacher"),
        _scaled(task, "by_expert"),
        ratio_or_nothing(task["jat_by_expert"]),
    ]
    return [*row, _scaled(task, "by_human")] if human else row


def _scaled(task: TaskResults, scale: str) -> str:
    score = task[scale]
    if "left_out" in score:
        return NOTHING
    return f"{ratio(score['mean'])} [{interval(score['interval'], 2)}]"


def _markdown_table(head: Sequence[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
