"""Exercise 10.5: from runs to findings, built in three steps."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from jatlab.lessons.answers import Answer, expect, kind, listed, named, near, number, numbers

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t by the number of runs, 95 %
Table = dict[str, dict[int, float]]

# --- one right answer of each step


def table(runs: Iterable[tuple[str, int, float]]) -> Table:
    """Runs (variant, seed, score) as {variant: {seed: score}}."""
    found: Table = {}
    for variant, seed, score in runs:
        found.setdefault(variant, {})[seed] = score
    return found


def effect(scores: Table, variant: str, base: str) -> tuple[float, float]:
    """Mean of variant - base, seed by seed, and the half width of its 95 % interval.

    Only seeds that both have count.
    """
    seeds = sorted(scores[variant].keys() & scores[base].keys())
    differences = np.array([scores[variant][seed] - scores[base][seed] for seed in seeds])
    half = STUDENT[len(seeds)] * differences.std(ddof=1) / len(seeds) ** 0.5
    return float(differences.mean()), float(half)


def findings(scores: Table, base: str) -> list[str]:
    """The variants whose interval against the base excludes 0, the largest effect first."""
    effects = {name: effect(scores, name, base) for name in scores if name != base}
    told = [name for name, (mean, half) in effects.items() if abs(mean) > half]
    return sorted(told, key=lambda name: -abs(effects[name][0]))


STEPS = ("a table", "an effect", "findings")
RUNS = [
    ("base", 0, 0.70), ("base", 1, 0.50), ("base", 2, 0.60),
    ("wide", 2, 0.71), ("wide", 0, 0.80), ("wide", 1, 0.62), ("wide", 7, 0.99),
    ("deep", 0, 0.90), ("deep", 1, 0.45), ("deep", 2, 0.75),
    ("none", 1, 0.21), ("none", 2, 0.29), ("none", 0, 0.40),
]  # fmt: skip


def check_findings(
    collect: Answer, compare: Answer | None = None, tell: Answer | None = None
) -> None:
    """Check 10.5: the table alone, or with the later steps."""
    _check_table(collect)
    if compare is not None:
        _check_effect(compare)
    if tell is not None:
        _check_findings(tell)


def _check_table(answer: Answer) -> None:
    right = table(RUNS)
    wanted = "step 1: return a dict, variant -> {seed: score}"
    found = named(answer(list(RUNS)), right, wanted)
    for variant, scores in right.items():
        one = found[variant]
        expect(
            isinstance(one, dict),
            f"step 1: the runs of {variant!r} should be a dict, seed -> score, not {kind(one)}: "
            "runs are compared seed by seed, so each has to keep its seed",
        )
        expect(
            set(one) == set(scores),
            f"step 1: {variant!r} has runs with the seeds {sorted(scores)}, yours {len(one)} runs",
        )
        for seed, score in scores.items():
            got = number(one[seed], f"step 1: the score of {variant!r}, seed {seed}")
            expect(near(got, score), f"step 1: {variant!r}, seed {seed}: {score}, not {got:g}")


def _check_effect(answer: Answer) -> None:
    scores = table(RUNS)
    for variant in ("wide", "none"):
        mean, half = effect(scores, variant, "base")
        given = {name: dict(one) for name, one in scores.items()}
        got, width = numbers(answer(given, variant, "base"), "the mean", "the half width")
        plain = np.mean(list(scores[variant].values())) - np.mean(list(scores["base"].values()))
        expect(
            variant != "wide" or not near(got, plain),
            "step 2: 'wide' has one run more, with a seed that base lacks: only seeds that both "
            "have can be compared",
        )
        expect(not near(got, -mean), "step 2: the sign: variant minus base")
        expect(near(got, mean), f"step 2: the mean difference is {mean:.4f}, not {got:.4f}")
        expect(
            not near(width, half * (2 / 3) ** 0.5),
            "step 2: the standard deviation of three runs divides by 2, not by 3: ddof=1",
        )
        expect(
            not near(width, half * 1.96 / STUDENT[3]),
            "step 2: 1.96 is for very many runs; three runs need Student's 4.303",
        )
        expect(
            not near(width, half * 3**0.5),
            "step 2: that is how far single runs spread; the interval is of their mean, so divide "
            "by the root of their number",
        )
        a, b = ([scores[name][seed] for seed in (0, 1, 2)] for name in (variant, "base"))
        apart = STUDENT[3] * (np.var(a, ddof=1) / 3 + np.var(b, ddof=1) / 3) ** 0.5
        expect(
            not near(width, apart),
            "step 2: you treat the runs as unrelated; with the same seed they share what the seed "
            "brings. Take the differences first",
        )
        expect(near(width, half), f"step 2: the half width is {half:.4f}, not {width:.4f}")
    _check_five(answer)


def _check_five(answer: Answer) -> None:
    """Student's t is that of the number of runs, which is not always three."""
    scores = {"base": dict(enumerate((0.5, 0.6, 0.4, 0.7, 0.5)))}
    scores["wide"] = dict(enumerate((0.6, 0.8, 0.5, 0.7, 0.9)))
    half = effect(scores, "wide", "base")[1]
    given = {name: dict(one) for name, one in scores.items()}
    _, width = numbers(answer(given, "wide", "base"), "the mean", "the half width")
    expect(
        near(width, half),
        f"step 2: with five seeds in common the half width is {half:.4f}, not {width:.4f}: take "
        "Student's t and the root for the number of seeds that both have, STUDENT[len(seeds)]",
    )


def _check_findings(answer: Answer) -> None:
    scores = table(RUNS)
    found = listed(answer({name: dict(one) for name, one in scores.items()}, "base"))
    expect(
        isinstance(found, list | tuple) and all(isinstance(name, str) for name in found),
        f"step 3: return a list of variants' names; yours is {kind(found)}",
    )
    names = list(found)
    expect("base" not in names, "step 3: the base is not compared with itself")
    expect(
        "deep" not in names,
        "step 3: 'deep' is no finding: its mean is higher, but its interval contains 0",
    )
    expect(
        "none" in names,
        "step 3: 'none' is missing: an effect may be negative, and is a finding all the same",
    )
    expect(
        sorted(names) == ["none", "wide"], f"step 3: 'none' and 'wide' are told apart, not {names}"
    )
    expect(names == ["none", "wide"], "step 3: the largest effect, in size, comes first: 'none'")
