"""The training loss of a batch of fixed shape, for a GPU: the numbers of `JatModel`.

`JatModel.forward` is the one to read. It looks at its data on the way: which integers occur, which
timesteps are padding. A GPU stops at each such question and waits for the host. Here no step
depends on the data, so that a whole training step can be captured once and replayed
(`torch.compile(fullgraph=True)`, CUDA graphs). Tests hold both equal.

What differs, and changes no number:

- The discrete encoder projects the whole vocabulary instead of the integers that occur. A grid's
  integers are below `GRID_VALUES` and are looked up by a matrix product: a table's backward pass
  adds up millions of rows for each of eight integers, which took 39 % of a step on an H100.
- Padding lies behind the timesteps. Attention is causal, so no timestep sees it, and its losses
  are multiplied by 0. Attention needs no mask of padding, and where the causal mask alone is left,
  the fast kernels of PyTorch can be used.
- Whether a batch is action-only is said by the caller.

Letters: B batch, T timesteps, L tokens, S text tokens, H hidden size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jatlab.model.attention import hide_past_actions, visible_keys
from jatlab.model.config import GRID_INTEGERS, JatConfig
from jatlab.model.inputs.batch import Timesteps
from jatlab.model.jat import JatModel
from jatlab.model.losses import action_loss, next_token_loss, observation_loss
from jatlab.model.transformer import LayerMasks

# above MiniGrid's largest integer, an object's 10; `DeviceTrainer` checks the data
GRID_VALUES = 16


def static_loss(model: JatModel, batch: dict[str, Tensor], action_only: bool = False) -> Tensor:
    """The loss of a batch, as `JatModel.forward` in training has it.

    Args:
        model: Its `objective` says which share of the frames is predicted and how the observation
            loss is weighted.
        batch: The arguments of `JatModel.forward`; padding lies behind what is there.
        action_only: Predict no observations and leave the action tokens out.

    Returns:
        A number of float32.
    """
    if "input_ids" in batch:
        return _text_loss(model, batch)
    return _timestep_loss(model, Timesteps.of(batch), action_only)


def _text_loss(model: JatModel, batch: dict[str, Tensor]) -> Tensor:
    tokens = model.text_embedding(batch["input_ids"])  # (B, S, H)
    patches = 0
    if "pixel_values" in batch:
        pictures = model.patch_encoder(batch["pixel_values"])  # (B, P, H)
        tokens, patches = torch.cat([pictures, tokens], dim=1), pictures.shape[1]
    masks = causal_masks(model.config, tokens.shape[1], every=1, device=tokens.device)
    hidden, _, _ = model.trunk(tokens, masks)
    logits = model.token_decoder(hidden[:, patches:])
    return next_token_loss(logits, batch["input_ids"], batch["attention_mask"])


def _timestep_loss(model: JatModel, batch: Timesteps, action_only: bool) -> Tensor:
    every, config = 2 if action_only else 1, model.config
    tokens = _embed(model, batch, action_only)  # (B, L, H)
    length, device = every * tokens.shape[1], tokens.device
    masks = causal_masks(config, length, every, config.hide_past_actions, device)
    hidden, _, _ = model.trunk(tokens, masks, torch.arange(0, length, every, device=device))
    actions = model.decode(batch.action_name, hidden if action_only else hidden[:, ::2])
    loss = config.action_loss_coef * action_loss(batch, actions)
    if action_only:
        return loss
    kept = model.objective.draw_frames(batch) if model.training else None
    after = hidden[:, 1::2] if kept is None else hidden[:, 1::2][:, kept]
    observations = model.decode_observations(batch.observation_name, after)
    error = observation_loss(batch, observations, kept, config.continuous_symlog)
    return loss + model.objective.observation_coefficient(config) * error


def _embed(model: JatModel, batch: Timesteps, action_only: bool) -> Tensor:
    if batch.observation_name == "discrete_observations":
        encoder, table = model.discrete_encoder, model.text_embedding.weight
        projected = F.relu(encoder.project(table))  # (V, bottleneck)
        features = _look_up(batch.observations, projected)
        observations = encoder.combine(features, batch.rewards)
    else:
        observations = model.embed_observations(
            batch.observation_name,
            batch.observations,
            batch.rewards,
            batch.observation_sizes,
            checked=True,
        )
    if action_only:
        return observations
    actions = model.embed_actions(
        batch.action_name, batch.actions, batch.action_sizes, checked=True
    )
    return model.interleave(observations, actions)


def _look_up(ids: Tensor, table: Tensor) -> Tensor:
    """Rows of ``table`` (V, n) for the integers of grids and missions (B, T, k): (B, T, k, n)."""
    grid, mission = ids[..., :GRID_INTEGERS], ids[..., GRID_INTEGERS:]
    values = torch.arange(GRID_VALUES, device=ids.device)
    chosen = (grid[..., None] == values).to(table.dtype)  # (B, T, 148, GRID_VALUES)
    return torch.cat([chosen @ table[:GRID_VALUES], F.embedding(mission, table)], dim=-2)


def causal_masks(
    config: JatConfig,
    length: int,
    every: int,
    hidden_actions: bool = False,
    device: torch.device | None = None,
) -> LayerMasks:
    """The mask of each kind of layer, (1, 1, L, L); None where it is the causal one.

    Args:
        config: Says how far a local layer sees.
        length: Tokens of the whole sequence, action tokens included.
        every: 2 for the observation tokens alone, 1 for all.
        hidden_actions: Observation tokens do not see past action tokens.
        device: Of the masks.
    """
    masks: dict[str, Tensor | None] = {}
    for kind, window in (("global", None), ("local", config.window_size)):
        masks[kind] = None
        far = window is not None and length > window
        if far or (hidden_actions and every == 1):
            index = torch.arange(0, length, every, device=device)
            visible = visible_keys(index, index, window)
            visible = hide_past_actions(visible, index, index) if hidden_actions else visible
            masks[kind] = visible[None, None]
    return masks
