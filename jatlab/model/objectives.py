"""What a training batch predicts: everything, as in the paper, or a random part of it.

Decoding frames costs twice what encoding them does, and an action token costs as much as an
observation token. An `Objective` says which share of both a training computes. In evaluation the
model predicts everything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jatlab.model.config import JatConfig
from jatlab.model.inputs.batch import Timesteps
from jatlab.utils.checks import require


@dataclass(frozen=True)
class Objective:
    """The shares of a training's predictions that are computed; the defaults are the paper's: all.

    Attributes:
        frames_predicted: share of the timesteps whose next frame is predicted, drawn anew for each
            batch of frames.
        observations_predicted: share of the batches that predict observations. The others are
            action-only: they leave the action tokens out, which halves their tokens. Observations
            must then never see past actions (`JatConfig.hide_past_actions`).
        past_action_dropout: share of the windows whose observations cannot see past actions.

    Raises:
        ValueError: for a number that is no such share.
    """

    frames_predicted: float = 1.0
    observations_predicted: float = 1.0
    past_action_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("frames_predicted", "observations_predicted"):
            share = getattr(self, name)
            require(0 < share <= 1, f"{name} {share} is a share: above 0, at most 1")
        require(
            0 <= self.past_action_dropout < 1,
            f"past_action_dropout {self.past_action_dropout} is a share: from 0 to below 1 (to "
            "hide all past actions, set the model's hide_past_actions)",
        )

    def check(self, config: JatConfig) -> None:
        """Raise `ValueError` where a model of ``config`` cannot be trained for this objective."""
        require(
            self.observations_predicted == 1 or config.hide_past_actions,
            f"observations_predicted {self.observations_predicted}: action-only batches need "
            "observations that never see past actions (hide_past_actions=True)",
        )

    def draw_action_only(self, config: JatConfig) -> bool:
        """Whether a batch predicts actions only and leaves its action tokens out.

        Raises `ValueError` where the observations of a model of ``config`` see past actions.
        """
        if self.observations_predicted == 1:
            return False
        self.check(config)
        return torch.rand(()).item() >= self.observations_predicted

    def draw_hidden_actions(
        self, config: JatConfig, training: bool, batch: int, device: torch.device
    ) -> Tensor | None:
        """The windows whose observations cannot see past actions.

        Args:
            config: the model's; it may hide them always.
            training: only then are windows drawn.
            batch: how many windows there are, B.
            device: where to put the result.

        Returns:
            (B,) booleans; None: no window.
        """
        if config.hide_past_actions:
            return torch.ones(batch, dtype=torch.bool, device=device)
        if self.past_action_dropout == 0 or not training:
            return None
        return torch.rand(batch, device=device) < self.past_action_dropout

    def draw_frames(self, batch: Timesteps) -> Tensor | None:
        """The timesteps of a batch whose next frame is predicted, (K,); None: all, or no frames."""
        steps = batch.rewards.shape[1] - 1  # the last timestep has no next frame
        frames = batch.observation_name == "image_observations"
        if not frames or self.frames_predicted == 1 or steps < 1:
            return None
        kept = math.ceil(self.frames_predicted * steps)
        return torch.rand(steps, device=batch.observations.device).argsort()[:kept]

    def observation_coefficient(self, config: JatConfig) -> float:
        """The weight of the observation loss in training.

        It is divided by the share of the batches that predict observations, so that the expected
        loss is unchanged.
        """
        return config.observation_loss_coef / self.observations_predicted


EVERYTHING = Objective()
