"""`jatlab ablate NAME`: the questions that the paper leaves open, asked at small scale, a few
minutes of training each.

An ablation is a list of variants of one recipe. Every (variant, seed) is one run: a small agent is
trained for a number of steps and plays 50 episodes of each of its tasks. A run is saved as it ends,
so that the same command goes on where it was stopped; a run that two ablations share is made once.
The summary gives for each variant and task the mean over runs. Its 95 % interval is Student's over
the means of the runs: it answers what another training run would give. (Where nothing is trained it
is the bootstrap over episodes.) `load("observation-loss")` reads the results that ship with the
package.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np

from jatlab.evaluation.statistics import bootstrap_interval
from jatlab.experiments.ablations.new_tasks import NEW_TASKS
from jatlab.experiments.ablations.runs import (
    AVERAGE,
    BATCH,
    EPISODES,
    FRAMES,
    GAME,
    LR,
    MODEL,
    OBJECT,
    REACH,
    RECALL,
    SCALAR_BATCH,
    STEPS,
    TUNED_LR,
    Variant,
    demonstrations,
    play,
    recipe,
    run_point,
)  # fmt: skip
from jatlab.experiments.recipes import mini
from jatlab.model.config import JatConfig
from jatlab.tasks import short_name
from jatlab.utils.files import ASSETS, write_json

__all__ = [
    "ABLATIONS", "COMPANY", "MODEL", "Ablation", "Variant", "ablate", "assemble", "costs", "difference", "differences", "load", "play", "reach_of", "recipe", "run_point", "shipped",
    "side_by_side", "student_interval", "summary", "to_recall", "told", "told_summary", "with_kappa", "with_layers",
]  # fmt: skip
SHIPPED = ASSETS / "ablations"
SEEDS = (0, 1, 2)
COMPANY = (
    OBJECT,
    REACH,
    "babyai-open-door",
    "metaworld-drawer-open",
)  # tasks that are learnt alone and together
BODIES = ("mujoco-hopper", "mujoco-walker")
KAPPAS = (0.005, 0.0, 0.05, 0.2, 0.5)  # the published one first
SEEING = {
    "image_channels": [16, 32, 24],
    "image_pool": None,
    "frames_predicted": 0.125,
}  # pictures want more than `MODEL`: nano's convolutions, and finer features
T_975 = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
)  # Student's t, 97.5 %, for 1 to 9 degrees of freedom


@dataclass(frozen=True)
class Ablation:
    """A question and its variants, the first of which is the one to compare with."""

    name: str
    question: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...] = SEEDS


def with_kappa(kappa: float, tasks: tuple[str, ...] = (OBJECT, REACH), **choices) -> Variant:
    """The recipe with this weight of the observation loss; the action loss gets the rest.
    ``choices``: other fields of the variant; its ``model`` is added to.
    """
    model = {"observation_loss_coef": kappa, "action_loss_coef": round(1 - kappa, 6)} | choices.pop(
        "model", {}
    )
    return Variant(f"kappa {kappa:g}", tasks, kappa, model, **choices)


def _kappa_of_bodies() -> tuple[Variant, ...]:
    model = {
        "windows": {"mujoco": 8},
        "continuous_symlog": True,
    }  # without the short windows no body of two legs learns to walk
    return tuple(with_kappa(kappa, BODIES, model=model) for kappa in KAPPAS)


def _kappa_of_games() -> tuple[Variant, ...]:
    return tuple(
        with_kappa(kappa, (GAME,), model=SEEING, steps=2 * STEPS) for kappa in (0.005, 0.0, 0.5)
    )


def with_layers(
    kind: str, window: int, tasks: tuple[str, ...] = (OBJECT, REACH), **choices
) -> Variant:
    """The recipe with "dual", "global" or "local" layers, the local ones of a window of so many
    tokens. ``choices``: other fields of the variant; its ``model`` is added to.
    """
    pattern = {
        "dual": [["global", "local"], 2],
        "global": [["global"], 4],
        "local": [["local"], 4],
    }[kind]
    name = (
        "all global"
        if kind == "global"
        else f"{'dual' if kind == 'dual' else 'all local'}, window {window}"
    )
    model = {"attention_types": [pattern], "window_size": window} | choices.pop("model", {})
    return Variant(name, tasks, window, model, **choices)


def _attention() -> tuple[Variant, ...]:
    kinds = (("dual", 32), ("global", 128), ("local", 32), ("local", 8))
    return tuple(with_layers(kind, window) for kind, window in kinds)


def to_recall(kind: str, window: int, steps: int = 250) -> Variant:
    """An agent half as wide again, on the test of memory alone."""
    return with_layers(
        kind, window, (RECALL,), steps=steps, model={"hidden_size": 48, "num_heads": 2}
    )


def _memory() -> tuple[Variant, ...]:
    kinds = (("dual", 8), ("global", 128), ("local", 16), ("local", 8), ("local", 4))
    return tuple(to_recall(kind, window) for kind, window in kinds)


def _generalists() -> tuple[Variant, ...]:
    """The same steps on each task: alone, with each of three others, and all four together. Two are
    grids, two are arms.
    """
    alone = tuple(
        Variant(f"{short_name(task)} alone", (task,), 1, steps=STEPS // 2) for task in COMPANY
    )
    pairs = tuple(
        Variant(f"{short_name(one)} and {short_name(other)}", (one, other), 2)
        for one, other in combinations(COMPANY, 2)
    )
    return (*alone, *pairs, Variant("four together", COMPANY, 4, steps=2 * STEPS))


def _windows() -> tuple[Variant, ...]:
    """Batches of as many timesteps, in windows of fewer: what is lost is memory, what is won are
    more episodes in each batch.
    """
    lengths = (64, 32, 16, 8, 4, 2)
    return tuple(
        Variant(
            f"{length} timesteps",
            value=length,
            model={"windows": {"babyai": length, "metaworld": length}},
        )
        for length in lengths
    )


def _time() -> tuple[Variant, ...]:
    names = {1: REACH, 0.5: "reach-by-2", 4: "reach-every-4", 8: "reach-every-8"}
    return tuple(
        Variant(f"{100 / length:g} decisions", (task,), 100 / length, steps=STEPS // 2)
        for length, task in names.items()
    )


def _frames() -> tuple[Variant, ...]:
    return tuple(
        Variant(f"{frames} frames", (task,), frames, SEEING, steps=2 * STEPS)
        for frames, task in sorted(FRAMES.items(), key=lambda item: item[1] != GAME)
    )


def _tokens() -> tuple[Variant, ...]:
    """Each task by itself, with the steps that a core makes in minutes; 1,024 positions, as Gato
    has, for tokens that are scalars.
    """
    gato = {
        "token": "scalar",
        "model": {"attention_types": [[["global"], 4]], "max_position_embeddings": 1024},
    }
    short = {OBJECT: "grid", REACH: "arm"}
    steps = {OBJECT: 80, REACH: 300}
    return tuple(
        variant for task, name in short.items()
        for variant in (Variant(f"{name}: a timestep", (task,), steps=STEPS // 2), Variant(f"{name}: a scalar", (task,), steps=steps[task], **gato))
    )  # fmt: skip


def _new(steps: int) -> tuple[Variant, ...]:
    """Each task outside the benchmarks by itself: jatlab-mini trained on, and random weights of its
    size trained as long.
    """
    kinds = {"from nothing": "nothing", "fine-tuned": "jatlab-mini"}
    model = {"windows": {"new": 8}}  # as short as those of arms and bodies
    return tuple(
        Variant(f"{task}: {name}", (task,), model=model, steps=steps, start=start)
        for task in NEW_TASKS
        for name, start in kinds.items()
    )


def _beyond() -> tuple[Variant, ...]:
    sizes = {"recompute": (64, 16, 4, 2), "published": (32, 16, 4, 2)}
    return tuple(
        Variant(f"{policy}, {size}", (REACH,), size, memory=(policy, size))
        for policy, some in sizes.items()
        for size in some
    )


ABLATIONS = {
    ablation.name: ablation
    for ablation in (
        Ablation(
            "observation-loss",
            "Does it help to predict the next observation, and how much should that count (kappa)?",
            tuple(map(with_kappa, KAPPAS)),
        ),
        Ablation(
            "observation-loss-bodies",
            "Does predicting the next observation help a body that hops or walks?",
            _kappa_of_bodies(),
        ),
        Ablation(
            "observation-loss-games",
            "Does predicting the next picture help in an Atari game?",
            _kappa_of_games(),
        ),
        Ablation(
            "beyond-the-window",
            "What happens when an episode outlasts what the agent remembers?",
            _beyond(),
            (0,),
        ),
        Ablation(
            "memory",
            "How far back does each attention pattern reach, where the task is to remember?",
            _memory(),
        ),
        Ablation("windows", "Few long windows in a batch, or many short ones?", _windows()),
        Ablation("time", "Do finer or coarser time steps matter?", _time()),
        Ablation(
            "frame-skip", "How many frames of an Atari game should a decision last?", _frames()
        ),
        Ablation("tokens", "A token for each timestep, or for each number of it?", _tokens()),
        Ablation("attention", "Global, local or both, and how wide a window?", _attention()),
        Ablation(
            "new-tasks",
            "Does what the shipped agent knows help on tasks outside JAT's benchmarks?",
            _new(400),
        ),
        Ablation(
            "first-steps",
            "Does what the shipped agent knows help in the first hundred steps on such a task?",
            _new(100),
        ),
        Ablation(
            "generalists",
            "With equal training on each task, does company help or hurt?",
            _generalists(),
        ),
    )
}


# --- the command
# -------------------------------------------------------------------------------------------------------------


def ablate(
    name: str,
    output: str | Path = "runs/ablations",
    seeds=None,
    steps: int | None = None,
    episodes: int = EPISODES,
    install: bool = False,
    progress: bool = True,
) -> dict:
    """Make every run of the ablation that ``output`` does not have yet, write ``output``/NAME.json
    and return it.

    ``seeds``: of the runs, the ablation's own unless given. ``steps``: of training, in place of
    each variant's. ``install``: put the results into the package, in place of those that ship.
    Raises ValueError for an unknown name.
    """
    if name not in ABLATIONS:
        raise ValueError(f"unknown ablation {name!r}; there are {', '.join(ABLATIONS)}")
    ablation, output = ABLATIONS[name], Path(output)
    seeds = tuple(ablation.seeds if seeds is None else seeds)
    if not seeds or episodes < 1:
        raise ValueError(
            f"an ablation needs at least one seed and one episode, got seeds {seeds} and {episodes} episodes"
        )
    variants = [replace(v, steps=steps or v.steps) for v in ablation.variants]
    runs = []
    for number, seed in enumerate(
        seeds, start=1
    ):  # all variants of a seed before the next: stopped early, it is still a comparison
        for variant in variants:
            runs.append(_saved_run(variant, seed, episodes, output))
            if progress:
                print(told(runs[-1]), flush=True)
        results = assemble(ablation, variants, seeds[:number], runs)
        for folder in [output] + [SHIPPED] * install:
            write_json(folder / f"{name}.json", results)
    return results


def _saved_run(variant: Variant, seed: int, episodes: int, output: Path) -> dict:
    """The run's result: from its file, or made and written there."""
    settings = json.loads(
        json.dumps(
            asdict(variant)
            | {
                "seed": seed,
                "episodes": episodes,
                "base": [MODEL, BATCH, SCALAR_BATCH, LR, TUNED_LR, AVERAGE],
                **_given(variant),
            }
        )
    )
    made_of = {
        key: value for key, value in settings.items() if key not in ("name", "value")
    }  # two ablations may call it differently
    path = (
        output
        / "runs"
        / f"{sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]}.json"
    )
    if path.exists():
        return json.loads(path.read_text()) | {"variant": variant.name}
    run = run_point(variant, seed, episodes, output / "data")
    write_json(path, run | {"settings": settings})
    return run


def _given(variant: Variant) -> dict:
    """What a run is made of that its variant does not say: the demonstrations, and of an agent that
    ships its weights, or its shape.
    """
    if variant.memory:
        return {"agent": _fingerprint("demo")}
    agent = (
        mini.MODEL if variant.start == "nothing" else variant.start and _fingerprint(variant.start)
    )
    return {"recordings": {task: demonstrations(task) for task in variant.tasks}, "agent": agent}


@cache
def _fingerprint(agent: str) -> str:
    from jatlab.agents.checkpoints import load_agent
    from jatlab.evaluation.evaluate import identity

    return identity(load_agent(agent))["fingerprint"]


def told(run: dict) -> str:
    """A run in one line."""
    scores = ", ".join(f"{task} {result['mean']:.3f}" for task, result in run["tasks"].items())
    return f"{run['variant']}, seed {run['seed']}: {scores} ({run['minutes']:.1f} minutes)"


def told_summary(results: dict) -> str:
    """An ablation's results as a table: mean and interval of each variant and task."""
    lines = [results["question"]]
    for task, variants in results["summary"].items():
        lines += ["", f"{task}, {len(results['seeds'])} run(s) each, score of our teacher"]
        lines += [
            f"  {name:<24} {v['mean']:.3f}  [{v['interval'][0]:.3f}, {v['interval'][1]:.3f}]"
            for name, v in variants.items()
        ]
    return "\n".join(lines)


# --- what came of it
# ---------------------------------------------------------------------------------------------------------


def assemble(
    ablation: Ablation, variants: list[Variant], seeds: tuple[int, ...], runs: list[dict]
) -> dict:
    """The results of an ablation, ready for JSON: question, command, versions, minutes, runs, and
    `summary` by task and variant.
    """
    from jatlab.evaluation.results import versions

    common = recipe(replace(variants[0], model={}), 0, "", "")
    return {
        "name": ablation.name, "question": ablation.question, "command": f"jatlab ablate {ablation.name}", "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(), "seeds": list(seeds), "minutes": round(sum(run["minutes"] for run in runs), 1),
        "recipe": {"preset": common.preset, "model": json.loads(json.dumps(common.model)), "batch_timesteps": BATCH, "lr": common.lr, "average": AVERAGE,
                   "recordings": {task: demonstrations(task) for v in variants for task in v.tasks}},
        "variants": [asdict(v) for v in variants], "summary": summary(runs), "runs": [{k: v for k, v in run.items() if k != "settings"} for run in runs],
    }  # fmt: skip


def summary(runs: list[dict]) -> dict[str, dict[str, dict]]:
    """{task: {variant: {"mean", "interval", "interval_over": "runs", or "episodes" of the only one,
    "runs": the means of its runs}}}.
    """
    by_task: dict[str, dict[str, list]] = {}
    for run in runs:
        for task, result in run["tasks"].items():
            by_task.setdefault(task, {}).setdefault(run["variant"], []).append(result)
    return {
        task: {name: _summarise(results) for name, results in variants.items()}
        for task, variants in by_task.items()
    }


def _summarise(results: list[dict]) -> dict:
    means = [result["mean"] for result in results]
    interval = (
        student_interval(means)
        if len(means) > 1
        else bootstrap_interval(np.array(results[0]["scores"]))
    )
    over = "runs" if len(means) > 1 else "episodes"
    return {
        "mean": round(float(np.mean(means)), 4),
        "interval": [round(float(bound), 4) for bound in interval],
        "interval_over": over,
        "runs": means,
    }


def student_interval(means) -> tuple[float, float]:
    """95 % for the mean of all runs that could be made, from the means of those that were: mean ± t
    s / sqrt(n), with Student's t for n - 1 degrees of freedom.

    Raises ValueError for fewer than two runs, or more than ten.
    """
    means = np.asarray(means, float)
    if not 2 <= len(means) <= len(T_975) + 1:
        raise ValueError(
            f"an interval over runs needs 2 to {len(T_975) + 1} of them, got {len(means)}"
        )
    half = T_975[len(means) - 2] * means.std(ddof=1) / np.sqrt(len(means))
    return float(means.mean() - half), float(means.mean() + half)


def difference(first, second) -> tuple[float, tuple[float, float]]:
    """How much better the second variant's runs are than the first's, run by run of the same seed:
    the mean difference and its 95 % interval.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape:
        raise ValueError(
            f"runs are compared seed by seed: {len(first)} and {len(second)} of them do not pair up"
        )
    return float((second - first).mean()), student_interval(second - first)


def side_by_side(results: dict) -> dict:
    """The summary by task and variant; where each variant has a task of its own (finer and coarser
    time), all of them as one task.
    """
    by_task = results["summary"]
    if len(by_task) == 1 or any(len(variants) > 1 for variants in by_task.values()):
        return by_task
    return {
        next(iter(by_task)): {
            name: result for variants in by_task.values() for name, result in variants.items()
        }
    }


def differences(results: dict) -> list[str]:
    """A line for each task and variant: how it differs from the first one, with a 95 % interval,
    and whether the two can be told apart.

    Over seeds where there are several runs; else over the episodes, which are the same for all:
    then it speaks of these very agents alone.
    """
    lines = []
    for task, variants in side_by_side(results).items():
        (base_name, base), *others = variants.items()
        for name, result in others:
            if len(result["runs"]) > 1:
                mean, (low, high) = difference(base["runs"], result["runs"])
            else:
                paired = np.array(_scores(results, task, name)) - np.array(
                    _scores(results, task, base_name)
                )
                mean, (low, high) = float(paired.mean()), bootstrap_interval(paired)
            verdict = "better" if low > 0 else "worse" if high < 0 else "cannot be told apart"
            lines.append(
                f"{task}: {name} {mean:+.2f} [{low:+.2f}, {high:+.2f}] beside {base_name}: {verdict}"
            )
    return lines


def costs(results: dict) -> dict[str, dict[str, float]]:
    """What each variant cost, the mean over its runs: {"training_minutes", "timesteps" of training,
    "megabytes" of float32 weights, "act_milliseconds" a decision}.
    """
    found = {}
    for variant in results["variants"]:
        runs = [run for run in results["runs"] if run["variant"] == variant["name"]]
        mean = {
            key: float(np.mean([run[key] for run in runs]))
            for key in ("training_minutes", "timesteps", "parameters", "act_milliseconds")
        }
        found[variant["name"]] = mean | {"megabytes": 4e-6 * mean.pop("parameters")}
    return found


def _scores(results: dict, task: str, variant: str) -> list[float]:
    """The episodes' scores of the only run of a variant; of its own task where it has no other."""
    tasks = next(run["tasks"] for run in results["runs"] if run["variant"] == variant)
    return (tasks.get(task) or next(iter(tasks.values())))["scores"]


def load(name: str, folder: str | Path | None = None) -> dict:
    """The results of an ablation: those that ship, or those that `jatlab ablate` wrote into
    ``folder``. Raises FileNotFoundError where there are none.
    """
    path = (SHIPPED if folder is None else Path(folder)) / f"{name}.json"
    if not path.exists():
        where = "ship with the package" if folder is None else f"are in {folder}"
        raise FileNotFoundError(
            f"no results of the ablation {name!r} {where}; make them: jatlab ablate {name}"
        )
    return json.loads(path.read_text())


def shipped() -> list[str]:
    """Names of the ablations whose results ship, in the order of `ABLATIONS`."""
    return [name for name in ABLATIONS if (SHIPPED / f"{name}.json").exists()]


def reach_of(config: JatConfig) -> int:
    """How many timesteps back an observation's token can know of: without past actions, each local
    layer leads (window - 1) // 2 timesteps back; a global one all the way.
    """
    if "global" in config.attention_layers:
        return config.max_timesteps - 1
    return min(config.num_layers * ((config.window_size - 1) // 2), config.max_timesteps - 1)
