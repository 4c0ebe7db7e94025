"""One run of an ablation: record what is missing, train the variant's small agent, let it play its
tasks. What the runs are for: `jatlab.experiments.ablations.registry`.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from jatlab.experiments.ablations.new_tasks import NEW_TASKS, register_new_tasks
from jatlab.tasks import DOMAINS, get_task, register_scores

OBJECT, REACH, RECALL, GAME = "babyai-go-to-obj", "metaworld-reach", "recall", "atari-mspacman"
FRAMES = {
    2: "mspacman-2-frames",
    4: GAME,
    8: "mspacman-8-frames",
    16: "mspacman-16-frames",
}  # of a decision
MODEL = {
    "hidden_size": 96,
    "num_heads": 4,
    "image_channels": (4, 4, 4),
}  # nano's four layers and 64 timesteps, half as wide
STEPS, BATCH, LR, AVERAGE = 300, 512, 3e-3, 0.98
TUNED_LR = 1e-3  # of trained weights, and of random ones beside them: jatlab-mini's own
SCALAR_BATCH = 64  # timesteps: some ten thousand tokens of a grid already
EPISODES = 50
RECORDINGS = {  # task: episodes of demonstration, noise
    OBJECT: (1500, 0.3), REACH: (100, 0.8), "babyai-open-door": (1000, 0.3), "metaworld-drawer-open": (100, 0.8), RECALL: (500, 0.0),
    "mujoco-hopper": (50, 0.1), "mujoco-walker": (50, 0.1), "lander": (100, 0.2), "fetch": (500, 0.5), "highway": (300, 0.0), **dict.fromkeys(FRAMES.values(), (60, 0.2)),
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One way to do it. ``value``: its place on a numeric axis. ``model``: JatConfig fields.
    ``memory``: (cache policy, timesteps) of the shipped agent, which is then played as it is.
    ``token``: what one stands for, a "timestep" or a "scalar"
    (`jatlab.experiments.baselines.scalar_agent`, batches of `SCALAR_BATCH` timesteps). ``start``:
    "jatlab-mini" to train that agent on, "nothing" for random weights of its size; None: `MODEL`, a
    small one, from random weights.
    """

    name: str
    tasks: tuple[str, ...] = (OBJECT, REACH)
    value: float | None = None
    model: dict = field(default_factory=dict)
    steps: int = STEPS
    memory: tuple[str, int] | None = None
    token: str = "timestep"
    start: str | None = None


def run_point(
    variant: Variant,
    seed: int = 0,
    episodes: int = EPISODES,
    data: str | Path = "runs/ablations/data",
) -> dict:
    """One run: record what is missing in ``data``, train the variant's agent, play ``episodes`` of
    each of its tasks.

    Returns {"variant", "seed", "steps", "minutes", "parameters", "timesteps", "act_milliseconds",
    "tasks": {task: {"mean", "success", "scores", "lengths"}}}; scores run from the random policy
    (0) to our teacher (1); with kappa's variants "foresight" besides, but for games, see
    `jatlab.evaluation.observation_prediction`. For one point of the sweep over kappa:
    ``run_point(with_kappa(0.05), seed=0)``.
    """
    started = perf_counter()
    agent, facts = (
        trained(variant, seed, data) if variant.memory is None else (_limited(*variant.memory), {})
    )
    tasks = {task: play(agent, task, episodes) for task in variant.tasks}
    if variant.memory is None:
        facts["act_milliseconds"] = milliseconds_to_act(agent, variant.tasks[0])
    if "observation_loss_coef" in variant.model:
        from jatlab.evaluation.observation_prediction import measure_prediction_error

        facts["foresight"] = {
            task: measure_prediction_error(agent, task, data)
            for task in variant.tasks
            if get_task(task).observation != "image"
        }
    return {
        "variant": variant.name,
        "seed": seed,
        **facts,
        "minutes": round((perf_counter() - started) / 60, 2),
        "tasks": tasks,
    }


def trained(variant: Variant, seed: int, data: str | Path) -> tuple:
    """The agent that this variant's training gives, and {"steps", "timesteps", "training_minutes",
    "parameters"}. What must be recorded first is recorded.
    """
    for task in variant.tasks:
        demonstrate(task, data)
    if variant.token == "scalar":
        return trained_scalar(variant, seed, data)
    from jatlab.agents.checkpoints import load_agent
    from jatlab.training.trainer import train

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Initializing zero-element tensors"
        )  # an encoder of frames so narrow, which these tasks do not use, has an empty layer
        agent = load_agent(train(recipe(variant, seed, data, folder)))
    info = agent.info
    return agent, {
        "steps": info["step"],
        "timesteps": info["timesteps"],
        "training_minutes": info["minutes"],
        "parameters": info["parameters"],
    }


def trained_scalar(variant: Variant, seed: int, data: str | Path) -> tuple:
    """The same for an agent that reads a token for each scalar; no folder is needed."""
    from jatlab.experiments.baselines.scalar_agent import train_scalar

    started = perf_counter()
    agent = train_scalar(replace(recipe(variant, seed, data, ""), batch_timesteps=SCALAR_BATCH))
    facts = {
        "steps": agent.info["step"],
        "timesteps": agent.info["timesteps"],
        "parameters": agent.info["parameters"],
    }
    return agent, facts | {"training_minutes": round((perf_counter() - started) / 60, 2)}


def milliseconds_to_act(agent, task: str, decisions: int = 60) -> float:
    """The median time of a decision, in one environment, with one thread or as many as torch has."""
    from jatlab.tasks import make_env

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


def recipe(variant: Variant, seed: int, data: str | Path, output: str | Path):
    """The variant's training recipe."""
    from jatlab.training.recipe import TrainConfig

    never = 10**9
    return TrainConfig(
        data=str(data), output=f"{output}/agent", tasks=list(variant.tasks), steps=variant.steps, batch_timesteps=BATCH, average=AVERAGE,
        symmetries=any(task.startswith("babyai") for task in variant.tasks), seed=seed, val_fraction=0.0, save_every=never, progress=False, **_first_weights(variant),
    )  # fmt: skip


def _first_weights(variant: Variant) -> dict:
    """The fields of a recipe that say which network the variant trains, with which weights it
    begins, and how fast it learns.
    """
    from jatlab.experiments.recipes import mini

    if variant.start is None:
        return {"model": MODEL | variant.model, "lr": LR}
    if variant.start == "nothing":
        return {"preset": "mini", "model": mini.MODEL | variant.model, "lr": TUNED_LR}
    return {"start": variant.start, "model": variant.model, "lr": TUNED_LR}


def demonstrations(task: str) -> tuple[int, float]:
    """Of a task: how many episodes are recorded, and the noise in their actions."""
    return RECORDINGS.get(task, RECORDINGS[REACH])


def demonstrate(task: str, data: str | Path) -> None:
    """Record the demonstrations of a task, unless they are there; of a new one also measure teacher
    and random policy, which make its scale.
    """
    from jatlab.data.recording.measuring import measure
    from jatlab.data.recording.record import record
    from jatlab.experiments.ablations.tasks import register_all

    register_all()
    register_new_tasks()
    episodes, noise = demonstrations(task)
    # another process does not know the tasks of `register_all`
    workers = 2 if get_task(task).domain in DOMAINS else 0
    record([task], data, episodes, workers, noise=noise, progress=False)
    if task in NEW_TASKS:
        register_scores(
            task,
            measure(task, EPISODES, workers=0, path=Path(data) / "measured.json", progress=False)[
                task
            ],
        )


def play(agent, task: str, episodes: int = EPISODES) -> dict:
    """{"mean", "success", "scores", "lengths"} of the episodes from seed 1,000,000 on; of `recall`
    also "by_age": the share of right answers by timestep.
    """
    from jatlab.evaluation.evaluate import PlaySettings, play_task
    from jatlab.experiments.ablations.tasks import score

    if task == RECALL:
        return _play_recall(agent, episodes)
    played = play_task(
        agent, task, PlaySettings(episodes=episodes, envs=10)
    )  # at temperature 1, whatever agent it came from
    scores = score(task, [episode.total for episode in played])
    successes = [episode.success for episode in played]
    rate = None if None in successes else round(float(np.mean(successes)), 4)
    return {
        "mean": round(float(scores.mean()), 4),
        "success": rate,
        "scores": np.round(scores, 4).tolist(),
        "lengths": [episode.length for episode in played],
    }


def _play_recall(agent, episodes: int) -> dict:
    from jatlab.agents.agent import rollout
    from jatlab.experiments.ablations.tasks import score
    from jatlab.tasks import make_env

    env = make_env(RECALL)
    rewards = np.stack(
        [
            rollout(agent, env, seed=1_000_000 + number, greedy=True)["rewards"]
            for number in range(episodes)
        ]
    )  # (episodes, T)
    scores = score(RECALL, rewards.sum(1))
    return {
        "mean": round(float(scores.mean()), 4),
        "success": None,
        "scores": np.round(scores, 4).tolist(),
        "by_age": np.round(rewards.mean(0, dtype=float), 4).tolist(),
    }


def _limited(policy: str, timesteps: int):
    """The shipped agent, remembering no more than ``timesteps`` under this cache policy."""
    from jatlab.agents.checkpoints import load_agent

    agent = load_agent("demo", cache_policy=policy)
    agent.context = timesteps
    return agent
