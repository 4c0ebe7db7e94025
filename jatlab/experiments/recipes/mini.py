"""`jatlab mini`: jatlab-mini from nothing, on two CPU cores in a working day.

One set of weights for all 39 BabyAI, 50 Meta-World and 11 MuJoCo tasks and eight Atari games, for
text and for questions about scenes. Teachers demonstrate the tasks, and one agent learns them all.
It plays, its teachers relabel the states that it reached (DAgger), and it trains on. Then it plays
seeds that were never recorded, and a report says how well. The run can be stopped anywhere; the
same command goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jatlab.experiments.recipes.splits import hidden_missions, remaining
from jatlab.experiments.recipes.stages import loss_weights, stage, train_once
from jatlab.tasks import get_task, short_name, task_names
from jatlab.tasks.scores import task_scores
from jatlab.utils.console import say
from jatlab.utils.files import expanded

if TYPE_CHECKING:
    from jatlab.training.recipe import TrainConfig

# --- tasks and data
GAMES = (
    "atari-pong",
    "atari-boxing",
    "atari-breakout",
    "atari-freeway",
    "atari-qbert",
    "atari-mspacman",
    "atari-seaquest",
    "atari-spaceinvaders",
)
# number of scenes; of the documentation, everything there is
LANGUAGE = {"python-docs": 1, "minigrid-questions": 24_000, "minigrid-captions": 6_000}
# one task of each kind
QUICK = ("babyai-go-to-obj", "metaworld-reach", "mujoco-pendulum", "atari-boxing", *LANGUAGE)
# timesteps of demonstration of a task
TIMESTEPS = {"babyai": 30_000, "metaworld": 16_000, "mujoco": 120_000, "atari": 16_000}
MAX_EPISODES = 10_000  # of a task: BabyAI's shortest episodes have five timesteps
# Tasks that want more practice, and how many times their domain's timesteps they get: those that
# the third edition played worst. In mixed batches a task comes as often as it has timesteps.
PRACTICE = {
    "babyai": {
        4: "move-two-across-s8n9 unlock synth-seq boss-level unlock-to-unlock boss-level-no-unlock "
        "mini-boss-level open-two-doors go-to-imp-unlock put-next-local go-to-seq synth synth-loc",
        2: "put-next unblock-pickup open-doors-order-n4 pickup-loc key-corridor pickup "
        "go-to-obj-door go-to open",
    },
    "metaworld": {
        4: "peg-insert-side pick-out-of-hole peg-unplug-side handle-pull shelf-place box-close "
        "soccer push push-back",
        2: "handle-pull-side handle-press-side stick-pull push-wall lever-pull coffee-push "
        "button-press-topdown-wall door-lock",
    },
    "mujoco": {4: "humanoid halfcheetah walker hopper", 2: "standup ant"},
    "atari": {4: "breakout qbert pong spaceinvaders", 2: "seaquest"},
}
# disturbs what teachers execute, not the action that is recorded
NOISE = {"babyai": 0.3, "metaworld": 0.8, "mujoco": 0.1, "atari": 0.2}
# timesteps of a task that the agent plays and its teacher relabels, times its practice
RELABELLED_TIMESTEPS = {"babyai": 1_500, "metaworld": 2_000, "mujoco": 15_000, "atari": 3_000}
MAX_RELABELLED_EPISODES = 2000  # of a task, in each of two rounds

# --- training and playing
HOURS = 6.0  # of training; recording, relabelling and playing take the rest of eight
SHARE_AFTER_RELABELLING = 0.5  # of the training
# of the sampling weights, of a domain or of a task that is read
SHARES = {
    "babyai": 0.38,
    "metaworld": 0.13,
    "mujoco": 0.17,
    "atari": 0.12,
    "python-docs": 0.04,
    "minigrid-questions": 0.14,
    "minigrid-captions": 0.02,
}
# Timesteps of a window: those of one episode resemble each other, so many short windows teach more
# than a few long ones. Missions of several parts want a long memory.
WINDOWS = {"babyai": 64, "metaworld": 8, "mujoco": 8}
# of actions in play, chosen on other seeds than the report's (docs/results/log.md)
TEMPERATURE = 0.5
MODEL: dict[str, Any] = {"continuous_symlog": True}  # beside the preset
# what a batch predicts, and how the agent plays
TRAINING: dict[str, Any] = {
    "frames_predicted": 0.125,
    "observations_predicted": 0.125,
    "windows": WINDOWS,
    "temperature": TEMPERATURE,
}
EPISODES = 30  # to play, of each task


def mini(
    output: str = "runs/mini",
    hours: float = HOURS,
    workers: int = 2,
    quick: bool = False,
    without: Sequence[str] = (),
) -> Path:
    """Record, train, relabel, train on, evaluate and report.

    The agent after the first half of the training is kept in ``imitation``.

    Args:
        output: the folder of data, agents and report.
        hours: of training.
        workers: processes that record, train (on a CPU) and play.
        quick: one task of each kind for seconds, to see that everything works.
        without: splits (`jatlab.experiments.recipes.splits`) that the agent is never shown.

    Returns:
        The report's path.

    Raises:
        ValueError: for an unknown split.
    """
    import torch

    from jatlab.agents.checkpoints import load_agent
    from jatlab.viz.report.run import evaluate_and_report

    folder, started = expanded(output), time.monotonic()
    data, imitator, agent = (folder / name for name in ("data", "imitation", "agent"))
    names = remaining(QUICK if quick else all_tasks(), without)
    missions = hidden_missions(without)
    processes = 1 if torch.accelerator.is_available() else workers
    with stage(f"1/5 teachers show {len(names)} tasks"):
        # to start workers takes longer than what a quick run records
        record_all(names, data, 0 if quick else workers, quick)
    with stage("2/5 one agent learns them all"):
        share = 1 - SHARE_AFTER_RELABELLING
        shown = recipe(names, data, imitator, hours * share, quick, without_missions=missions)
        train_once(shown, processes)
    with stage("3/5 it plays, and its teachers say what they would have done"):
        relabel_all(names, imitator, data, workers, quick)
    with stage("4/5 it learns from that as well"):
        share = SHARE_AFTER_RELABELLING
        shown = recipe(names, data, agent, hours * share, quick, imitator, missions)
        train_once(shown, processes)
    with stage("5/5 the agent plays seeds it has never seen"):
        evaluate_and_report(
            load_agent(agent),
            names,
            folder / "report",
            log=agent,
            data=data,
            workers=workers,
            command=" ".join(["jatlab mini", *(["--without", *without] if without else [])]),
            episodes=2 if quick else EPISODES,
            max_steps=20 if quick else None,
        )
    page, spent = folder / "report" / "report.html", (time.monotonic() - started) / 3600
    say(f"\n{spent:.1f} hours in this sitting. Open {page} in a browser.")
    return page


def all_tasks() -> list[str]:
    """What jatlab-mini learns: 108 tasks to play, and three to read."""
    played = [name for domain in ("babyai", "metaworld", "mujoco") for name in task_names(domain)]
    return [*played, *GAMES, *LANGUAGE]


# --- data -----------------------------------------------------------------------------------------


def record_all(
    names: Iterable[str],
    data: Path,
    workers: int,
    quick: bool = False,
    timesteps: Mapping[str, int] = TIMESTEPS,
) -> None:
    """Record the missing demonstrations of every task, domain by domain.

    Args:
        names: the tasks.
        data: the folder of the data.
        workers: processes that record.
        quick: two episodes of each task.
        timesteps: of a task by domain, before `PRACTICE`.
    """
    from jatlab.data.recording.record import record

    domains: dict[str, list[str]] = {}
    for name in names:
        domains.setdefault(get_task(name).domain, []).append(name)
    for domain, some in domains.items():
        counts = {name: 2 if quick else episodes(name, timesteps) for name in some}
        record(some, data, counts, workers, noise=NOISE.get(domain, 0.0))


def relabel_all(
    names: Iterable[str],
    agent: Path,
    data: Path,
    workers: int,
    quick: bool = False,
    timesteps: Mapping[str, int] = RELABELLED_TIMESTEPS,
    seed: int | None = None,
    max_steps: int | None = None,
) -> None:
    """Record what teachers would have done while the agent plays (DAgger), in all played tasks.

    The first round assumes that the agent's episodes are as long as its teacher's. Where they are
    shorter, a second round plays as many more as their length asks for.

    Args:
        names: the tasks.
        agent: the agent's folder.
        data: the folder of the data.
        workers: processes that play.
        quick: two short episodes of each task.
        timesteps: of a task by domain, before `PRACTICE`.
        seed: of the first episode, by default 50,000; the rounds use the next 4,000.
        max_steps: most timesteps of an episode; None for the task's limit.
    """
    from jatlab.training.dagger import FIRST_SEED, relabel

    seed = FIRST_SEED if seed is None else seed
    played = [name for name in names if name not in LANGUAGE]
    if quick:
        relabel(agent, played, data, dict.fromkeys(played, 2), workers, seed=seed, max_steps=20)
        return
    counts = {name: min(episodes(name, timesteps), MAX_RELABELLED_EPISODES) for name in played}
    got = relabel(agent, played, data, counts, workers, seed=seed, max_steps=max_steps)
    missing = {name: _missing(wanted(name, timesteps), got[name], counts[name]) for name in played}
    if more := {name: count for name, count in missing.items() if count}:
        seed += MAX_RELABELLED_EPISODES
        relabel(agent, more, data, more, workers, seed=seed, max_steps=max_steps)


def _missing(needed: int, got: int, count: int) -> int:
    """How many more episodes are needed for ``needed`` timesteps, if ``count`` of them had ``got``.

    At most ``MAX_RELABELLED_EPISODES``.
    """
    return max(0, min(math.ceil((needed - got) * count / max(got, 1)), MAX_RELABELLED_EPISODES))


def episodes(name: str, timesteps: Mapping[str, int] = TIMESTEPS) -> int:
    """How many episodes have the timesteps that a task should have, at most ``MAX_EPISODES``.

    It assumes the mean length of its teacher's episodes. ``timesteps`` are by domain, before
    `PRACTICE`; for a task that is read, they are its scenes, if it is named. Raises ValueError for
    a task whose teacher has not been measured.
    """
    if name in LANGUAGE:
        return timesteps.get(name, LANGUAGE[name])
    teacher = task_scores(name).teacher
    if teacher is None or teacher.length is None:
        raise ValueError(
            f"the teacher of {name} has not been measured, so the length of its episodes is not "
            f"known: jatlab teachers --measure {name}"
        )
    return min(math.ceil(wanted(name, timesteps) / teacher.length), MAX_EPISODES)


def wanted(name: str, timesteps: Mapping[str, int] = TIMESTEPS) -> int:
    """How many timesteps a task should have: its domain's, times its `PRACTICE`."""
    domain, short = get_task(name).domain, short_name(name)
    times = [n for n, names in PRACTICE[domain].items() if short in names.split()]
    return timesteps[domain] * (times[0] if times else 1)


# --- training -------------------------------------------------------------------------------------


def recipe(
    names: list[str],
    data: Path,
    agent: Path,
    hours: float = HOURS,
    quick: bool = False,
    start: Path | None = None,
    without_missions: Sequence[str] = (),
) -> TrainConfig:
    """jatlab-mini's training recipe.

    The learning rate is constant from nothing, and falls when the training starts from an agent.
    Each step has eight batches, each of many tasks of one domain, so that it changes the weights
    for many tasks at once. docs/results/log.md says what each of these choices changed.

    Args:
        names: the tasks.
        data: the folder of the data.
        agent: the folder of the agent.
        hours: of training.
        quick: 14 steps, to see that everything works.
        start: the folder of the agent to start from.
        without_missions: regular expressions of missions to leave out.
    """
    from jatlab.training.recipe import TrainConfig

    return TrainConfig(
        data=str(data),
        output=str(agent),
        tasks=names,
        preset=None if start else "mini",
        model=MODEL,
        start=str(start) if start else None,
        minutes=None if quick else 60 * hours,
        steps=14 if quick else None,
        batch_timesteps=256,
        accumulate=2 if quick else 8,
        mix=True,
        optimizer="muon",
        lr=2e-3,
        warmup=0.02,
        decay="linear" if start else "constant",
        average=0.999,
        symmetries=True,
        random_start=True,
        without_missions=list(without_missions),
        task_weights=sampling_weights(names),
        loss_weights=loss_weights(names, data),
        val_every=5000,
        val_batches=4,
        save_every=500,
        **TRAINING,
    )


def sampling_weights(names: list[str], shares: Mapping[str, float] = SHARES) -> dict[str, float]:
    """How often each task is sampled: its share, or its domain's divided evenly; 1 on average."""
    groups = [name if name in shares else get_task(name).domain for name in names]
    return {
        name: shares[group] * len(names) / groups.count(group)
        for name, group in zip(names, groups, strict=True)
    }
