"""`jatlab demo`: from nothing to a playing agent on two CPU cores.

Teachers show eight tasks of two domains, and one agent is trained on all of them. It plays seeds
that were never recorded, and a report says how well. What is finished in the output folder is not
done again, so a stopped demo goes on where it was.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from jatlab.experiments.recipes.stages import stage, train_once
from jatlab.tasks import domain_of

if TYPE_CHECKING:
    from jatlab.training.recipe import TrainConfig

# episodes of demonstration; more where the agent must find the right one of several objects
EPISODES = {
    "babyai-go-to-obj": 1500,
    "babyai-go-to-local": 16_000,
    "babyai-pickup-dist": 14_000,
    "babyai-open-door": 4000,
    "metaworld-reach": 200,
    "metaworld-door-close": 80,
    "metaworld-drawer-open": 100,
    "metaworld-button-press-topdown": 200,
}
# disturbs what teachers execute, not the action that is recorded, so that the data also has
# states off the teacher's path
NOISE = {"babyai": 0.3, "metaworld": 0.8}
# sampling weights of the tasks, 1 if none is given
WEIGHTS = {
    "babyai-go-to-obj": 0.4,
    "babyai-go-to-local": 1.1,
    "babyai-pickup-dist": 1.1,
    "metaworld-reach": 0.6,
    "metaworld-door-close": 0.3,
    "metaworld-drawer-open": 0.25,
    "metaworld-button-press-topdown": 0.7,
}
MINUTES = 9.0  # of training


def demo(output: str = "runs/demo", workers: int = 2, quick: bool = False) -> Path:
    """Record, train, evaluate and report; returns the report's path.

    ``quick`` does each for seconds, to see that everything works.
    """
    from jatlab.agents.checkpoints import load_agent
    from jatlab.viz.report.run import evaluate_and_report

    folder, started = Path(output), time.monotonic()
    data, agent = folder / "data", folder / "agent"
    with stage("1/3 teachers show eight tasks"):
        _record(data, workers, quick)
    with stage("2/3 one agent learns them all"):
        train_once(recipe(data, agent, quick))
    with stage("3/3 the agent plays seeds it has never seen"):
        evaluate_and_report(
            load_agent(agent),
            list(EPISODES),
            folder / "report",
            log=agent,
            episodes=4 if quick else 50,
            command="jatlab demo",
        )
    page, spent = folder / "report" / "report.html", (time.monotonic() - started) / 60
    print(f"\n{spent:.1f} minutes in all. Open {page} in a browser.")
    return page


def _record(data: Path, workers: int, quick: bool) -> None:
    from jatlab.data.recording.record import record

    for task, episodes in EPISODES.items():
        count = max(episodes // 100, 4) if quick else episodes
        record([task], data, count, workers, noise=NOISE[domain_of(task)])


def recipe(data: Path, agent: Path, quick: bool = False) -> TrainConfig:
    """The demo's training recipe."""
    from jatlab.training.recipe import TrainConfig

    return TrainConfig(
        data=str(data),
        output=str(agent),
        tasks=list(EPISODES),
        preset="nano",
        minutes=None if quick else MINUTES,
        steps=10 if quick else None,
        batch_timesteps=1024,
        lr=2e-3,
        average=0.99,
        symmetries=True,
        task_weights=WEIGHTS,
    )
