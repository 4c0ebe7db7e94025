"""One run of an ablation: record demonstrations, train a variant's small agent, let it play."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.experiments.ablations.new_tasks import NEW_TASKS, register_new_tasks
from jatlab.experiments.ablations.variants import (
    EPISODES,
    RECALL,
    SCALAR_BATCH,
    Variant,
    demonstrations,
    recipe,
)
from jatlab.tasks import DOMAINS, get_task, make_env, register_scores

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.experiments.baselines.scalar_agent import ScalarAgent
    from jatlab.experiments.baselines.specialist_agent import SpecialistAgent

    Player = Agent | ScalarAgent | SpecialistAgent

FIRST_SEED = 1_000_000  # of the episodes played
ENVS = 25  # played in lockstep


def run_point(
    variant: Variant,
    seed: int = 0,
    episodes: int = EPISODES,
    data: str | Path = "runs/ablations/data",
) -> dict[str, Any]:
    """Train one variant's agent, and let it play its tasks.

    For one point of the sweep over kappa: ``run_point(with_kappa(0.05), seed=0)``.

    Args:
        variant: what to train.
        seed: of the training.
        episodes: to play of each task.
        data: the folder of the demonstrations; missing ones are recorded.

    Returns:
        {"variant", "seed", "steps", "timesteps", "training_minutes", "parameters",
        "act_milliseconds", "minutes", "tasks": {task: result}}, with the results of `play`. With
        the variants of kappa also "prediction_error" by task, but not for games; see
        `jatlab.evaluation.observation_prediction`.
    """
    started = perf_counter()
    if variant.memory is None:
        agent, facts = trained(variant, seed, data)
    else:
        agent, facts = _remembering(*variant.memory), {}
    tasks = {task: play(agent, task, episodes) for task in variant.tasks}
    if variant.memory is None:
        facts["act_milliseconds"] = milliseconds_to_act(agent, variant.tasks[0])
    if "observation_loss_coef" in variant.model:
        facts["prediction_error"] = _prediction_errors(agent, variant.tasks, data)
    minutes = round((perf_counter() - started) / 60, 2)
    return {"variant": variant.name, "seed": seed, **facts, "minutes": minutes, "tasks": tasks}


# --- training -------------------------------------------------------------------------------------


def trained(
    variant: Variant, seed: int, data: str | Path
) -> tuple[Agent | ScalarAgent, dict[str, Any]]:
    """Train a variant's agent, on demonstrations that are recorded if they are missing.

    Returns the agent, and {"steps", "timesteps", "training_minutes", "parameters"}.
    """
    for task in variant.tasks:
        demonstrate(task, data)
    if variant.token == "scalar":
        return trained_scalar(variant, seed, data)
    from jatlab.agents.checkpoints import load_agent
    from jatlab.training.trainer import train

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # in so narrow a model the encoder of images, which these tasks do not use, has an empty
        # layer
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        agent = load_agent(train(recipe(variant, seed, data, folder)))
    return agent, _facts(agent.info) | {"training_minutes": agent.info["minutes"]}


def trained_scalar(
    variant: Variant, seed: int, data: str | Path
) -> tuple[ScalarAgent, dict[str, Any]]:
    """The same for an agent with a token for each scalar."""
    from jatlab.experiments.baselines.scalar_training import train_scalar

    started = perf_counter()
    agent = train_scalar(replace(recipe(variant, seed, data, ""), batch_timesteps=SCALAR_BATCH))
    minutes = round((perf_counter() - started) / 60, 2)
    return agent, _facts(agent.info) | {"training_minutes": minutes}


def _facts(info: dict[str, Any]) -> dict[str, Any]:
    return {
        "steps": info["step"],
        "timesteps": info["timesteps"],
        "parameters": info["parameters"],
    }


def _remembering(policy: str, timesteps: int) -> Agent:
    """jatlab-mini with a memory of ``timesteps`` under this cache policy, in place of its own."""
    from jatlab.agents.checkpoints import load_agent

    agent = load_agent("jatlab-mini")
    agent.settings = agent.settings.replace(cache_policy=policy, windows={})
    agent.context = timesteps
    return agent


def demonstrate(
    task: str, data: str | Path, plan: Callable[[str], tuple[int, float]] = demonstrations
) -> None:
    """Record the demonstrations of a task, unless they exist.

    For a task outside the benchmarks it also measures the teacher and the random policy, which
    define its score.

    Args:
        task: its name; the ablations' own tasks are registered first.
        data: the folder of the demonstrations.
        plan: of a task, how many there are and how much noise is in them.
    """
    from jatlab.data.recording.measuring import measure
    from jatlab.data.recording.record import record
    from jatlab.experiments.ablations.tasks import register_all

    register_all()
    register_new_tasks()
    episodes, noise = plan(task)
    # a worker process does not know the tasks that this process has registered
    workers = 2 if get_task(task).domain in DOMAINS else 0
    record([task], data, episodes, workers, noise=noise, progress=False)
    if task in NEW_TASKS:
        path = Path(data) / "measured.json"
        measured = measure(task, EPISODES, workers=0, path=path, progress=False)
        register_scores(task, measured[task])


# --- playing and measuring ------------------------------------------------------------------------


def play(agent: Player, task: str, episodes: int = EPISODES) -> dict[str, Any]:
    """Play episodes of a task, from seed 1,000,000 on.

    Returns {"mean", "success", "scores", "lengths"}: scores run from the random policy (0) to our
    teacher (1). For `recall` there is "by_age" in place of the lengths: the share of right answers
    in each timestep.
    """
    from jatlab.evaluation.playing import PlaySettings, play_task
    from jatlab.experiments.ablations.tasks import score

    if task == RECALL:
        return _play_recall(agent, episodes)
    # every agent plays at temperature 1
    played = play_task(agent, task, PlaySettings(episodes=episodes, envs=ENVS))
    scores = score(task, [episode.total for episode in played])
    successes = [episode.success for episode in played if episode.success is not None]
    rate = round(float(np.mean(successes)), 4) if len(successes) == len(played) else None
    lengths = [episode.length for episode in played]
    return _result(scores, rate) | {"lengths": lengths}


def _play_recall(agent: Player, episodes: int) -> dict[str, Any]:
    from jatlab.agents.rollout import rollout
    from jatlab.experiments.ablations.tasks import score

    env, seeds = make_env(RECALL), range(FIRST_SEED, FIRST_SEED + episodes)
    played = [rollout(agent, env, seed=seed, greedy=True)["rewards"] for seed in seeds]
    rewards = np.stack(played)  # (episodes, T)
    by_age = np.round(rewards.mean(0, dtype=float), 4).tolist()
    return _result(score(RECALL, rewards.sum(1)), None) | {"by_age": by_age}


def _result(scores: np.ndarray, success: float | None) -> dict[str, Any]:
    return {
        "mean": round(float(scores.mean()), 4),
        "success": success,
        "scores": np.round(scores, 4).tolist(),
    }


def milliseconds_to_act(agent: Agent | ScalarAgent, task: str, decisions: int = 60) -> float:
    """The median time of a decision in one environment, with as many threads as torch uses."""
    env, start, times = make_env(task, render_mode=None), True, []
    agent.reset(1, task)
    observation, _ = env.reset(seed=0)
    for _ in range(decisions):
        started = perf_counter()
        [action] = agent.act([observation], [0.0], [start])
        times.append(1000 * (perf_counter() - started))
        observation, _, terminated, truncated, _ = env.step(action)
        if start := terminated or truncated:
            observation, _ = env.reset()
    env.close()
    return round(float(np.median(times)), 2)


def _prediction_errors(
    agent: Agent | ScalarAgent, tasks: tuple[str, ...], data: str | Path
) -> dict[str, Any]:
    """How well the agent predicts the next observation of each task that has no images.

    Raises ValueError for an agent of scalars, which predicts no observations.
    """
    from jatlab.agents.agent import Agent
    from jatlab.evaluation.observation_prediction import measure_prediction_error

    if not isinstance(agent, Agent):
        raise ValueError(f"{type(agent).__name__} predicts no observations: leave kappa out")
    without_images = [task for task in tasks if get_task(task).observation != "image"]
    return {task: measure_prediction_error(agent, task, data) for task in without_images}
