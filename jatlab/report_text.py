"""The words and numbers of a report: formats, comparisons, how it was made, and the Markdown table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jatlab.viz.plots import short_name


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
    low, high = (number(x) if digits is None else f"{x:.{digits}f}".replace("-", "−") for x in bounds)
    return f"{low} to {high}" if min(bounds) < 0 else f"{low}–{high}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def versus(score: dict) -> str:
    """A score and its interval in words, or that there is none."""
    return f"has no score ({score['left_out']})" if "left_out" in score else f"{ratio(score['mean'])} ({interval(score['interval'], 2)})"


def comparison(tasks: dict[str, dict], found: dict) -> str:
    """Sentences on how the domain compares with its references; the published JAT is met on the published expert's scale alone."""
    parts, taught = [], [tasks[name]["by_teacher"]["mean"] for name in found["by_teacher"]["tasks"]]
    if taught:
        equal = f"it plays at least as well as the teacher on {sum(mean >= 1 for mean in taught)} of {plural(len(taught), 'task')}"
        parts.append(f"On average the agent reaches {ratio(found['by_teacher']['mean'])} of our teacher; {equal}.")
    compared = [task for task in tasks.values() if "mean" in task["by_expert"] and task["jat_by_expert"] is not None]
    if compared:
        above = sum(task["by_expert"]["mean"] > task["jat_by_expert"] for task in compared)
        clear = sum(task["by_expert"]["interval"][0] > task["jat_by_expert"] for task in compared)
        clearly = f", with the whole interval on {clear}" if above else ""
        parts.append(f"On the published expert's scale its mean is above the published JAT's on {above} of {plural(len(compared), 'task')}{clearly}.")
    return " ".join(parts) or "None of these tasks has a score to be compared with."


def left_out(found: dict) -> list[str]:
    """A line for each scale that misses tasks: which ones and why."""
    lines = []
    for scale, words in {"by_teacher": "our teacher's scale", "by_expert": "the published expert's scale"}.items():
        reasons: dict[str, list[str]] = {}
        for name, why in found[scale]["left_out"].items():
            reasons.setdefault(why, []).append(short_name(name))
        if reasons:
            lines.append(f"Not on {words}, and in none of its averages: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items()) + ".")
    return lines


def made(results: dict, titles: dict[str, str]) -> list[tuple[str, str]]:
    """(term, words) on how the results came about: agent, seeds, sampling, intervals, environments, versions."""
    settings, agent = results["settings"], results["agent"]
    last = settings["seed"] + settings["episodes"] - 1
    choice = "the likeliest action" if settings["greedy"] else f"drawn from the predicted probabilities (temperature {settings['temperature']:g})"
    rows = [
        ("Agent", f"{agent['name']}, weights {agent['fingerprint']}"),
        ("Episodes", f"{settings['episodes']} of each task, seeds {settings['seed']:,} to {last:,}; demonstrations are recorded with smaller seeds only"),
        ("Actions", f"discrete ones: {choice}; continuous ones: the prediction as it is"),
        ("Scales", "(return − random) / (reference − random). Our teacher's scale: random policy and teacher measured on today's environments. The published "
         "expert's: both as JAT's authors published them, on theirs; only there may the agent be compared with the published JAT (10 episodes a task)"),
        ("Intervals", f"95 %, percentile bootstrap over episodes, {results['bootstrap_draws']:,} draws; for a domain stratified by task, as rliable does. The "
         "IQM is the mean of the middle half of all episodes. Success: Wilson's interval. None of them knows that another training run would differ"),
        ("Date", f"{results.get('date', 'unknown')}, {results.get('seconds', 0) / 60:.1f} minutes of play"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in results["versions"].items())),
    ]  # fmt: skip
    if settings["max_steps"]:
        cut = sum(task["cut"] for task in results["tasks"].values())
        rows.insert(2, ("Cut short", f"{plural(cut, 'episode')} ended after {settings['max_steps']:,} steps, before the task ended them"))
    notes = {(task["domain"], task["note"]): None for task in results["tasks"].values() if task["note"]}
    return rows + [(f"{titles.get(domain, domain)} today", note) for domain, note in notes]


def summary(results: dict, titles: dict[str, str]) -> str:
    """A line for each domain, to print in a terminal."""
    lines = []
    for domain, found in results["domains"].items():
        scores = [f"{ratio(a['mean'])} [{interval(a['mean_interval'], 2)}] {words}" for a, words in _averages(found) if a["mean"] is not None]
        jat = found["by_expert"]["jat"]
        scores += [] if jat is None else [f"published JAT {ratio(jat)}"]
        scores += [] if found["success_rate"] is None else [f"success {percent(found['success_rate'])}"]
        lines.append(f"{titles.get(domain, domain):<11} {plural(len(found['tasks']), 'task'):>8}: {', '.join(scores) or 'no normalised score'}")
    return "\n".join(lines)


def _averages(found: dict) -> list[tuple[dict, str]]:
    return [(found["by_teacher"], "of our teacher"), (found["by_expert"], "of the published expert")]


def markdown(results: dict, titles: dict[str, str]) -> str:
    """The tables as Markdown, for a README."""
    episodes, seed = results["settings"]["episodes"], results["settings"]["seed"]
    parts = [f"# How well {results['agent']['name']} plays\n", f"{plural(episodes, 'episode')} a task, seeds from {seed:,}; 95 % intervals in brackets.\n"]
    for domain, found in results["domains"].items():
        parts += [f"## {titles.get(domain, domain)}\n", _markdown_table({name: results["tasks"][name] for name in found["tasks"]}, found)]
        parts += [f"{comparison({name: results['tasks'][name] for name in found['tasks']}, found)}\n", *(f"{line}\n" for line in left_out(found))]
        parts.append(f"![Scores of the {titles.get(domain, domain)} tasks, as bars with 95 % intervals](figures/{domain}.png)\n")
    parts += ["## How it was made\n", f"    {results['command']}\n", *(f"- {term}: {words}" for term, words in made(results, titles))]
    return "\n".join(parts) + "\n"


def _markdown_table(tasks: dict[str, dict], found: dict) -> str:
    head = ["task", "return", "success", "of our teacher", "of the published expert", "published JAT, of the expert"]
    rows = [_markdown_row(short_name(name), task) for name, task in tasks.items()]
    for words, key in [("**mean of tasks**", "mean"), ("**IQM**", "iqm")]:
        means = [f"**{ratio(found[s][key])}** [{interval(found[s][f'{key}_interval'], 2)}]" if found[s]["tasks"] else "–" for s in ("by_teacher", "by_expert")]
        jat = found["by_expert"]["jat"]
        rows.append([words, "", "", *means, ratio(jat) if key == "mean" and jat is not None else ""])
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _markdown_row(name: str, task: dict) -> list[str]:
    scaled = ["–" if "left_out" in task[s] else f"{ratio(task[s]['mean'])} [{interval(task[s]['interval'], 2)}]" for s in ("by_teacher", "by_expert")]
    success = percent(task["success"]["rate"]) if task["success"] else "–"
    jat = "–" if task["jat_by_expert"] is None else ratio(task["jat_by_expert"])
    return [name, f"{number(task['return']['mean'])} [{interval(task['return']['interval'])}]", success, *scaled, jat]
