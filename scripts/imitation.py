"""Can Atari's demonstrations be imitated? A small policy for each game plays against its teacher.

    python -m scripts.imitation
    python -m scripts.imitation atari-pong --minutes 1 --episodes 2 --output runs/imitation-short

Each policy is trained on the recordings of its game only. The first command records all eight
games, trains 6 minutes and plays 30 episodes of each. What is finished in the output folder is not
done again; a training that was stopped goes on. The share is (agent - random) / (teacher - random),
both as measured (`jatlab teachers --measure`). The agent's episodes end where the teacher's do, at
18,000 frames. With --table, docs/results/teachers.md gets the results when no game is missing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from jatlab.agents.checkpoints import load_agent
from jatlab.data.recording.record import record
from jatlab.evaluation.evaluate import evaluate
from jatlab.experiments.recipes import mini
from jatlab.tasks import expand, task_scores
from jatlab.teachers.console import DECISIONS
from jatlab.training.log import read_log
from jatlab.training.recipe import TrainConfig
from jatlab.training.state import checkpoints
from jatlab.training.trainer import train
from jatlab.utils.files import write_json
from scripts.readme import insert

ENOUGH = 0.5  # of the teacher
WINDOW = 32  # timesteps, as published for Atari
MODEL = {"image_pool": None}  # where a ball is matters to a pixel or two
FRAMES_PREDICTED = 0.125  # predicting every next frame would take half of the time


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    for task in expand(asked.tasks):
        print(result_line(imitate(task, asked)), flush=True)
    found = [asked.output / game / "imitation.json" for game in mini.GAMES]
    if asked.table and all(path.exists() for path in found):
        insert("imitation", table([json.loads(path.read_text()) for path in found]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("tasks", nargs="*", default=mini.GAMES)
    add("--data", default="data", help="folder with the recordings; what is missing is recorded")
    add("--output", type=Path, default=Path("runs/imitation"))
    add("--minutes", type=float, default=6.0, help="of training, each game")
    add("--episodes", type=int, default=30, help="to play, each game")
    add("--threads", type=int, default=1, help="and processes of recording and playing")
    add("--table", action="store_true", help="write the table in docs/results/teachers.md")
    return parser.parse_args()


def result_line(found: dict[str, Any]) -> str:
    return (
        f"{found['task']}: {found['agent']:.4g} ± {found['std']:.2g} "
        f"over {found['episodes']} episodes, teacher {found['teacher']:.4g}, "
        f"random {found['random']:.4g}: {found['share']:.2f} of the teacher"
    )


def imitate(task: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Record, train, play and compare in one game; `imitation.json` keeps what was found."""
    folder = asked.output / task
    file, agent = folder / "imitation.json", folder / "agent"
    if file.exists():
        return json.loads(file.read_text())
    noise, count = mini.NOISE["atari"], mini.episodes(task)
    recorded = record(task, asked.data, count, asked.threads, noise=noise)[task]
    train_once(task, agent, asked)
    played = play(task, agent, asked)
    random, teacher = measured(task)
    result = {
        "task": task,
        "agent": played["mean"],
        "std": played["std"],
        "episodes": asked.episodes,
        "teacher": teacher,
        "random": random,
        "share": (played["mean"] - random) / (teacher - random),
        "held_out_loss": held_out_loss(agent, task),
        "decisions": recorded["timesteps"],
        "minutes": asked.minutes,
        "policy": recorded["policy"],
    }
    write_json(file, result)
    return result


def measured(task: str) -> tuple[float, float]:
    """The measured returns of the random policy and of the teacher."""
    scores = task_scores(task)
    if scores.random is None or scores.teacher is None:
        raise ValueError(
            f"{task} has not been measured: run `jatlab teachers {task} --measure` first"
        )
    return scores.random.mean, scores.teacher.mean


def train_once(task: str, output: Path, asked: argparse.Namespace) -> None:
    """Train, or go on, unless the training is finished."""
    if (output / "training.json").exists():
        return
    recipe = TrainConfig(
        data=asked.data,
        output=str(output),
        tasks=[task],
        preset="nano",
        model=MODEL,
        frames_predicted=FRAMES_PREDICTED,
        minutes=asked.minutes,
        max_timesteps=WINDOW,
        batch_timesteps=512,
        random_start=True,
        lr=1e-3,
        average=0.99,
        val_every=200,
        save_every=500,
        resume=bool(checkpoints(output)),
    )
    train(recipe)


def play(task: str, agent: Path, asked: argparse.Namespace) -> dict[str, float]:
    """The agent's return, {"mean", "std", …}, over episodes in lockstep."""
    results = evaluate(
        load_agent(agent),
        task,
        asked.episodes,
        envs=asked.episodes,
        output=agent.parent / "played",
        max_steps=DECISIONS,
    )
    return results["tasks"][task]["return"]


def held_out_loss(folder: Path, task: str) -> float | None:
    """The loss on held-out demonstrations at the training's last validation.

    It is None if there were too few episodes to hold one out.
    """
    for line in reversed(read_log(folder)):
        if task in line.get("validation", {}):
            return line["validation"][task]
    return None


def table(results: list[dict[str, Any]]) -> str:
    """A row for each game."""
    enough = sum(found["share"] >= ENOUGH for found in results)
    decisions = min(found["decisions"] for found in results)
    minutes, episodes = results[0]["minutes"], results[0]["episodes"]
    lines = [
        f"Imitated from {decisions:,} decisions or more of one game alone (`nano`, {minutes:g} "
        f"minutes of training on one core, {episodes} episodes): at least half of the teacher on "
        f"{enough} of {len(results)} games.",
        "",
        "| game | imitator | teacher | random | share |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for found in results:
        game, imitator = found["task"].removeprefix("atari-"), f"{found['agent']:,.1f}"
        others = f"{found['teacher']:,.1f} | {found['random']:,.1f} | {found['share']:.2f}"
        lines.append(f"| {game} | {imitator} ± {found['std']:,.1f} | {others} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
