"""Proximal policy optimisation of a small network, where a linear policy is not enough.

Schulman and others 2017, arXiv 1707.06347. A few environments are played in turn for ``steps``
steps each. Then policy and value network make a few passes over what was seen. The learning rate
follows the change of the policy: lower where it changed more than ``change``, higher where less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from jatlab.teachers.fitting.base import SEARCH_SEED
from jatlab.teachers.fitting.heads import Choice, Head, make_head
from jatlab.teachers.fitting.simulation import AnySimulation, make_simulation
from jatlab.teachers.policy import Normaliser, Policy


@dataclass(frozen=True)
class PpoSettings:
    """The numbers of the search.

    Attributes:
        envs: Environments that are played in turn.
        steps: Steps of each environment in a round.
        hidden: Widths of the networks' hidden layers.
        passes: Passes over what a round saw.
        minibatch: Steps in a minibatch.
        rate: The first learning rate.
        discount: Of rewards, a step.
        trace: Lambda of generalised advantage estimation, a step.
        clip: The probability ratio counts from 1 - clip to 1 + clip.
        change: The policy's change in a pass that keeps the learning rate, in nats a step.
        spread: The first standard deviation of continuous actions, in units of their limits.
        entropy: What a nat of entropy is worth, for choices.
        alive_bonus: The part of every reward that the search ignores.
        novelty: See ``jatlab.teachers.console.ConsoleGame``.
    """

    envs: int = 16
    steps: int = 256
    hidden: tuple[int, ...] = (64, 64)
    passes: int = 8
    minibatch: int = 1024
    rate: float = 3e-4
    discount: float = 0.99
    trace: float = 0.95
    clip: float = 0.2
    change: float = 0.015
    spread: float = 0.5
    entropy: float = 0.0
    alive_bonus: float = 0.0
    novelty: float = 0.0


class Networks(nn.Module):
    """Policy and value network, which share no weights, on normalised observations."""

    def __init__(self, observations: int, hidden: tuple[int, ...], head: Head):
        super().__init__()
        self.policy = _network((observations, *hidden, head.size), last_gain=0.01)
        self.value = _network((observations, *hidden, 1), last_gain=1.0)
        self.head = head

    def distribution(self, observations: Tensor) -> Tensor:
        """The head's parameters (B, …) for observations (B, n)."""
        return self.head(self.policy(observations))

    def values(self, observations: Tensor) -> Tensor:
        """The value of observations: (…, n) -> (…)."""
        return self.value(observations)[..., 0]


def _network(widths: tuple[int, ...], last_gain: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        linear = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(linear.weight, last_gain if i == len(widths) - 2 else math.sqrt(2))
        nn.init.zeros_(linear.bias)
        layers += [nn.Tanh(), linear] if i else [linear]
    return nn.Sequential(*layers)


@dataclass
class Played:
    """What T steps of N environments showed.

    Attributes:
        observations: (T + 1, N, n) float32.
        actions: (T, N, m) float32, or (T, N) int64.
        rewards: (T, N) float32.
        ended: 1 where an episode ended, (T, N) float32.
        cut: 1 where it was cut off and not terminated, (T, N) float32.
        last: What was observed where an episode was cut off, (T, N, n) float32.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    ended: np.ndarray
    cut: np.ndarray
    last: np.ndarray


class Targets(NamedTuple):
    """What the networks learn from, for each of B = T x N steps."""

    observations: Tensor  # (B, n), normalised
    actions: Tensor  # (B, …)
    advantages: Tensor  # (B,)
    values: Tensor  # (B,)


class Ppo:
    """The search on one task.

    Rounds are the same for the same seed, with or without stops in between.
    """

    def __init__(self, task_name: str, settings: PpoSettings, seed: int = 0):
        torch.set_num_threads(1)
        self.settings, self.seed, self.rounds, self.episodes = settings, seed, 0, 0
        self.simulations = [
            make_simulation(task_name, True, settings.alive_bonus, settings.novelty)
            for _ in range(settings.envs)
        ]
        head = make_head(self.simulations[0], settings.spread)
        observations = len(self.simulations[0].observation)
        torch.manual_seed(seed)
        self.networks = Networks(observations, settings.hidden, head)
        self.optimizer = torch.optim.Adam(
            self.networks.parameters(), lr=settings.rate, eps=1e-5, fused=True
        )
        self.normaliser, self.reward_scale = Normaliser(observations), Normaliser(1)
        self.discounted = np.zeros(settings.envs)  # returns so far, to scale rewards by
        self.totals = np.zeros(settings.envs)  # the return of each running episode
        self.recent = np.full(20, np.nan)  # returns of the episodes that ended last
        for simulation in self.simulations:
            self._reset(simulation)

    def _reset(self, simulation: AnySimulation) -> None:
        simulation.reset(SEARCH_SEED + self.seed * 10_000_000 + self.episodes)
        self.episodes += 1

    # --- a round ---

    def round(self) -> dict[str, float]:
        """Play and learn once.

        Returns the mean return of the last 20 episodes (with noise in the actions), and the steps
        played.
        """
        if self.rounds == 0:
            self.normaliser.add(self._observations())
        played = self._play(np.random.default_rng([self.seed, self.rounds]))
        self._learn(self._targets(played), np.random.default_rng([self.seed, self.rounds, 1]))
        self.normaliser.add(played.observations.reshape(-1, played.observations.shape[-1]))
        self.rounds += 1
        ended = self.recent[~np.isnan(self.recent)]
        return {
            "return": float(ended.mean()) if len(ended) else 0.0,
            "steps": self.settings.envs * self.settings.steps,
        }

    def _observations(self) -> np.ndarray:
        """What the environments show now, (N, n)."""
        return np.stack([simulation.observation for simulation in self.simulations])

    def _play(self, rng: np.random.Generator) -> Played:
        """Play ``steps`` steps of every environment."""
        s, policy, head = self.settings, self.policy(), self.networks.head
        shape, size = (s.steps, s.envs), len(self.normaliser.mean)
        played = Played(
            observations=np.zeros((s.steps + 1, s.envs, size), np.float32),
            actions=head.no_actions(*shape),
            rewards=np.zeros(shape, np.float32),
            ended=np.zeros(shape, np.float32),
            cut=np.zeros(shape, np.float32),
            last=np.zeros((*shape, size), np.float32),
        )
        for t in range(s.steps):
            observations = self._observations()
            played.observations[t] = observations
            played.actions[t] = head.draw(policy.mean_action(observations), rng)
            executed = head.executed(played.actions[t])
            for i, simulation in enumerate(self.simulations):
                observation, reward, terminated, truncated = simulation.step(executed[i])
                played.rewards[t, i], self.totals[i] = reward, self.totals[i] + reward
                if terminated or truncated:
                    played.ended[t, i] = 1.0
                    if not terminated:
                        played.cut[t, i], played.last[t, i] = 1.0, observation
                    self._episode_over(i)
        played.observations[-1] = self._observations()
        return played

    def _episode_over(self, i: int) -> None:
        self.recent = np.append(self.recent[1:], self.totals[i])
        self.totals[i] = 0.0
        self._reset(self.simulations[i])

    def _targets(self, played: Played) -> Targets:
        """What is learnt from T x N steps, by generalised advantage estimation."""
        s, policy = self.settings, self.policy()
        observations = torch.from_numpy(policy.normalise(played.observations))  # (T + 1, N, n)
        last = torch.from_numpy(policy.normalise(played.last))
        rewards = self._scaled(played.rewards, played.ended)
        with torch.no_grad():
            values = self.networks.values(observations).numpy()  # (T + 1, N)
            cut_values = self.networks.values(last).numpy() * played.cut
        going_on, advantages = 1.0 - played.ended, np.zeros_like(rewards)
        running = np.zeros(s.envs, np.float32)
        for t in reversed(range(s.steps)):
            to_come = values[t + 1] * going_on[t] + cut_values[t]
            error = rewards[t] + s.discount * to_come - values[t]
            running = error + s.discount * s.trace * going_on[t] * running
            advantages[t] = running
        return Targets(
            observations[:-1].flatten(0, 1),
            torch.from_numpy(played.actions).flatten(0, 1),
            torch.from_numpy(advantages).flatten(0, 1),
            torch.from_numpy(advantages + values[:-1]).flatten(0, 1),
        )

    def _scaled(self, rewards: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """Rewards (T, N) in standard deviations of the discounted return."""
        running = np.zeros_like(rewards)
        for t in range(len(rewards)):
            self.discounted = running[t] = self.discounted * self.settings.discount + rewards[t]
            self.discounted = self.discounted * (1.0 - ended[t])
        self.reward_scale.add(running.reshape(-1, 1))
        return np.clip(rewards * np.float32(self.reward_scale.scale[0]), -10.0, 10.0)

    def _learn(self, targets: Targets, rng: np.random.Generator) -> None:
        """Make ``passes`` passes over the steps, in minibatches."""
        observations, actions, advantages, _ = targets
        with torch.no_grad():
            before = self.networks.distribution(observations)
            old = self.networks.head.log_probability(before, actions)
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        targets = targets._replace(advantages=advantages)
        for _ in range(self.settings.passes):
            order = torch.from_numpy(rng.permutation(len(actions)))
            for rows in order.split(self.settings.minibatch):
                loss = self._loss(Targets(*(part[rows] for part in targets)), old[rows])
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
                self.optimizer.step()
            self._adapt(self._change(observations, before))

    def _loss(self, targets: Targets, old: Tensor) -> Tensor:
        """The loss of a minibatch; ``old``: its actions' log-probabilities before the round."""
        s, head = self.settings, self.networks.head
        now = self.networks.distribution(targets.observations)
        ratio = (head.log_probability(now, targets.actions) - old).exp()
        clipped = ratio.clamp(1 - s.clip, 1 + s.clip)
        gain = torch.minimum(ratio * targets.advantages, clipped * targets.advantages).mean()
        error = (self.networks.values(targets.observations) - targets.values).square().mean()
        return error - gain - s.entropy * head.entropy(now)

    @torch.no_grad()
    def _change(self, observations: Tensor, before: Tensor) -> float:
        """The policy's divergence from that of ``before`` the round, in nats a step."""
        rows = slice(None, None, 4)
        now = self.networks.distribution(observations[rows])
        return float(self.networks.head.change(before[rows], now))

    def _adapt(self, change: float) -> None:
        """Change the learning rate where the policy changed too much or too little."""
        group = self.optimizer.param_groups[0]
        if change > 2 * self.settings.change:
            group["lr"] = max(group["lr"] / 1.5, 1e-5)
        elif change < self.settings.change / 2:
            group["lr"] = min(group["lr"] * 1.5, 3e-3)

    # --- what is kept ---

    def policy(self) -> Policy:
        """The policy without its noise."""
        linear = [layer for layer in self.networks.policy if isinstance(layer, nn.Linear)]
        tensors = {
            "mean": self.normaliser.mean,
            "scale": self.normaliser.scale,
            "limit": self.networks.head.limit,
        }
        for i, layer in enumerate(linear):
            tensors[f"weight.{i}"] = layer.weight.detach().numpy().copy()
            tensors[f"bias.{i}"] = layer.bias.detach().numpy().copy()
        return Policy(tensors)

    def tensors(self) -> dict[str, np.ndarray]:
        """The policy found so far, for ``jatlab.teachers.policy.Policy``.

        Weights that score choices are in half precision, which they tolerate and which halves the
        file.
        """
        half = isinstance(self.networks.head, Choice)
        return {
            name: value.astype(np.float16 if half and name.startswith("weight") else np.float32)
            for name, value in self.policy().tensors.items()
        }

    def state(self) -> dict[str, np.ndarray]:
        """All that the next round depends on."""
        names = ("rounds", "episodes", "discounted", "totals", "recent")
        state = {name: np.array(getattr(self, name)) for name in names}
        state["normaliser"] = self.normaliser.state()
        state["reward_scale"] = self.reward_scale.state()
        state["rate"] = np.array(self.optimizer.param_groups[0]["lr"])
        state["simulations"] = np.stack([simulation.state() for simulation in self.simulations])
        for name, value in self.networks.state_dict().items():
            state[f"networks/{name}"] = value.detach().numpy().copy()
        for i, moments in self.optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                state[f"optimizer/{i}/{name}"] = value.numpy().copy()
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a :meth:`state`."""
        self.rounds, self.episodes = state["rounds"].item(), state["episodes"].item()
        for name in ("discounted", "totals", "recent"):
            setattr(self, name, state[name].copy())
        self.normaliser.restore(state["normaliser"])
        self.reward_scale.restore(state["reward_scale"])
        for simulation, row in zip(self.simulations, state["simulations"], strict=True):
            simulation.restore(row)
        networks: dict[str, Tensor] = {}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            if name.startswith("networks/"):
                networks[name.removeprefix("networks/")] = torch.tensor(value)
            elif name.startswith("optimizer/"):
                _, i, moment = name.split("/")
                moments.setdefault(int(i), {})[moment] = torch.tensor(value)
        self.networks.load_state_dict(networks)
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        self.optimizer.param_groups[0]["lr"] = state["rate"].item()
