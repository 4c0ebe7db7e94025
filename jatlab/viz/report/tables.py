"""The words and numbers of a report: formats, comparisons, averages by domain, how it was made, and
the Markdown tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jatlab.evaluation.results import PUBLISHED, PUBLISHED_SOURCE
from jatlab.tasks import short_name

SCALE_WORDS = {
    "by_teacher": "of our teacher",
    "by_expert": "of the published expert",
    "by_human": "of human play",
}
LANGUAGE_METRICS = {
    "perplexity": ("Perplexity", "unigram"),
    "exact_match": ("Exact match", "majority"),
}  # its name, and its baseline's key
LANGUAGE = (
    "task",
    "metric",
    "score",
    "trivial baseline",
    "measured on",
)  # columns of text and picture tasks
OVERVIEW = (
    "scale",
    "average",
    "this agent",
    "published JAT, same tasks",
    "as reported, whole domain",
)
AVERAGES = {
    "mean": ("mean", "jat"),
    "iqm": ("IQM", "jat_iqm"),
    "median": ("median", "jat_median"),
}  # its name, and the published JAT's key
ONE_EPISODE = "one episode says nothing of its own chance, so that intervals have no width"
OFFICIAL = (
    f"As reported, whole domain: what JAT's authors say themselves ({PUBLISHED_SOURCE}). Their IQM is over single episodes; that of the same tasks is over the means of "
    "tasks, because no more was published."
)


def number(value: float) -> str:
    """Three or four digits that matter: 0.934, 12.3, 1,234; two of very small values."""
    if abs(value) < 0.001:
        return f"{value:.2g}".replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 3)}f}".replace("-", "−")


def ratio(value: float) -> str:
    """A normalised score: two digits after the point."""
    return f"{value:.2f}".replace("-", "−")


def percent(rate: float) -> str:
    return f"{100 * rate:.0f} %"


def interval(bounds: Sequence[float], digits: int | None = None) -> str:
    """0.91–0.97; "to" between the bounds where one of them is negative."""
    low, high = (
        number(x) if digits is None else f"{x:.{digits}f}".replace("-", "−") for x in bounds
    )
    return f"{low} to {high}" if min(bounds) < 0 else f"{low}–{high}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def versus(score: dict) -> str:
    """A score and its interval in words, or that there is none."""
    return (
        f"has no score ({score['left_out']})"
        if "left_out" in score
        else f"{ratio(score['mean'])} ({interval(score['interval'], 2)})"
    )


def comparison(tasks: dict[str, dict], found: dict) -> str:
    """Sentences on how the domain compares with its references; the published JAT is met on the
    published expert's scale alone.
    """
    parts, taught = [], [tasks[name]["by_teacher"]["mean"] for name in found["by_teacher"]["tasks"]]
    if taught:
        equal = f"it plays at least as well as the teacher on {sum(mean >= 1 for mean in taught)} of {plural(len(taught), 'task')}"
        parts.append(
            f"On average the agent reaches {ratio(found['by_teacher']['mean'])} of our teacher; {equal}."
        )
    compared = [
        task
        for task in tasks.values()
        if "mean" in task["by_expert"] and task["jat_by_expert"] is not None
    ]
    if compared:
        above = sum(task["by_expert"]["mean"] > task["jat_by_expert"] for task in compared)
        clear = sum(task["by_expert"]["interval"][0] > task["jat_by_expert"] for task in compared)
        clearly = f", with the whole interval on {clear}" if above else ""
        parts.append(
            f"On the published expert's scale its mean is above the published JAT's on {above} of {plural(len(compared), 'task')}{clearly}."
        )
    return " ".join(parts) or "None of these tasks has a score to be compared with."


def overview(found: dict, domain: str) -> list[list[str]]:
    """Rows of `OVERVIEW`: mean, IQM and median on each scale that some task of the domain has."""
    rows = []
    for scale, words in SCALE_WORDS.items():
        average, official = found[scale], PUBLISHED.get(domain, {}).get(scale, {})
        tasks = f"{words}, {len(average['tasks'])} of {plural(len(found['tasks']), 'task')}"
        for key, (name, jat) in AVERAGES.items() if average["tasks"] else ():
            ours = f"{ratio(average[key])} [{interval(average[f'{key}_interval'], 2)}]"
            same, reported = average.get(jat), official.get(key)
            rows.append(
                [
                    tasks,
                    name,
                    ours,
                    "–" if same is None else ratio(same),
                    "–" if reported is None else f"{reported:g}",
                ]
            )
    return rows


def left_out(found: dict) -> list[str]:
    """A line for each scale that misses tasks: which ones and why. Domains without any human score
    have no human scale to miss.
    """
    lines = []
    for scale, words in {
        "by_teacher": "our teacher's scale",
        "by_expert": "the published expert's scale",
        "by_human": "the human scale",
    }.items():
        reasons: dict[str, list[str]] = {}
        for name, why in found[scale]["left_out"].items():
            reasons.setdefault(why, []).append(short_name(name))
        if reasons and not (scale == "by_human" and not found[scale]["tasks"]):
            told = "; ".join(
                f"{'every task' if len(names) == len(found['tasks']) > 1 else ', '.join(names)} ({why})"
                for why, names in reasons.items()
            )
            lines.append(f"Not on {words}, and in none of its averages: {told}.")
    return lines


def failures(results: dict) -> list[str]:
    """A line for each task that could not be played; such a task is in no average."""
    return [f"{name} could not be played: {error}" for name, error in results["failed"].items()]


def language_rows(results: dict) -> list[list[str]]:
    """(task, metric, score with its interval, trivial baseline, what it was measured on) of each
    text and picture task.
    """
    rows = []
    for name, scores in results["language"].items():
        for key, (words, baseline) in LANGUAGE_METRICS.items():
            if key in scores:
                form = percent if key == "exact_match" else number
                # then the interval is that of the answers
                asked = "exact_match" in scores and key == "perplexity"
                bounds = (
                    ""
                    if asked
                    else " [" + "–".join(form(bound) for bound in scores["interval"]) + "]"
                )
                amount = (
                    plural(scores["questions"], "question")
                    if key == "exact_match"
                    else plural(scores["tokens"], "token")
                )
                rows.append(
                    [
                        name,
                        words,
                        f"{form(scores[key])}{bounds}",
                        f"{baseline} {form(scores[baseline])}",
                        amount,
                    ]
                )
    return rows


def made(results: dict, titles: dict[str, str]) -> list[tuple[str, str]]:
    """(term, words) on how the results came about: agent, seeds, sampling, intervals, environments,
    versions.
    """
    settings, agent = results["settings"], results["agent"]
    last = settings["seed"] + settings["episodes"] - 1
    choice = (
        "the likeliest action"
        if settings["greedy"]
        else f"drawn from the predicted probabilities (temperature {settings['temperature']:g})"
    )
    rows = [
        ("Agent", f"{agent['name']}, weights {agent['fingerprint']}"),
        ("Episodes", f"{settings['episodes']} of each task, seeds {settings['seed']:,} to {last:,}; demonstrations are recorded with smaller seeds only"),
        ("Actions", f"discrete ones: {choice}; continuous ones: the prediction as it is"),
        ("Scales", "(return − random) / (reference − random). Our teacher's scale: random policy and teacher measured on today's environments. The published "
         "expert's: both as JAT's authors published them, on theirs; only there may the agent be compared with the published JAT (10 episodes a task)"),
        ("Intervals", f"95 %, percentile bootstrap over episodes, {results['bootstrap_draws']:,} draws; for a domain stratified by task, as rliable does. The "
         "IQM is the mean of the middle half of all episodes. Success: Wilson's interval. None of them knows that another training run would differ"),
        ("Date", f"{results.get('date', 'unknown')}, {results.get('seconds', 0) / 60:.1f} minutes of play, all processes together"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in results["versions"].items())),
    ]  # fmt: skip
    if settings["max_steps"]:
        cut = sum(task["cut"] for task in results["tasks"].values())
        rows.insert(
            2,
            (
                "Cut short",
                f"{plural(cut, 'episode')} ended after {settings['max_steps']:,} steps, before the task ended them",
            ),
        )
    notes = {
        (task["domain"], task["note"]): None for task in results["tasks"].values() if task["note"]
    }
    return rows + [(f"{titles.get(domain, domain)} today", note) for domain, note in notes]


def summary(results: dict, titles: dict[str, str]) -> str:
    """The averages by domain, what is in none of them, and what failed, to print in a terminal."""
    lines = []
    for domain, found in results["domains"].items():
        success = (
            "" if found["success_rate"] is None else f", success {percent(found['success_rate'])}"
        )
        lines.append(
            f"{titles.get(domain, domain)}, {plural(len(found['tasks']), 'task')}{success}"
        )
        rows = overview(found, domain)
        lines += _columns([list(OVERVIEW), *rows]) if rows else ["  no normalised score"]
        lines += [f"  {line}" for line in left_out(found)]
    lines += [" ".join(row) for row in language_rows(results)]
    return "\n".join([*lines, *(f"FAILED: {line}" for line in failures(results))])


def _columns(rows: list[list[str]]) -> list[str]:
    """Rows as lines of equally wide cells, in which a first cell that repeats the one above is left
    empty.
    """
    firsts = [
        "" if index and rows[index - 1][0] == row[0] else row[0] for index, row in enumerate(rows)
    ]
    rows = [[first, *row[1:]] for first, row in zip(firsts, rows, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def markdown(results: dict, titles: dict[str, str]) -> str:
    """Everything as Markdown, for a README or a model card."""
    episodes, seed = results["settings"]["episodes"], results["settings"]["seed"]
    parts = [
        f"# How well {results['agent']['name']} plays\n",
        f"{plural(episodes, 'episode')} a task, seeds from {seed:,}; {'95 % intervals in brackets' if episodes > 1 else ONE_EPISODE}.\n",
    ]
    parts += [f"**{line}**\n" for line in failures(results)]
    for domain, found in results["domains"].items():
        tasks, title = (
            {name: results["tasks"][name] for name in found["tasks"]},
            titles.get(domain, domain),
        )
        rows = overview(found, domain)
        parts += [
            f"## {title}\n",
            *([_table(list(OVERVIEW), rows)] if rows else []),
            f"{comparison(tasks, found)}\n",
            *(f"{line}\n" for line in left_out(found)),
        ]
        parts += [
            _task_table(tasks),
            f"![Scores of the {title} tasks, as bars with 95 % intervals](figures/{domain}.png)\n",
        ]
    if results["domains"]:
        parts.append(f"{OFFICIAL}\n")
    if results["language"]:
        parts += ["## Text and pictures\n", _table(list(LANGUAGE), language_rows(results))]
    parts += [
        "## How it was made\n",
        f"    {results['command']}\n",
        *(f"- {term}: {words}" for term, words in made(results, titles)),
    ]
    return "\n".join(parts) + "\n"


def _task_table(tasks: dict[str, dict]) -> str:
    head = [
        "task",
        "return",
        "success",
        "of our teacher",
        "of the published expert",
        "published JAT, of the expert",
    ]
    human = any("mean" in task["by_human"] for task in tasks.values())
    rows = [_task_row(short_name(name), task, human) for name, task in tasks.items()]
    return _table([*head, *(["of human play"] if human else [])], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _task_row(name: str, task: dict, human: bool) -> list[str]:
    scales = ["by_teacher", "by_expert", "by_human"][: 3 if human else 2]
    scaled = [
        "–"
        if "left_out" in task[s]
        else f"{ratio(task[s]['mean'])} [{interval(task[s]['interval'], 2)}]"
        for s in scales
    ]
    success = percent(task["success"]["rate"]) if task["success"] else "–"
    jat = "–" if task["jat_by_expert"] is None else ratio(task["jat_by_expert"])
    spread = f"{number(task['return']['mean'])} ± {number(task['return']['std'])} [{interval(task['return']['interval'])}]"
    return [name, spread, success, *scaled[:2], jat, *scaled[2:]]
