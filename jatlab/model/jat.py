"""JAT, the whole model (arXiv 2402.09844): embed, trunk, heads, losses. Read this file first.

A timestep is two tokens: the observation with the reward that came with it, and the action. They
alternate, o0 a0 o1 a1 …; from an observation token the model predicts the action, from an action
token the next observation. Text and picture patches go through the same trunk. There is one set of
weights and no task or modality flag: a batch's inputs say what it is.

Letters: B batch, T timesteps, L = 2T tokens, S text tokens, P picture patches, H hidden size, N
heads, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jatlab.model.attention import DualAttention
from jatlab.model.checkpoint.pretrained import PretrainedModule
from jatlab.model.config import JatConfig
from jatlab.model.decoders import Decoding, DiscreteObservationDecoder, ImageDecoder
from jatlab.model.encoders import ContinuousEncoder, DiscreteEncoder, ImageEncoder, PatchEncoder
from jatlab.model.inputs.batch import JatOutput, TextBatch, Timesteps, first_copy, with_reward
from jatlab.model.inputs.door import Door, check_inputs
from jatlab.model.losses import action_loss, next_token_loss, observation_loss
from jatlab.model.objectives import EVERYTHING, Objective
from jatlab.model.transformer import Transformer, sequence_masks


class JatModel(Decoding, PretrainedModule):
    """The agent's network: `JatModel(JatConfig.preset("nano"))`.

    `objective` says what a training batch predicts; it has no effect in evaluation. `check_inputs`
    says whether the arguments are checked; a trainer, which has checked its data, switches it off.
    """

    def __init__(self, config: JatConfig):
        super().__init__()
        self.config = config
        self.objective: Objective = EVERYTHING
        self.check_inputs = True
        # words; also grid values and discrete actions
        self.text_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.patch_encoder = PatchEncoder(config)
        self.continuous_encoder = ContinuousEncoder(config)  # observations and actions
        self.discrete_encoder = DiscreteEncoder(config, self.text_embedding)
        self.image_encoder = ImageEncoder(config)
        self.trunk = Transformer(config)
        # words and discrete actions; not tied to the embedding
        self.token_decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.continuous_decoder = nn.Linear(config.hidden_size, config.max_continuous_size)
        self.discrete_decoder = DiscreteObservationDecoder(config)
        self.image_decoder = ImageDecoder(config)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(bias := getattr(module, "bias", None), Tensor):
                nn.init.zeros_(bias)
        if isinstance(module, DualAttention):
            # scores are not divided by sqrt(D): larger weights would make attention almost one-hot
            for projection in (module.query, module.key):
                nn.init.normal_(projection.weight, std=min(self.config.initializer_range, 0.02))

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        continuous_observations: Tensor | None = None,
        discrete_observations: Tensor | None = None,
        image_observations: Tensor | None = None,
        continuous_actions: Tensor | None = None,
        discrete_actions: Tensor | None = None,
        rewards: Tensor | None = None,
        attention_mask: Tensor | None = None,
        loss_weight: Tensor | None = None,
        continuous_sizes: Tensor | None = None,
        return_loss: bool = True,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> JatOutput:
        """Predict a batch of one kind: text, pictures and text, or timesteps.

        Args:
            input_ids: text, (B, S).
            pixel_values: pictures, (B, 3, h, w).
            continuous_observations: (B, T, n).
            discrete_observations: (B, T, k) integers.
            image_observations: (B, T, 4, 84, 84) in [-1, 1].
            continuous_actions: (B, T, m).
            discrete_actions: (B, T) integers.
            rewards: (B, T), the one that came with each observation.
            attention_mask: (B, S) or (B, T), 1 where there is a token or timestep.
            loss_weight: (B, T), by which the losses are multiplied.
            continuous_sizes: (B, 2), the sizes of each row's observation and action vectors.
            return_loss: compute the losses too.
            output_attentions: return the attention weights too.
            output_hidden_states: return the hidden states too.

        Raises:
            ValueError: for an impossible combination, a wrong shape, type or value, or more tokens
                than positions; see `jatlab.model.inputs.door`.
        """
        record = output_attentions or output_hidden_states
        inputs = {
            "input_ids": input_ids,
            "pixel_values": pixel_values,
            "continuous_observations": continuous_observations,
            "discrete_observations": discrete_observations,
            "image_observations": image_observations,
            "continuous_actions": continuous_actions,
            "discrete_actions": discrete_actions,
            "rewards": rewards,
            "attention_mask": attention_mask,
            "loss_weight": loss_weight,
            "continuous_sizes": continuous_sizes,
        }
        if self.check_inputs:
            check_inputs(self.config, self.text_embedding.weight.device, inputs, return_loss)
        if input_ids is not None or pixel_values is not None:
            output = self._forward_text(TextBatch.of(inputs), return_loss, record)
        else:
            output = self._forward_timesteps(Timesteps.of(inputs), return_loss, record)
        output.attentions = output.attentions if output_attentions else None
        output.hidden_states = output.hidden_states if output_hidden_states else None
        return output

    def _forward_text(self, batch: TextBatch, return_loss: bool, record: bool) -> JatOutput:
        parts = [] if batch.pixels is None else [self.patch_encoder(batch.pixels)]  # (B, P, H)
        if batch.ids.shape[1] or not parts:
            parts.append(self.text_embedding(batch.ids))  # (B, S, H)
        embeddings = torch.cat(parts, dim=1)
        length, patches = embeddings.shape[1], embeddings.shape[1] - batch.ids.shape[1]
        seen = torch.cat([batch.mask.new_ones(len(batch.mask), patches), batch.mask], dim=1)
        masks = sequence_masks(
            self.config, length, seen, device=embeddings.device, in_blocks=not record
        )
        hidden, attentions, streams = self.trunk(embeddings, masks, record=record)
        output = JatOutput(last_hidden_state=hidden, attentions=attentions, hidden_states=streams)
        logits = output.logits = self.token_decoder(hidden)
        if return_loss:
            output.loss = next_token_loss(logits[:, patches:], batch.ids, batch.mask)
        return output

    def _forward_timesteps(self, batch: Timesteps, return_loss: bool, record: bool) -> JatOutput:
        objective = self.objective if return_loss and self.training else EVERYTHING
        action_only = objective.draw_action_only(self.config)
        tokens = self._embed(batch, action_only)
        hidden, attentions, streams = self._run_trunk(tokens, batch.mask, action_only, record)
        output = JatOutput(last_hidden_state=hidden, attentions=attentions, hidden_states=streams)
        actions = self.decode(batch.action_name, hidden if action_only else hidden[:, ::2])
        output.pred_actions = first_copy(batch.action_name, batch.actions, actions)
        observations, kept = None, None
        if not action_only:
            kept = objective.draw_frames(batch)
            after = hidden[:, 1::2] if kept is None else hidden[:, 1::2][:, kept]
            observations = self.decode_observations(batch.observation_name, after)
            if observations is not None and kept is None:
                first = first_copy(batch.observation_name, batch.observations, observations)
                output.pred_observations = self.denormalise(batch.observation_name, first)
        if return_loss:
            output.action_loss = action_loss(batch, actions)
            as_symlog = self.config.continuous_symlog
            output.observation_loss = observation_loss(batch, observations, kept, as_symlog)
            kappa = objective.observation_coefficient(self.config)
            of_actions = self.config.action_loss_coef * output.action_loss
            output.loss = kappa * output.observation_loss + of_actions
        return output

    def _embed(self, batch: Timesteps, action_only: bool) -> Tensor:
        """o0 a0 o1 a1 …, (B, L, H); of an action-only batch o0 o1 …, (B, T, H)."""
        observed = batch.observations, batch.rewards, batch.observation_sizes
        observations = self.embed_observations(batch.observation_name, *observed, checked=True)
        if action_only:
            return observations
        acted = batch.actions, batch.action_sizes
        actions = self.embed_actions(batch.action_name, *acted, checked=True)
        return self.interleave(observations, actions)

    def embed_observations(
        self,
        name: str,
        observations: Tensor,
        rewards: Tensor,
        sizes: Tensor | None = None,
        checked: bool = False,
    ) -> Tensor:
        """One vector a timestep, (B, T, H).

        Args:
            name: one of `OBSERVATIONS`, such as "continuous_observations".
            observations: as `forward` takes them.
            rewards: (B, T), those that came with them.
            sizes: (B,), how many values each row's vectors really have; None: all.
            checked: the arguments have been checked.

        Raises:
            ValueError: for a wrong shape, type or value.
        """
        if self.check_inputs and not checked:
            door = Door(self.config, self.text_embedding.weight.device, sizes="sizes")
            observations = door.of_observations(name, observations, rewards, sizes)
        if name == "continuous_observations":
            return self.continuous_encoder(*with_reward(observations, rewards, sizes))
        if name == "discrete_observations":
            return self.discrete_encoder(observations, rewards)
        return self.image_encoder(observations)  # as published: an image's reward is not embedded

    def embed_actions(
        self, name: str, actions: Tensor, sizes: Tensor | None = None, checked: bool = False
    ) -> Tensor:
        """One vector a timestep, (B, T, H).

        Args:
            name: one of `ACTIONS`, such as "discrete_actions".
            actions: (B, T, m) or (B, T).
            sizes: (B,), how many values each row's vectors really have; None: all.
            checked: the arguments have been checked.

        Raises:
            ValueError: for a wrong shape, type or value.
        """
        if self.check_inputs and not checked:
            door = Door(self.config, self.text_embedding.weight.device, sizes="sizes")
            actions = door.of_actions(name, actions, sizes)
        if name == "continuous_actions":
            return self.continuous_encoder(actions, sizes)
        return self.text_embedding(actions)

    @staticmethod
    def interleave(observations: Tensor, actions: Tensor) -> Tensor:
        """o0 a0 o1 a1 …: two of (B, T, H) -> (B, L, H)."""
        return torch.stack([observations, actions], dim=2).flatten(1, 2)

    def _run_trunk(
        self, tokens: Tensor, mask: Tensor | None, action_only: bool, record: bool
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The trunk over all tokens, or only the observations', each at its position."""
        every = 2 if action_only else 1
        length = every * tokens.shape[1]
        padding = None if mask is None else mask.repeat_interleave(2, dim=1)  # (B, T) -> (B, L)
        hidden = self.objective.draw_hidden_actions(
            self.config, self.training, len(tokens), tokens.device
        )
        masks = sequence_masks(
            self.config, length, padding, hidden, tokens.device, every, in_blocks=not record
        )
        positions = torch.arange(self.trunk.fitting(length), device=tokens.device)[::every]
        return self.trunk(tokens, masks, positions, record=record)
