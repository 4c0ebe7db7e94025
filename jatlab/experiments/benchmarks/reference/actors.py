"""Who acts in the comparison, ours and the published way, and how calls are timed in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from jatlab.agents.agent import Agent
from jatlab.experiments.benchmarks.cost import full_window
from jatlab.experiments.benchmarks.device import made_up
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.linear.int8 import to_int8
from jatlab.model.tokenization import TextTokenizer

Call = Callable[[], object]  # what is timed
TASKS = {"continuous": "metaworld-reach", "discrete": "babyai-go-to", "image": "atari-pong"}
FORMS = ("float32", "bfloat16", "int8")  # of our weights in acting
CONTEXT = {"continuous": 128, "discrete": 128, "image": 16}  # timesteps, as published
TIMES = 15  # that acting is measured, after a warm-up
CPU = torch.device("cpu")


def model_of(preset: str, form: str) -> JatModel:
    """Our model of a size, with random weights in one of `FORMS`."""
    torch.manual_seed(0)
    model = JatModel(JatConfig.preset(preset)).eval()
    if form == "int8":
        to_int8(model)
        return model
    return model.to(getattr(torch, form))


def timesteps_of(kind: str, config: JatConfig) -> int:
    """How many timesteps are remembered: as published, where the model has so many positions."""
    return min(CONTEXT[kind], config.max_timesteps)


def observation(kind: str) -> dict[str, Any]:
    """One observation of a kind, with random content."""
    rng = np.random.default_rng(0)
    if kind == "continuous":
        return {"continuous_observation": rng.normal(size=39).astype(np.float32)}
    if kind == "discrete":
        grid = rng.integers(0, 8, 148)
        return {"discrete_observation": grid, "text_observation": "go to the red ball"}
    return {"image_observation": rng.integers(0, 256, (4, 84, 84), dtype=np.uint8)}


@torch.inference_mode()
def actor(model: JatModel, kind: str, environments: int = 1) -> Call:
    """A step of `Agent` whose memory is full of random keys and values."""
    agent, config = Agent(model, TextTokenizer.load()), model.config
    seen, rewards, starts = [observation(kind)] * environments, [0.0] * environments, [False]
    agent.context = timesteps_of(kind, config)
    agent.reset(environments, TASKS[kind])
    cache, full = agent.memory.cache, agent.memory.context - 1
    index = torch.arange(2 * full - 1).expand(environments, -1)
    agent.act(seen, rewards, [True] * environments)
    cache.reserve(index)
    shape = (
        2,
        environments,
        config.num_heads,
        index.shape[1],
        config.hidden_size // config.num_heads,
    )
    for layer in range(config.num_layers):
        cache.extend(layer, *torch.randn(shape))

    def step() -> None:
        agent.memory.time = torch.full((environments,), full)
        agent.act(seen, rewards, starts * environments)

    return step


def plain_actor(kind: str, preset: str) -> Call:
    """A step of the published way: the last two timesteps again, behind a growing cache."""
    from jatlab.experiments.benchmarks.reference.plain import PlainActor, PlainJat

    torch.manual_seed(0)
    config = JatConfig.preset(preset)
    actor = PlainActor(PlainJat(config).eval(), timesteps_of(kind, config))
    batch = made_up(config, full_window(config, kind, 2), 1, CPU)
    return lambda: actor.act(batch)


def in_turn(calls: dict[str, Call], times: int, unit: float) -> dict[str, float]:
    """Median seconds of each call times ``unit``; they are called in turn, after a warm-up."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(times):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: unit * float(np.median(one)) for name, one in seconds.items()}
