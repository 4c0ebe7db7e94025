"""`jatlab demo`: from nothing to a playing agent on two CPU cores.

Teachers show eight tasks of two domains, one agent is trained on all of it, plays seeds that were
never recorded, and a report says how well. Whatever is finished in the output folder is not done
again, so a stopped demo goes on where it was.
"""

from __future__ import annotations

import time
from pathlib import Path

from jatlab.experiments.recipes.stages import stage, train_once
from jatlab.tasks import domain_of

EPISODES = {  # of demonstration; where the mission must be told from several objects, more
    "babyai-go-to-obj": 1500,
    "babyai-go-to-local": 16_000,
    "babyai-pickup-dist": 14_000,
    "babyai-open-door": 4000,
    "metaworld-reach": 200,
    "metaworld-door-close": 80,
    "metaworld-drawer-open": 100,
    "metaworld-button-press-topdown": 200,
}
NOISE = {
    "babyai": 0.3,
    "metaworld": 0.8,
}  # disturbs what teachers do, not what they say: so the way back is shown too
WEIGHTS = {  # how often a task has its turn; 1 where none is given
    "babyai-go-to-obj": 0.4, "babyai-go-to-local": 1.1, "babyai-pickup-dist": 1.1,
    "metaworld-reach": 0.6, "metaworld-door-close": 0.3, "metaworld-drawer-open": 0.25, "metaworld-button-press-topdown": 0.7,
}  # fmt: skip
MINUTES = 9.0  # of training


def demo(output: str = "runs/demo", workers: int = 2, quick: bool = False) -> Path:
    """Record, train, evaluate, report; returns the report's path. `quick` does each for seconds, to
    see that all works.
    """
    from jatlab.agents.checkpoints import load_agent
    from jatlab.viz.report.run import evaluate_and_report

    folder, started = Path(output), time.monotonic()
    with stage("1/3 teachers show eight tasks"):
        _record(folder / "data", workers, quick)
    with stage("2/3 one agent learns them all"):
        train_once(recipe(folder / "data", folder / "agent", quick))
    with stage("3/3 the agent plays seeds it has never seen"):
        agent = load_agent(folder / "agent")
        evaluate_and_report(
            agent,
            list(EPISODES),
            folder / "report",
            folder / "agent",
            episodes=4 if quick else 50,
            command="jatlab demo",
        )
    print(
        f"\n{(time.monotonic() - started) / 60:.1f} minutes in all. Open {folder / 'report' / 'report.html'} in a browser."
    )
    return folder / "report" / "report.html"


def _record(data: Path, workers: int, quick: bool) -> None:
    from jatlab.data.recording.record import record

    for task, episodes in EPISODES.items():
        record(
            [task],
            data,
            max(episodes // 100, 4) if quick else episodes,
            workers,
            noise=NOISE[domain_of(task)],
        )


def recipe(data: Path, agent: Path, quick: bool = False):
    """The demo's training recipe."""
    from jatlab.training.recipe import TrainConfig

    return TrainConfig(
        data=str(data), output=str(agent), tasks=list(EPISODES), preset="nano", minutes=None if quick else MINUTES, steps=10 if quick else None,
        batch_timesteps=1024, lr=2e-3, average=0.99, symmetries=True, task_weights=WEIGHTS,
    )  # fmt: skip
