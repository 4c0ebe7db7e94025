"""`jatlab demo`, `mini`, `ablate`, `bench` and `cost`: whole recipes, and what they measure."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from jatlab.cli.needs import DATA, NEW_TASKS, PICTURES, PLAIN, TRAINING, for_tasks, need
from jatlab.cli.options import Commands, add_json, add_quiet, as_typed, print_json


def add_demo(commands: Commands) -> None:
    """Add `demo`."""
    parser = commands.add(
        "demo", demo, "from nothing to a playing agent: record, train, evaluate, report"
    )
    add = parser.add_argument
    add(
        "--output",
        default="runs/demo",
        help="folder for data, agent and report; what is finished there is not done again",
    )
    add("--workers", type=int, default=2, help="processes")
    add("--pair", action="store_true", help="one room and one arm alone, in a minute or two")
    add("--seed", type=int, default=0, help="of the training")
    add(
        "--quick",
        action="store_true",
        help="seconds instead of minutes, to see that all works; the agent will be weak",
    )
    add_quiet(parser)


def demo(**arguments: Any) -> None:
    """Run the demo; see `jatlab.experiments.recipes.demo`."""
    need("jatlab demo", *TRAINING, *PICTURES, *for_tasks(["babyai", "metaworld"]))
    from jatlab.experiments.recipes.demo import demo

    demo(**arguments)


def add_mini(commands: Commands) -> None:
    """Add `mini`."""
    parser = commands.add(
        "mini",
        mini,
        "jatlab-mini from nothing, in a working day: record, train, relabel, train on, evaluate, "
        "report",
    )
    add = parser.add_argument
    add(
        "--output",
        default="runs/mini",
        help="folder for data, agent and report; what is finished there is not done again",
    )
    add(
        "--hours",
        type=float,
        default=argparse.SUPPRESS,
        help="of training; what a working day leaves for it, unless given",
    )
    add("--workers", type=int, default=2, help="processes")
    add(
        "--quick",
        action="store_true",
        help="one task of each kind, minutes instead of hours, to see that all works; the agent "
        "will be weak",
    )
    add(
        "--without",
        nargs="+",
        default=[],
        metavar="SPLIT",
        help="tasks and missions that the agent is not shown: ml45, bodies, pong, level, "
        "verb-object (see jatlab.experiments.recipes.splits)",
    )
    add_quiet(parser)


def mini(**arguments: Any) -> None:
    """Make jatlab-mini; see `jatlab.experiments.recipes.mini`."""
    need("jatlab mini", *TRAINING, *PICTURES, *for_tasks("all"))
    from jatlab.experiments.recipes.mini import mini

    mini(**arguments)


def add_ablate(commands: Commands) -> None:
    """Add `ablate`."""
    parser = commands.add(
        "ablate",
        ablate,
        "answer one of the paper's open questions: small agents, trained and played, over seeds",
    )
    add = parser.add_argument
    add("name", help="which question; without one that exists, they are listed")
    add(
        "--output",
        default="runs/ablations",
        help="folder for recordings, runs and NAME.json; what is there is not made again",
    )
    add("--seeds", type=int, nargs="+", help="of the runs; the ablation's own, if none is given")
    add("--steps", type=int, help="of training, in place of each variant's")
    add("--episodes", type=int, default=50, help="that each agent plays of each task")
    add(
        "--only",
        nargs="+",
        metavar="VARIANT",
        help="make these variants alone (names, or patterns such as '5 shown: *'); the others keep "
        "the results that ship",
    )
    add(
        "--install",
        action="store_true",
        help="put the results into the package, in place of those that ship",
    )
    add_quiet(parser)


def ablate(name: str, **arguments: Any) -> None:
    """Run one ablation and print its summary; see `jatlab.experiments.ablations`."""
    new = NEW_TASKS if name in ("new-tasks", "first-steps") else ()
    need(f"jatlab ablate {name}", *TRAINING, *PICTURES, *for_tasks("all"), *new)
    from jatlab.experiments.ablations import ablate, summary_table

    print(summary_table(ablate(name, **arguments)))


def add_bench(commands: Commands) -> None:
    """Add `bench`."""
    parser = commands.add("bench", bench, "measure what the algorithms buy, as ratios")
    add = parser.add_argument
    add("--output", help="a JSON file for what was measured")
    add(
        "--check",
        action="store_true",
        help="exit with 1 where a ratio, or the agent of --agent, misses its target",
    )
    add(
        "--device",
        help="instead: the speed and memory of training on this device, cuda or cpu, as a table",
    )
    add(
        "--gpu",
        dest="device",
        action="store_const",
        const="cuda",
        help="the same as --device cuda",
    )
    add(
        "--presets",
        nargs="+",
        metavar="PRESET",
        help="sizes for --device (mini and paper, if none is given), or one for --reference "
        "(paper)",
    )
    add(
        "--agent",
        help="instead: how soon this agent is loaded, how fast it acts on one core, and its "
        "memory, as a table",
    )
    add(
        "--reference",
        action="store_true",
        help="instead: acting, training and memory against the published model's way on "
        "transformers, and against the limits of one thread, as tables; about six minutes",
    )
    add_json(parser)
    parser.set_defaults(output=None, device=None, presets=None, agent=None)


def bench(
    output: str | None,
    check: bool,
    device: str | None,
    presets: list[str] | None,
    agent: str | None,
    reference: bool,
    json: bool,
) -> int:
    """Measure an agent, a device, the published way or, without any, the algorithms.

    Args:
        output: JSON file for what was measured.
        check: return 1 where a target is missed.
        device: measure training on this device, "cuda" or "cpu".
        presets: sizes of model for `device` and `reference`.
        agent: measure how fast this agent acts.
        reference: compare with the published model's way.
        json: print JSON in place of tables.

    Raises:
        ValueError: options that do not go together.
    """
    _check_together(check, device, presets, agent, reference)
    if agent is not None:
        return _bench_agent(agent, check, output, json)
    if reference:
        return _bench_reference(presets or ["paper"], output, json)
    if device is not None:
        return _bench_device(device, presets or ["mini", "paper"], output, json)
    need("jatlab bench", *DATA)
    from jatlab.experiments.benchmarks.algorithms import as_dict, run

    ratios = run(output, progress=not json)
    if json:
        print_json(as_dict(ratios))
    return int(check and not all(ratio.met for ratio in ratios))


def _check_together(
    check: bool, device: str | None, presets: list[str] | None, agent: str | None, reference: bool
) -> None:
    """Raise ValueError for an option of `bench` that would do nothing."""
    given = {"--agent": agent is not None, "--device": device is not None, "--reference": reference}
    named = [option for option, is_given in given.items() if is_given]
    if len(named) > 1:
        raise ValueError(f"{' and '.join(named)} each measure something else: give one of them")
    if check and named and named != ["--agent"]:
        raise ValueError(f"--check compares with targets, and {named[0]} has none: leave it out")
    if presets and named not in (["--device"], ["--reference"]):
        raise ValueError("--presets are sizes for --device or --reference: give one of these too")


def _bench_agent(agent: str, check: bool, output: str | None, json: bool) -> int:
    from jatlab.experiments.benchmarks import acting
    from jatlab.utils.files import write_json

    need("jatlab bench --agent", *for_tasks(acting.TASKS))
    found = acting.run(agent)
    lines = [asdict(line) | {"met": line.met} for line in found]
    print_json(lines) if json else print(acting.as_table(agent, found))
    if output:
        write_json(output, lines)
    return int(check and not all(line.met for line in found))


def _bench_device(device: str, presets: list[str], output: str | None, json: bool) -> int:
    from jatlab.experiments.benchmarks.device import as_dict, run_on, speeds_on
    from jatlab.utils.files import write_json

    if not json:
        print(run_on(device, presets, as_typed(), output))
        return 0
    found = as_dict(device, speeds_on(device, presets), as_typed())
    print_json(found)
    if output:
        write_json(output, found)
    return 0


def _bench_reference(presets: list[str], output: str | None, json: bool) -> int:
    need("jatlab bench --reference", *PLAIN)
    from jatlab.experiments.benchmarks.reference.run import as_tables, run

    if len(presets) > 1:
        raise ValueError(f"--reference measures one size, and --presets names {', '.join(presets)}")
    found = run(output, presets[0], say=lambda text: print(text, file=sys.stderr))
    print_json(found) if json else print(as_tables(found))
    return 0


def add_cost(commands: Commands) -> None:
    """Add `cost`."""
    parser = commands.add(
        "cost",
        cost,
        "what a training costs: parameters, FLOPs, memory and hours, beside Gato's",
    )
    add = parser.add_argument
    add("--preset", default="paper", help="size of the model: nano, mini, paper, medium, large")
    add("--steps", type=int, default=250_000, help="of the training")
    add(
        "--batch",
        dest="windows",
        type=int,
        default=320,
        help="windows of a step, all devices and accumulated batches together",
    )
    add(
        "--device", help="one device's hours alone: 'H100 SXM', 'T4', cpu, …; all, if none is given"
    )
    add(
        "--utilisation",
        type=float,
        default=0.35,
        help="share of the device's peak that the training uses",
    )
    add_json(parser)


def cost(json: bool, **arguments: Any) -> None:
    """Print what a training costs; see `jatlab.experiments.benchmarks.cost_report.report`."""
    from jatlab.experiments.benchmarks.cost_numbers import cost
    from jatlab.experiments.benchmarks.cost_report import report

    print_json(cost(**arguments)) if json else print(report(**arguments))
