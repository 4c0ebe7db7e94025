"""A small policy in NumPy: normalise the observation, a few layers with tanh, clip at the limits.

    action = limit * clip(layers((observation - mean) * scale), -1, 1)

One layer makes it linear. A file holds its tensors: ``mean`` and ``scale`` (n,), ``limit`` (m,),
``weight.0`` (h, n), ``bias.0`` (h,), ``weight.1`` … up to m outputs. Where actions are choices, the
layers' outputs are their scores, and ``limit`` is 1.
"""

from __future__ import annotations

import numpy as np
from numpy import add, dot, maximum, minimum, multiply, subtract, tanh

from jatlab.utils.checks import require

ONE = np.float32(1.0)
FARTHEST = np.float32(10.0)  # in standard deviations: what lies farther counts as this far


def _clip(values: np.ndarray, at: np.float32) -> np.ndarray:
    """Within -at and at. ``np.clip`` takes as long as a layer of the network."""
    return np.minimum(np.maximum(values, -at), at)


class Policy:
    """Acts from the tensors of a policy.

    Raises ValueError where they do not fit each other or the sizes (n, m) asked for.
    """

    def __init__(self, tensors: dict[str, np.ndarray], sizes: tuple[int, int] | None = None):
        layers = sum(name.startswith("weight.") for name in tensors)
        _check_names(tensors, layers)
        self.tensors = {
            name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()
        }
        self.mean, self.scale = self.tensors["mean"], self.tensors["scale"]  # (n,)
        self.limit = self.tensors["limit"]  # (m,)
        self.layers = [
            (self.tensors[f"weight.{i}"].T, self.tensors[f"bias.{i}"]) for i in range(layers)
        ]
        self._check_shapes(*(sizes or (len(self.mean), len(self.limit))))
        # arrays in which _act computes: converting a number takes as long as using it
        self._values = np.empty_like(self.mean)
        self._outputs = [np.empty_like(bias) for _, bias in self.layers]
        self._far = np.full_like(self.mean, -FARTHEST), np.full_like(self.mean, FARTHEST)
        self._one = np.full_like(self.limit, -ONE), np.full_like(self.limit, ONE)

    def _check_shapes(self, observations: int, actions: int) -> None:
        widths = [observations, *(len(bias) for _, bias in self.layers[:-1]), actions]
        shapes: dict[str, tuple[int, ...]] = {
            "mean": (observations,),
            "scale": (observations,),
            "limit": (actions,),
        }
        for i in range(len(self.layers)):
            shapes |= {f"weight.{i}": (widths[i + 1], widths[i]), f"bias.{i}": (widths[i + 1],)}
        for name, shape in shapes.items():
            found = self.tensors[name].shape
            require(found == shape, f"tensor {name} must have shape {shape}, it has {found}")
            require(
                np.isfinite(self.tensors[name]).all(),
                f"tensor {name} holds values that are not finite",
            )

    def normalise(self, observation: np.ndarray) -> np.ndarray:
        """Observations, (…, n), in standard deviations from the mean."""
        return _clip((observation - self.mean) * self.scale, FARTHEST)

    def choose(self, observation: np.ndarray) -> int:
        """The best choice for an observation (n,), in a task with discrete actions."""
        return int(self.mean_action(observation).argmax())

    def mean_action(self, observation: np.ndarray) -> np.ndarray:
        """The outputs before clipping: (…, n) -> (…, m).

        1 is the limit; in a task with discrete actions, outputs are the actions' scores.
        """
        values = self.normalise(observation)
        for i, (weight, bias) in enumerate(self.layers):
            values = (np.tanh(values) if i else values) @ weight + bias
        return values

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """The action, (…, n) -> (…, m) float32, within the limits."""
        if observation.shape == self.mean.shape and observation.dtype == np.float32:
            return self._act(observation)
        return self.limit * _clip(self.mean_action(observation), ONE)

    def _act(self, observation: np.ndarray) -> np.ndarray:
        """One observation, (n,) -> (m,), without making new arrays.

        The operations and their order are those of the formula. This is a quarter faster, which
        matters where a step of the environment takes only five times as long.
        """
        low, high = self._far
        values = subtract(observation, self.mean, out=self._values)
        multiply(values, self.scale, out=values)
        minimum(maximum(values, low, out=values), high, out=values)
        for i, (weight, bias) in enumerate(self.layers):
            if i:
                tanh(values, out=values)
            values = dot(values, weight, out=self._outputs[i])
            add(values, bias, out=values)
        low, high = self._one
        return self.limit * minimum(maximum(values, low, out=values), high, out=values)


def _check_names(tensors: dict[str, np.ndarray], layers: int) -> None:
    kinds = ("weight", "bias")
    wanted = {"mean", "scale", "limit"} | {f"{k}.{i}" for k in kinds for i in range(layers)}
    require(
        layers and set(tensors) == wanted,
        "a policy has the tensors mean, scale, limit, weight.0, bias.0 and so on; here are "
        f"{', '.join(sorted(tensors)) or 'none'}",
    )


class Normaliser:
    """Running mean and variance of observations.

    The sums merge exactly, in whatever portions the observations come.
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
        """Count, mean and sum of squares in one row, (1 + 2 n,)."""
        return np.concatenate([[self.count], self.mean, self.squares])

    def restore(self, state: np.ndarray) -> None:
        """Go on from a :meth:`state`."""
        size = len(self.mean)
        self.count = float(state[0])
        self.mean, self.squares = state[1 : 1 + size].copy(), state[1 + size :].copy()
