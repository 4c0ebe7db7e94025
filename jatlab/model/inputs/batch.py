"""What goes into a forward pass, a batch of timesteps or of text, and what comes out.

`jatlab.model.inputs.door` checks the inputs.

Letters: B batch, T timesteps, S text tokens, n and m values of a vector, k integers of a grid and
its mission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

OBSERVATIONS = ("continuous_observations", "discrete_observations", "image_observations")
ACTIONS = ("continuous_actions", "discrete_actions")
TEXT = ("input_ids", "pixel_values")


@dataclass(frozen=True)
class Timesteps:
    """A batch of B windows of T timesteps, padded on the right.

    Attributes:
        observation_name: one of `OBSERVATIONS`.
        observations: (B, T, n) real, (B, T, k) integers, or (B, T, 4, 84, 84) frames in [-1, 1].
        action_name: one of `ACTIONS`.
        actions: (B, T, m) real, or (B, T) integers.
        rewards: (B, T), the one that came with each observation.
        mask: (B, T), 1 where there is a timestep and 0 for padding; None: no padding.
        weight: (B, T), by which the losses are multiplied; None: 1.
        observation_sizes: (B,), how many values of its vectors each row really has; None: all n.
        action_sizes: (B,), the same of the actions.
    """

    observation_name: str
    observations: Tensor
    action_name: str
    actions: Tensor
    rewards: Tensor
    mask: Tensor | None = None
    weight: Tensor | None = None
    observation_sizes: Tensor | None = None
    action_sizes: Tensor | None = None

    @classmethod
    def of(cls, inputs: Mapping[str, Tensor | None]) -> Timesteps:
        """The batch of these arguments of `JatModel.forward`, whose values are not looked at.

        Raises `ValueError` unless there is exactly one kind of observations and one of actions.
        """
        observation_name, observed = exactly_one(OBSERVATIONS, inputs)
        action_name, acted = exactly_one(ACTIONS, inputs)
        rewards, sizes = inputs.get("rewards"), inputs.get("continuous_sizes")
        if rewards is None:
            rewards = observed.new_zeros(observed.shape[:2], dtype=torch.float)
        of_observations, of_actions = (None, None) if sizes is None else sizes.long().unbind(1)
        return cls(
            observation_name,
            native(observation_name, observed),
            action_name,
            native(action_name, acted),
            native("rewards", rewards),
            inputs.get("attention_mask"),
            inputs.get("loss_weight"),
            of_observations,
            of_actions,
        )

    @property
    def loss_mask(self) -> Tensor:
        """(B, T), 1 where a prediction counts."""
        if self.mask is None:
            return torch.ones_like(self.rewards)
        return self.mask.to(self.rewards.dtype)

    @property
    def loss_weight(self) -> Tensor:
        """(B, T), by which the losses are multiplied."""
        return torch.ones_like(self.rewards) if self.weight is None else self.weight


@dataclass(frozen=True)
class TextBatch:
    """A batch of B texts of S tokens, padded on the right, each behind a picture if there are any.

    Attributes:
        ids: (B, S) integers; S is 0 for pictures without text.
        pixels: (B, 3, h, w), or None.
        mask: (B, S), 1 where there is a token and 0 for padding.
    """

    ids: Tensor
    pixels: Tensor | None
    mask: Tensor

    @classmethod
    def of(cls, inputs: Mapping[str, Tensor | None]) -> TextBatch:
        """The batch of these arguments of `JatModel.forward`: ids, pixels, or both."""
        ids, pixels, mask = (inputs.get(name) for name in (*TEXT, "attention_mask"))
        if ids is None:
            assert pixels is not None
            ids = torch.zeros(len(pixels), 0, dtype=torch.long, device=pixels.device)
        return cls(ids.long(), pixels, torch.ones_like(ids) if mask is None else mask)


@dataclass
class JatOutput:
    """Losses, predictions and, where asked for, what happened inside.

    Fields that do not apply are None. Letters: B batch, T timesteps, P picture patches, S text
    tokens, L tokens, N heads, H hidden size, V vocabulary.

    Attributes:
        loss: the weighted sum of the two losses below, or the loss of text.
        action_loss: of the actions.
        observation_loss: of the observations that follow.
        pred_actions: (B, T, m) values or (B, T, V) logits.
        pred_observations: the observation that follows each action: (B, T, n) values,
            (B, T, 4, 84, 84) frames or (B, T, 148, 8) logits of the grid.
        logits: of text, (B, P + S, V).
        attentions: for each layer (B, N, L, L).
        hidden_states: (B, L, H), the input of each layer and the normalised output of the last.
        last_hidden_state: (B, L, H).
    """

    loss: Tensor | None = None
    action_loss: Tensor | None = None
    observation_loss: Tensor | None = None
    pred_actions: Tensor | None = None
    pred_observations: Tensor | None = None
    logits: Tensor | None = None
    attentions: tuple[Tensor, ...] | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    last_hidden_state: Tensor | None = None


def exactly_one(names: tuple[str, ...], inputs: Mapping[str, Tensor | None]) -> tuple[str, Tensor]:
    """The name and value of the only input. Raises `ValueError` unless there is exactly one."""
    given = [(name, value) for name in names if (value := inputs.get(name)) is not None]
    if len(given) != 1:
        found = ", ".join(name for name, _ in given) or "none"
        raise ValueError(
            f"a batch holds exactly one of {', '.join(names)}; given: {found} (or give input_ids)"
        )
    return given[0]


def native(name: str, value: Tensor) -> Tensor:
    """Integers as int64, real numbers as float32 (or float64); frames stay what they are."""
    if name.startswith("discrete"):
        return value.long()
    wide = value.dtype in (torch.float32, torch.float64) or name.startswith("image")
    return value if wide else value.float()


def first_copy(name: str, given: Tensor, features: Tensor) -> Tensor:
    """Of features into which continuous vectors are repeated, the first copy.

    Features of grids, frames and discrete actions are not repeated and come back unchanged.
    """
    return features[..., : given.shape[-1]] if name.startswith("continuous") else features


def with_reward(
    observations: Tensor, rewards: Tensor, sizes: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Vectors with their reward as the last value.

    Args:
        observations: (B, T, n).
        rewards: (B, T).
        sizes: (B,), how many of the n values each row really has; None: all.

    Returns:
        The vectors (B, T, n + 1), and the sizes (B,) of the rows now.
    """
    rewards = rewards[..., None].to(observations.dtype)
    if sizes is None:
        return torch.cat([observations, rewards], dim=-1), None
    place = sizes[:, None, None].expand_as(rewards)
    return F.pad(observations, (0, 1)).scatter(-1, place, rewards), sizes + 1
