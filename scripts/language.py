"""Text and pictures in fifteen minutes on two cores, for docs/results/language.md.

`make language` runs it: record what every machine has, train a small model, score it, and put the
tables into the page. What is finished in `runs/language` is not done again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jatlab.agents.checkpoints import load_agent
from jatlab.data.recording.record import record
from jatlab.training.recipe import TrainConfig
from jatlab.training.trainer import train
from jatlab.viz.report.run import evaluate_and_report
from scripts.readme import insert

RUN = Path(__file__).parent.parent / "runs" / "language"
SCENES = {"minigrid-questions": 24_000, "minigrid-captions": 6_000}
TASKS = ["python-docs", *SCENES]
RECIPE = TrainConfig(
    data=str(RUN / "data"),
    output=str(RUN / "agent"),
    tasks=TASKS,
    preset="nano",
    model={"window_size": 128},
    minutes=14,
    batch_timesteps=512,
    lr=5e-4,
    average=0.99,
    task_weights={"minigrid-questions": 4.0},
    val_every=1000,
)


def main() -> None:
    record(["python-docs"], RECIPE.data, episodes=1, workers=1)
    for task, scenes in SCENES.items():
        record([task], RECIPE.data, episodes=scenes, workers=2)
    if not (RUN / "agent" / "training.json").exists():
        train(RECIPE)
    agent, log = load_agent(RUN / "agent"), RUN / "agent"
    evaluate_and_report(
        agent, TASKS, RUN / "report", log, data=RECIPE.data, command="make language"
    )
    scores = json.loads((RUN / "report" / "report.json").read_text())["language"]
    info = json.loads((RUN / "agent" / "training.json").read_text())
    parts = [about(info), perplexities(scores), answers(scores["minigrid-questions"])]
    insert("language", "\n\n".join(parts))


def about(info: dict[str, Any]) -> str:
    """How the model was trained and scored."""
    machine = f"{info['device']}, {info['precision']}, seed {info['recipe']['seed']}"
    return (
        f"`make language`: {info['parameters']:,} parameters, one training of "
        f"{info['minutes']:.0f} minutes on {info['threads']} threads ({machine}), scored on "
        "documents and views held out; 95 % intervals in brackets."
    )


def perplexities(scores: dict[str, dict[str, Any]]) -> str:
    """A row for each task: perplexity, beside a unigram model's."""
    lines = [
        "| held-out text | perplexity, a token | unigram's | less by | tokens |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for task, found in scores.items():
        value, unigram = found["perplexity"], found["unigram"]
        low, high = found.get("perplexity_interval", found["interval"])
        lines.append(
            f"| {task} | {value:.1f} [{low:.1f}–{high:.1f}] | {unigram:.1f} "
            f"| {unigram / value:.1f} x | {found['tokens']:,} |"
        )
    return "\n".join(lines)


def answers(scores: dict[str, Any]) -> str:
    """A row for each type of question: exact answers, beside the most frequent answer's."""
    lines = [
        "| questions about scenes | exact answers | most frequent answer | asked |",
        "| --- | ---: | ---: | ---: |",
    ]
    for kind, found in scores["by_type"].items():
        exact, majority = f"{found['exact_match']:.0%}", f"{found['majority']:.0%}"
        lines.append(f"| {kind} | {exact} | {majority} | {found['questions']} |")
    low, high = scores["interval"]
    exact = f"**{scores['exact_match']:.0%}** [{low:.0%}–{high:.0%}]"
    majority = f"**{scores['majority']:.0%}**"
    return "\n".join([*lines, f"| **all** | {exact} | {majority} | {scores['questions']} |"])


if __name__ == "__main__":
    main()
