"""Can Atari's demonstrations be imitated? One small policy a game, trained on that game's
recordings alone, plays against its teacher.

    python -m scripts.imitation                                    all eight games: recording, training of 6 minutes each, then 30 episodes each
    python -m scripts.imitation atari-pong --minutes 1 --episodes 2 --output runs/imitation-short

What is finished in the output folder is not done again; a training that was stopped goes on. The
share is (agent - random) / (teacher - random), both as measured (`jatlab measure`). The agent's
episodes are cut where the teacher's are, at 18,000 frames. The table in
docs/results/teachers.md is written when no game is missing.
"""

import argparse
import json
from pathlib import Path

import torch

from jatlab.agents.checkpoints import load_agent
from jatlab.data.recording.record import record
from jatlab.evaluation.evaluate import evaluate
from jatlab.experiments.recipes import mini
from jatlab.tasks import expand, task_scores
from jatlab.teachers.console import DECISIONS
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
        result = imitate(task, asked)
        print(
            f"{task}: {result['agent']:.4g} ± {result['std']:.2g} over {result['episodes']} episodes, teacher {result['teacher']:.4g}, "
            f"random {result['random']:.4g}: {result['share']:.2f} of the teacher",
            flush=True,
        )
    found = [asked.output / game / "imitation.json" for game in mini.GAMES]
    if asked.table and all(path.exists() for path in found):
        insert("imitation", table([json.loads(path.read_text()) for path in found]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", default=mini.GAMES)
    parser.add_argument(
        "--data", default="data", help="folder with the recordings; what is missing is recorded"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/imitation"))
    parser.add_argument("--minutes", type=float, default=6.0, help="of training, each game")
    parser.add_argument("--episodes", type=int, default=30, help="to play, each game")
    parser.add_argument(
        "--threads", type=int, default=1, help="and processes of recording and playing"
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="write the table in docs/results/teachers.md when all eight games are there",
    )
    return parser.parse_args()


def imitate(task: str, asked: argparse.Namespace) -> dict:
    """Train, play and compare on one game; what was found is kept in `imitation.json`."""
    folder, file = asked.output / task, asked.output / task / "imitation.json"
    if file.exists():
        return json.loads(file.read_text())
    scores = task_scores(task)
    random, teacher = scores.random.mean, scores.teacher.mean
    shown = record(task, asked.data, mini.episodes(task), asked.threads, noise=mini.NOISE["atari"])[
        task
    ]
    train_once(task, folder / "agent", asked)
    played = evaluate(
        load_agent(folder / "agent"),
        task,
        asked.episodes,
        envs=asked.episodes,
        output=folder / "played",
        max_steps=DECISIONS,
    )["tasks"][task]
    agent, std = played["return"]["mean"], played["return"]["std"]
    result = {"task": task, "agent": agent, "std": std, "episodes": asked.episodes, "teacher": teacher, "random": random,
              "share": (agent - random) / (teacher - random), "held_out_loss": held_out_loss(folder / "agent", task), "decisions": shown["timesteps"],
              "minutes": asked.minutes, "policy": shown["policy"]}  # fmt: skip
    write_json(file, result)
    return result


def train_once(task: str, output: Path, asked: argparse.Namespace) -> None:
    """The training, unless it is finished; one that was stopped goes on."""
    if (output / "training.json").exists():
        return
    train(TrainConfig(
        data=asked.data, output=str(output), tasks=[task], preset="nano", model=MODEL, frames_predicted=FRAMES_PREDICTED, minutes=asked.minutes, max_timesteps=WINDOW, batch_timesteps=512, random_start=True,
        lr=1e-3, average=0.99, val_every=200, save_every=500, resume=bool(checkpoints(output)),
    ))  # fmt: skip


def held_out_loss(folder: Path, task: str) -> float | None:
    """The loss on held-out demonstrations at the training's last validation; None if there were too
    few episodes to hold one out.
    """
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return next(
        (
            line["validation"][task]
            for line in reversed(lines)
            if task in line.get("validation", {})
        ),
        None,
    )


def table(results: list[dict]) -> str:
    rows = [
        f"| {r['task'].removeprefix('atari-')} | {r['agent']:,.1f} ± {r['std']:,.1f} | {r['teacher']:,.1f} | {r['random']:,.1f} | {r['share']:.2f} |"
        for r in results
    ]
    enough = sum(r["share"] >= ENOUGH for r in results)
    told = (
        f"Imitated from {min(r['decisions'] for r in results):,} decisions or more of one game alone (`nano`, {results[0]['minutes']:g} minutes of training on one core, "
        f"{results[0]['episodes']} episodes): at least half of the teacher on {enough} of {len(results)} games."
    )
    return "\n".join(
        [
            told,
            "",
            "| game | imitator | teacher | random | share |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


if __name__ == "__main__":
    main()
