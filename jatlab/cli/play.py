"""`jatlab evaluate`, `play`, `generate` and `export`: what is done with an agent."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from jatlab.cli.needs import DATA, PICTURES, for_tasks, need
from jatlab.cli.options import (
    AGENT,
    TASKS,
    Commands,
    add_device,
    add_dtype,
    add_json,
    add_quiet,
    add_sampling,
    as_typed,
    load,
    print_json,
)


def add_evaluate(commands: Commands) -> None:
    """Add `evaluate`."""
    parser = commands.add(
        "evaluate",
        evaluate,
        "play seeded episodes and write a report: returns, normalised scores, intervals, videos",
    )
    add = parser.add_argument
    add("agent", help=AGENT)
    add("--tasks", nargs="+", required=True, metavar="TASK", help=TASKS)
    add("--episodes", type=int, default=30, help="episodes of each task")
    add("--seed", type=int, default=1_000_000, help="first seed; recordings use smaller ones")
    add("--envs", type=int, default=16, help="environments in lockstep")
    add("--workers", type=int, default=1, help="processes that share the tasks")
    add_sampling(parser)
    add(
        "--max-steps",
        type=int,
        help="cut episodes after so many steps; tasks with an episode that was cut have no "
        "normalised score",
    )
    add(
        "--no-videos",
        dest="videos",
        action="store_false",
        help="no pictures: faster, above all for MuJoCo and Meta-World",
    )
    add("--data", default="data", help="folder whose test split scores text and picture tasks")
    add_device(parser)
    add_dtype(parser)
    add(
        "--output",
        help="folder for report.html, README.md (a model card), report.json and the videos "
        "(runs/evaluation/AGENT)",
    )
    add_json(parser)
    add_quiet(parser)


def evaluate(
    agent: str,
    tasks: list[str],
    output: str | None,
    device: str,
    dtype: str | None,
    json: bool,
    **settings: Any,
) -> int:
    """Evaluate an agent and write its report; 1 where a task failed.

    Args:
        agent: who plays, as `AGENT` describes.
        tasks: names, patterns or domains.
        output: folder of the report; below `runs/evaluation` if None.
        device: where the agent computes.
        dtype: how the weights are held in memory.
        json: print the results as JSON, and no progress.
        **settings: of `jatlab.evaluation.evaluate.evaluate`.
    """
    from jatlab.tasks import expand, get_task

    need("jatlab evaluate", *for_tasks(tasks), *(PICTURES if settings["videos"] else ()))
    if not all(get_task(name).playable for name in expand(tasks)):
        need("jatlab evaluate, for tasks of text and pictures,", *DATA, *PICTURES)
    from jatlab.viz.report.run import evaluate_and_report

    folder = output or f"runs/evaluation/{Path(agent).name.replace(':', '-')}"
    results = evaluate_and_report(
        load(agent, dtype, device),
        tasks,
        folder,
        log=agent if (Path(agent) / "log.jsonl").exists() else None,
        command=as_typed(),
        progress=not json,
        **settings,
    )
    if json:
        print_json(dict(results) | {"report": str(Path(folder) / "report.html")})
    return int(bool(results["failed"]))


def add_play(commands: Commands) -> None:
    """Add `play`."""
    parser = commands.add(
        "play", play, "play one episode: print it, or save it as a video or as a page"
    )
    add = parser.add_argument
    add("agent", help=AGENT + "; or 'retrieve': the most similar timestep shown is repeated")
    add("task", help="the task's name")
    add(
        "--demonstrations",
        metavar="FOLDER",
        help="folder of `jatlab record` with episodes of the task, for 'retrieve' and for an agent "
        "of `jatlab train --in-context`",
    )
    add("--count", type=int, help="use so many demonstrations, the first; all, if not given")
    add("--seed", type=int, default=1_000_000, help="which episode")
    add(
        "--output",
        help="a .gif or .mp4 file, or a .html page with a scrubber, attention and expectations; "
        "without it, the steps are printed",
    )
    add("--max-steps", type=int, help="end the episode after so many steps")
    add_sampling(parser)
    add_device(parser)
    add_dtype(parser)


def play(
    agent: str,
    task: str,
    device: str,
    dtype: str | None,
    output: str | None,
    demonstrations: str | None = None,
    count: int | None = None,
    **settings: Any,
) -> None:
    """Play one episode; see `jatlab.viz.player.playback.play` and `jatlab.viz.web.playing`.

    Args:
        agent: who plays, as `AGENT` describes, or "retrieve".
        task: the task's name.
        device: where the agent computes.
        dtype: how the weights are held in memory.
        output: the file to write, if any.
        demonstrations: the folder that "retrieve", or an in-context agent, plays from.
        count: of the demonstrations.
        **settings: of `jatlab.viz.player.playback.play`.
    """
    need("jatlab play", *for_tasks([task]), *_pictures(output))
    _check_demonstrations(agent, demonstrations, count)
    if demonstrations is None:
        player: Any = load(agent, dtype, device)
    else:
        player = _from_demonstrations(agent, task, demonstrations, count, dtype, device)
    if output is not None and output.lower().endswith(".html"):
        from jatlab.viz.web.playing import play_html

        print(f"written: {output}, {play_html(player, task, output, **settings)}")
        return
    from jatlab.viz.player.playback import play

    play(player, task, output=output, **settings)


def _from_demonstrations(
    agent: str,
    task: str,
    demonstrations: str,
    count: int | None,
    dtype: str | None,
    device: str,
) -> Any:
    """Who plays a task from demonstrations; raises ValueError for an agent that cannot."""
    if agent == "retrieve":
        from jatlab.agents.retrieval.retrieve import RetrieveAndPlay

        return RetrieveAndPlay(task, demonstrations, count)
    from jatlab.agents.agent import Agent
    from jatlab.agents.retrieval.in_context import InContextAgent

    player = load(agent, dtype, device)
    if not isinstance(player, Agent):
        raise ValueError(
            f"{agent} does not play from demonstrations: leave --demonstrations and --count out"
        )
    return InContextAgent(player, task, demonstrations, count)


def _check_demonstrations(agent: str, demonstrations: str | None, count: int | None) -> None:
    """Raise ValueError where the folder is missing for the one who plays from it."""
    if agent == "retrieve" and demonstrations is None:
        raise ValueError(
            "retrieve plays from demonstrations: add --demonstrations FOLDER, the folder of "
            "`jatlab record TASK`"
        )
    if demonstrations is None and count is not None:
        raise ValueError(
            f"--count {count} is of demonstrations: add --demonstrations FOLDER, or leave it out"
        )


def _pictures(output: str | None) -> tuple[str, ...]:
    """The modules that write a video or a page to this file."""
    if output is None:
        return ()
    return (*PICTURES, "imageio", "imageio_ffmpeg") if output.endswith(".mp4") else PICTURES


def add_generate(commands: Commands) -> None:
    """Add `generate`."""
    parser = commands.add(
        "generate", generate, "go on with a text, or say something about a picture"
    )
    add = parser.add_argument
    add("agent", help=AGENT)
    add(
        "prompt",
        nargs="?",
        default="",
        help="the text to go on with; about a picture, say, 'Q: what colour is the key? A:'",
    )
    add("--image", metavar="FILE", help="a picture that stands before the text")
    add("--max-tokens", type=int, default=64, help="tokens to write at most")
    add(
        "--temperature",
        type=float,
        default=1.0,
        help="of the sampling; 0 takes the likeliest token",
    )
    add(
        "--top-p",
        type=float,
        default=1.0,
        help="sample from the fewest tokens that have this probability together",
    )
    add("--seed", type=int, default=0, help="of the sampling")
    add_device(parser)
    add_dtype(parser)


def generate(agent: str, prompt: str, device: str, dtype: str | None, **settings: Any) -> None:
    """Print the prompt and what the agent writes; see `jatlab.agents.generation.generate`."""
    need("jatlab generate --image", *(PICTURES if settings["image"] else ()))
    from jatlab.agents.agent import Agent
    from jatlab.agents.generation import generate

    writer = load(agent, dtype, device)
    if not isinstance(writer, Agent):
        raise ValueError(
            f"{agent} has no model and cannot write; name an agent, such as jatlab-mini"
        )
    print(prompt + generate(prompt, writer, **settings))


def add_export(commands: Commands) -> None:
    """Add `export`."""
    parser = commands.add(
        "export",
        export,
        "write an agent in the published checkpoint's layout: its file names, tensor names and "
        "config.json",
    )
    add = parser.add_argument
    add(
        "agent",
        help="a folder, the name of a shipped agent, or a repository of the hub, such as "
        "jat-project/jat",
    )
    add("folder", help="where config.json, model.safetensors and tokenizer.json go")
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        default=argparse.SUPPRESS,
        help="how the weights are stored (as they are loaded)",
    )


def export(agent: str, folder: str, **dtype: str) -> None:
    """Write an agent in the published layout; warn where the published code cannot run it."""
    from jatlab.agents.checkpoints import export_official, load_agent

    fields = export_official(load_agent(agent, **dtype), folder)
    print(f"{folder} has the agent in the published layout; load it: jatlab.load_agent({folder!r})")
    if fields:
        print(
            f"only jatlab can run it: the published model has no {', '.join(fields)} "
            "(kept in config.json under 'jatlab')",
            file=sys.stderr,
        )
