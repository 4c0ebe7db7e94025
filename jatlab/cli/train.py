"""`jatlab train`."""

from __future__ import annotations

import argparse
import os
from typing import Any

from jatlab.cli.needs import TRAINING, need
from jatlab.cli.options import TASKS, Commands, add_quiet, add_tasks

VALUES: dict[str, tuple[type, str]] = {  # option: type of its value, help
    "--data": (str, "folder with the recordings (data)"),
    "--stream": (
        str,
        "data set that the tasks come from which DATA does not have, such as "
        "jat-project/jat-dataset; nothing is stored",
    ),
    "--output": (
        str,
        "folder for the agent, its checkpoints and log (runs/agent); a run that goes on stays in "
        "its own",
    ),
    "--preset": (str, "size of the model: nano, mini, paper, medium, large (nano)"),
    "--start": (
        str,
        "agent whose weights to begin with, in place of a preset: a folder, or one that ships, "
        "such as jatlab-mini",
    ),
    "--frames-predicted": (
        float,
        "share of the timesteps whose next frame is predicted, such as 0.125: frames cost most (1)",
    ),
    "--observations-predicted": (
        float,
        "share of the batches that predict observations, such as 0.125: the others have half of "
        "the tokens (1)",
    ),
    "--retrieved": (
        int,
        "timesteps that --in-context puts before each one (those of the agent to start from, or "
        "20)",
    ),
    "--steps": (int, "how long to train, in steps"),
    "--minutes": (float, "how long to train, in minutes"),
    "--batch-timesteps": (int, "timesteps of one batch, padding included (1024)"),
    "--accumulate": (int, "batches added up in each step (1)"),
    "--lr": (float, "highest learning rate (1e-3)"),
    "--optimizer": (str, "adamw, as published, or muon: fewer steps, each of which takes longer"),
    "--precision": (str, "bf16, fp32 or auto"),
    "--average": (float, "decay of the weights' moving average, such as 0.999 (none)"),
    "--device": (str, "cpu, cuda, cuda:1, … or mps, or auto: what Accelerate finds (auto)"),
    "--seed": (int, "seed of everything that is drawn (0)"),
    "--save-every": (int, "steps between checkpoints (500)"),
}
SWITCHES = {
    "--in-context": "train an in-context agent: before each timestep stand the most similar ones "
    "of other episodes of its task; it then plays unseen tasks from demonstrations",
    "--mix": "batches of several tasks of one domain, in place of one task's: worth it with many "
    "tasks",
    "--checkpoint-activations": "keep each block's input alone and compute the rest again: less "
    "memory, more time",
    "--compile": "torch.compile the transformer's blocks; where that fails, go on without",
}


def add_train(commands: Commands) -> None:
    """Add `train`; an option that is not given keeps the recipe's value."""
    parser = commands.add(
        "train", train, "train one agent on everything recorded (or on the tasks named)"
    )
    add_tasks(parser, nargs="*", help=TASKS + "; all that are recorded, if none is given")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="recipe in YAML, such as the recipe.yaml of a run; options given change it",
    )
    parser.add_argument(
        "--track",
        nargs="+",
        choices=("tensorboard", "trackio", "wandb"),
        default=argparse.SUPPRESS,
        help="experiment trackers that get the log, too (none)",
    )
    parser.add_argument(
        "--resume",
        metavar="FOLDER",
        help="go on with the run in FOLDER; other options given change its recipe",
    )
    add_quiet(parser)
    for option, (kind, help) in VALUES.items():
        parser.add_argument(option, type=kind, help=help, default=argparse.SUPPRESS)
    for option, help in SWITCHES.items():
        parser.add_argument(
            option, action=argparse.BooleanOptionalAction, help=help, default=argparse.SUPPRESS
        )


def train(tasks: list[str], config: str | None, resume: str | None, **recipe: Any) -> None:
    """Train an agent and say where it is.

    Args:
        tasks: names, patterns or domains; the file's or everything that is recorded if empty.
        config: file of a recipe.
        resume: folder of a run to go on with.
        **recipe: fields of `jatlab.training.recipe.TrainConfig`.
    """
    streaming = ["datasets"] if recipe.get("stream") else []
    need("jatlab train", *TRAINING, *streaming)
    from jatlab.training.recipe import TrainConfig
    from jatlab.training.recipe_file import read_recipe
    from jatlab.training.trainer import train

    recipe |= {"tasks": tasks} if tasks else {}
    if config and resume:
        raise ValueError("give --config or --resume, not both: a run that goes on has its recipe")
    recipe = (read_recipe(config) if config else {}) | recipe
    settings = TrainConfig.of_run(resume, **recipe) if resume else TrainConfig(**recipe)
    need("jatlab train --track", *settings.track)
    folder = train(settings)
    if os.environ.get("RANK", "0") == "0":  # of several processes, only the first says so
        print(f"the agent is in {folder}; see it play: jatlab play {folder} TASK")
