"""The parser of the whole command line, from the commands of all groups."""

from __future__ import annotations

import argparse

from jatlab import __version__
from jatlab.cli import convert, data, experiments, info, play, push, tasks, teachers, train
from jatlab.cli.options import Commands

DESCRIPTION = (
    "A lab around JAT, the open generalist agent (arXiv 2402.09844): "
    "build, train, play, look inside."
)
ADD = (  # in the order of `jatlab --help`
    tasks.add_tasks,
    data.add_record,
    data.add_measure,
    teachers.add_teachers,
    teachers.add_teach,
    data.add_relabel,
    data.add_fetch,
    convert.add_convert,
    train.add_train,
    play.add_evaluate,
    play.add_play,
    play.add_generate,
    play.add_export,
    push.add_push,
    experiments.add_demo,
    experiments.add_mini,
    experiments.add_ablate,
    experiments.add_bench,
    experiments.add_cost,
    info.add_verify,
    info.add_info,
    info.add_completion,
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of `jatlab`; each command leaves its function in `command`."""
    parser = argparse.ArgumentParser(prog="jatlab", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"jatlab {__version__}")
    commands = Commands(parser)
    for add in ADD:
        add(commands)
    return parser
