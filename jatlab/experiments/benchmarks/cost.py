"""What a training costs, counted from the configuration: parameters and FLOPs.

`jatlab cost --preset paper --steps 250000` prints it. Tests compare the counts with models that are
built and with operations that are counted while they run. A multiplication with its addition is two
FLOPs. Elementwise operations are left out, as is usual.

Windows are full: they have as many timesteps as the positions allow, and at most 32 for Atari, as
published. BabyAI's episodes are shorter than that, so a real training costs less there.

Letters: B batch, T timesteps, L tokens, P picture patches, H hidden size, N heads, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jatlab.model.attention import block_size
from jatlab.model.config import GRID_CELLS, GRID_CLASSES, GRID_INTEGERS, JatConfig
from jatlab.model.objectives import EVERYTHING, Objective

KINDS = ("continuous", "discrete", "image", "text", "picture")  # what a batch is made of
# tasks of each kind x how often each is drawn
PUBLISHED_SHARES = {
    "continuous": 50 + 11,
    "discrete": 39,
    "image": 57,
    "text": 2 * 10,
    "picture": 2 * 10,
}
PUBLISHED_WINDOWS = 8 * 20 * 2  # a step of the published training
IMAGE_TIMESTEPS = 32  # of a window of Atari
SIDES = (84, 42, 21, 11)  # of a frame, and after each convolution
DISTINCT = 100  # different integers in a batch of BabyAI, about
MINI_OBJECTIVE = Objective(frames_predicted=0.125)  # as `jatlab mini` trains it


@dataclass(frozen=True)
class Window:
    """One full window of a kind: its timesteps (0 for text), text tokens and picture patches."""

    kind: str
    timesteps: int
    text: int
    patches: int

    @property
    def tokens(self) -> int:
        """All tokens."""
        return 2 * self.timesteps + self.text + self.patches

    @property
    def words(self) -> int:
        """Tokens from which the vocabulary is predicted."""
        by_kind = {"continuous": 0, "discrete": self.timesteps, "image": self.timesteps}
        return by_kind.get(self.kind, self.tokens)


def full_window(config: JatConfig, kind: str, timesteps: int | None = None) -> Window:
    """The longest window of a kind that the positions hold.

    ``timesteps`` makes it shorter; for text and pictures these are tokens. Raises ValueError for an
    unknown kind, and for a picture that leaves no room for text.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: there are {', '.join(KINDS)}")
    if kind in ("text", "picture"):
        tokens = timesteps or config.max_position_embeddings
        patches = (config.image_size // config.patch_size) ** 2 if kind == "picture" else 0
        if patches >= tokens:
            raise ValueError(
                f"a picture's {patches} patches leave no room for text in {tokens} positions"
            )
        return Window(kind, 0, tokens - patches, patches)
    longest = config.max_timesteps
    if kind == "image":
        longest = min(longest, IMAGE_TIMESTEPS)
    return Window(kind, timesteps or longest, 0, 0)


def objective_of(preset: str) -> Objective:
    """What a batch of this preset predicts in training."""
    return MINI_OBJECTIVE if preset == "mini" else EVERYTHING


def parameters(config: JatConfig) -> dict[str, int]:
    """How many parameters each part of the model has, counted without allocating them."""
    import torch

    from jatlab.model import JatModel

    with torch.device("meta"):
        model = JatModel(config)
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = ".".join(name.split(".")[: 2 if name.startswith("trunk") else 1])
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


# --- FLOPs of a window ----------------------------------------------------------------------------


def pairs(length: int, window: int | None = None) -> int:
    """Pairs of a query and a key that it may see, among ``length`` tokens.

    ``window`` is that of a local layer.
    """
    reach = min(length, window or length)
    return reach * (reach + 1) // 2 + (length - reach) * reach


def attention_flops(config: JatConfig, length: int, seen_only: bool = False) -> int:
    """FLOPs of attention, scores and mixing, in all layers for one sequence.

    A global layer computes all pairs, a local layer those of its blocks, and masks some of them;
    ``seen_only`` counts the pairs that the masks let through.
    """
    total = 0
    for kind in config.attention_layers:
        window = config.window_size if kind == "local" else None
        scores = pairs(length, window) if seen_only else computed_pairs(length, window)
        total += 4 * config.hidden_size * scores
    return total


def computed_pairs(length: int, window: int | None = None) -> int:
    """Pairs of a query and a key that are computed, seen or not, among ``length`` tokens.

    ``window`` is that of a local layer, which computes long sequences in blocks of W tokens.
    """
    size = block_size(window, 1, length) if window else None
    return length**2 if size is None else blocked(length, size) * 2 * size


def blocked(length: int, size: int) -> int:
    """``length`` tokens, filled up to whole blocks of ``size``."""
    return -(-length // size) * size


def forward_flops(
    config: JatConfig,
    window: Window,
    seen_only: bool = False,
    objective: Objective = EVERYTHING,
) -> dict[str, int]:
    """FLOPs of a forward pass over one window in training.

    Args:
        config: of the model.
        window: what it reads.
        seen_only: count only the pairs that the attention masks let through.
        objective: what the batch predicts.

    Returns:
        FLOPs by part. "first" are the layers that read the data: no gradient flows further back, so
        their backward pass costs half as much.
    """
    h, t = config.hidden_size, window.timesteps
    layer = 4 * h * h + 2 * h * config.mlp_size
    parts = {
        "first": 0,
        "encoder": 0,
        "linear layers": 2 * window.tokens * config.num_layers * layer,
        "attention": attention_flops(config, window.tokens, seen_only),
        "decoder": 2 * window.words * h * config.vocab_size,
    }
    if window.kind == "continuous":
        parts["first"] = parts["decoder"] = 2 * 2 * t * config.max_continuous_size * h
    if window.kind == "discrete":
        parts["encoder"] = _discrete_encoder(config, t)
        if config.predict_discrete_observations:
            parts["decoder"] += _discrete_decoder(config, t)
    if window.kind == "image":
        parts["first"] = t * _convolutions(config)[0]
        parts["encoder"] = t * _image_encoder(config)
        parts["decoder"] += frames_decoded(objective, t) * _image_decoder(config)
    if window.kind == "picture":
        parts["first"] = 2 * window.patches * config.num_channels * config.patch_size**2 * h
    return parts


def training_flops(
    config: JatConfig,
    window: Window,
    seen_only: bool = False,
    objective: Objective = EVERYTHING,
) -> int:
    """FLOPs of a forward and a backward pass over one window.

    Each product of the forward pass has two in the backward pass. If some batches are action-only
    (`Objective.observations_predicted`), it is the mean over batches. For the arguments see
    `forward_flops`.
    """
    everything = _with_backward(forward_flops(config, window, seen_only, objective))
    share = objective.observations_predicted if window.timesteps else 1
    if share == 1:
        return everything
    action_only = _with_backward(acting_flops(config, window, seen_only))
    return round(share * everything + (1 - share) * action_only)


def _with_backward(parts: dict[str, int]) -> int:
    return 3 * sum(parts.values()) - parts["first"]


def acting_flops(config: JatConfig, window: Window, seen_only: bool = False) -> dict[str, int]:
    """FLOPs of a forward pass over a window's observation tokens, which predict actions only.

    For arguments and parts see `forward_flops`.
    """
    h, size, t = config.hidden_size, config.max_continuous_size, window.timesteps
    without_actions = config.replace(window_size=max(config.window_size // 2, 1))
    parts = forward_flops(config, window, seen_only)
    parts["linear layers"] //= 2
    parts["attention"] = attention_flops(without_actions, t, seen_only)
    parts["decoder"] = 2 * window.words * h * config.vocab_size
    if window.kind == "continuous":
        parts["first"] = parts["decoder"] = 2 * t * size * h
    return parts


# --- FLOPs of encoders and decoders ---------------------------------------------------------------


def _discrete_encoder(config: JatConfig, t: int) -> int:
    h, bottleneck, gates = config.hidden_size, config.bottleneck, config.discrete_gates
    timestep = config.max_discrete_value * bottleneck * (h - 1)
    timestep += config.discrete_encoder_layers * 2 * h * config.mlp_size
    if gates:
        matches = gates // 3
        cell = 3 * bottleneck * gates + gates * matches + matches * (h - 1)
        timestep += GRID_CELLS * cell + config.max_text_tokens * bottleneck * gates
    return 2 * DISTINCT * h * bottleneck + 2 * t * timestep


def _discrete_decoder(config: JatConfig, t: int) -> int:
    h, bottleneck = config.hidden_size, config.bottleneck
    integers, hidden = discrete_decoder_sizes(config)
    return 2 * t * integers * (h * bottleneck + bottleneck * hidden + hidden * GRID_CLASSES)


def discrete_decoder_sizes(config: JatConfig) -> tuple[int, int]:
    """Integers that the grid's decoder predicts, and its hidden size."""
    integers = min(GRID_INTEGERS, config.max_discrete_value)
    return integers, config.discrete_decoder_size or config.hidden_size


def _image_encoder(config: JatConfig) -> int:
    """Of a frame, without the first convolution."""
    gates = sum(_gate(channels) for channels in config.image_channels)
    return sum(_convolutions(config)[1:]) + _image_linear(config, encoder_side(config)) + gates


def _image_decoder(config: JatConfig) -> int:
    """Of a frame."""
    gates = sum(_gate(channels) for channels in config.image_channels[:2])
    return _image_linear(config, decoder_side(config)) + sum(_transposed(config)) + gates


def _convolutions(config: JatConfig) -> list[int]:
    c1, c2, c3 = config.image_channels
    return [
        2 * 9 * a * b * side**2
        for a, b, side in ((4, c1, SIDES[1]), (c1, c2, SIDES[2]), (c2, c3, SIDES[3]))
    ]


def _transposed(config: JatConfig) -> list[int]:
    c1, c2, c3 = config.image_channels
    return [
        2 * 9 * a * b * side**2
        for a, b, side in ((c3, c2, SIDES[3]), (c2, c1, SIDES[2]), (c1, 4, SIDES[1]))
    ]


def encoder_side(config: JatConfig) -> int:
    """Side of the feature maps that a frame is read from."""
    return config.image_pool or SIDES[-1]


def decoder_side(config: JatConfig) -> int:
    """Side of the feature maps that the next frame is drawn from."""
    return config.image_decoder_side or encoder_side(config)


def frames_decoded(objective: Objective, timesteps: int) -> int:
    """How many of a window's timesteps have their next frame predicted in training.

    These are all, or a share of those that have a next frame.
    """
    share = objective.frames_predicted
    return timesteps if share == 1 or timesteps < 2 else math.ceil(share * (timesteps - 1))


def _image_linear(config: JatConfig, side: int) -> int:
    return 2 * config.image_channels[-1] * side**2 * config.hidden_size


def _gate(channels: int) -> int:
    return 2 * 2 * channels * (channels // 8)
