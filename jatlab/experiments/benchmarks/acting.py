"""`jatlab bench --agent jatlab-mini`: how soon an agent is loaded, how fast it acts and how much
memory that takes, on one core, as a table.

One task of each domain is played in a process of its own, with a memory as full as it gets. Only
the agent's own time counts, not the environment's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from jatlab.experiments.benchmarks.cost_report import table
from jatlab.tasks import domain_of
from jatlab.utils.machine import call_apart, peak_megabytes

TASKS = ("babyai-go-to", "metaworld-reach", "mujoco-halfcheetah", "atari-pong")
STEPS = 100  # that are timed
LOADED, MEMORY = 2.0, 500.0  # seconds and MB, at most
FAST = {"atari": 40.0}  # steps a second, at least, by domain
FAST_ELSEWHERE = 100.0


@dataclass
class Acting:
    """One line of the table: seconds until loaded, steps a second, and MB at most in a process that
    holds torch, agent and environment.
    """

    task: str
    loaded: float
    steps_per_second: float
    memory: float

    @property
    def met(self) -> bool:
        fast = FAST.get(domain_of(self.task), FAST_ELSEWHERE)
        return self.loaded <= LOADED and self.steps_per_second >= fast and self.memory <= MEMORY


def run(agent: str, tasks: tuple[str, ...] = TASKS) -> list[Acting]:
    """Measure every task, each in its own process. Raises OSError with the reason where one fails."""
    return [
        Acting(**call_apart("jatlab.experiments.benchmarks.acting", "measure", agent, task))
        for task in tasks
    ]


def measure(name: str, task: str, steps: int = STEPS) -> dict:
    """Load the agent and play the task on one thread; the fields of its ``Acting``."""
    import torch

    torch.set_num_threads(1)
    from jatlab.agents.checkpoints import load_agent

    started = time.perf_counter()
    agent = load_agent(name)
    loaded = time.perf_counter() - started
    agent.reset(1, task)
    seconds = [_seconds(agent, *moment) for moment in _moments(task, agent.memory.context + steps)][
        -steps:
    ]
    return asdict(Acting(task, loaded, 1 / float(np.median(seconds)), peak_megabytes()))


def _moments(task: str, count: int) -> Iterator[tuple[dict, float, bool]]:
    """Observation, reward and whether an episode begins, of random play; episodes that end go on
    with the next, in the same memory.
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


def _seconds(agent, observation: dict, reward: float, start: bool) -> float:
    started = time.perf_counter()
    agent.act(observation, reward, start)
    return time.perf_counter() - started


def in_words(agent: str, found: list[Acting]) -> str:
    """The table in Markdown, with what it is held against."""
    rows = [
        [
            line.task,
            f"{line.loaded:.2f}",
            f"{line.steps_per_second:,.0f}",
            f"{line.memory:,.0f}",
            "yes" if line.met else "no",
        ]
        for line in found
    ]
    head = ["task", "loaded in, s", "steps/s", "memory at most, MB", "targets met"]
    held = f"{agent} on one thread; targets: {LOADED:g} s, {FAST_ELSEWHERE:g} steps/s ({FAST['atari']:g} for Atari), {MEMORY:g} MB."
    return f"{held}\n\n{table(head, rows)}"
