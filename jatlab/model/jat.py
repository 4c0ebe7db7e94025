"""JAT, whole (arXiv 2402.09844): embed, trunk, heads, losses. Read this file first.

A timestep is two tokens: the observation with the reward that came with it, and the action. They
alternate, o0 a0 o1 a1 …; from an observation token the model predicts the action, from an action
token the next observation. Text and picture patches go through the same trunk. There is one set of
weights, and no task or modality flag: a batch's inputs say what it is.

Letters: B batch, T timesteps, L = 2T tokens, S text tokens, P picture patches, H hidden size, N
heads, V vocabulary.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from jatlab.agents.hub import find_folder
from jatlab.model.attention import DualAttention
from jatlab.model.checkpoint.official import read_config
from jatlab.model.checkpoint.weights import build_from_file, save_weights
from jatlab.model.config import GRID_INTEGERS, JatConfig
from jatlab.model.decoders import DiscreteObservationDecoder, ImageDecoder
from jatlab.model.encoders import (
    ContinuousEncoder,
    DiscreteEncoder,
    ImageEncoder,
    PatchEncoder,
    repeat_to,
    symexp,
    symlog,
)
from jatlab.model.losses import cross_entropy, next_token_loss, squared_error
from jatlab.model.transformer import Transformer, sequence_masks

OBSERVATIONS = ("continuous_observations", "discrete_observations", "image_observations")
ACTIONS = ("continuous_actions", "discrete_actions")


@dataclass
class JatOutput:
    """What a forward pass returns; fields that do not apply are None.

    `pred_actions` (B, T, m) values or (B, T, V) logits; `pred_observations` the observation that
    follows each action: (B, T, n) values, (B, T, 4, 84, 84) frames or (B, T, 148, 8) logits of the
    grid; `logits` (B, P + S, V) for text; `attentions` per layer (B, N, L, L); `hidden_states` (B,
    L, H), one per layer's input and the last one normalised.
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


class JatModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="jatlab",
    repo_url="https://github.com/jatlab/jatlab",
    license="apache-2.0",
):
    """The agent's network. `JatModel(JatConfig.preset("nano"))` makes one; `save_pretrained` and
    `from_pretrained` keep and load it.
    """

    def __init__(self, config: JatConfig):
        super().__init__()
        self.config = config
        self.text_embedding = nn.Embedding(
            config.vocab_size, config.hidden_size
        )  # also grid values and discrete actions
        self.patch_encoder = PatchEncoder(config)
        self.continuous_encoder = ContinuousEncoder(config)  # observations and actions
        self.discrete_encoder = DiscreteEncoder(config, self.text_embedding)
        self.image_encoder = ImageEncoder(config)
        self.trunk = Transformer(config)
        self.token_decoder = nn.Linear(
            config.hidden_size, config.vocab_size, bias=False
        )  # text and discrete actions; not tied
        self.continuous_decoder = nn.Linear(config.hidden_size, config.max_continuous_size)
        self.discrete_decoder = DiscreteObservationDecoder(config)
        self.image_decoder = ImageDecoder(config)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)
        if isinstance(
            module, DualAttention
        ):  # scores are not divided by sqrt(D): larger queries and keys would start all but one-hot
            for projection in (module.query, module.key):
                nn.init.normal_(projection.weight, std=min(self.config.initializer_range, 0.02))

    # --- keep and load
    # -------------------------------------------------------------------------------------------------------

    def _save_pretrained(self, save_directory: Path) -> None:  # a hook of the mixin
        save_weights(self, Path(save_directory) / "model.safetensors")

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        dtype: torch.dtype | str | None = None,
        device: str = "cpu",
        **hub,
    ) -> "JatModel":
        """The model in a folder, or in a repository OWNER/NAME of the hub, in our layout or the
        published one: mapped, not copied.

        `dtype`: float32 or bfloat16 (default: see `WeightFile.usual_dtype`). `hub` and errors as
        `find_folder` and `read_config` have them.
        """
        folder = find_folder(name_or_folder, **hub)
        config = read_config(folder / "config.json")
        return (
            build_from_file(lambda: cls(config), folder / "model.safetensors", dtype)
            .to(device)
            .eval()
        )

    # --- forward
    # -------------------------------------------------------------------------------------------------------------

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
        """Predict, and with `return_loss` score, a batch of one kind: text, picture and text, or
        timesteps.

        Text: `input_ids` (B, S), `pixel_values` (B, 3, h, w). Timesteps: one of the observations,
        (B, T, n) real, (B, T, k) integers or (B, T, 4, 84, 84) in [-1, 1]; one of the actions, (B,
        T, m) real or (B, T) integers; `rewards` (B, T), the one that came with each observation.
        `attention_mask` (B, S or T) is 1 where there is something; `loss_weight` (B, T) scales the
        losses. Where vectors of different sizes lie side by side, `continuous_sizes` (B, 2) says
        how many values each row's observations and actions have. Raises `ValueError` for an
        impossible combination, a wrong size, or more tokens than positions.
        """
        record = output_attentions or output_hidden_states
        if input_ids is not None or pixel_values is not None:
            output, attentions, streams = self._forward_text(
                input_ids, pixel_values, attention_mask, return_loss, record
            )
        else:
            observations = _exactly_one(
                OBSERVATIONS, (continuous_observations, discrete_observations, image_observations)
            )
            actions = _exactly_one(ACTIONS, (continuous_actions, discrete_actions))
            output, attentions, streams = self._forward_timesteps(
                observations,
                actions,
                rewards,
                attention_mask,
                loss_weight,
                continuous_sizes,
                return_loss,
                record,
            )
        output.attentions = attentions if output_attentions else None
        output.hidden_states = streams if output_hidden_states else None
        return output

    def _forward_text(self, input_ids, pixel_values, mask, return_loss, record):
        parts = [] if pixel_values is None else [self.patch_encoder(pixel_values)]  # (B, P, H)
        parts += [] if input_ids is None else [self.text_embedding(input_ids)]  # (B, S, H)
        embeddings = torch.cat(parts, dim=1)
        text = (
            input_ids
            if input_ids is not None
            else embeddings.new_zeros(len(embeddings), 0, dtype=torch.long)
        )
        mask = torch.ones_like(text) if mask is None else mask
        patches = embeddings.shape[1] - text.shape[1]
        padding = torch.cat([mask.new_ones(len(mask), patches), mask], dim=1)
        masks = sequence_masks(self.config, embeddings.shape[1], padding, device=embeddings.device)
        hidden, attentions, streams = self.trunk(embeddings, masks, record=record)
        output = JatOutput(logits=self.token_decoder(hidden), last_hidden_state=hidden)
        if return_loss:
            output.loss = next_token_loss(output.logits[:, patches:], text, mask)
        return output, attentions, streams

    def _forward_timesteps(
        self, observations, actions, rewards, mask, weight, sizes, return_loss, record
    ):
        sizes = (None, None) if sizes is None else sizes.unbind(1)
        rewards = (
            observations[1].new_zeros(observations[1].shape[:2], dtype=torch.float)
            if rewards is None
            else rewards
        )
        alone = return_loss and self._drawn_to_act_alone()
        tokens = self.embed_observations(*observations, rewards, sizes[0])
        tokens = (
            tokens if alone else self.interleave(tokens, self.embed_actions(*actions, sizes[1]))
        )
        hidden, attentions, streams = self._pass(tokens, mask, 2 if alone else 1, record)
        output = JatOutput(last_hidden_state=hidden)
        features = {
            "action": self.decode(actions[0], hidden if alone else hidden[:, ::2]),
            "observation": None,
        }
        kept = self._predicted(observations) if return_loss and not alone else None
        if not alone:
            after = hidden[:, 1::2] if kept is None else hidden[:, 1::2][:, kept]
            features["observation"] = self._decode_observations(observations[0], after)
        output.pred_actions = _unrepeat(*actions, features["action"])
        if kept is None:
            output.pred_observations = self.denormalise(
                observations[0], _unrepeat(*observations, features["observation"])
            )
        if return_loss:
            self._score(output, features, observations, actions, rewards, mask, weight, sizes, kept)
        return output, attentions, streams

    def _pass(self, tokens: Tensor, mask: Tensor | None, stride: int, record: bool):
        """The trunk over every ``stride``-th token of a sequence, each in its place; ``mask`` (B,
        T) is of timesteps.
        """
        length = stride * tokens.shape[1]
        padding = None if mask is None else mask.repeat_interleave(2, dim=1)  # (B, L)
        masks = sequence_masks(
            self.config, length, padding, self._blind(len(tokens), tokens.device), tokens.device
        )
        masks = {kind: mask[..., ::stride, ::stride] for kind, mask in masks.items()}
        positions = torch.arange(self.trunk.fitting(length), device=tokens.device)[::stride]
        return self.trunk(tokens, masks, positions, record=record)

    def _drawn_to_act_alone(self) -> bool:
        """In training: whether this batch predicts no next observations. It then does without
        action tokens, which observations do not see.
        """
        return (
            self.training
            and self.config.observations_predicted < 1
            and torch.rand(()).item() >= self.config.observations_predicted
        )

    def _predicted(self, observations: tuple[str, Tensor]) -> Tensor | None:
        """In training, of frames: the timesteps whose next one is predicted, the same for the whole
        batch; None for all. Decoding frames costs twice what encoding them does.
        """
        name, values = observations
        steps, share = values.shape[1] - 1, self.config.frames_predicted
        if name != "image_observations" or not self.training or share == 1 or steps < 1:
            return None
        return torch.randperm(steps, device=values.device)[: math.ceil(share * steps)]

    # --- embed
    # ---------------------------------------------------------------------------------------------------------------

    def embed_observations(
        self, name: str, observations: Tensor, rewards: Tensor, sizes: Tensor | None = None
    ) -> Tensor:
        """One vector a timestep, (B, T, H), from the observations called `name` and the rewards (B,
        T) that came with them.
        """
        if name == "continuous_observations":
            return self.continuous_encoder(*_with_reward(observations, rewards, sizes))
        if name == "discrete_observations":
            return self.discrete_encoder(observations, rewards)
        return self.image_encoder(observations)  # as published: an image's reward is not embedded

    def embed_actions(self, name: str, actions: Tensor, sizes: Tensor | None = None) -> Tensor:
        """One vector a timestep, (B, T, H), from actions (B, T, m) or (B, T)."""
        return (
            self.continuous_encoder(actions, sizes)
            if name == "continuous_actions"
            else self.text_embedding(actions)
        )

    @staticmethod
    def interleave(observations: Tensor, actions: Tensor) -> Tensor:
        """o0 a0 o1 a1 …: two of (B, T, H) -> (B, L, H)."""
        return torch.stack([observations, actions], dim=2).flatten(1, 2)

    def _blind(self, batch: int, device) -> Tensor | None:
        """(B,) True where observations must not see past actions: drawn anew in training, all or
        nothing in acting.
        """
        share = self.config.past_action_dropout
        if share in (0, 1) or not self.training:
            return torch.ones(batch, dtype=torch.bool, device=device) if share == 1 else None
        return torch.rand(batch, device=device) < share

    # --- decode
    # --------------------------------------------------------------------------------------------------------------

    def decode(self, name: str, hidden: Tensor) -> Tensor:
        """Predictions of what `name` says, as the loss sees them: (B, T, 377) repeated values, (B,
        T, V) or (B, T, 148, 8) logits, or frames.
        """
        if name.startswith("continuous"):
            return self.continuous_decoder(hidden)
        if name == "discrete_actions":
            return self.token_decoder(hidden)
        return (
            self.discrete_decoder(hidden)
            if name == "discrete_observations"
            else self.image_decoder(hidden)
        )

    def _decode_observations(self, name: str, hidden: Tensor) -> Tensor | None:
        switched_off = (
            name == "discrete_observations" and not self.config.predict_discrete_observations
        )
        return None if switched_off else self.decode(name, hidden)

    def denormalise(self, name: str, values: Tensor | None) -> Tensor | None:
        """A predicted observation, from what the loss sees to the observation's own units."""
        return symexp(values) if values is not None and self._squashed(name) else values

    def _squashed(self, name: str) -> bool:
        return self.config.continuous_symlog and name == "continuous_observations"

    # --- score
    # ---------------------------------------------------------------------------------------------------------------

    def _score(
        self,
        output: JatOutput,
        features: dict,
        observations,
        actions,
        rewards,
        mask,
        weight,
        sizes,
        kept: Tensor | None = None,
    ) -> None:
        mask = torch.ones_like(rewards) if mask is None else mask.to(rewards.dtype)
        weight = torch.ones_like(rewards) if weight is None else weight
        output.action_loss = self._error(*actions, features["action"], mask, weight, sizes[1])
        output.observation_loss = output.action_loss.new_zeros(())
        if features["observation"] is not None and rewards.shape[1] > 1:
            target, size = self._to_predict(*observations, rewards, sizes[0])
            arrived = slice(1, None) if kept is None else kept + 1
            predicted = features["observation"][:, :-1] if kept is None else features["observation"]
            output.observation_loss = self._error(
                observations[0],
                target[:, arrived],
                predicted,
                mask[:, arrived],
                weight[:, arrived],
                size,
            )
        output.loss = (
            self._observation_coefficient() * output.observation_loss
            + self.config.action_loss_coef * output.action_loss
        )

    def _observation_coefficient(self) -> float:
        """The published coefficient; in training, so much larger as batches that predict
        observations are rarer: on average the same loss.
        """
        return self.config.observation_loss_coef / (
            self.config.observations_predicted if self.training else 1
        )

    def _to_predict(
        self, name: str, observations: Tensor, rewards: Tensor, sizes: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The observation to be predicted, as the loss sees it: a continuous one has its reward
        behind it. With it, how long each row is.
        """
        if name != "continuous_observations":
            return observations, None
        values, sizes = _with_reward(observations, rewards, sizes)
        return symlog(values) if self._squashed(name) else values, sizes

    def _error(
        self,
        name: str,
        target: Tensor,
        features: Tensor,
        mask: Tensor,
        weight: Tensor,
        sizes: Tensor | None = None,
    ) -> Tensor:
        if name.startswith("continuous"):
            return squared_error(
                features, repeat_to(target, features.shape[-1], sizes), mask, weight
            )
        if name == "image_observations":
            return squared_error(features, target, mask, weight)
        if name == "discrete_observations":
            target = target[..., : min(GRID_INTEGERS, target.shape[-1])]
        return cross_entropy(features, target, mask, weight)


def _with_reward(
    observations: Tensor, rewards: Tensor, sizes: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Vectors (B, T, n) with the reward behind them, (B, T, n + 1): in each row behind its own
    `sizes` (B,) values. With them, the sizes that these have.
    """
    rewards = rewards[..., None].to(observations.dtype)
    if sizes is None:
        return torch.cat([observations, rewards], dim=-1), None
    return F.pad(observations, (0, 1)).scatter(
        -1, sizes[:, None, None].expand_as(rewards), rewards
    ), sizes + 1


def _exactly_one(names: tuple[str, ...], values: tuple) -> tuple[str, Tensor]:
    """The name and value that is given; a `ValueError` unless exactly one is."""
    given = [(name, value) for name, value in zip(names, values) if value is not None]
    if len(given) != 1:
        raise ValueError(
            f"a batch holds exactly one of {', '.join(names)}; given: {', '.join(name for name, _ in given) or 'none'} (or give input_ids)"
        )
    return given[0]


def _unrepeat(name: str, given: Tensor, features: Tensor | None) -> Tensor | None:
    """Of repeated continuous features, the first copy; anything else as it is."""
    return (
        features[..., : given.shape[-1]]
        if features is not None and name.startswith("continuous")
        else features
    )
