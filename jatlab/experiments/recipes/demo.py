"""`jatlab demo`: from nothing to a playing agent on two CPU cores.

Teachers show eight tasks of two domains, and one agent is trained on all of them. It plays seeds
that were never recorded, and a report says how well. What is finished in the output folder is not
done again, so a stopped demo goes on where it was.

The training has a number of steps, not of minutes: every machine ends at the same agent, and only
the time differs. What each choice of the recipe changed is in docs/results/log.md.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from jatlab.experiments.recipes.stages import loss_weights, stage, train_once
from jatlab.tasks import domain_of
from jatlab.utils.console import say
from jatlab.utils.files import expanded

if TYPE_CHECKING:
    from jatlab.training.recipe import TrainConfig

# episodes of demonstration; more where the agent must find the right one of several objects
EPISODES = {
    "babyai-go-to-obj": 1000,
    "babyai-go-to-local": 5000,
    "babyai-pickup-dist": 5000,
    "babyai-open-door": 4000,
    "metaworld-reach": 200,
    "metaworld-door-close": 80,
    "metaworld-drawer-open": 100,
    "metaworld-button-press-topdown": 200,
}
# disturbs what teachers execute, not the action that is recorded, so that the data also has
# states off the teacher's path
NOISE = {"babyai": 0.3, "metaworld": 0.8}
# sampling weights: arms are learnt in a fraction of the time that rooms take
WEIGHTS = {"babyai": 1.0, "metaworld": 0.15}
# timesteps of a window: those of one episode resemble each other, so many short windows teach more
# than a few long ones; doors must be remembered for longer
WINDOWS = {"babyai": 32, "metaworld": 8}
TEMPERATURE = 0.5  # of discrete actions in play
STEPS = 1000  # of two batches of 512 timesteps
# the same in a minute, to see that a machine can do it: one room, one arm
PAIR = ("babyai-go-to-obj", "metaworld-door-close")
PAIR_STEPS = 120
PAIR_WEIGHTS = {"babyai": 1.0, "metaworld": 0.5}


def demo(
    output: str = "runs/demo",
    workers: int = 2,
    pair: bool = False,
    seed: int = 0,
    quick: bool = False,
) -> Path:
    """Record, train, evaluate and report.

    Args:
        output: the folder of data, agent and report.
        workers: processes that record, train (on a CPU) and play.
        pair: one room and one arm alone, in a minute or two.
        seed: of the training.
        quick: a hundredth of the episodes and ten steps, to see that everything works.

    Returns:
        The report's path.
    """
    import torch

    from jatlab.agents.checkpoints import load_agent
    from jatlab.viz.report.run import evaluate_and_report

    folder, started, names = expanded(output), time.monotonic(), list(PAIR if pair else EPISODES)
    data, agent = folder / "data", folder / "agent"
    processes = 1 if quick or torch.accelerator.is_available() else workers
    with stage(f"1/3 teachers show {len(names)} tasks"):
        _record(names, data, workers, quick)
    with stage("2/3 one agent learns them all"):
        config = recipe(names, data, agent, 10 if quick else STEPS)
        if pair:
            config.steps, config.task_weights = PAIR_STEPS, PAIR_WEIGHTS
        config.seed = seed
        train_once(config, processes)
    with stage("3/3 the agent plays seeds it has never seen"):
        evaluate_and_report(
            load_agent(agent),
            names,
            folder / "report",
            log=agent,
            episodes=4 if quick else 50,
            max_steps=20 if quick else None,
            envs=25,  # 50 arms in each of two workers take 3.9 GB
            workers=workers,
            command="jatlab demo",
        )
    page, spent = folder / "report" / "report.html", (time.monotonic() - started) / 60
    say(f"\n{spent:.1f} minutes in all. Open {page} in a browser.")
    return page


def _record(names: list[str], data: Path, workers: int, quick: bool) -> None:
    from jatlab.data.recording.record import record

    counts = {task: max(EPISODES[task] // 100, 4) if quick else EPISODES[task] for task in names}
    for domain, noise in NOISE.items():
        some = [task for task in names if domain_of(task) == domain]
        # to start workers takes longer than what a quick demo records
        record(some, data, counts, 0 if quick else workers, noise=noise)


def recipe(names: list[str], data: Path, agent: Path, steps: int = STEPS) -> TrainConfig:
    """The demo's training recipe.

    Args:
        names: the tasks.
        data: the folder of their recordings.
        agent: the folder that the agent is written to.
        steps: of the training.
    """
    from jatlab.training.recipe import TrainConfig

    domains = {domain_of(name) for name in names}
    return TrainConfig(
        data=str(data),
        output=str(agent),
        tasks=names,
        preset="nano",
        steps=steps,
        batch_timesteps=512,
        accumulate=2,
        mix=True,
        optimizer="muon",
        lr=3e-3,
        warmup=0.02,
        decay="linear",
        average=0.995,
        symmetries=True,
        random_start=True,
        observations_predicted=0.125,
        windows={domain: WINDOWS[domain] for domain in domains},
        temperature=TEMPERATURE,
        task_weights={domain: WEIGHTS[domain] for domain in domains},
        loss_weights=loss_weights(names, data),
        val_every=1000,
    )
