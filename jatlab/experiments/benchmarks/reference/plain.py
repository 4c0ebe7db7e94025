"""The published model in its plain form: what `jatlab`'s training speed is compared with.

Somebody without this package would build the published JAT (arXiv 2402.09844, section 3) from the
GPT-Neo of `transformers`, as its authors did. `PlainJat` does that, and computes everything:

- The trunk is `transformers.GPTNeoModel`: attention in full under explicit masks.
- Each integer of a grid and its mission is embedded with all H features, then reduced.
- Action tokens are always there, and the observation after each of them is always predicted.

It has the published encoders, decoders and losses, and the sizes of a `JatConfig`. Of the variants
that a small configuration may have, it ignores those of the published parts: Fourier features,
symlog, the discrete encoder's gates and residual layers, and hidden past actions. With the weights
of a `JatModel` without them it computes the same loss; a test holds both equal.

`PlainJat` needs `transformers`, which only the benchmark and the lessons install.

Letters: B batch, T timesteps, L = 2T tokens, S text tokens, P picture patches, H hidden size, V
vocabulary, k integers of a grid and its mission.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GPTNeoConfig, GPTNeoModel

from jatlab.model.config import JatConfig
from jatlab.model.decoders import DiscreteObservationDecoder, ImageDecoder
from jatlab.model.encoders import ImageEncoder, PatchEncoder, repeat_to
from jatlab.model.inputs.batch import JatOutput, TextBatch, Timesteps, with_reward
from jatlab.model.losses import action_loss, next_token_loss, observation_loss

INITIAL = 0.02  # standard deviation of the published initial weights
TRUNK_FIELDS = (  # of a `JatConfig` that a `GPTNeoConfig` has under the same name
    "vocab_size", "max_position_embeddings", "hidden_size", "num_layers", "attention_types",
    "num_heads", "intermediate_size", "window_size", "activation_function", "resid_dropout",
    "embed_dropout", "attention_dropout", "layer_norm_epsilon",
)  # fmt: skip


def gpt_neo(config: JatConfig) -> GPTNeoModel:
    """The trunk with the text table, of the sizes of ``config``."""
    sizes = {name: getattr(config, name) for name in TRUNK_FIELDS}
    last = config.vocab_size - 1  # GPT-2's end of text; no token means anything to the trunk
    return GPTNeoModel(
        GPTNeoConfig(**sizes, initializer_range=INITIAL, bos_token_id=last, eos_token_id=last)
    )


class FullWidthEncoder(nn.Module):
    """Integers and the reward, each integer with all its H features."""

    def __init__(self, config: JatConfig) -> None:
        super().__init__()
        self.project = nn.Linear(config.hidden_size, config.bottleneck)
        self.mix = nn.Linear(config.max_discrete_value * config.bottleneck, config.hidden_size - 1)

    def forward(self, embedded: Tensor, rewards: Tensor) -> Tensor:
        """``embedded`` (B, T, k, H), ``rewards`` (B, T) -> (B, T, H)."""
        features = F.relu(self.project(embedded)).flatten(-2)  # (B, T, k bottleneck)
        return torch.cat([self.mix(features), rewards[..., None]], dim=-1)


class PlainJat(nn.Module):
    """The published network on GPT-Neo: `PlainJat(JatConfig.preset("paper"))`.

    `forward` takes the batches that `JatModel.forward` takes.
    """

    def __init__(self, config: JatConfig) -> None:
        super().__init__()
        self.config = config
        hidden, size = config.hidden_size, config.max_continuous_size
        self.continuous_encoder = nn.Linear(size, hidden)  # observations and actions
        self.discrete_encoder = FullWidthEncoder(config)
        self.image_encoder = ImageEncoder(config)
        self.patch_encoder = PatchEncoder(config)
        self.continuous_decoder = nn.Linear(hidden, size)
        self.discrete_decoder = DiscreteObservationDecoder(config)
        self.image_decoder = ImageDecoder(config)
        self.token_decoder = nn.Linear(hidden, config.vocab_size, bias=False)
        self.apply(_initialise)
        self.transformer = gpt_neo(config)  # it initialises itself

    def forward(self, **batch: Tensor) -> JatOutput:
        """The losses of a batch of one kind, with the arguments of `JatModel.forward`."""
        if "input_ids" in batch:
            return self._text(TextBatch.of(batch))
        return self._timesteps(Timesteps.of(batch))

    def _text(self, batch: TextBatch) -> JatOutput:
        tokens, mask = self.transformer.wte(batch.ids), batch.mask  # (B, S, H), (B, S)
        if batch.pixels is not None:
            patches = self.patch_encoder(batch.pixels)  # (B, P, H)
            tokens = torch.cat([patches, tokens], dim=1)
            mask = torch.cat([mask.new_ones(patches.shape[:2]), mask], dim=1)  # (B, P + S)
        logits = self.token_decoder(self._hidden(tokens, mask))
        after = logits[:, logits.shape[1] - batch.ids.shape[1] :]  # (B, S, V)
        return JatOutput(loss=next_token_loss(after, batch.ids, batch.mask), logits=logits)

    def _timesteps(self, batch: Timesteps) -> JatOutput:
        tokens = torch.stack([self._observations(batch), self._actions(batch)], dim=2).flatten(1, 2)
        mask = None if batch.mask is None else batch.mask.repeat_interleave(2, dim=1)  # (B, L)
        hidden = self._hidden(tokens, mask)
        of_actions = action_loss(batch, self._decode_actions(batch, hidden[:, ::2]))
        predicted = self._decode_observations(batch, hidden[:, 1::2])
        of_observations = observation_loss(batch, predicted, kept=None, as_symlog=False)
        loss = (
            self.config.observation_loss_coef * of_observations
            + self.config.action_loss_coef * of_actions
        )
        return JatOutput(loss=loss, action_loss=of_actions, observation_loss=of_observations)

    def _hidden(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """``tokens`` (B, L, H), ``mask`` (B, L), 0 for padding -> hidden states (B, L, H)."""
        # a cache, on by default, would only cost in training
        output = self.transformer(inputs_embeds=tokens, attention_mask=mask, use_cache=False)
        return output.last_hidden_state

    # --- from a batch to tokens, (B, T, H)

    def _observations(self, batch: Timesteps) -> Tensor:
        if batch.observation_name == "continuous_observations":
            vectors = with_reward(batch.observations, batch.rewards, batch.observation_sizes)
            return self._vectors(*vectors)
        if batch.observation_name == "discrete_observations":
            embedded = self.transformer.wte(batch.observations)  # (B, T, k, H)
            return self.discrete_encoder(embedded, batch.rewards)
        return self.image_encoder(batch.observations)  # as published: without the reward

    def _actions(self, batch: Timesteps) -> Tensor:
        if batch.action_name == "continuous_actions":
            return self._vectors(batch.actions, batch.action_sizes)
        return self.transformer.wte(batch.actions)

    def _vectors(self, vectors: Tensor, sizes: Tensor | None) -> Tensor:
        """``vectors`` (B, T, n), of which a row has ``sizes`` (B,) values; None: all."""
        return self.continuous_encoder(repeat_to(vectors, self.config.max_continuous_size, sizes))

    # --- from hidden states (B, T, H) to predictions

    def _decode_actions(self, batch: Timesteps, hidden: Tensor) -> Tensor:
        """Repeated values (B, T, 377), or logits (B, T, V)."""
        continuous = batch.action_name == "continuous_actions"
        return self.continuous_decoder(hidden) if continuous else self.token_decoder(hidden)

    def _decode_observations(self, batch: Timesteps, hidden: Tensor) -> Tensor | None:
        """Repeated values, frames or grids; None for grids where the preset predicts none.

        The published model has a decoder of grids and does not use it.
        """
        if batch.observation_name == "continuous_observations":
            return self.continuous_decoder(hidden)
        if batch.observation_name == "image_observations":
            return self.image_decoder(hidden)
        return self.discrete_decoder(hidden) if self.config.predict_discrete_observations else None


class PlainActor:
    """Acts as published: the last two timesteps are fed again behind a cache of the earlier ones.

    Every prediction is computed at every step, over the whole vocabulary.

    Args:
        model: who acts.
        context: timesteps; those before the last two are random.
    """

    def __init__(self, model: PlainJat, context: int) -> None:
        self.model = model
        before = torch.randn(1, 2 * context - 4, model.config.hidden_size)
        with torch.no_grad():
            output = model.transformer(inputs_embeds=before, use_cache=True)
        self.past = output.past_key_values

    @torch.no_grad()
    def act(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """The predicted action and observation after the last of two timesteps.

        ``batch`` is as `JatModel.forward` takes it. The cache is as before afterwards.
        """
        model, steps = self.model, Timesteps.of(batch)
        tokens = torch.stack([model._observations(steps), model._actions(steps)], 2).flatten(1, 2)
        hidden = model.transformer(
            inputs_embeds=tokens, past_key_values=self.past, use_cache=True
        ).last_hidden_state
        self.past.crop(-tokens.shape[1])
        actions = model._decode_actions(steps, hidden[:, ::2])
        observations = model._decode_observations(steps, hidden[:, 1::2])
        return actions[:, -1], None if observations is None else observations[:, -1]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=INITIAL)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
