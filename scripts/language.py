"""Text and pictures in fifteen minutes on two cores: record what every machine has, train a small
model, score it, and put the table into docs/results/language.md.

`make language` runs it. What is finished in `runs/language` is not done again.
"""

import json
from pathlib import Path

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
    data=str(RUN / "data"), output=str(RUN / "agent"), tasks=TASKS, preset="nano", model={"window_size": 128}, minutes=14, batch_timesteps=512, lr=5e-4,
    average=0.99, task_weights={"minigrid-questions": 4.0}, val_every=1000,
)  # fmt: skip


def main() -> None:
    record(["python-docs"], RECIPE.data, episodes=1, workers=1)
    for task, scenes in SCENES.items():
        record([task], RECIPE.data, episodes=scenes, workers=2)
    if not (RUN / "agent" / "training.json").exists():
        train(RECIPE)
    evaluate_and_report(
        load_agent(RUN / "agent"),
        TASKS,
        RUN / "report",
        RUN / "agent",
        data=RECIPE.data,
        command="make language",
    )
    scores = json.loads((RUN / "report" / "report.json").read_text())["language"]
    insert(
        "language",
        "\n".join(
            [
                *told(json.loads((RUN / "agent" / "training.json").read_text())),
                "",
                *perplexities(scores),
                "",
                *answers(scores["minigrid-questions"]),
            ]
        ),
    )


def told(info: dict) -> list[str]:
    return [f"`make language`: {info['parameters']:,} parameters, one training of {info['minutes']:.0f} minutes on {info['threads']} threads "
            f"({info['device']}, {info['precision']}, seed {info['recipe']['seed']}), scored on documents and views held out; 95 % intervals in brackets."]  # fmt: skip


def perplexities(scores: dict) -> list[str]:
    rows = [f"| {task} | {s['perplexity']:.1f} {between(s.get('perplexity_interval', s['interval']))} | {s['unigram']:.1f} | {s['unigram'] / s['perplexity']:.1f} x | {s['tokens']:,} |"
            for task, s in scores.items()]  # fmt: skip
    return [
        "| held-out text | perplexity, a token | unigram's | less by | tokens |",
        "| --- | ---: | ---: | ---: | ---: |",
        *rows,
    ]


def between(interval: list[float]) -> str:
    return "[{:.1f}–{:.1f}]".format(*interval)


def answers(scores: dict) -> list[str]:
    low, high = scores["interval"]
    rows = [
        f"| {kind} | {s['exact_match']:.0%} | {s['majority']:.0%} | {s['questions']} |"
        for kind, s in scores["by_type"].items()
    ]
    whole = f"| **all** | **{scores['exact_match']:.0%}** [{low:.0%}–{high:.0%}] | **{scores['majority']:.0%}** | {scores['questions']} |"
    return [
        "| questions about scenes | exact answers | most frequent answer | asked |",
        "| --- | ---: | ---: | ---: |",
        *rows,
        whole,
    ]


if __name__ == "__main__":
    main()
