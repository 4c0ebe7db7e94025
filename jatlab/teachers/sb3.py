"""A policy of stable-baselines3 as a teacher, read from the zip file that ``model.save`` wrote.

stable-baselines3 itself is not needed. Its zip holds JSON, in which some values are pickles, and
weights of torch. Pickles run code when they are loaded, so they are never touched: the network is
rebuilt from the names and shapes of its weights, which torch reads with ``weights_only=True``.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import Teacher
from jatlab.utils.checks import require
from jatlab.utils.files import expanded

if TYPE_CHECKING:
    import gymnasium as gym

Weights = dict[str, np.ndarray]
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Tanh": np.tanh,
    "ReLU": lambda values: np.maximum(values, 0),
    "ELU": lambda values: np.where(values > 0, values, np.expm1(np.minimum(values, 0))),
    "LeakyReLU": lambda values: np.where(values > 0, values, 0.01 * values),
}
SERVED = "PPO, A2C, DQN, SAC, TD3 and DDPG with MlpPolicy"


@dataclass(frozen=True)
class Kind:
    """How a family of algorithms stores and uses its policy.

    Attributes:
        hidden: prefix of the layers before the last.
        last: name of the last layer; "" where it is numbered as the others.
        activation: between the layers, unless the policy was given another.
        squash: whether the output is squashed and stretched to the action space.
    """

    hidden: str
    last: str
    activation: str
    squash: bool


KINDS = (
    Kind("mlp_extractor.policy_net", "action_net", "Tanh", False),  # PPO, A2C
    Kind("q_net.q_net", "", "ReLU", False),  # DQN
    Kind("actor.latent_pi", "actor.mu", "ReLU", True),  # SAC
    Kind("actor.mu", "", "ReLU", True),  # TD3, DDPG
)


class SB3Teacher(Teacher):
    """Acts as ``model.predict(observation, deterministic=True)`` does.

    Args:
        path: the zip file. Its policy must be an MlpPolicy of vectors; the task observes the same
            vector, and has `Discrete` or `Box` actions.
        observe: what the policy sees of an observation, such as a normalised one; None: the task's
            ``continuous_observation``. The statistics of ``VecNormalize`` are not in the zip.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no zip of stable-baselines3, or holds a policy that is not served.
    """

    def __init__(
        self, path: str | Path, observe: Callable[[Observation], np.ndarray] | None = None
    ):
        self.path, self.observe = expanded(path), observe or _vector
        weights, settings = read_zip(self.path)
        self.kind = _kind_of(weights, self.path)
        self.layers = _layers(weights, self.kind)
        self.activation = _activation(settings, self.kind, self.path)
        require(
            not settings.get("use_sde"),
            f"{self.path}: policies with use_sde=True are not served",
        )

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Take the limits of the actions from the environment."""
        from gymnasium.spaces import Box

        space, size = env.action_space, len(self.layers[-1][1])
        self.box = space if isinstance(space, Box) else None
        wanted = int(self.box.low.size) if self.box else int(getattr(space, "n", -1))
        require(
            size == wanted,
            f"{self.path} was trained with {size} actions, and the task has {space}",
        )

    def act(self, observation: Observation, executed: Action | None = None) -> Action:
        """The policy's likeliest action."""
        values = np.asarray(self.observe(observation), np.float32).reshape(-1)
        size = self.layers[0][0].shape[1]
        require(
            len(values) == size,
            f"{self.path} was trained on {size} numbers, and the task observes {len(values)}",
        )
        for weight, bias in self.layers[:-1]:
            values = self.activation(weight @ values + bias)
        weight, bias = self.layers[-1]
        return self._action(weight @ values + bias)

    def _action(self, output: np.ndarray) -> Action:
        if self.box is None:
            return int(output.argmax())
        low, high = self.box.low.reshape(-1), self.box.high.reshape(-1)
        if self.kind.squash:
            output = low + (np.tanh(output) + 1) / 2 * (high - low)
        return np.clip(output, low, high).astype(np.float32)


def _vector(observation: Observation) -> np.ndarray:
    require(
        "continuous_observation" in observation,
        f"the policy needs a vector, and the task observes {', '.join(observation)}: give "
        "SB3Teacher a function that makes one (observe=)",
    )
    return np.asarray(observation["continuous_observation"])


LARGEST = 10**9  # bytes of a part of the zip: a policy of vectors has some megabytes


def read_zip(path: Path) -> tuple[Weights, dict[str, Any]]:
    """The policy's weights, and the settings that are plain JSON, without loading any pickle.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no zip of stable-baselines3, or its weights would need a pickle.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as file:
            settings = json.loads(_unpack(file, "data"))
            stored = io.BytesIO(_unpack(file, "policy.pth"))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is no file that model.save of stable-baselines3 wrote: {error}"
        ) from None
    try:
        weights = torch.load(stored, map_location="cpu", weights_only=True)
        return {name: value.float().numpy() for name, value in weights.items()}, settings
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: policy.pth holds more than weights, and is not loaded: it could run any "
            f"code ({reason})"
        ) from None


def _unpack(file: zipfile.ZipFile, name: str) -> bytes:
    """A part of a zip file. Raises ValueError, before it is unpacked, for one that is too large."""
    size = file.getinfo(name).file_size
    require(
        size <= LARGEST,
        f"{name} unpacks to {size / 1e9:.2f} GB, expected at most {LARGEST / 1e9:.0f}",
    )
    return file.read(name)


def _kind_of(weights: Weights, path: Path) -> Kind:
    names = list(weights)
    unserved = [name for name in names if "features_extractor." in name or ".lstm" in name]
    for kind in KINDS:
        begins = any(name.startswith(f"{kind.hidden}.") for name in names)
        ends = not kind.last or f"{kind.last}.weight" in weights
        if begins and ends and not unserved:
            return kind
    raise ValueError(
        f"{path} holds a policy that is not served ({', '.join((unserved or names)[:3])}, …): "
        f"{SERVED} are"
    )


def _layers(weights: Weights, kind: Kind) -> list[tuple[np.ndarray, np.ndarray]]:
    """(weight (out, in), bias (out,)) of each layer."""
    pattern = re.compile(rf"{re.escape(kind.hidden)}\.(\d+)\.weight")
    numbers = sorted(int(match[1]) for match in map(pattern.fullmatch, weights) if match)
    names = [f"{kind.hidden}.{number}" for number in numbers]
    names += [kind.last] if kind.last else []
    return [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names]


def _activation(
    settings: dict[str, Any], kind: Kind, path: Path
) -> Callable[[np.ndarray], np.ndarray]:
    """What lies between the layers; JSON has the name of the class beside its pickle."""
    given = (settings.get("policy_kwargs") or {}).get("activation_fn")
    name = kind.activation if given is None else str(given).rstrip("'>").rpartition(".")[2]
    require(
        name in ACTIVATIONS,
        f"{path}: the activation {given} is not served; {', '.join(ACTIVATIONS)} are",
    )
    return ACTIVATIONS[name]
