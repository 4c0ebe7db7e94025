"""`jatlab mini`: jatlab-mini from nothing, on two CPU cores in a working day.

One set of weights for all 39 BabyAI, 50 Meta-World and 11 MuJoCo tasks and eight Atari games, for
text and for questions about scenes. Teachers show them, one agent learns them, plays, is corrected
by its teachers, learns on, plays seeds that were never recorded, and a report says how well. It can
be stopped anywhere; the same command goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from jatlab.experiments.recipes.stages import stage, train_once
from jatlab.tasks import get_task, task_names
from jatlab.tasks.scores import task_scores

GAMES = tuple(
    f"atari-{game}"
    for game in (
        "pong",
        "boxing",
        "breakout",
        "freeway",
        "qbert",
        "mspacman",
        "seaquest",
        "spaceinvaders",
    )
)
TIMESTEPS = {
    "babyai": 80_000,
    "metaworld": 30_000,
    "mujoco": 300_000,
    "atari": 40_000,
}  # of demonstration, of each task
MAX_EPISODES = 10_000  # episodes of a task: BabyAI's shortest have five timesteps
RELABELLED_TIMESTEPS = {
    "babyai": 2_000,
    "metaworld": 6_000,
    "mujoco": 30_000,
    "atari": 5_000,
}  # timesteps of each task that the agent plays and its teacher corrects
MAX_RELABELLED_EPISODES = 2000  # episodes
NOISE = {
    "babyai": 0.3,
    "metaworld": 0.8,
    "mujoco": 0.1,
    "atari": 0.2,
}  # disturbs what teachers do, not what they say
LANGUAGE = {
    "python-docs": 1,
    "minigrid-questions": 24_000,
    "minigrid-captions": 6_000,
}  # scenes; of the documentation, all there is
SHARES = {
    "babyai": 0.45,
    "metaworld": 0.20,
    "mujoco": 0.22,
    "atari": 0.08,
    "text": 0.02,
    "vision": 0.03,
}  # of the sampling_weights in training
WINDOWS = {
    "babyai": 32,
    "metaworld": 8,
    "mujoco": 8,
    # timesteps seen at once: those of one episode resemble each other, so many short windows teach more
    # than a few long ones
}
# of the actions drawn in play, measured on other seeds than the report's (docs/results/log.md)
TEMPERATURE = 0.5
MODEL = {"continuous_symlog": True}  # beside the preset
# what a batch predicts, and how the agent plays
TRAINING = {
    "frames_predicted": 0.125,
    "observations_predicted": 0.125,
    "windows": WINDOWS,
    "temperature": TEMPERATURE,
}
# the loss of a task with continuous actions is weighted with this, divided by their standard
# deviation
ACTION_SPREAD_WEIGHT = 3.0
EPISODES = 30  # to play, of each task
HOURS, SHARE_AFTER_RELABELLING = (
    6.0,
    0.5,
    # of training, recording, corrections and playing take the rest of eight; its share that follows the
    # corrections
)
QUICK = (
    "babyai-go-to-obj",
    "metaworld-reach",
    "mujoco-pendulum",
    "atari-boxing",
    *LANGUAGE,
)  # one of each kind


def mini(
    output: str = "runs/mini", hours: float = HOURS, workers: int = 2, quick: bool = False
) -> Path:
    """Record, train, correct, train on, evaluate, report; returns the report's path. ``hours`` are
    of training; what is there after the first half is kept in ``imitation``.

    ``quick`` does one task of each kind for seconds, to see that all works.
    """
    import torch

    from jatlab.agents.checkpoints import load_agent
    from jatlab.viz.report.run import evaluate_and_report

    folder, started = Path(output), time.monotonic()
    names = list(QUICK) if quick else all_tasks()
    imitator = folder / "imitation"
    processes = 1 if torch.accelerator.is_available() else workers
    with stage(f"1/5 teachers show {len(names)} tasks"):
        record_all(names, folder / "data", workers, quick)
    with stage("2/5 one agent learns them all"):
        train_once(
            recipe(names, folder / "data", imitator, hours * (1 - SHARE_AFTER_RELABELLING), quick),
            processes,
        )
    with stage("3/5 it plays, and its teachers say what they would have done"):
        relabel_all(names, imitator, folder / "data", workers, quick)
    with stage("4/5 it learns from that as well"):
        train_once(
            recipe(
                names,
                folder / "data",
                folder / "agent",
                hours * SHARE_AFTER_RELABELLING,
                quick,
                imitator,
            ),
            processes,
        )
    with stage("5/5 the agent plays seeds it has never seen"):
        options = {"episodes": 2, "max_steps": 20} if quick else {"episodes": EPISODES}
        agent = load_agent(folder / "agent")
        evaluate_and_report(
            agent,
            names,
            folder / "report",
            folder / "agent",
            data=folder / "data",
            workers=workers,
            command="jatlab mini",
            **options,
        )
    print(
        f"\n{(time.monotonic() - started) / 3600:.1f} hours in this sitting. Open {folder / 'report' / 'report.html'} in a browser."
    )
    return folder / "report" / "report.html"


def all_tasks() -> list[str]:
    """What jatlab-mini learns: 108 tasks to be played, and three to be read."""
    return [
        *task_names("babyai"),
        *task_names("metaworld"),
        *task_names("mujoco"),
        *GAMES,
        *LANGUAGE,
    ]


def record_all(names: Iterable[str], data: Path, workers: int, quick: bool = False) -> None:
    """Every task's demonstrations, those that are missing."""
    from jatlab.data.recording.record import record

    domains = {
        domain: [name for name in names if get_task(name).domain == domain] for domain in SHARES
    }
    for domain, names in domains.items():
        if names:
            record(
                names,
                data,
                {name: 2 if quick else episodes(name) for name in names},
                workers,
                noise=NOISE.get(domain, 0.0),
            )


def relabel_all(
    names: Iterable[str], agent: Path, data: Path, workers: int, quick: bool = False
) -> None:
    """What teachers say to the agent's own play (DAgger), in every task that is played.

    First as many episodes as would hold the timesteps wanted if the agent lasted as long as its
    teacher; then, where it falls sooner, as many more as its own length asks for.
    """
    from jatlab.training.dagger import FIRST_SEED, relabel

    names, limit = [name for name in names if name not in LANGUAGE], 20 if quick else None
    counts = {
        name: 2 if quick else min(episodes(name, RELABELLED_TIMESTEPS), MAX_RELABELLED_EPISODES)
        for name in names
    }
    got = relabel(agent, names, data, counts, workers, max_steps=limit)
    missing = {
        name: 0
        if quick
        else _missing(RELABELLED_TIMESTEPS[get_task(name).domain], got[name], counts[name])
        for name in names
    }
    if more := {name: count for name, count in missing.items() if count}:
        relabel(agent, more, data, more, workers, seed=FIRST_SEED + MAX_RELABELLED_EPISODES)


def _missing(wanted: int, got: int, count: int) -> int:
    """How many episodes hold what is missing of ``wanted`` timesteps, if ``count`` held ``got``; at
    most ``MAX_RELABELLED_EPISODES``.
    """
    return max(0, min(math.ceil((wanted - got) * count / max(got, 1)), MAX_RELABELLED_EPISODES))


def episodes(name: str, timesteps: Mapping[str, int] = TIMESTEPS) -> int:
    """How many episodes hold the timesteps that a task is to have, going by its teacher's mean
    length; at most ``MAX_EPISODES``. Raises ValueError where that was not measured.
    """
    if name in LANGUAGE:
        return LANGUAGE[name]
    teacher = task_scores(name).teacher
    if teacher is None:
        raise ValueError(
            f"nobody has measured the teacher of {name}, so the length of its episodes is not known: jatlab teachers --measure {name}"
        )
    return min(math.ceil(timesteps[get_task(name).domain] / teacher.length), MAX_EPISODES)


def recipe(
    names: list[str],
    data: Path,
    agent: Path,
    hours: float = HOURS,
    quick: bool = False,
    start: Path | None = None,
):
    """jatlab-mini's training recipe: at a steady learning rate from nothing, or with a falling one
    from the agent in ``start``.

    Each step is eight batches, of many tasks of one domain each, so that it moves the weights for
    many tasks at once. docs/results/log.md has what each of these choices changed.
    """
    from jatlab.training.recipe import TrainConfig

    return TrainConfig(
        data=str(data), output=str(agent), tasks=names, preset="mini", model=MODEL, **TRAINING, start=start and str(start), minutes=None if quick else 60 * hours, steps=14 if quick else None,
        batch_timesteps=256, accumulate=2 if quick else 8, mix=True, lr=1e-3, warmup=0.02, decay="constant" if start is None else "linear", average=0.999,
        symmetries=True, random_start=True, task_weights=sampling_weights(names), loss_weights=loss_weights(names, data), val_every=5000, val_batches=4, save_every=500,
    )  # fmt: skip


def sampling_weights(names: list[str]) -> dict[str, float]:
    """How often each task has its turn: its domain's share, divided evenly; 1 on average."""
    domains = [get_task(name).domain for name in names]
    return {
        name: SHARES[domain] * len(names) / domains.count(domain)
        for name, domain in zip(names, domains)
    }


def loss_weights(names: Iterable[str], data: Path) -> dict[str, float]:
    """Weights of the losses of continuous actions, in place of the published 10 and 50: a squared
    error is small where actions are small, and would not be heard beside the others'.

    ``ACTION_SPREAD_WEIGHT`` divided by the standard deviation of what is recorded: between the same
    weight for all (in which walking drowns reaching) and the same loss for all (the other way
    round).
    """
    from jatlab.data.storage import EpisodeStore

    tasks = [
        get_task(name)
        for name in names
        if name not in LANGUAGE and get_task(name).action == "continuous"
    ]
    deviations = {
        task.name: EpisodeStore.open(task, data).columns["continuous_actions"].std(0).mean()
        for task in tasks
    }
    return {
        name: round(float(ACTION_SPREAD_WEIGHT / deviation), 2)
        for name, deviation in deviations.items()
    }
