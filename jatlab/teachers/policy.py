"""A small policy in NumPy: normalise the observation, a few layers with tanh between them (or one,
which makes it linear), cut off at the limits.

    action = limit * clip(layers((observation - mean) * scale), -1, 1)

As tensors in a file: ``mean`` and ``scale`` (n,), ``limit`` (m,), ``weight.0`` (h, n), ``bias.0``
(h,), ``weight.1`` … up to m outputs. Where actions are choices, the layers' outputs are their
scores, and ``limit`` is 1.
"""

from __future__ import annotations

import numpy as np
from numpy import add, dot, maximum, minimum, multiply, subtract, tanh

ONE = np.float32(1.0)
FARTHEST = np.float32(10.0)  # in standard deviations: what lies farther counts as this far


def _cut(values: np.ndarray, at: np.float32) -> np.ndarray:
    """Within -at and at. ``np.clip`` takes as long as a layer of the network."""
    return np.minimum(np.maximum(values, -at), at)


class Policy:
    """Acts from these tensors. Raises ValueError where they do not fit each other or the sizes (n,
    m) asked for.
    """

    def __init__(self, tensors: dict[str, np.ndarray], sizes: tuple[int, int] | None = None):
        self.tensors = {
            name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()
        }
        layers = sum(name.startswith("weight.") for name in tensors)
        wanted = {"mean", "scale", "limit"} | {
            f"{kind}.{i}" for kind in ("weight", "bias") for i in range(layers)
        }
        if not layers or set(tensors) != wanted:
            raise ValueError(
                f"a policy has the tensors mean, scale, limit, weight.0, bias.0 and so on; here are {', '.join(sorted(tensors)) or 'none'}"
            )
        self.mean, self.scale, self.limit = (
            self.tensors[name] for name in ("mean", "scale", "limit")
        )
        self.layers = [
            (self.tensors[f"weight.{i}"].T, self.tensors[f"bias.{i}"]) for i in range(layers)
        ]
        self._check(sizes or (len(self.mean), len(self.limit)))
        self._values = np.empty_like(self.mean)
        self._layers = [
            (weight, bias, np.empty_like(bias), i == 0)
            for i, (weight, bias) in enumerate(self.layers)
        ]
        self._far = (
            np.full_like(self.mean, -FARTHEST),
            np.full_like(self.mean, FARTHEST),
        )  # as arrays: converting a number takes as long as using it
        self._one = (np.full_like(self.limit, -ONE), np.full_like(self.limit, ONE))

    def _check(self, sizes: tuple[int, int]) -> None:
        observations, actions = sizes
        widths = [observations, *(len(bias) for _, bias in self.layers[:-1]), actions]
        shapes = {"mean": (observations,), "scale": (observations,), "limit": (actions,)}
        for i in range(len(self.layers)):
            shapes |= {f"weight.{i}": (widths[i + 1], widths[i]), f"bias.{i}": (widths[i + 1],)}
        for name, shape in shapes.items():
            if self.tensors[name].shape != shape:
                raise ValueError(
                    f"tensor {name} must have shape {shape}, it has {self.tensors[name].shape}"
                )
            if not np.isfinite(self.tensors[name]).all():
                raise ValueError(f"tensor {name} holds values that are not finite")

    def normalise(self, observation: np.ndarray) -> np.ndarray:
        """Observations, (…, n), in standard deviations from the mean."""
        return _cut((observation - self.mean) * self.scale, FARTHEST)

    def choose(self, observation: np.ndarray) -> int:
        """Of a discrete task, where the last layer scores the actions: the best one for an
        observation (n,).
        """
        return int(self.mean_action(observation).argmax())

    def mean_action(self, observation: np.ndarray) -> np.ndarray:
        """Before the cut: (…, n) -> (…, m), where 1 is the limit; of a discrete task, the actions'
        scores.
        """
        values = self.normalise(observation)
        for i, (weight, bias) in enumerate(self.layers):
            values = (np.tanh(values) if i else values) @ weight + bias
        return values

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """The action, (…, m) float32, within the limits."""
        if observation.shape == self.mean.shape and observation.dtype == np.float32:
            return self._act(observation)
        return self.limit * _cut(self.mean_action(observation), ONE)

    def _act(self, observation: np.ndarray) -> np.ndarray:
        """One observation, (n,) -> (m,): the same operations in the same order, in arrays that are
        there already. A quarter faster, where a step of the environment takes only five times as
        long.
        """
        low, high = self._far
        values = subtract(observation, self.mean, out=self._values)
        multiply(values, self.scale, out=values)
        minimum(maximum(values, low, out=values), high, out=values)
        for weight, bias, values_of_layer, first in self._layers:
            if not first:
                tanh(values, out=values)
            values = dot(values, weight, out=values_of_layer)
            add(values, bias, out=values)
        low, high = self._one
        return self.limit * minimum(maximum(values, low, out=values), high, out=values)


class Normaliser:
    """Running mean and variance of observations: the sums merge exactly, in whatever portions they
    come.
    """

    def __init__(self, size: int):
        self.count, self.mean, self.squares = 0.0, np.zeros(size), np.zeros(size)

    def add(self, values: np.ndarray) -> None:
        """Take in observations, (k, n)."""
        count, mean = len(values), values.mean(axis=0, dtype=np.float64)
        squares = np.square(values - mean, dtype=np.float64).sum(axis=0)
        difference, total = mean - self.mean, self.count + count
        self.mean = self.mean + difference * count / total
        self.squares = self.squares + squares + np.square(difference) * self.count * count / total
        self.count = total

    @property
    def scale(self) -> np.ndarray:
        """1 / standard deviation, (n,); 0 for what never changes."""
        if self.count < 2:
            return np.ones_like(self.mean)
        deviation = np.sqrt(self.squares / self.count)
        return np.where(deviation < 1e-6, 0.0, 1.0 / np.maximum(deviation, 1e-6))

    def state(self) -> np.ndarray:
        return np.concatenate([[self.count], self.mean, self.squares])

    def restore(self, state: np.ndarray) -> None:
        size = len(self.mean)
        self.count, self.mean, self.squares = (
            float(state[0]),
            state[1 : 1 + size].copy(),
            state[1 + size :].copy(),
        )
