"""From what the agent senses to one vector a timestep: (B, T, …) -> (B, T, H).

These are the published encoders. Two shortcuts change no number: the discrete encoder projects each
distinct integer once, and a vector gets its reward, in `with_reward`, before it is repeated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.model.config import GRID_CELLS, GRID_INTEGERS, JatConfig
from jatlab.model.linear.layer import version_of
from jatlab.model.transformer import MLP
from jatlab.utils.checks import require

IMAGE_SIDES = (84, 42, 21, 11)  # the frame, and its side after each stride-2 convolution


# --- vectors


def repeat_to(x: Tensor, size: int, lengths: Tensor | None = None) -> Tensor:
    """Repeat the last dimension cyclically: [1, 2, 3] to 7 is [1, 2, 3, 1, 2, 3, 1].

    Args:
        x: (…, n); with ``lengths`` (B, T, n).
        size: of the last dimension afterwards.
        lengths: (B,), how many of the n values each row really has; None: all.

    Returns:
        (…, size).

    Raises:
        ValueError: if n is larger than ``size``.
    """
    require(
        x.shape[-1] <= size,
        f"a vector of {x.shape[-1]} values (reward included) is larger than max_continuous_size "
        f"{size}",
    )
    place = torch.arange(size, device=x.device)
    if lengths is None:
        return x[..., place % x.shape[-1]]
    return x.gather(-1, (place % lengths[:, None, None]).expand(*x.shape[:-1], -1))


def symlog(x: Tensor) -> Tensor:
    """sign(x) ln(1 + |x|): close to x where that is small, and never large; `symexp` undoes it.

    Hafner et al. 2023, arXiv 2301.04104, section "Symlog predictions".
    """
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """sign(x) (exp(|x|) - 1), the inverse of `symlog`."""
    return x.sign() * x.abs().expm1()


ENLARGEMENT = 8.0


def fourier_features(x: Tensor, size: int, lengths: Tensor | None = None) -> Tensor:
    """As `repeat_to`, but each copy is another function of the values.

    The copies are the values; eight times the values, clamped to ±8; and their sines and cosines
    over four octaves, from a period of half a metre down. After ten copies it starts again.

    Plain repetition adds nothing that a linear layer could use. Enlarged, the centimetre between
    hand and goal is a difference that the layer soon learns, and sines tell one centimetre from the
    next. Large values (rewards, speeds) are complete in the first copy.
    """
    place = torch.arange(size, device=x.device)
    # 0: the values; 1: enlarged; 2, 3: the longest period; 4, 5: half of it; …
    copy = place // (x.shape[-1] if lengths is None else lengths[:, None, None]) % 10
    frequency = 4 * torch.pi * 2.0 ** ((copy - 2) // 2)
    phase = (copy % 2) * torch.pi / 2
    values = repeat_to(x, size, lengths)
    enlarged = (ENLARGEMENT * values).clamp(-ENLARGEMENT, ENLARGEMENT)
    features = torch.where(copy == 1, enlarged, torch.sin(values * frequency + phase))
    return torch.where(copy == 0, values, features)


class ContinuousEncoder(nn.Module):
    """A vector, repeated to one size, through a linear layer for observations and actions."""

    def __init__(self, config: JatConfig):
        super().__init__()
        self.size = config.max_continuous_size
        self.spread = fourier_features if config.continuous_fourier_features else repeat_to
        self.squash = symlog if config.continuous_symlog else nn.Identity()
        self.linear = nn.Linear(config.max_continuous_size, config.hidden_size)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """One vector a timestep.

        Args:
            x: (B, T, n).
            lengths: (B,), how many of the n values each row really has; None: all.

        Returns:
            (B, T, H).
        """
        weight, bias = self.linear.weight, self.linear.bias
        # bfloat16 resolves a hand at 0.7 m to 4 mm, which is too coarse to grip with
        with torch.autocast(x.device.type, enabled=False):
            features = self.spread(self.squash(x.float()), self.size, lengths)
            return F.linear(features, weight.float(), bias.float()).to(weight.dtype)


# --- grids


class DiscreteEncoder(nn.Module):
    """Integers (grid values and mission tokens) and the reward.

    Each integer's row of the text table passes Linear(H, bottleneck) and ReLU. All of them,
    flattened, pass a linear layer, and the reward takes the last feature. Since Linear(wte[ids]) =
    Linear(wte)[ids], only the distinct integers of a batch are projected. In acting the whole table
    is projected once, and kept until a weight changes.
    """

    def __init__(self, config: JatConfig, table: nn.Embedding):
        super().__init__()
        self.size = config.max_discrete_value
        self.project = nn.Linear(config.hidden_size, config.bottleneck)
        self.mix = nn.Linear(config.max_discrete_value * config.bottleneck, config.hidden_size - 1)
        self.gates = GridGates(config) if config.discrete_gates else None
        self.layers = nn.ModuleList(
            ResidualMLP(config) for _ in range(config.discrete_encoder_layers)
        )
        self._table = [table]  # in a list: the embedding belongs to the model, not to this module
        # the versions of the weights, and the table that was projected with them
        self._kept: tuple[tuple[tuple[int, int], ...], Tensor] | None = None

    def forward(self, ids: Tensor, rewards: Tensor) -> Tensor:
        """``ids`` (B, T, k) with k = `max_discrete_value`, ``rewards`` (B, T) -> (B, T, H)."""
        require(
            ids.shape[-1] == self.size,
            f"a discrete observation has {self.size} integers (grid, then mission tokens), not "
            f"{ids.shape[-1]}",
        )
        return self.combine(self._features(ids), rewards)

    def combine(self, features: Tensor, rewards: Tensor) -> Tensor:
        """The projected integers (B, T, k, bottleneck) and the rewards (B, T) -> (B, T, H)."""
        x = self.mix(features.flatten(-2))  # (B, T, H - 1)
        x = x if self.gates is None else x + self.gates(features)
        x = torch.cat([x, rewards[..., None].to(x.dtype)], dim=-1)
        for layer in self.layers:
            x = layer(x)
        return x

    def train(self, mode: bool = True) -> DiscreteEncoder:
        """As `nn.Module.train`; the projected table is forgotten."""
        self._kept = None  # an optimizer's fused step does not raise the weights' version
        return super().train(mode)

    def _features(self, ids: Tensor) -> Tensor:
        if not torch.is_grad_enabled() and not self.training:
            return F.embedding(ids, self._projected_table())
        distinct, place = _distinct(ids, self._table[0].num_embeddings)
        return F.embedding(place, F.relu(self.project(self._table[0](distinct))))

    def _projected_table(self) -> Tensor:
        weights = (self._table[0].weight, self.project.weight, self.project.bias)
        # a write to a tensor raises its version
        version = tuple((w.data_ptr(), version_of(w)) for w in weights)
        if self._kept is None or self._kept[0] != version:
            self._kept = (version, F.relu(self.project(weights[0])))
        return self._kept[1]


def _distinct(ids: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """The distinct ids, and each id's place among them.

    This is `torch.unique`, but without its sort where there is much to sort.
    """
    if ids.numel() < vocabulary:
        return torch.unique(ids, return_inverse=True)
    present = torch.zeros(vocabulary, dtype=torch.bool, device=ids.device)
    present[ids.reshape(-1)] = True
    return present.nonzero().squeeze(-1), (present.cumsum(0) - 1)[ids]


class GridGates(nn.Module):
    """Match the mission with each of the grid's 49 cells.

    The features of a cell are opened or closed by the mission, then combined. The published encoder
    learns what "the red ball" looks like in every cell separately. Here all cells share their
    weights, so a small model finds the object it is asked for after fewer demonstrations.
    """

    def __init__(self, config: JatConfig):
        super().__init__()
        gates, matches = config.discrete_gates, config.discrete_gates // 3
        # a cell is three integers: object, colour, state
        self.cell = nn.Linear(3 * config.bottleneck, gates)
        self.mission = nn.Linear(config.max_text_tokens * config.bottleneck, gates)
        self.match = nn.Linear(gates, matches)  # "red" and "ball" in the same cell
        self.mix = nn.Linear(GRID_CELLS * matches, config.hidden_size - 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """The integers' ``features`` (B, T, k, bottleneck) -> (B, T, H - 1)."""
        grid = features[..., 1:GRID_INTEGERS, :]  # the first integer is the direction
        mission = features[..., GRID_INTEGERS:, :]
        cells = self.cell(grid.unflatten(-2, (GRID_CELLS, 3)).flatten(-2))  # (B, T, 49, gates)
        gated = F.relu(cells * self.mission(mission.flatten(-2))[..., None, :])
        return self.mix(F.relu(self.match(gated)).flatten(-2))


class ResidualMLP(nn.Module):
    """A pre-norm residual MLP, in which a small encoder combines the grid with the mission."""

    def __init__(self, config: JatConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H) -> (B, T, H)."""
        return x + self.mlp(self.norm(x))


# --- pictures


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channels' means."""

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction, bias=False)
        self.excite = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((-2, -1))))))  # (B, C)
        return x * gate[..., None, None]


class ImageEncoder(nn.Module):
    """Four stacked grey frames, without their reward.

    Three stride-2 convolutions, each normalised and gated, then a linear layer.
    """

    def __init__(self, config: JatConfig):
        super().__init__()
        channels = (4, *config.image_channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1)
            for a, b in zip(channels, channels[1:], strict=False)
        )
        self.gates = nn.ModuleList(SqueezeExcite(b) for b in channels[1:])
        self.pool = config.image_pool
        side = self.pool or IMAGE_SIDES[-1]
        self.linear = nn.Linear(channels[-1] * side**2, config.hidden_size)

    def forward(self, frames: Tensor) -> Tensor:
        """``frames`` (B, T, 4, 84, 84) in [-1, 1] -> (B, T, H)."""
        require(
            frames.shape[-3:] == (4, IMAGE_SIDES[0], IMAGE_SIDES[0]),
            f"image observations have shape (B, T, 4, 84, 84), not {tuple(frames.shape)}",
        )
        x = frames.flatten(0, 1).to(self.linear.weight.dtype)  # (B T, 4, 84, 84)
        for convolve, gate in zip(self.convolutions, self.gates, strict=True):
            x = gate(F.leaky_relu(F.instance_norm(convolve(x)), inplace=True))
        x = F.adaptive_avg_pool2d(x, self.pool) if self.pool else x
        return self.linear(x.flatten(1)).unflatten(0, frames.shape[:2])


class PatchEncoder(nn.Module):
    """A picture cut into patches, one token each, row by row."""

    def __init__(self, config: JatConfig):
        super().__init__()
        self.size = (config.num_channels, config.image_size, config.image_size)
        self.projection = nn.Conv2d(
            config.num_channels, config.hidden_size, config.patch_size, stride=config.patch_size
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, patches, H)."""
        require(
            tuple(pixels.shape[1:]) == self.size,
            f"pixel_values have shape (B, {', '.join(map(str, self.size))}), not "
            f"{tuple(pixels.shape)}",
        )
        return self.projection(pixels.to(self.projection.weight.dtype)).flatten(2).transpose(1, 2)
