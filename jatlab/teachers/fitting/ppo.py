"""Proximal policy optimisation (Schulman and others 2017, arXiv 1707.06347) of a small network, for
the tasks where a linear policy is not enough.

A few environments are played in turn for ``steps`` steps each; then policy and value network make a
few passes over what was seen. The learning rate follows the change of the policy: lower where it
changed more than ``change``, higher where less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from jatlab.teachers.fitting.heads import Choice, make_head
from jatlab.teachers.fitting.simulation import make_simulation
from jatlab.teachers.policy import Normaliser, Policy

SEARCH_SEED = 4_000_000  # apart from recording, evaluation and measuring


@dataclass(frozen=True)
class PpoSettings:
    """``discount`` and ``trace`` (lambda) a step; ``clip`` of the probability ratio; ``spread``:
    the first standard deviation of the actions, in limits; ``entropy``: what a nat of it is worth,
    for choices; ``novelty``: see ``ConsoleGame``.
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
    """Policy and value, apart from each other, both on normalised observations."""

    def __init__(self, observations: int, hidden: tuple[int, ...], head: nn.Module):
        super().__init__()
        self.policy = _network((observations, *hidden, head.size), last_gain=0.01)
        self.value = _network((observations, *hidden, 1), last_gain=1.0)
        self.head = head

    def distribution(self, observations: torch.Tensor) -> torch.Tensor:
        """Of the actions for observations (B, n): the head's parameters, (B, …)."""
        return self.head(self.policy(observations))


def _network(widths: tuple[int, ...], last_gain: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        linear = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(linear.weight, last_gain if i == len(widths) - 2 else math.sqrt(2))
        nn.init.zeros_(linear.bias)
        layers += [nn.Tanh(), linear] if i else [linear]
    return nn.Sequential(*layers)


class Ppo:
    """The search on one task: ``round()`` again and again, the same for the same seed, with the
    stops in between or without.
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
        self.discounted = np.zeros(
            settings.envs
        )  # each environment's discounted return so far, to scale rewards by
        self.totals = np.zeros(settings.envs)  # the return of each running episode
        self.recent = np.full(20, np.nan)  # returns of the episodes that ended last
        for simulation in self.simulations:
            self._reset(simulation)

    def _reset(self, simulation: Simulation) -> None:
        simulation.reset(SEARCH_SEED + self.seed * 10_000_000 + self.episodes)
        self.episodes += 1

    # --- a round
    # ---------------------------------------------------------------------------------------------------------------

    def round(self) -> dict[str, float]:
        """Play and learn once. Mean return of the last 20 episodes (with noise in the actions),
        steps played.
        """
        if self.rounds == 0:
            self.normaliser.add(
                np.stack([simulation.observation for simulation in self.simulations])
            )
        seen = self._play(np.random.default_rng([self.seed, self.rounds]))
        self._learn(*self._advantages(seen), np.random.default_rng([self.seed, self.rounds, 1]))
        self.normaliser.add(seen["observations"].reshape(-1, seen["observations"].shape[-1]))
        self.rounds += 1
        ended = self.recent[~np.isnan(self.recent)]
        return {
            "return": float(ended.mean()) if len(ended) else 0.0,
            "steps": self.settings.envs * self.settings.steps,
        }

    def _play(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``steps`` steps (T) of every environment (N): arrays (T, N, …)."""
        s, policy, head = self.settings, self.policy(), self.networks.head
        size = len(self.normaliser.mean)
        seen = {
            "observations": np.zeros((s.steps + 1, s.envs, size), np.float32),
            "actions": head.no_actions(s.steps, s.envs),
        }
        seen |= {
            name: np.zeros((s.steps, s.envs), np.float32) for name in ("rewards", "ended", "cut")
        }
        seen["last"] = np.zeros(
            (s.steps, s.envs, size), np.float32
        )  # what was observed where an episode was cut off
        for t in range(s.steps):
            observations = np.stack([simulation.observation for simulation in self.simulations])
            seen["observations"][t] = observations
            seen["actions"][t] = head.draw(policy.mean_action(observations), rng)
            executed = head.executed(seen["actions"][t])
            for i, simulation in enumerate(self.simulations):
                observation, reward, terminated, truncated = simulation.step(executed[i])
                seen["rewards"][t, i], self.totals[i] = reward, self.totals[i] + reward
                if terminated or truncated:
                    seen["ended"][t, i] = 1.0
                    if not terminated:
                        seen["cut"][t, i], seen["last"][t, i] = 1.0, observation
                    self._episode_over(i)
        seen["observations"][-1] = np.stack(
            [simulation.observation for simulation in self.simulations]
        )
        return seen

    def _episode_over(self, i: int) -> None:
        self.recent = np.append(self.recent[1:], self.totals[i])
        self.totals[i] = 0.0
        self._reset(self.simulations[i])

    def _advantages(self, seen: dict[str, np.ndarray]) -> tuple[torch.Tensor, ...]:
        """Observations, actions, advantages and value targets of all T x N steps: generalised
        advantage estimation.
        """
        s, policy = self.settings, self.policy()
        observations = torch.from_numpy(policy.normalise(seen["observations"]))  # (T + 1, N, n)
        rewards = self._scaled(seen["rewards"], seen["ended"])
        with torch.no_grad():
            values = self.networks.value(observations)[..., 0].numpy()  # (T + 1, N)
            cut_values = (
                self.networks.value(torch.from_numpy(policy.normalise(seen["last"])))[
                    ..., 0
                ].numpy()
                * seen["cut"]
            )
        going_on, advantages, running = (
            1.0 - seen["ended"],
            np.zeros_like(rewards),
            np.zeros(s.envs, np.float32),
        )
        for t in reversed(range(s.steps)):
            error = (
                rewards[t] + s.discount * (values[t + 1] * going_on[t] + cut_values[t]) - values[t]
            )
            running = error + s.discount * s.trace * going_on[t] * running
            advantages[t] = running
        flat = [
            observations[:-1],
            torch.from_numpy(seen["actions"]),
            torch.from_numpy(advantages),
            torch.from_numpy(advantages + values[:-1]),
        ]
        return tuple(tensor.flatten(0, 1) for tensor in flat)

    def _scaled(self, rewards: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """Rewards in standard deviations of the discounted return."""
        running = np.zeros_like(rewards)
        for t in range(len(rewards)):
            self.discounted = running[t] = self.discounted * self.settings.discount + rewards[t]
            self.discounted = self.discounted * (1.0 - ended[t])
        self.reward_scale.add(running.reshape(-1, 1))
        return np.clip(rewards * np.float32(self.reward_scale.scale[0]), -10.0, 10.0)

    def _learn(self, observations, actions, advantages, targets, rng: np.random.Generator) -> None:
        s, networks, head = self.settings, self.networks, self.networks.head
        with torch.no_grad():
            before = networks.distribution(observations)
            old = head.log_probability(before, actions)
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        for _ in range(s.passes):
            for rows in torch.from_numpy(rng.permutation(len(actions))).split(s.minibatch):
                now = networks.distribution(observations[rows])
                ratio = (head.log_probability(now, actions[rows]) - old[rows]).exp()
                gain = torch.minimum(
                    ratio * advantages[rows], ratio.clamp(1 - s.clip, 1 + s.clip) * advantages[rows]
                ).mean()
                error = (networks.value(observations[rows])[:, 0] - targets[rows]).square().mean()
                self.optimizer.zero_grad()
                (error - gain - s.entropy * head.entropy(now)).backward()
                nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
                self.optimizer.step()
            self._adapt(self._change(observations, before))

    @torch.no_grad()
    def _change(self, observations: torch.Tensor, before: torch.Tensor) -> float:
        """Kullback-Leibler divergence of the policy from that of ``before`` the round, in nats a
        step.
        """
        rows = slice(None, None, 4)
        return float(
            self.networks.head.change(before[rows], self.networks.distribution(observations[rows]))
        )

    def _adapt(self, change: float) -> None:
        group = self.optimizer.param_groups[0]
        if change > 2 * self.settings.change:
            group["lr"] = max(group["lr"] / 1.5, 1e-5)
        elif change < self.settings.change / 2:
            group["lr"] = min(group["lr"] * 1.5, 3e-3)

    # --- what is kept
    # ----------------------------------------------------------------------------------------------------------

    def policy(self) -> Policy:
        """The policy without its noise."""
        linear = [layer for layer in self.networks.policy if isinstance(layer, nn.Linear)]
        layers = {
            f"{kind}.{i}": getattr(layer, kind).detach().numpy().copy()
            for i, layer in enumerate(linear)
            for kind in ("weight", "bias")
        }
        return Policy(
            {
                "mean": self.normaliser.mean,
                "scale": self.normaliser.scale,
                "limit": self.networks.head.limit,
                **layers,
            }
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """The policy as it is now, for ``jatlab.teachers.policy.Policy``; weights that score
        choices in half precision, which they bear and which halves the file.
        """
        tensors = self.policy().tensors
        return {
            name: value.astype(
                np.float16
                if name.startswith("weight") and isinstance(self.networks.head, Choice)
                else np.float32
            )
            for name, value in tensors.items()
        }

    def state(self) -> dict[str, np.ndarray]:
        """All that the next round depends on."""
        own = {
            name: np.array(getattr(self, name))
            for name in ("rounds", "episodes", "discounted", "totals", "recent")
        }
        own |= {
            "normaliser": self.normaliser.state(),
            "reward_scale": self.reward_scale.state(),
            "rate": np.array(self.optimizer.param_groups[0]["lr"]),
        }
        own |= {"simulations": np.stack([simulation.state() for simulation in self.simulations])}
        own |= {
            f"networks/{name}": value.detach().numpy().copy()
            for name, value in self.networks.state_dict().items()
        }
        for i, moments in self.optimizer.state_dict()["state"].items():
            own |= {
                f"optimizer/{i}/{name}": value.numpy().copy() for name, value in moments.items()
            }
        return own

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a :meth:`state`."""
        self.rounds, self.episodes = state["rounds"].item(), state["episodes"].item()
        self.discounted, self.totals, self.recent = (
            state[name].copy() for name in ("discounted", "totals", "recent")
        )
        self.normaliser.restore(state["normaliser"])
        self.reward_scale.restore(state["reward_scale"])
        for simulation, row in zip(self.simulations, state["simulations"], strict=True):
            simulation.restore(row)
        part = {
            name.removeprefix("networks/"): torch.tensor(value)
            for name, value in state.items()
            if name.startswith("networks/")
        }
        self.networks.load_state_dict(part)
        moments: dict[int, dict] = {}
        for name, value in state.items():
            if name.startswith("optimizer/"):
                _, i, moment = name.split("/")
                moments.setdefault(int(i), {})[moment] = torch.tensor(value)
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        self.optimizer.param_groups[0]["lr"] = state["rate"].item()
