"""How a policy's outputs become actions in PPO: a Gaussian, or a softmax for choices.

Both heads offer the same. The network's outputs (B, m) become ``parameters`` of a distribution;
these and the actions give probabilities, changes and entropy.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from jatlab.teachers.fitting.simulation import AnySimulation, Simulation


def make_head(simulation: AnySimulation, spread: float) -> Head:
    """The head for a simulation's actions.

    ``spread`` is a Gaussian's first standard deviation, in units of the actions' limits.
    """
    if isinstance(simulation, Simulation):
        return Gaussian(simulation.limit, spread)
    return Choice(simulation.actions)


class Head(nn.Module, ABC):
    """A distribution of actions.

    Attributes:
        size: The number of outputs that the head takes, m.
        limit: What an output of 1 stands for, (m,).
    """

    size: int
    limit: np.ndarray

    @abstractmethod
    def forward(self, outputs: Tensor) -> Tensor:
        """Outputs (…, m) to the parameters of the distribution."""

    @abstractmethod
    def no_actions(self, steps: int, envs: int) -> np.ndarray:
        """An array for so many actions, (steps, envs, …)."""

    @abstractmethod
    def draw(self, outputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions for outputs (N, m)."""

    @abstractmethod
    def executed(self, actions: np.ndarray) -> np.ndarray:
        """The actions that the environments get."""

    @abstractmethod
    def log_probability(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Of each action (B,), in nats; it may lack a constant."""

    @abstractmethod
    def change(self, before: Tensor, now: Tensor) -> Tensor:
        """Kullback-Leibler divergence of ``now`` from ``before``, the mean in nats."""

    @abstractmethod
    def entropy(self, parameters: Tensor) -> Tensor:
        """The mean in nats; it may lack a constant."""


class Gaussian(Head):
    """Continuous actions (B, m), in units of their ``limit``, around the outputs.

    Each action has one spread for all observations.
    """

    def __init__(self, limit: np.ndarray, spread: float):
        super().__init__()
        self.limit, self.size = limit, len(limit)
        self.log_spread = nn.Parameter(torch.full((self.size,), math.log(spread)))

    def forward(self, outputs: Tensor) -> Tensor:
        """Parameters, (B, 2, m): means, logarithms of the spread."""
        return torch.stack([outputs, self.log_spread.expand_as(outputs)], dim=-2)

    def no_actions(self, steps: int, envs: int) -> np.ndarray:
        """An array (steps, envs, m) float32."""
        return np.zeros((steps, envs, self.size), np.float32)

    def draw(self, outputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions for outputs (N, m)."""
        noise = rng.normal(size=outputs.shape).astype(np.float32)
        return outputs + self.log_spread.detach().exp().numpy() * noise

    def executed(self, actions: np.ndarray) -> np.ndarray:
        """Actions within their limits."""
        return self.limit * np.clip(actions, -1.0, 1.0)

    def log_probability(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Of each action (B,), less a constant."""
        mean, log_spread = parameters.unbind(-2)
        return (-0.5 * ((actions - mean) / log_spread.exp()) ** 2 - log_spread).sum(-1)

    def change(self, before: Tensor, now: Tensor) -> Tensor:
        """Kullback-Leibler divergence of ``now`` from ``before``, the mean in nats."""
        (old_mean, old_log), (mean, log_spread) = before.unbind(-2), now.unbind(-2)
        squares = (2 * old_log).exp() + (old_mean - mean) ** 2
        each = log_spread - old_log + squares / (2 * (2 * log_spread).exp()) - 0.5
        return each.sum(-1).mean()

    def entropy(self, parameters: Tensor) -> Tensor:
        """The mean in nats, less a constant."""
        return parameters[..., 1, :].sum(-1).mean()


class Choice(Head):
    """One of ``size`` actions, (B,) int64; the outputs are their scores."""

    def __init__(self, size: int):
        super().__init__()
        self.size, self.limit = size, np.ones(size, np.float32)

    def forward(self, outputs: Tensor) -> Tensor:
        """Parameters, (B, m): logarithms of the probabilities."""
        return outputs.log_softmax(-1)

    def no_actions(self, steps: int, envs: int) -> np.ndarray:
        """An array (steps, envs) int64."""
        return np.zeros((steps, envs), np.int64)

    def draw(self, outputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions for outputs (N, m), each with its probability, by the Gumbel trick."""
        return (outputs + rng.gumbel(size=outputs.shape)).argmax(-1)

    def executed(self, actions: np.ndarray) -> np.ndarray:
        """The same actions."""
        return actions

    def log_probability(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """Of each action (B,)."""
        return parameters.gather(-1, actions[:, None])[:, 0]

    def change(self, before: Tensor, now: Tensor) -> Tensor:
        """Kullback-Leibler divergence of ``now`` from ``before``, the mean in nats."""
        return (before.exp() * (before - now)).sum(-1).mean()

    def entropy(self, parameters: Tensor) -> Tensor:
        """The mean in nats."""
        return -(parameters.exp() * parameters).sum(-1).mean()
