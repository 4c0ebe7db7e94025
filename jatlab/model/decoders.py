"""The way back: from a hidden state (B, T, H) to what it predicts."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.model.config import GRID_CLASSES, GRID_INTEGERS, JatConfig
from jatlab.model.encoders import IMAGE_SIDES, SqueezeExcite, symexp


class DiscreteObservationDecoder(nn.Module):
    """The next grid: a score for each class of each of its 148 integers.

    It is published with a row for every integer of the observation, those of the mission included,
    although 8 classes can only mean the grid. The layers keep the published size; only the grid's
    rows are computed.
    """

    def __init__(self, config: JatConfig):
        super().__init__()
        hidden = config.discrete_decoder_size or config.hidden_size
        self.bottleneck = config.bottleneck
        self.integers = min(GRID_INTEGERS, config.max_discrete_value)
        self.expand = nn.Linear(config.hidden_size, config.max_discrete_value * config.bottleneck)
        self.hidden = nn.Linear(config.bottleneck, hidden)
        self.classify = nn.Linear(hidden, GRID_CLASSES, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, H) -> (B, T, 148, 8)."""
        rows = self.integers * self.bottleneck
        x = F.linear(hidden, self.expand.weight[:rows], self.expand.bias[:rows])
        x = F.relu(x.unflatten(-1, (self.integers, self.bottleneck)))  # (B, T, 148, bottleneck)
        return self.classify(F.relu(self.hidden(x)))


class ImageDecoder(nn.Module):
    """The next stack of frames: the image encoder run backwards."""

    def __init__(self, config: JatConfig):
        super().__init__()
        c1, c2, c3 = config.image_channels
        side = config.image_decoder_side or config.image_pool or IMAGE_SIDES[-1]
        self.shape = (c3, side, side)
        self.linear = nn.Linear(config.hidden_size, c3 * side**2)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1)
            for a, b in ((c3, c2), (c2, c1), (c1, 4))
        )
        self.gates = nn.ModuleList(SqueezeExcite(c) for c in (c2, c1))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, H) -> (B, T, 4, 84, 84) in [-1, 1]."""
        x = self.linear(hidden).flatten(0, 1).unflatten(-1, self.shape)  # (B T, c3, 11, 11)
        x = _resize(x, IMAGE_SIDES[3])
        *convolutions, last = self.convolutions
        for convolve, gate, side in zip(
            convolutions, self.gates, (IMAGE_SIDES[2], IMAGE_SIDES[1]), strict=True
        ):
            x = F.leaky_relu(F.instance_norm(convolve(x)), inplace=True)
            x = gate(_resize(x, side))  # 22 -> 21, then 42
        return last(x).tanh().unflatten(0, hidden.shape[:2])


class Decoding(nn.Module):
    """What `JatModel` does with its four decoders: a hidden state becomes a prediction."""

    config: JatConfig
    token_decoder: nn.Linear
    continuous_decoder: nn.Linear
    discrete_decoder: DiscreteObservationDecoder
    image_decoder: ImageDecoder

    def decode(self, name: str, hidden: Tensor) -> Tensor:
        """Predictions of ``name`` in the form that the loss takes, of hidden states (B, T, H).

        Repeated values (B, T, 377), logits (B, T, V) or (B, T, 148, 8), or frames.
        """
        if name.startswith("continuous"):
            return self.continuous_decoder(hidden)
        if name == "discrete_actions":
            return self.token_decoder(hidden)
        grid = name == "discrete_observations"
        return self.discrete_decoder(hidden) if grid else self.image_decoder(hidden)

    def decode_observations(self, name: str, hidden: Tensor) -> Tensor | None:
        """As `decode`, of observations; None for grids where the model does not predict them."""
        if name == "discrete_observations" and not self.config.predict_discrete_observations:
            return None
        return self.decode(name, hidden)

    def denormalise(self, name: str, values: Tensor) -> Tensor:
        """A predicted observation in the observation's units."""
        as_symlog = self.config.continuous_symlog and name == "continuous_observations"
        return symexp(values) if as_symlog else values


def _resize(x: Tensor, side: int) -> Tensor:
    return x if x.shape[-1] == side else F.interpolate(x, size=(side, side), mode="nearest")
