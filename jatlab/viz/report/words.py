"""The words of a report: formats of numbers, and sentences about results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jatlab.evaluation.results import (
    PUBLISHED,
    PUBLISHED_SOURCE,
    DomainResults,
    Results,
    TaskResults,
)
from jatlab.tasks import short_name

DOMAIN_TITLES = {
    "babyai": "BabyAI",
    "metaworld": "Meta-World",
    "mujoco": "MuJoCo",
    "atari": "Atari",
}
SCALE_WORDS = {
    "by_teacher": "of our teacher",
    "by_expert": "of the published expert",
    "by_human": "of human play",
}
SCALE_NAMES = {
    "by_teacher": "our teacher's scale",
    "by_expert": "the published expert's scale",
    "by_human": "the human scale",
}
ONE_EPISODE = "with one episode a task, intervals have no width"
AS_REPORTED = (
    f"As reported, whole domain: what JAT's authors published ({PUBLISHED_SOURCE}). Their IQM is "
    "over single episodes. The IQM over the same tasks is over the means of tasks, because single "
    "episodes were not published."
)


SCALES = (
    "(return − random) / (reference − random). On our teacher's scale, random policy and teacher "
    "were measured on today's environments."
)
PUBLISHED_SCALE = (
    " On the published expert's scale, both are as JAT's authors published them, measured on their "
    "environments. Only on that scale may the agent be compared with the published JAT (10 "
    "episodes a task)."
)


def heading(name: str) -> str:
    """A report's title. An agent from a folder called "agent", as recipes make it, has no name."""
    return f"How well {'the agent' if name == 'agent' else name} plays"


def domain_title(domain: str) -> str:
    """How a domain is called in headings; its name, if it is not one of the published four."""
    return DOMAIN_TITLES.get(domain, domain)


def number(value: float) -> str:
    """A number with its significant digits: 0.934, 12.3, 1,234; two digits of very small values."""
    if abs(value) < 0.001:
        return f"{value:.2g}".replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 3)}f}".replace("-", "−")


def ratio(value: float) -> str:
    """A normalised score: two digits after the point."""
    return f"{value:.2f}".replace("-", "−")


def interval(bounds: Sequence[float], digits: int | None = None) -> str:
    """An interval: "0.91–0.97"; "−0.10 to 0.20" where a bound is negative.

    `digits` after the point; as many as `number` gives if None.
    """
    low, high = (
        number(x) if digits is None else f"{x:.{digits}f}".replace("-", "−") for x in bounds
    )
    return f"{low} to {high}" if min(bounds) < 0 else f"{low}–{high}"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 task", "2,000 steps"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def score_or_reason(score: dict[str, Any]) -> str:
    """A normalised score and its interval in words, or why there is none."""
    if "left_out" in score:
        return f"has no score ({score['left_out']})"
    return f"{ratio(score['mean'])} ({interval(score['interval'], 2)})"


def comparison(tasks: dict[str, TaskResults], found: DomainResults) -> str:
    """Sentences that compare a domain with its references.

    The published JAT is compared on the published expert's scale only.
    """
    sentences = [_against_teacher(tasks, found), _against_jat(tasks)]
    told = " ".join(sentence for sentence in sentences if sentence)
    return told or "None of these tasks has a score to compare with."


def _against_teacher(tasks: dict[str, TaskResults], found: DomainResults) -> str:
    means = [tasks[name]["by_teacher"]["mean"] for name in found["by_teacher"]["tasks"]]
    if not means:
        return ""
    equal = sum(mean >= 1 for mean in means)
    return (
        f"On average the agent reaches {ratio(found['by_teacher']['mean'])} of our teacher; "
        f"it plays at least as well as the teacher on {equal} of {plural(len(means), 'task')}."
    )


def _against_jat(tasks: dict[str, TaskResults]) -> str:
    compared = [
        (task["by_expert"], task["jat_by_expert"])
        for task in tasks.values()
        if "mean" in task["by_expert"] and task["jat_by_expert"] is not None
    ]
    if not compared:
        return ""
    above = sum(ours["mean"] > jat for ours, jat in compared)
    clear = sum(ours["interval"][0] > jat for ours, jat in compared)
    return (
        "On the published expert's scale its mean is above the published JAT's on "
        f"{above} of {plural(len(compared), 'task')}"
        + (f", with the whole interval on {clear}" if above else "")
        + "."
    )


def is_published(name: str) -> bool:
    """Whether a task or a domain is one of JAT's, of which there are published scores."""
    return name.partition("-")[0] in PUBLISHED


def left_out(found: DomainResults) -> list[str]:
    """A sentence for each scale that misses tasks of a domain: which ones, and why.

    A domain in which no task has a human score has no human scale to miss, and tasks of one's own
    have our teacher's alone.
    """
    scales = {"by_teacher"} | ({"by_expert"} if any(map(is_published, found["tasks"])) else set())
    lines = []
    for scale, words in SCALE_NAMES.items():
        if scale not in scales and not found[scale]["tasks"]:
            continue
        reasons: dict[str, list[str]] = {}
        for name, why in found[scale]["left_out"].items():
            reasons.setdefault(why, []).append(short_name(name))
        told = []
        for why, names in reasons.items():
            everyone = len(names) == len(found["tasks"]) > 1
            told.append(f"{'every task' if everyone else ', '.join(names)} ({why})")
        if told:
            lines.append(f"Left out of {words} and its averages: {'; '.join(told)}.")
    return lines


def failures(results: Results) -> list[str]:
    """A line for each task that could not be played; such a task is in no average."""
    return [f"{name} could not be played: {error}" for name, error in results["failed"].items()]


def provenance(results: Results) -> list[tuple[str, str]]:
    """(term, words) on how the results came about: agent, seeds, sampling, intervals, versions."""
    settings, agent, draws = results["settings"], results["agent"], results["bootstrap_draws"]
    first, last = settings["seed"], settings["seed"] + settings["episodes"] - 1
    temperature = (
        f"sampled from the predicted probabilities (temperature {settings['temperature']:g})"
    )
    likeliest = settings["greedy"] or settings["temperature"] == 0
    choice = "the likeliest action" if likeliest else temperature
    versions = [f"{name} {version}" for name, version in results["versions"].items()]
    rows = [
        ("Agent", f"{agent['name']}, weights {agent['fingerprint']}"),
        (
            "Episodes",
            f"{settings['episodes']} of each task, seeds {first:,} to {last:,}. "
            "Demonstrations are recorded with smaller seeds.",
        ),
        *_cut_short(results),
        ("Actions", f"discrete: {choice}; continuous: the predicted values."),
        ("Scales", SCALES + (PUBLISHED_SCALE if any(map(is_published, results["tasks"])) else "")),
        (
            "Intervals",
            f"95 %, percentile bootstrap over episodes, {draws:,} draws; for a domain stratified "
            "by task, as in rliable. The IQM is the mean of the middle half of all episodes. "
            "Success rates have Wilson's interval. No interval covers what another training run "
            "would change.",
        ),
        (
            "Date",
            f"{results.get('date', 'unknown')}, {results.get('seconds', 0) / 60:.1f} minutes of "
            "play, all processes together",
        ),
        ("Versions", ", ".join(versions)),
    ]
    unseen = results.get("without_video", {})
    rows += [("No video", f"of {name}: {why}") for name, why in unseen.items()]
    tasks = results["tasks"].values()
    notes = dict.fromkeys((task["domain"], task["note"]) for task in tasks if task["note"])
    return rows + [(f"{domain_title(domain)} today", note) for domain, note in notes]


def _cut_short(results: Results) -> list[tuple[str, str]]:
    most = results["settings"]["max_steps"]
    cut = {name: task["cut"] for name, task in results["tasks"].items() if task["cut"]}
    if most:
        ended = f"{plural(sum(cut.values()), 'episode')} ended after {most:,} steps"
        return [("Cut short", f"{ended}, before the task ended them")]
    return [
        (
            "Cut short",
            f"{plural(count, 'episode')} of {name} had not ended after "
            f"{max(results['tasks'][name]['lengths']):,} steps, the limit of a task that sets none "
            "(`episode_limit`)",
        )
        for name, count in cut.items()
    ]
