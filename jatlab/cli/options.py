"""What several commands share: how a command is added, repeated options, and loading an agent."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.agents.rollout import RandomAgent

POLICIES = ("teacher", "random", "search")  # of jatlab.teachers, too slow to import for a help text
TASKS = "names, patterns ('babyai-go-to-*') or domains ('metaworld')"
AGENT = (
    "a folder that `jatlab train` wrote, the name of a shipped agent, a repository of the hub "
    "(jat-project/jat), 'random', or 'untrained:PRESET', such as untrained:nano"
)
TEMPERATURE = (
    "of the sampling; 0 takes the likeliest action (the agent's own: 1, unless its agent.json says "
    "otherwise)"
)


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Names an option's default where there is one to name: not None, and not that of a flag."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.nargs == 0:
            return action.help
        return super()._get_help_string(action)


class Commands:
    """The commands of a parser, added one by one."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        self._subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(
        self, name: str, function: Callable[..., int | None], help: str
    ) -> argparse.ArgumentParser:
        """Add one command and return its parser.

        Args:
            name: the word that the user types.
            function: called with the parsed arguments by name; what it returns is the exit status,
                None counts as 0.
            help: one line for `jatlab --help`, and the description in `jatlab NAME --help`.
        """
        parser = self._subparsers.add_parser(
            name,
            help=help,
            description=help,
            formatter_class=Help,
        )
        parser.set_defaults(command=function)
        parser.add_argument(
            "--import",
            dest="imports",
            metavar="MODULE",
            action="append",
            default=argparse.SUPPRESS,
            help="a module of yours that registers tasks or teachers, such as my_tasks or "
            "my_tasks.py; may be given several times",
        )
        return parser


def add_tasks(parser: argparse.ArgumentParser, nargs: str = "+", help: str = TASKS) -> None:
    """Add the positional argument `tasks`."""
    parser.add_argument("tasks", nargs=nargs, metavar="TASK", help=help)


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add `--greedy` and `--temperature`."""
    add = parser.add_argument
    add("--greedy", action="store_true", help="take the likeliest action instead of sampling")
    add("--temperature", type=float, help=TEMPERATURE)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add `--quiet`, which `jatlab.cli.main` obeys."""
    parser.add_argument("--quiet", action="store_true", help="show no progress bars")


def add_dtype(parser: argparse.ArgumentParser, stored: bool = False) -> None:
    """Add `--dtype`, of the weights in memory, or of those that are ``stored``."""
    choices = ("float32", "bfloat16")
    parser.add_argument(
        "--dtype",
        choices=choices if stored else (*choices, "int8"),
        help="how the weights are stored (as they are)"
        if stored
        else "how the weights are held in memory (as they are stored); int8 acts fastest on a CPU",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="print JSON for scripts, in place of the text"
    )


def print_json(value: Any) -> None:
    """Print a value as JSON in ASCII; NaN and infinity, which JSON lacks, become null."""
    print(json.dumps(_finite(value), indent=1, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    parser.add_argument(
        "--device",
        default="cpu",
        help="where the agent computes: auto, cpu, cuda, cuda:1, … or mps",
    )


def load(name: str, dtype: str | None = None, device: str = "cpu") -> Agent | RandomAgent:
    """The agent that the user named, as `AGENT` describes.

    Args:
        name: a folder, a shipped agent, a repository of the hub, "random" or "untrained:PRESET".
        dtype: how the weights are held in memory; as they are stored if None.
        device: where the agent computes, see `jatlab.utils.devices.choose_device`.

    Raises:
        ValueError: no agent or preset has this name, there is no such device, or it cannot
            compute in int8.
    """
    from jatlab.utils.devices import choose_device

    place = choose_device(device)
    if name == "random":
        from jatlab.agents.rollout import RandomAgent

        return RandomAgent()
    if name.startswith("untrained:"):
        import torch

        from jatlab.agents.agent import Agent
        from jatlab.model.linear.int8 import to_int8

        agent = Agent.untrained(name.removeprefix("untrained:"))
        if dtype == "int8":
            to_int8(agent.model.to(place))
        else:
            agent.model.to(place, None if dtype is None else getattr(torch, dtype))
        return agent
    from jatlab.agents.checkpoints import load_agent

    return load_agent(name, dtype=dtype, device=place)


def as_typed() -> str:
    """The command as the user typed it, for reports."""
    return shlex.join(["jatlab", *sys.argv[1:]])
