"""`jatlab record`, `measure`, `relabel` and `fetch`: what agents are trained on."""

from __future__ import annotations

from typing import Any

from jatlab.cli.needs import DATA, for_tasks, need
from jatlab.cli.options import (
    POLICIES,
    TASKS,
    Commands,
    add_device,
    add_dtype,
    add_quiet,
    add_tasks,
)


def add_record(commands: Commands) -> None:
    """Add `record`."""
    parser = commands.add(
        "record",
        record,
        "record a teacher's episodes as Parquet, in the published data set's columns",
    )
    add_tasks(parser)
    add = parser.add_argument
    add("--episodes", type=int, default=100, help="episodes of each task")
    add("--output", dest="root", default="data", help="folder that gets TASK/train/*.parquet")
    add("--workers", type=int, default=2, help="processes")
    add("--seed", type=int, default=0, help="episode i plays environment seed SEED + i")
    add(
        "--teacher",
        choices=(*POLICIES, "human"),
        default="teacher",
        help="who plays; search: Atari's look-ahead, where a controller teaches; human: you, with "
        "keys at this terminal",
    )
    add(
        "--noise",
        type=float,
        default=0.0,
        help="disturb what is executed, and record the teacher's answers",
    )
    add("--timeout", type=float, default=60.0, help="seconds after which an episode is dropped")
    add_quiet(parser)


def record(**arguments: Any) -> None:
    """Record demonstrations; see `jatlab.data.recording.record.record`."""
    need("jatlab record", *DATA, *for_tasks(arguments["tasks"]))
    from jatlab.data.recording.record import record

    record(**arguments)


def add_measure(commands: Commands) -> None:
    """Add `measure`."""
    parser = commands.add(
        "measure",
        measure,
        "measure the returns of teacher and random policy, which scores are normalised by",
    )
    add_tasks(parser)
    add = parser.add_argument
    add("--episodes", type=int, default=100, help="episodes of each task and policy")
    add("--workers", type=int, default=2, help="processes")
    add(
        "--who",
        nargs="+",
        choices=POLICIES,
        default=("teacher", "random"),
        help="which policies; default teacher and random",
    )
    add(
        "--output",
        dest="path",
        default="measured_scores.json",
        metavar="FILE",
        help="the entries are merged into this file, which jatlab.tasks.register_scores reads",
    )
    add_quiet(parser)


def measure(**arguments: Any) -> None:
    """Measure the scores of policies; see `jatlab.data.recording.measuring.measure`."""
    need("jatlab measure", *for_tasks(arguments["tasks"]))
    from jatlab.data.recording.measuring import measure

    measure(**arguments)


def add_relabel(commands: Commands) -> None:
    """Add `relabel`."""
    parser = commands.add(
        "relabel",
        relabel,
        "let an agent play and record what its teachers would have done (DAgger), "
        "beside their demonstrations",
    )
    add = parser.add_argument
    add("agent", help="who plays: a folder, or an agent that ships")
    add_tasks(parser)
    add("--episodes", type=int, default=100, help="episodes of each task")
    add(
        "--output",
        dest="root",
        default="data",
        help="folder that gets TASK/train/relabelled-*.parquet",
    )
    add("--workers", type=int, default=2, help="processes")
    add(
        "--seed",
        type=int,
        default=50_000,
        help="episode i plays environment seed SEED + i, from 50000 to 99999; "
        "another round wants other seeds",
    )
    add("--max-steps", type=int, help="end an episode there")
    add_device(parser)
    add_dtype(parser)
    add_quiet(parser)


def relabel(**arguments: Any) -> None:
    """Record the teachers' actions in an agent's episodes; see `jatlab.training.dagger.relabel`."""
    need("jatlab relabel", *DATA, *for_tasks(arguments["tasks"]))
    from jatlab.training.dagger import relabel

    for task, timesteps in relabel(**arguments).items():
        print(f"{task}: {timesteps:,} timesteps relabelled")


def add_fetch(commands: Commands) -> None:
    """Add `fetch`."""
    parser = commands.add(
        "fetch",
        fetch,
        "copy tasks of the published data set into the folder that training reads",
    )
    add_tasks(parser, help=TASKS + ", also wikipedia, oscar, conceptual-captions, ok-vqa")
    add = parser.add_argument
    add("--data", dest="root", default="data", help="folder that gets TASK/SPLIT/*.parquet")
    add(
        "--split",
        dest="splits",
        nargs="+",
        choices=("train", "test"),
        default=["train", "test"],
        help="which splits",
    )
    add(
        "--episodes",
        type=int,
        help="at most so many of each task and split (rows, of text and pictures); "
        "all, if not given",
    )
    add(
        "--from",
        dest="source",
        default="jat-project/jat-dataset",
        help="repository on the Hugging Face hub, or a folder of the same layout",
    )
    add_quiet(parser)


def fetch(**arguments: Any) -> None:
    """Copy published episodes; see `jatlab.data.published.fetch.fetch`."""
    need("jatlab fetch", *DATA, "datasets")
    from jatlab.data.published.fetch import fetch

    fetch(**arguments)
