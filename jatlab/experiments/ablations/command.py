"""`jatlab ablate NAME`: make the runs of an ablation, go on where it was stopped, save the results.

An ablation is a list of variants of one recipe. A run trains a small agent for one variant and
seed, and plays 50 episodes of each of its tasks. It is saved when it ends, so the same command goes
on where it was stopped. A run that two ablations share is made once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jatlab.experiments.ablations.questions import ABLATIONS
from jatlab.experiments.ablations.results import SHIPPED, AblationResults, assemble, load
from jatlab.experiments.ablations.runs import run_point
from jatlab.experiments.ablations.specialists import run_specialist
from jatlab.experiments.ablations.unseen import ingredients, run_unseen
from jatlab.experiments.ablations.variants import (
    AVERAGE,
    BATCH,
    EPISODES,
    LR,
    MODEL,
    SCALAR_BATCH,
    TUNED_LR,
    Variant,
    demonstrations,
)
from jatlab.experiments.recipes import mini
from jatlab.utils.checks import require, whole_number
from jatlab.utils.console import say
from jatlab.utils.files import expanded, write_json


def ablate(
    name: str,
    output: str | Path = "runs/ablations",
    seeds: Iterable[int] | None = None,
    steps: int | None = None,
    episodes: int = EPISODES,
    install: bool = False,
    progress: bool = True,
    only: Sequence[str] | None = None,
) -> AblationResults:
    """Make every missing run of an ablation, and write its results.

    Args:
        name: of the ablation.
        output: the folder of demonstrations, runs and NAME.json.
        seeds: of the runs; None for the ablation's.
        steps: of training; None for each variant's steps or minutes.
        episodes: that an agent plays of each task.
        install: whether to put the results into the package as well, in place of those that ship.
        progress: whether to print a line for each run.
        only: names of variants, or patterns such as `5 shown: *`. The other variants keep the runs
            of the results that ship.

    Returns:
        The results, see `jatlab.experiments.ablations.results.assemble`.

    Raises:
        ValueError: an unknown name, no seed, a number of episodes or steps that is below 1, or a
            pattern that fits no variant.
    """
    if name not in ABLATIONS:
        raise ValueError(f"unknown ablation {name!r}; there are {', '.join(ABLATIONS)}")
    ablation, output = ABLATIONS[name], expanded(output)
    seeds = _checked_seeds(ablation.seeds if seeds is None else seeds)
    episodes = whole_number(episodes, "episodes", 1)
    variants = [_for_steps(variant, steps) for variant in ablation.variants]
    chosen = variants if only is None else _chosen(variants, only)
    kept = [] if only is None else _kept(name, chosen)
    runs: list[dict[str, Any]] = []
    # all variants of a seed before the next seed: stopped early, it is still a comparison
    for seed in seeds:
        for variant in chosen:
            runs.append(saved_run(variant, seed, episodes, output))
            if progress:
                say(run_line(runs[-1]), flush=True)
        results = assemble(ablation, variants, kept + runs)
        for folder in [output, SHIPPED] if install else [output]:
            write_json(folder / f"{name}.json", results)
    return results


def _checked_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds. Raises ValueError where there is none, or one that is no seed."""
    checked = tuple(whole_number(seed, "a seed") for seed in seeds)
    require(checked, "an ablation needs at least one seed: name some, or leave seeds out")
    return checked


def _for_steps(variant: Variant, steps: int | None) -> Variant:
    """The variant, trained for so many steps; None: as long as it is by itself."""
    if steps is None:
        return variant
    return replace(variant, steps=whole_number(steps, "steps", 1), minutes=None)


def _chosen(variants: Sequence[Variant], only: Sequence[str]) -> list[Variant]:
    """The variants that a pattern fits."""
    for pattern in only:
        if not any(fnmatchcase(variant.name, pattern) for variant in variants):
            names = ", ".join(variant.name for variant in variants)
            raise ValueError(f"no variant is called {pattern!r}; there are {names}")
    return [one for one in variants if any(fnmatchcase(one.name, pattern) for pattern in only)]


def _kept(name: str, made: Sequence[Variant]) -> list[dict[str, Any]]:
    """The runs that ship of the variants that are not made now."""
    try:
        runs = load(name)["runs"]
    except FileNotFoundError:
        return []
    return [run for run in runs if run["variant"] not in {variant.name for variant in made}]


def run_line(run: dict[str, Any]) -> str:
    """A run in one line."""
    scores = ", ".join(f"{task} {result['mean']:.3f}" for task, result in run["tasks"].items())
    return f"{run['variant']}, seed {run['seed']}: {scores} ({run['minutes']:.1f} minutes)"


def saved_run(variant: Variant, seed: int, episodes: int, output: Path) -> dict[str, Any]:
    """A run's result, from its file if there is one. The file is named by what decides the run."""
    settings = _settings(variant, seed, episodes)
    # two ablations may call the same run differently
    decisive = {key: value for key, value in settings.items() if key not in ("name", "value")}
    digest = sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]
    path = output / "runs" / f"{digest}.json"
    if path.exists():
        return json.loads(path.read_text()) | {"variant": variant.name}
    run = _maker(variant)(variant, seed, episodes, output / "data")
    write_json(path, run | {"settings": settings})
    return run


def _maker(variant: Variant) -> Callable[..., dict[str, Any]]:
    """What makes a run of a variant."""
    if variant.against:
        return run_specialist
    return run_unseen if variant.method else run_point


def _settings(variant: Variant, seed: int, episodes: int) -> dict[str, Any]:
    """Everything that decides a run, as JSON gives it back."""
    settings = asdict(variant) | {
        "seed": seed,
        "episodes": episodes,
        "base": [MODEL, BATCH, SCALAR_BATCH, LR, TUNED_LR, AVERAGE],
        **_ingredients(variant),
    }
    return json.loads(json.dumps(settings))


def _ingredients(variant: Variant) -> dict[str, Any]:
    """What a run depends on beside its variant: the demonstrations, and a shipped agent."""
    if variant.memory:
        return {"agent": fingerprint("jatlab-mini")}
    if variant.method:
        known = {"agent": fingerprint(variant.start)} if variant.start else {}
        return {"unseen": ingredients(variant), **known}
    recordings = {"recordings": {task: demonstrations(task) for task in variant.tasks}}
    if variant.start is None:
        return recordings
    own = variant.start in ("nothing", "specialist")
    agent = mini.MODEL if own else fingerprint(variant.start)
    return recordings | {"agent": agent, "recipe": mini.TRAINING}


@cache
def fingerprint(agent: str) -> str:
    """The fingerprint of a shipped agent's weights."""
    from jatlab.agents.checkpoints import load_agent
    from jatlab.evaluation.records import identity

    return identity(load_agent(agent))["fingerprint"]
