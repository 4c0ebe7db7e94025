"""jatlab-mini's third and fourth editions side by side, for its card and its page.

docs/results/third-edition.json has the third edition's scores, since its report left the package
with its weights.
"""

from __future__ import annotations

import json
from statistics import fmean, median
from typing import Any

from jatlab.evaluation.results import Results
from jatlab.tasks import domain_of, short_name
from jatlab.viz.report.words import DOMAIN_TITLES, interval
from scripts.readme import RESULTS

# goals by domain, on the scales of our teacher and of the published expert
TARGETS = {
    "babyai": (0.90, 0.88),
    "metaworld": (0.94, 0.95),
    "mujoco": (0.85, 1.10),
    "atari": (0.65, 0.45),
}
SCALES = ("by_teacher", "by_expert")
# whose published expert barely beats random play, so that one score would make the mean
OUTLIER = "metaworld-disassemble"


def third_edition() -> dict[str, Any]:
    """The third edition's scores: of each task, and of each language task."""
    return json.loads((RESULTS / "third-edition.json").read_text(encoding="utf-8"))


def domain_table(results: Results, command: str) -> str:
    """A row for each domain: both editions, the fourth's goals, and the published JAT."""
    settings, third = results["settings"], third_edition()["tasks"]
    lines = [
        f"Means of task scores, {settings['episodes']} episodes a task, seeds from "
        f"{settings['seed']:,}; 95 % intervals in brackets. `{command}`",
        "",
        "| domain, tasks | by our teacher: third | fourth | to reach "
        "| by the published expert: third | fourth | to reach "
        "| published JAT (192.7 M), same tasks |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for domain, (by_teacher, by_expert) in TARGETS.items():
        found = results["domains"][domain]
        before = [scores for name, scores in third.items() if domain_of(name) == domain]
        taught, expert = (fmean(one[scale] for one in before) for scale in SCALES)
        cells = [
            f"{DOMAIN_TITLES[domain]}, {len(found['tasks'])}",
            f"{taught:.2f}",
            _with_interval(found["by_teacher"]),
            f"{by_teacher:.2f}",
            f"{expert:.2f}",
            _with_interval(found["by_expert"]),
            f"{by_expert:.2f}",
            f"{found['by_expert']['jat']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _without_outlier(results, third)])


def _with_interval(found: dict[str, Any]) -> str:
    return f"**{found['mean']:.2f}** [{interval(found['mean_interval'], 2)}]"


def _without_outlier(results: Results, third: dict[str, Any]) -> str:
    """Meta-World by the published expert, without the one task that makes its mean."""
    names = [n for n in third if domain_of(n) == "metaworld" and n != OUTLIER]
    old = [third[name]["by_expert"] for name in names]
    new = [results["tasks"][name]["by_expert"]["mean"] for name in names]
    goal = TARGETS["metaworld"][1]
    return (
        f"Meta-World's goal by the published expert ({goal:.2f}) is for the {len(names)} tasks "
        f"without `{short_name(OUTLIER)}`: their mean is {fmean(new):.2f} (third: "
        f"{fmean(old):.2f}), their median {median(new):.2f} (third: {median(old):.2f})."
    )


def language_table(results: Results) -> str:
    """What both editions make of held-out texts and of questions about scenes."""
    third, lines = third_edition()["language"], []
    for name, found in results["language"].items():
        times = f"{found['unigram'] / found['perplexity']:.1f}"
        before = f"{third[name]['unigram'] / third[name]['perplexity']:.1f}"
        goal = "3" if name == "python-docs" else ""
        what = f"{name}: times below a unigram model's perplexity"
        lines.append(f"| {what} | {before} | {times} | {goal} |")
    asked = results["language"]["minigrid-questions"]
    before = third["minigrid-questions"]["exact_match"]
    low, high = asked["interval"]
    lines.append(
        f"| minigrid-questions: exact answers (the most frequent one: {asked['majority']:.0%}) "
        f"| {before:.0%} | {asked['exact_match']:.0%} [{low:.0%}–{high:.0%}] | 75% |"
    )
    head = ["| held-out text and pictures | third | fourth | to reach |"]
    return "\n".join([*head, "| --- | ---: | ---: | ---: |", *lines])


def task_table(results: Results) -> str:
    """A row for each played task: its score in both editions."""
    third = third_edition()["tasks"]
    lines = [
        "| task | by our teacher: third | fourth | by the published expert: third | fourth |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in third:
        cells = [
            value
            for scale in SCALES
            for value in (third[name][scale], results["tasks"][name][scale].get("mean"))
        ]
        shown = " | ".join("–" if cell is None else f"{cell:.2f}" for cell in cells)
        lines.append(f"| {name} | {shown} |")
    return "\n".join(lines)
