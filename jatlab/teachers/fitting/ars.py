"""Augmented random search of a linear policy, for the tasks where that is enough.

Mania, Guy and Recht 2018, arXiv 1803.07055, version V2-t. Each round draws directions in the space
of the weights, and plays one episode a step forth and one a step back along each, from the same
start. It then moves along the best directions by the difference that they made. Observations are
normalised by what has been seen so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jatlab.teachers.fitting.base import SEARCH_SEED
from jatlab.teachers.fitting.simulation import Simulation
from jatlab.teachers.policy import Normaliser, Policy


@dataclass(frozen=True)
class ArsSettings:
    """The numbers of the search.

    Attributes:
        directions: Directions that a round draws.
        best: Of these, the number that counts.
        step: The step along their mean.
        spread: How far along each direction the episodes are played.
        alive_bonus: The part of every reward that the search ignores.
    """

    directions: int = 8
    best: int = 4
    step: float = 0.02
    spread: float = 0.03
    alive_bonus: float = 0.0


class Ars:
    """The search on one task.

    All that is drawn depends only on ``seed`` and the round's number.
    """

    def __init__(self, task_name: str, settings: ArsSettings, seed: int = 0):
        self.settings, self.seed, self.rounds = settings, seed, 0
        self.simulation = Simulation(task_name, settings.alive_bonus)
        observations, actions = len(self.simulation.observation), len(self.simulation.limit)
        self.normaliser = Normaliser(observations)
        self.weights = np.zeros((actions, observations))

    def round(self) -> dict[str, float]:
        """One step of the search: the mean return of its episodes, and their steps."""
        s, rng = self.settings, np.random.default_rng([self.seed, self.rounds])
        directions = rng.normal(size=(s.directions, *self.weights.shape))
        seeds = SEARCH_SEED + rng.integers(100_000, size=s.directions)
        seen: list[np.ndarray] = []
        returns = np.array(
            [
                [self._play(self.weights + sign * s.spread * way, seed, seen) for sign in (1, -1)]
                for way, seed in zip(directions, seeds, strict=True)
            ]
        )
        chosen = np.argsort(-returns.max(axis=1), kind="stable")[: s.best]
        difference = returns[chosen, 0] - returns[chosen, 1]
        gradient = np.tensordot(difference, directions[chosen], axes=1) / s.best
        self.weights = self.weights + s.step / max(returns[chosen].std(), 1e-6) * gradient
        self.normaliser.add(np.concatenate(seen))
        self.rounds += 1
        return {"return": float(returns.mean()), "steps": sum(map(len, seen))}

    def _play(self, weights: np.ndarray, seed: int, seen: list[np.ndarray]) -> float:
        """The return of an episode; its observations (steps, n) are added to ``seen``."""
        policy, observations, total = self._policy(weights), [], 0.0
        observation = self.simulation.reset(seed)
        while True:
            observations.append(observation)
            observation, reward, terminated, truncated = self.simulation.step(policy(observation))
            total += reward
            if terminated or truncated:
                seen.append(np.stack(observations))
                return total

    def _policy(self, weights: np.ndarray) -> Policy:
        limit = self.simulation.limit
        return Policy(
            {
                "mean": self.normaliser.mean,
                "scale": self.normaliser.scale,
                "limit": limit,
                "weight.0": weights,
                "bias.0": np.zeros(len(limit)),
            }
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """The policy found so far, for ``jatlab.teachers.policy.Policy``."""
        return self._policy(self.weights).tensors

    def state(self) -> dict[str, np.ndarray]:
        """All that the next round depends on."""
        return {
            "rounds": np.array(self.rounds),
            "weights": self.weights,
            "normaliser": self.normaliser.state(),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a :meth:`state`."""
        self.rounds, self.weights = state["rounds"].item(), state["weights"].copy()
        self.normaliser.restore(state["normaliser"])
