"""Playing one episode and keeping what happened; and the random policy, to play with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from jatlab.agents.attention_record import in_order
from jatlab.agents.last_step import LastStep
from jatlab.tasks import Task, get_task, make_env
from jatlab.tasks.env import task_of
from jatlab.tasks.frames import draw
from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import RandomTeacher
from jatlab.utils.checks import require, whole_number


class RandomAgent:
    """The random policy, with the calls of `Agent`; our random scores are measured with it."""

    def __init__(self, seed: int = 0):
        self._seeds = np.random.SeedSequence(seed)
        self.info: dict[str, Any] = {"name": "random"}

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        """Get ready for ``n`` environments of ``task``."""
        if task is None:
            raise ValueError("agent.reset needs the task that will be played")
        name = get_task(task).name if isinstance(task, str) else task.name
        self._env = make_env(name, render_mode=None)
        self._env.close()  # only its action space is asked for
        self._policies, self._fresh = [RandomTeacher() for _ in range(n)], True
        for policy, seed in zip(self._policies, self._seeds.spawn(n), strict=True):
            policy.reset(self._env, int(seed.generate_state(1)[0]))

    def act(
        self,
        observations: Any,
        rewards: Any = 0.0,
        starts: Any = None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> Any:
        """An action for each observation, as `Agent.act`; choices of sampling change nothing."""
        if isinstance(observations, dict):
            first = None if starts is None else [starts]
            return self.act([observations], starts=first, seeds=seeds)[0]
        begins = [self._fresh] * len(self._policies) if starts is None else starts
        self._fresh = False
        if seeds is not None:
            for row in np.flatnonzero(begins).tolist():
                self._policies[row].reset(self._env, seeds[row])
        return [
            policy.act(observation)
            for policy, observation in zip(self._policies, observations, strict=False)
        ]


class RolloutAgent(Protocol):
    """What plays an episode: an `Agent`, the random policy, or anything with these calls."""

    def reset(self, n: int, task: Task) -> None:
        """Forget, and get ready for ``n`` environments of ``task``."""

    def act(self, *args: Any, **kwargs: Any) -> Any:
        """The action that follows an observation and its reward; see `Agent.act`."""


def rollout(
    agent: RolloutAgent,
    env: gym.Env,
    seed: int | None = None,
    max_steps: int | None = None,
    record_attention: bool = False,
    render: bool = False,
    record_predictions: bool = False,
    **choice: Any,
) -> dict[str, Any]:
    """Play one episode.

    Args:
        agent: who plays.
        env: from `jatlab.make_env`, in gymnasium's wrappers or without.
        seed: of the episode and of the agent's sampling; None: whatever comes next.
        max_steps: stop after so many timesteps, at least one; None: play to the end.
        record_attention: keep the agent's attention weights.
        render: keep the frames.
        record_predictions: keep probabilities and predicted observations.
        choice: of `agent.act`: greedy, temperature.

    Returns:
        The data set's columns: `continuous_observations` (T, n) and so on, `*_actions`, `rewards`
        (T,). Besides them `return`, `length` and `success` (None where the task does not say), and
        what was asked for:

        - `frames`: T + 1 pictures, uint8 (h, w, 3).
        - `attentions`: for each timestep (layers, N, tokens remembered), of the observation's
          token; `action_attentions`: T - 1 of the actions' tokens, which the next timestep
          computes.
        - `probabilities`: (T, actions), of discrete actions; `pred_observations`: (T - 1, …), row t
          was expected to follow action t.

    Raises:
        ValueError: if something is to be recorded that the agent does not compute, the environment
            has no task, it is to be drawn and cannot be, or `max_steps` is no number of timesteps.
    """
    task = task_of(env)
    if max_steps is not None:
        max_steps = whole_number(max_steps, "max_steps", 1)
    recording = _Recording(record_attention, record_predictions)
    agent.reset(1, task)
    with _attending(agent, record_attention):
        observation, info = env.reset(seed=seed)
        frames = [draw(env.render)] if render else []
        reward, done = 0.0, False
        while not done and (max_steps is None or len(recording.rewards) < max_steps):
            seeds = None if seed is None else [seed]
            action = agent.act(observation, reward, seeds=seeds, **choice)
            recording.decision(observation, action, agent)
            observation, received, terminated, truncated, info = env.step(action)
            reward, done = float(received), bool(terminated or truncated)
            recording.rewards.append(reward)
            if render:
                frames.append(draw(env.render))
    return recording.columns(task, info) | ({"frames": frames} if frames else {})


@contextmanager
def _attending(agent: Any, record: bool) -> Iterator[None]:
    """Whether the agent keeps its attention, for a while."""
    before = getattr(agent, "record_attention", False)
    agent.record_attention = record
    try:
        yield
    finally:
        agent.record_attention = before


class _Recording:
    """What is kept of an episode."""

    def __init__(self, attention: bool, predictions: bool):
        self.attention, self.predictions = attention, predictions
        self.observations: list[Observation] = []
        self.actions: list[Action] = []
        self.rewards: list[float] = []
        self.attentions: list[np.ndarray] = []
        self.action_attentions: list[np.ndarray] = []
        self.probabilities: list[np.ndarray] = []
        self.pred_observations: list[np.ndarray] = []

    def decision(self, observation: Observation, action: Action, agent: RolloutAgent) -> None:
        """Keep a decision, and what the agent computed for it."""
        self.observations.append(copy.deepcopy(observation))
        self.actions.append(copy.deepcopy(action))
        last: LastStep | None = getattr(agent, "last", None)
        if last is None:
            require(
                not (self.attention or self.predictions),
                f"{type(agent).__name__} computes neither attention nor predictions: play with an "
                "agent that has a model",
            )
            return
        if self.attention:
            self._keep_attention(last)
        if self.predictions:
            self._keep_predictions(last)

    def _keep_attention(self, last: LastStep) -> None:
        self.attentions.append(in_order(last))
        if len(self.actions) > 1:  # before the first decision there was no action
            weights = in_order(last, last.action_attentions)
            self.action_attentions.append(weights[..., :-1])  # it did not see the observation

    def _keep_predictions(self, last: LastStep) -> None:
        if last.probabilities is not None:
            self.probabilities.append(last.probabilities[0])
        if len(self.actions) > 1 and last.pred_observations is not None:
            self.pred_observations.append(last.pred_observations[0])

    def columns(self, task: Task, info: dict[str, Any]) -> dict[str, Any]:
        """The episode as `rollout` returns it."""
        name, success = f"{task.observation}_observation", info.get("success")
        columns: dict[str, Any] = {f"{name}s": np.stack([o[name] for o in self.observations])}
        if task.observation == "discrete":
            columns["text_observations"] = [o["text_observation"] for o in self.observations]
        columns |= {
            f"{task.action}_actions": np.array(self.actions),
            "rewards": np.array(self.rewards, dtype=np.float32),
            "return": sum(self.rewards),
            "length": len(self.rewards),
            "success": None if success is None else bool(success),
        }
        for stacked in ("probabilities", "pred_observations"):
            if rows := getattr(self, stacked):
                columns[stacked] = np.stack(rows)
        for listed in ("attentions", "action_attentions"):
            if rows := getattr(self, listed):
                columns[listed] = rows
        return columns
