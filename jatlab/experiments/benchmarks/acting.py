"""`jatlab bench --agent jatlab-mini`: loading time, speed and memory of an agent on one core.

One task of each domain is played in its own process, with the agent's memory full. Only the agent's
time counts, not the environment's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.experiments.benchmarks.apart import call_apart, peak_megabytes
from jatlab.experiments.benchmarks.tables import table
from jatlab.tasks import domain_of

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent

TASKS = ("babyai-go-to", "metaworld-reach", "mujoco-halfcheetah", "atari-pong")
STEPS = 100  # that are timed
LOADED = 2.0  # seconds, at most
MEMORY = 500.0  # MB, at most
FAST = {"atari": 40.0}  # steps a second, at least, by domain
FAST_ELSEWHERE = 100.0
PICTURES = 15.0  # of the player a second, at least


@dataclass
class Acting:
    """One line of the table.

    Attributes:
        task: what was played.
        loaded: seconds until the agent was loaded.
        steps_per_second: of acting.
        pictures_per_second: that the player draws: environment, agent, picture, JPEG.
        memory: MB at most, of a process that holds torch, agent and environment.
    """

    task: str
    loaded: float
    steps_per_second: float
    pictures_per_second: float
    memory: float

    @property
    def met(self) -> bool:
        """Whether all targets are met."""
        fast = FAST.get(domain_of(self.task), FAST_ELSEWHERE)
        fluent = self.steps_per_second >= fast and self.pictures_per_second >= PICTURES
        return self.loaded <= LOADED and fluent and self.memory <= MEMORY


def run(agent: str, tasks: tuple[str, ...] = TASKS) -> list[Acting]:
    """Measure an agent on every task, each in its own process.

    Raises OSError with the reason if one fails.
    """
    module = "jatlab.experiments.benchmarks.acting"
    return [Acting(**call_apart(module, "measure", agent, task)) for task in tasks]


def measure(name: str, task: str, steps: int = STEPS) -> dict[str, Any]:
    """Load an agent and let it play a task on one thread; return the fields of its `Acting`."""
    import torch

    torch.set_num_threads(1)
    from jatlab.agents.checkpoints import load_agent

    started = time.perf_counter()
    agent = load_agent(name)
    loaded = time.perf_counter() - started
    agent.reset(1, task)
    moments = _moments(task, agent.memory.context + steps)
    seconds = [_seconds(agent, *moment) for moment in moments][-steps:]
    memory = peak_megabytes()  # before the player, which holds pictures too
    speed = 1 / float(np.median(seconds))
    return asdict(Acting(task, loaded, speed, _pictures_per_second(agent, task), memory))


def _pictures_per_second(agent: Agent, task: str) -> float:
    """Of the player, by the processor's time."""
    from jatlab.viz.player.app import Player

    with Player(agent, task) as player:
        player.advance(20)
        return 1 / player.timings(20)["processor"]


def _moments(task: str, count: int) -> Iterator[tuple[dict[str, Any], float, bool]]:
    """Observations and rewards of random play, and whether the agent begins.

    An episode that ends is followed by the next one in the same memory.
    """
    from jatlab.tasks import make_env

    env = make_env(task, render_mode=None)
    env.action_space.seed(0)
    (observation, _), reward = env.reset(seed=0), 0.0
    for t in range(count):
        yield observation, reward, t == 0
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            observation, _ = env.reset()
    env.close()


def _seconds(agent: Agent, observation: dict[str, Any], reward: float, start: bool) -> float:
    started = time.perf_counter()
    agent.act(observation, reward, start)
    return time.perf_counter() - started


def as_table(agent: str, found: list[Acting]) -> str:
    """The table in Markdown, and the targets."""
    head = ["task", "loaded in, s", "steps/s", "pictures/s", "memory at most, MB", "targets met"]
    rows = [
        [
            line.task,
            f"{line.loaded:.2f}",
            f"{line.steps_per_second:,.0f}",
            f"{line.pictures_per_second:,.0f}",
            f"{line.memory:,.0f}",
            "yes" if line.met else "no",
        ]
        for line in found
    ]
    speeds = f"{FAST_ELSEWHERE:g} steps/s ({FAST['atari']:g} for Atari)"
    targets = f"{LOADED:g} s, {speeds}, {PICTURES:g} pictures/s in the player, {MEMORY:g} MB"
    return f"{agent} on one thread; targets: {targets}.\n\n{table(head, rows)}"
