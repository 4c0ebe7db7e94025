"""The command line: `jatlab tasks | record | measure | teachers | teach | train | evaluate | play |
generate | export | demo | mini | ablate | bench | cost`.

Each command is one function, which imports what it needs when it runs: `jatlab --help` answers at
once.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from jatlab import __version__


def main(argv: list[str] | None = None) -> int:
    """Run one command. 0: done; 1: in part, or a check failed; 2: the user's mistake, explained on
    standard error; 130: interrupted.
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments = vars(build_parser().parse_args(argv))
    command = arguments.pop("command")
    try:
        return command(**arguments) or 0
    except KeyboardInterrupt as interruption:
        print(f"\n{interruption or 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return 0
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jatlab",
        description="A lab around JAT, the open generalist agent (arXiv 2402.09844): build, train, play, look inside.",
    )
    parser.add_argument("--version", action="version", version=f"jatlab {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        _add_tasks,
        _add_record,
        _add_measure,
        _add_teachers,
        _add_teach,
        _add_relabel,
        _add_fetch,
        _add_train,
        _add_evaluate,
        _add_play,
        _add_generate,
        _add_export,
        _add_demo,
        _add_mini,
        _add_ablate,
        _add_bench,
        _add_cost,
    ):
        add(commands)
    return parser


def _command(commands, name: str, function, help: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=help, description=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.set_defaults(command=function)
    return parser


WHO = ("teacher", "random", "search")  # of jatlab.teachers, whose import would slow every command
TASKS = dict(metavar="TASK", help="names, patterns ('babyai-go-to-*') or domains ('metaworld')")

# --- tasks
# -------------------------------------------------------------------------------------------------------------------


def _add_tasks(commands) -> None:
    parser = _command(
        commands, "tasks", tasks, "list the tasks with domain, observation, action and scores"
    )
    parser.add_argument("tasks", nargs="*", default=["all"], **TASKS)


def tasks(tasks: list[str]) -> None:
    from jatlab.tasks import expand
    from jatlab.tasks.listing import print_tasks

    print_tasks(expand(tasks))


# --- record, measure
# ---------------------------------------------------------------------------------------------------------


def _add_record(commands) -> None:
    parser = _command(
        commands,
        "record",
        record,
        "record a teacher's episodes as Parquet, in the published data set's columns",
    )
    parser.add_argument("tasks", nargs="+", **TASKS)
    parser.add_argument("--episodes", type=int, default=100, help="episodes of each task")
    parser.add_argument(
        "--output", dest="root", default="data", help="folder that gets TASK/train/*.parquet"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--seed", type=int, default=0, help="episode i plays environment seed SEED + i"
    )
    parser.add_argument(
        "--teacher",
        choices=WHO,
        default="teacher",
        help="who plays; search: Atari's look-ahead, where a controller teaches",
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=0.0,
        help="disturb what is executed, and record the teacher's answers",
    )
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds after which an episode is dropped"
    )


def record(**arguments) -> None:
    from jatlab.data.recording.record import record

    record(**arguments)


def _add_measure(commands) -> None:
    parser = _command(
        commands,
        "measure",
        measure,
        "measure the returns of teacher and random policy, and store them with the tasks",
    )
    parser.add_argument("tasks", nargs="+", **TASKS)
    parser.add_argument(
        "--episodes", type=int, default=100, help="episodes of each task and policy"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--who",
        nargs="+",
        choices=WHO,
        default=("teacher", "random"),
        help="which policies; default teacher and random",
    )


def measure(**arguments) -> None:
    from jatlab.data.recording.measuring import measure

    measure(**arguments)


def _add_relabel(commands) -> None:
    parser = _command(
        commands,
        "relabel",
        relabel,
        "let an agent play and record what its teachers would have done (DAgger), beside their demonstrations",
    )
    parser.add_argument("agent", help="who plays: a folder, or an agent that ships")
    parser.add_argument("tasks", nargs="+", **TASKS)
    parser.add_argument("--episodes", type=int, default=100, help="episodes of each task")
    parser.add_argument(
        "--output",
        dest="root",
        default="data",
        help="folder that gets TASK/train/relabelled-*.parquet",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--seed",
        type=int,
        default=50_000,
        help="episode i plays environment seed SEED + i, from 50000 to 99999; another round wants other seeds",
    )
    parser.add_argument("--max-steps", type=int, help="end an episode there")


def relabel(**arguments) -> None:
    from jatlab.training.dagger import relabel as relabel_all

    for task, timesteps in relabel_all(**arguments).items():
        print(f"{task}: {timesteps:,} timesteps corrected")


# --- teachers, fetch
# ---------------------------------------------------------------------------------------------------------


def _add_teachers(commands) -> None:
    parser = _command(commands, "teachers", teachers, "list who teaches what, and how well")
    parser.add_argument("tasks", nargs="*", default=["all"], **TASKS)
    parser.add_argument(
        "--measure",
        action="store_true",
        help="measure the returns of teacher and random policy again, and store them with the tasks",
    )
    parser.add_argument(
        "--episodes", type=int, default=100, help="episodes of each task and policy, when measuring"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes, when measuring")


def teachers(tasks: list[str], measure: bool, episodes: int, workers: int) -> None:
    from jatlab.tasks import expand
    from jatlab.teachers import has_teacher
    from jatlab.teachers.listing import format_searches, format_teachers

    names = expand(tasks)
    if measure:
        from jatlab.data.recording.measuring import measure as measure_teachers

        measure_teachers(
            [name for name in names if has_teacher(name)], episodes, workers, again=True
        )
    print(format_teachers(names))
    if searches := format_searches(names):
        print(f"\n{searches}")


def _add_teach(commands) -> None:
    parser = _command(
        commands,
        "teach",
        teach,
        "find a controller of a MuJoCo task or an Atari game again, the way the shipped one was found",
    )
    parser.add_argument(
        "tasks",
        nargs="+",
        **TASKS | {"help": "names, patterns ('mujoco-*') or the domain ('mujoco')"},
    )
    parser.add_argument(
        "--output",
        default="runs/teach",
        help="folder for the search and what it finds; the same command goes on from there",
    )
    parser.add_argument("--rounds", type=int, help="a shorter or longer search than the recipe's")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of everything that is drawn; the shipped controllers come from 0",
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="put what was found into the package, in place of the shipped controller",
    )


def teach(tasks: list[str], **arguments) -> None:
    from jatlab.tasks import expand
    from jatlab.teachers.fitting.recipes import recipe_of
    from jatlab.teachers.fitting.teach import teach

    names = expand(tasks)
    for name in names:  # better now than after an hour of searching for the others
        recipe_of(name)
    for name in names:
        teach(name, **arguments)


def _add_fetch(commands) -> None:
    parser = _command(
        commands,
        "fetch",
        fetch,
        "copy tasks of the published data set into the folder that training reads",
    )
    parser.add_argument(
        "tasks",
        nargs="+",
        **TASKS | {"help": TASKS["help"] + ", also wikipedia, oscar, conceptual-captions, ok-vqa"},
    )
    parser.add_argument(
        "--data", dest="root", default="data", help="folder that gets TASK/SPLIT/*.parquet"
    )
    parser.add_argument(
        "--split",
        dest="splits",
        nargs="+",
        choices=("train", "test"),
        default=["train", "test"],
        help="which splits",
    )
    parser.add_argument(
        "--episodes",
        type=int,
        help="at most so many of each task and split (rows, of text and pictures); all, if not given",
    )
    parser.add_argument(
        "--from",
        dest="source",
        default="jat-project/jat-dataset",
        help="repository on the Hugging Face hub, or a folder of the same layout",
    )


def fetch(**arguments) -> None:
    from jatlab.data.published.fetch import fetch

    fetch(**arguments)


# --- train
# -------------------------------------------------------------------------------------------------------------------


def _add_train(commands) -> None:
    parser = _command(
        commands, "train", train, "train one agent on everything recorded (or on the tasks named)"
    )
    parser.add_argument(
        "tasks",
        nargs="*",
        **TASKS | {"help": TASKS["help"] + "; all that are recorded, if none is given"},
    )
    parser.add_argument(
        "--resume",
        metavar="FOLDER",
        help="go on with the run in FOLDER; other options given change its recipe",
    )
    suppressed = dict(default=argparse.SUPPRESS)  # what is not given keeps the recipe's value
    for option, kind, help in (
        ("--data", str, "folder with the recordings (data)"),
        (
            "--stream",
            str,
            "data set that the tasks come from which DATA does not have, such as jat-project/jat-dataset; nothing is stored",
        ),
        ("--output", str, "folder for the agent, its checkpoints and log (runs/agent)"),
        ("--preset", str, "size of the model: nano, mini, paper, medium, large (nano)"),
        (
            "--start",
            str,
            "agent whose weights to begin with, in place of a preset: a folder, or one that ships, such as demo",
        ),
        ("--steps", int, "how long to train, in steps"),
        ("--minutes", float, "how long to train, in minutes"),
        ("--batch-timesteps", int, "timesteps of one batch, padding included (1024)"),
        ("--accumulate", int, "batches added up in each step (1)"),
        ("--lr", float, "highest learning rate (1e-3)"),
        ("--precision", str, "bf16, fp32 or auto"),
        ("--average", float, "decay of the weights' moving average, such as 0.999 (none)"),
        ("--device", str, "cpu, or auto: what Accelerate finds (auto)"),
        ("--seed", int, "seed of everything that is drawn (0)"),
        ("--save-every", int, "steps between checkpoints (500)"),
    ):
        parser.add_argument(option, type=kind, help=help, **suppressed)
    for option, help in (
        (
            "--mix",
            "batches of several tasks of one domain, in place of one task's: worth it with many tasks",
        ),
        (
            "--checkpoint-activations",
            "keep each block's input alone and compute the rest again: less memory, more time",
        ),
        ("--compile", "torch.compile the transformer's blocks; where that fails, go on without"),
    ):
        parser.add_argument(option, action=argparse.BooleanOptionalAction, help=help, **suppressed)


def train(tasks: list[str], resume: str | None, **recipe) -> None:
    from jatlab.training.recipe import TrainConfig
    from jatlab.training.trainer import train

    recipe |= {"tasks": tasks} if tasks else {}
    folder = train(TrainConfig.of_run(resume, **recipe) if resume else TrainConfig(**recipe))
    if os.environ.get("RANK", "0") == "0":  # of several processes, the first
        print(f"the agent is in {folder}; see it play: jatlab play {folder} TASK")


# --- evaluate, play
# ----------------------------------------------------------------------------------------------------------


AGENT = "a folder that `jatlab train` wrote, the name of a shipped agent, a repository of the hub (jat-project/jat), 'random', or 'untrained:PRESET', such as untrained:nano"
DTYPE = dict(
    choices=("float32", "bfloat16"), help="how the weights are held in memory (as they are stored)"
)


def _add_evaluate(commands) -> None:
    parser = _command(
        commands,
        "evaluate",
        evaluate,
        "play seeded episodes and write a report: returns, normalised scores, intervals, videos",
    )
    parser.add_argument("agent", help=AGENT)
    parser.add_argument("--tasks", nargs="+", required=True, **TASKS)
    parser.add_argument("--episodes", type=int, default=30, help="episodes of each task")
    parser.add_argument(
        "--seed", type=int, default=1_000_000, help="first seed; recordings use smaller ones"
    )
    parser.add_argument("--envs", type=int, default=16, help="environments in lockstep")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the tasks")
    parser.add_argument(
        "--greedy", action="store_true", help="take the likeliest action instead of sampling"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        help="of the sampling (the agent's own: 1, unless its config.json says otherwise)",
    )
    parser.add_argument(
        "--max-steps",
        type=int,
        help="cut episodes after so many steps; tasks with an episode that was cut have no normalised score",
    )
    parser.add_argument(
        "--no-videos",
        dest="videos",
        action="store_false",
        help="no pictures: faster, above all for MuJoCo and Meta-World",
    )
    parser.add_argument(
        "--data", default="data", help="folder whose test split scores text and picture tasks"
    )
    parser.add_argument("--dtype", **DTYPE)
    parser.add_argument(
        "--output",
        help="folder for report.html, README.md (a model card), report.json and the videos (runs/evaluation/AGENT)",
    )


def evaluate(
    agent: str, tasks: list[str], output: str | None, dtype: str | None, **settings
) -> int:
    from jatlab.viz.report.page import evaluate_and_report

    trained = (Path(agent) / "log.jsonl").exists()
    output = output or f"runs/evaluation/{Path(agent).name.replace(':', '-')}"
    results = evaluate_and_report(
        _load(agent, dtype),
        tasks,
        output,
        log=agent if trained else None,
        command=_as_typed(),
        **settings,
    )
    return int(bool(results["failed"]))


def _add_play(commands) -> None:
    parser = _command(commands, "play", play, "play one episode: print it, or save it as a video")
    parser.add_argument("agent", help=AGENT)
    parser.add_argument("task", help="the task's name")
    parser.add_argument("--seed", type=int, default=1_000_000, help="which episode")
    parser.add_argument("--output", help="a .gif or .mp4 file; without it, the steps are printed")
    parser.add_argument(
        "--greedy", action="store_true", help="take the likeliest action instead of sampling"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        help="of the sampling (the agent's own: 1, unless its config.json says otherwise)",
    )
    parser.add_argument("--dtype", **DTYPE)


def play(agent: str, task: str, dtype: str | None, **settings) -> None:
    from jatlab.viz.player.playback import play

    play(_load(agent, dtype), task, **settings)


def _add_export(commands) -> None:
    parser = _command(
        commands,
        "export",
        export,
        "write an agent in the published checkpoint's layout: its file names, tensor names and config.json",
    )
    parser.add_argument(
        "agent",
        help="a folder, the name of a shipped agent, or a repository of the hub, such as jat-project/jat",
    )
    parser.add_argument("folder", help="where config.json, model.safetensors and tokenizer.json go")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default=argparse.SUPPRESS,
        help="how the weights are stored (as they are loaded)",
    )


def export(agent: str, folder: str, **dtype) -> None:
    from jatlab.agents.checkpoints import export_official, load_agent

    fields = export_official(load_agent(agent, **dtype), folder)
    print(f"{folder} has the agent in the published layout; load it: jatlab.load_agent({folder!r})")
    if fields:
        print(
            f"only jatlab can run it: the published model has no {', '.join(fields)} (kept in config.json under 'jatlab')",
            file=sys.stderr,
        )


def _add_generate(commands) -> None:
    parser = _command(
        commands, "generate", generate, "go on with a text, or say something about a picture"
    )
    parser.add_argument("agent", help=AGENT)
    parser.add_argument(
        "prompt",
        nargs="?",
        default="",
        help="the text to go on with; about a picture, say, 'Q: what colour is the key? A:'",
    )
    parser.add_argument("--image", metavar="FILE", help="a picture that stands before the text")
    parser.add_argument("--max-tokens", type=int, default=64, help="tokens to write at most")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="of the sampling; 0 takes the likeliest token",
    )
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        help="sample from the fewest tokens that have this probability together",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sampling")


def generate(agent: str, prompt: str, **settings) -> None:
    from jatlab.agents.generation import generate

    print(prompt + generate(prompt, _load(agent), **settings))


def _load(name: str, dtype: str | None = None):
    if name == "random":
        from jatlab.agents.agent import RandomAgent

        return RandomAgent()
    if name.startswith("untrained:"):
        from jatlab.agents.agent import Agent

        return Agent.untrained(name.removeprefix("untrained:"))
    from jatlab.agents.checkpoints import load_agent

    return load_agent(name, dtype=dtype)


def _as_typed() -> str:
    return shlex.join(["jatlab", *sys.argv[1:]])


# --- demo, mini, bench
# -------------------------------------------------------------------------------------------------------


def _add_demo(commands) -> None:
    parser = _command(
        commands, "demo", demo, "from nothing to a playing agent: record, train, evaluate, report"
    )
    parser.add_argument(
        "--output",
        default="runs/demo",
        help="folder for data, agent and report; what is finished there is not done again",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="seconds instead of minutes, to see that all works; the agent will be weak",
    )


def demo(**arguments) -> None:
    from jatlab.experiments.recipes.demo import demo

    demo(**arguments)


def _add_mini(commands) -> None:
    parser = _command(
        commands,
        "mini",
        mini,
        "jatlab-mini from nothing, in a working day: record, train, correct, train on, evaluate, report",
    )
    parser.add_argument(
        "--output",
        default="runs/mini",
        help="folder for data, agent and report; what is finished there is not done again",
    )
    parser.add_argument(
        "--hours",
        type=float,
        default=argparse.SUPPRESS,
        help="of training; what a working day leaves for it, unless given",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one task of each kind, minutes instead of hours, to see that all works; the agent will be weak",
    )


def mini(**arguments) -> None:
    from jatlab.experiments.recipes.mini import mini

    mini(**arguments)


def _add_ablate(commands) -> None:
    parser = _command(
        commands,
        "ablate",
        ablate,
        "answer one of the paper's open questions: small agents, trained and played, over seeds",
    )
    parser.add_argument("name", help="which question; without one that exists, they are listed")
    parser.add_argument(
        "--output",
        default="runs/ablations",
        help="folder for recordings, runs and NAME.json; what is there is not made again",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="of the runs; the ablation's own, if none is given"
    )
    parser.add_argument("--steps", type=int, help="of training, in place of each variant's")
    parser.add_argument(
        "--episodes", type=int, default=50, help="that each agent plays of each task"
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="put the results into the package, in place of those that ship",
    )


def ablate(name: str, **arguments) -> None:
    from jatlab.experiments.ablations.registry import ablate, told_summary

    print(told_summary(ablate(name, **arguments)))


def _add_bench(commands) -> None:
    parser = _command(commands, "bench", bench, "measure what the algorithms buy, as ratios")
    parser.add_argument("--output", help="a JSON file for the ratios")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 where a ratio misses its target"
    )
    parser.add_argument(
        "--device",
        help="instead: the speed and memory of training on this device, cuda or cpu, as a table",
    )
    parser.add_argument(
        "--gpu", dest="device", action="store_const", const="cuda", help="the same as --device cuda"
    )
    parser.add_argument(
        "--presets",
        nargs="+",
        metavar="PRESET",
        help="sizes for --device; mini and paper, if none is given",
    )
    parser.add_argument(
        "--agent",
        help="instead: how soon this agent is loaded, how fast it acts on one core, and its memory, as a table",
    )
    parser.set_defaults(output=None, device=None, presets=None, agent=None)


def bench(
    output: str | None,
    check: bool,
    device: str | None,
    presets: list[str] | None,
    agent: str | None,
) -> int:
    if agent:
        from jatlab.experiments.benchmarks import acting as bench_agent

        found = bench_agent.run(agent)
        print(bench_agent.in_words(agent, found))
        return int(check and not all(line.met for line in found))
    if device:
        from jatlab.experiments.benchmarks.device import run_on

        print(run_on(device, presets or ["mini", "paper"], _as_typed(), output))
        return 0
    from jatlab.experiments.benchmarks.algorithms import run

    ratios = run(output)
    return int(check and not all(ratio.met for ratio in ratios))


# --- cost
# --------------------------------------------------------------------------------------------------------------------


def _add_cost(commands) -> None:
    parser = _command(
        commands,
        "cost",
        cost,
        "what a training costs: parameters, FLOPs, memory and hours, beside Gato's",
    )
    parser.add_argument(
        "--preset", default="paper", help="size of the model: nano, mini, paper, medium, large"
    )
    parser.add_argument("--steps", type=int, default=250_000, help="of the training")
    parser.add_argument(
        "--batch",
        dest="windows",
        type=int,
        default=320,
        help="windows of a step, all devices and accumulated batches together",
    )
    parser.add_argument(
        "--device", help="one device's hours alone: 'H100 SXM', 'T4', cpu, …; all, if none is given"
    )
    parser.add_argument(
        "--utilisation",
        type=float,
        default=0.35,
        help="share of the device's peak that the training uses",
    )


def cost(**arguments) -> None:
    from jatlab.experiments.benchmarks.cost_report import report

    print(report(**arguments))
