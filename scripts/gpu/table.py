"""The kit's measurements as tables: `python -m scripts.gpu.table` fills docs/results/speed.md.

docs/results/gpu.json has what the benchmark printed, run by run. A ratio is between two ways that
were measured in the same run, each with the batch that was fastest for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scripts.readme import RESULTS, insert

Line = dict[str, Any]
OURS = ("static", "graph", "usual")


def fastest(lines: list[Line], preset: str, kind: str, ways: tuple[str, ...]) -> Line | None:
    """The line with most tokens a second."""
    fitting = [
        line
        for line in lines
        if (line["preset"], line["kind"]) == (preset, kind) and line["way"] in ways
    ]
    return max(fitting, key=lambda line: line.get("tokens_per_second", 0), default=None)


def training_rows(runs: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each preset and kind, from the last run that has it."""
    seen = dict.fromkeys(
        (line["preset"], line["kind"])
        for run in runs
        for line in run["lines"]
        if line["way"] in OURS
    )
    for preset, kind in sorted(seen, key=lambda key: (key[0] != "paper", key[1])):
        lines = [run["lines"] for run in runs if fastest(run["lines"], preset, kind, OURS)][-1]
        best = fastest(lines, preset, kind, OURS)
        plain = fastest(lines, preset, kind, ("plain",))
        assert best is not None
        facts = [f"{best['tokens_per_second']:,}", f"{100 * best['utilisation']:.1f} %"]
        facts.append(f"{best['gigabytes'] / best['rows'] * 1000:.0f}")
        if plain is None:
            facts += ["–", "–", "–"]
        else:
            facts += [
                f"{plain['tokens_per_second']:,}",
                f"{plain['gigabytes'] / plain['rows'] * 1000:.0f}",
                f"{best['tokens_per_second'] / plain['tokens_per_second']:.1f}",
            ]
        yield f"| `{preset}`, {kind} | {' | '.join(facts)} |"


def acting_rows(runs: list[dict[str, Any]]) -> Iterator[str]:
    """Milliseconds a decision, by kind and number of environments."""
    lines = [line for run in runs for line in run["lines"] if line["way"] == "acting"]
    for preset, kind in dict.fromkeys((line["preset"], line["kind"]) for line in lines):
        told = {
            line["environments"]: acting_cell(line)
            for line in lines
            if (line["preset"], line["kind"]) == (preset, kind)
        }
        yield f"| `{preset}`, {kind} | {' | '.join(told.get(n, '–') for n in (1, 64, 1024))} |"


def acting_cell(line: Line) -> str:
    """Milliseconds, or why there are none."""
    if "milliseconds" in line:
        return f"{line['milliseconds']:.1f}"
    return "out of memory" if "OutOfMemory" in line["failed"] else "failed"


def tables(measured: dict[str, Any]) -> str:
    """Both tables."""
    head = (
        "| training | tokens/s | utilisation | MB a window | plain, tokens/s | plain, MB | ratio |"
    )
    acting = "| acting, ms a decision | 1 environment | 64 | 1,024 |"
    rows = [head, "| --- |" + " ---: |" * 6, *training_rows(measured["runs"])]
    rows += ["", acting, "| --- |" + " ---: |" * 3, *acting_rows(measured["runs"])]
    return "\n".join(rows)


def main() -> None:
    """Fill the page."""
    insert("gpu", tables(json.loads((RESULTS / "gpu.json").read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
