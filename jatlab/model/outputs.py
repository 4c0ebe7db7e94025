"""What a forward pass returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
