"""What a training costs, before anyone pays for it: parameters, FLOPs, memory, hours. `jatlab cost
--preset paper --steps 250000`.

Everything is counted from the configuration; the tests hold it against models that are built,
operations that are counted while they run, and tensors that are kept. One multiplication with its
addition is two FLOPs. Elementwise operations are left out, as is usual.

Windows are taken as full: as many timesteps as the positions allow, for Atari at most 32, as
published. BabyAI's episodes are shorter than that, so a real training costs less there.

Letters: B batch, T timesteps, L tokens, P picture patches, H hidden size, N heads, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jatlab.model.config import GRID_CELLS, GRID_CLASSES, GRID_INTEGERS, JatConfig
from jatlab.model.objectives import EVERYTHING, Objective

KINDS = ("continuous", "discrete", "image", "text", "picture")  # what a batch is made of
PUBLISHED_SHARES = {
    "continuous": 50 + 11,
    "discrete": 39,
    "image": 57,
    "text": 2 * 10,
    "picture": 2 * 10,
}  # tasks x how often each is drawn
PUBLISHED_WINDOWS = 8 * 20 * 2  # a step of the published training
IMAGE_TIMESTEPS = 32  # of a window of Atari
SIDES = (84, 42, 21, 11)  # of a frame, and after each convolution
DISTINCT = 100  # different integers in a batch of BabyAI, about
MINI_OBJECTIVE = Objective(frames_predicted=0.125)  # as `jatlab mini` trains it


@dataclass(frozen=True)
class Window:
    """One full window of a kind: ``timesteps`` (0 for text), ``text`` tokens, ``patches``;
    ``tokens`` in all.
    """

    kind: str
    timesteps: int
    text: int
    patches: int

    @property
    def tokens(self) -> int:
        return 2 * self.timesteps + self.text + self.patches

    @property
    def words(self) -> int:
        """Tokens from which the vocabulary is predicted."""
        return {"continuous": 0, "discrete": self.timesteps, "image": self.timesteps}.get(
            self.kind, self.tokens
        )


def full_window(config: JatConfig, kind: str, timesteps: int | None = None) -> Window:
    """The longest window of ``kind`` that the positions hold, or one of ``timesteps`` (tokens, for
    text and pictures).
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
    longest = (
        min(config.max_timesteps, IMAGE_TIMESTEPS) if kind == "image" else config.max_timesteps
    )
    return Window(kind, timesteps or longest, 0, 0)


def objective_of(preset: str) -> Objective:
    """What a batch of this preset predicts in training."""
    return MINI_OBJECTIVE if preset == "mini" else EVERYTHING


# --- parameters
# --------------------------------------------------------------------------------------------------------------


def parameters(config: JatConfig) -> dict[str, int]:
    """How many parameters each part of the model has, counted on a model without memory."""
    import torch

    from jatlab.model import JatModel

    with torch.device("meta"):
        model = JatModel(config)
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = ".".join(name.split(".")[: 2 if name.startswith("trunk") else 1])
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


# --- FLOPs
# -------------------------------------------------------------------------------------------------------------------


def pairs(length: int, window: int | None = None) -> int:
    """Pairs of a query and a key that it may see, among ``length`` tokens; with a ``window``, of a
    local layer.
    """
    reach = min(length, window or length)
    return reach * (reach + 1) // 2 + (length - reach) * reach


def attention_flops(config: JatConfig, length: int, seen_only: bool = False) -> int:
    """Scores and mixing in all layers, for one sequence: of all pairs, as computed under a mask, or
    ``seen_only``: what the masks let through.
    """
    windows = [config.window_size if kind == "local" else None for kind in config.attention_layers]
    return sum(
        4 * config.hidden_size * (pairs(length, window) if seen_only else length**2)
        for window in windows
    )


def forward_flops(
    config: JatConfig,
    window: Window,
    seen_only: bool = False,
    objective: Objective = EVERYTHING,
) -> dict[str, int]:
    """FLOPs of one forward pass over one window in training, part by part.

    ``first`` holds those of the layers that read the data itself: no gradient flows on from there,
    so their backward pass is half as dear.
    """
    h, size, t = config.hidden_size, config.max_continuous_size, window.timesteps
    parts = {
        "first": 0,
        "encoder": 0,
        "linear layers": 2
        * window.tokens
        * config.num_layers
        * (4 * h * h + 2 * h * config.mlp_size),
    }
    parts["attention"] = attention_flops(config, window.tokens, seen_only)
    parts["decoder"] = 2 * window.words * h * config.vocab_size
    if window.kind == "continuous":
        parts["first"], parts["decoder"] = 2 * 2 * t * size * h, 2 * 2 * t * h * size
    if window.kind == "discrete":
        parts["encoder"] = _discrete_encoder(config, t)
        parts["decoder"] += (
            _discrete_decoder(config, t) if config.predict_discrete_observations else 0
        )
    if window.kind == "image":
        first, *others = _convolutions(config)
        parts["first"], parts["encoder"] = (
            t * first,
            t
            * (
                sum(others)
                + _image_linear(config, encoder_side(config))
                + sum(_gate(c) for c in config.image_channels)
            ),
        )
        decoded = (
            _image_linear(config, decoder_side(config))
            + sum(_transposed(config))
            + sum(_gate(c) for c in config.image_channels[:2])
        )
        parts["decoder"] += frames_decoded(objective, t) * decoded
    if window.kind == "picture":
        parts["first"] = 2 * window.patches * config.num_channels * config.patch_size**2 * h
    return parts


def training_flops(
    config: JatConfig,
    window: Window,
    seen_only: bool = False,
    objective: Objective = EVERYTHING,
) -> int:
    """FLOPs of a forward and a backward pass over one window: each product of the forward pass has
    two in the backward pass.

    Where some batches do without action tokens (`Objective.observations_predicted`), the mean over
    batches.
    """
    share = objective.observations_predicted if window.timesteps else 1
    alone = acting_flops(config, window, seen_only) if share < 1 else {"first": 0}
    return round(
        share * _there_and_back(forward_flops(config, window, seen_only, objective))
        + (1 - share) * _there_and_back(alone)
    )


def _there_and_back(parts: dict[str, int]) -> int:
    return 3 * sum(parts.values()) - parts["first"]


def acting_flops(config: JatConfig, window: Window, seen_only: bool = False) -> dict[str, int]:
    """As `forward_flops`, of a window's observation tokens alone, from which actions are predicted
    and nothing else.
    """
    h, size, t = config.hidden_size, config.max_continuous_size, window.timesteps
    parts = forward_flops(config, window, seen_only)
    parts["linear layers"] //= 2
    parts["attention"] = attention_flops(
        config.replace(window_size=max(config.window_size // 2, 1)), t, seen_only
    )
    parts["decoder"] = 2 * window.words * h * config.vocab_size
    if window.kind == "continuous":
        parts["first"], parts["decoder"] = 2 * t * size * h, 2 * t * h * size
    return parts


def _discrete_encoder(config: JatConfig, t: int) -> int:
    h, bottleneck = config.hidden_size, config.bottleneck
    total = 2 * DISTINCT * h * bottleneck + 2 * t * config.max_discrete_value * bottleneck * (h - 1)
    if gates := config.discrete_gates:
        matches = gates // 3
        total += (
            2
            * t
            * (
                GRID_CELLS * (3 * bottleneck * gates + gates * matches + matches * (h - 1))
                + config.max_text_tokens * bottleneck * gates
            )
        )
    return total + 2 * t * config.discrete_encoder_layers * 2 * h * config.mlp_size


def _discrete_decoder(config: JatConfig, t: int) -> int:
    integers, hidden = (
        min(GRID_INTEGERS, config.max_discrete_value),
        config.discrete_decoder_size or config.hidden_size,
    )
    return (
        2
        * t
        * integers
        * (
            config.hidden_size * config.bottleneck
            + config.bottleneck * hidden
            + hidden * GRID_CLASSES
        )
    )


def _convolutions(config: JatConfig) -> list[int]:
    channels = (4, *config.image_channels)
    return [2 * 9 * a * b * side**2 for a, b, side in zip(channels, channels[1:], SIDES[1:])]


def _transposed(config: JatConfig) -> list[int]:
    c1, c2, c3 = config.image_channels
    return [
        2 * 9 * a * b * side**2
        for a, b, side in ((c3, c2, SIDES[3]), (c2, c1, SIDES[2]), (c1, 4, SIDES[1]))
    ]


def encoder_side(config: JatConfig) -> int:
    """Side of the features that a frame is read from."""
    return config.image_pool or SIDES[-1]


def decoder_side(config: JatConfig) -> int:
    """Side of the features that the next frame is drawn from."""
    return config.image_decoder_side or encoder_side(config)


def frames_decoded(objective: Objective, timesteps: int) -> int:
    """Of a window's timesteps, those whose next frame is predicted in training: all, or a share of
    those that have one.
    """
    share = objective.frames_predicted
    return timesteps if share == 1 or timesteps < 2 else math.ceil(share * (timesteps - 1))


def _image_linear(config: JatConfig, side: int) -> int:
    return 2 * config.image_channels[-1] * side**2 * config.hidden_size


def _gate(channels: int) -> int:
    return 2 * 2 * channels * (channels // 8)


# --- memory, in bytes
# --------------------------------------------------------------------------------------------------------


def weights_bytes(count: int) -> dict[str, int]:
    """Float32 weights, their gradients and AdamW's two moments (FSDP divides these among the
    processes), and bfloat16 copies to compute with.
    """
    return {
        "weights": 4 * count,
        "gradients": 4 * count,
        "AdamW's moments": 8 * count,
        "bfloat16 copies": 2 * count,
    }


def block_bytes(config: JatConfig, length: int, low: int = 2) -> int:
    """What one block keeps of one sequence for its backward pass; ``low``: bytes of a number inside
    it, 2 in bfloat16, 4 in float32.

    In float32 always: the stream before attention and MLP, and the norms' means and scales. In
    ``low``: two normalised streams, queries, keys, values, what they mix to, and the MLP's inside
    before and after GELU. The scores are not kept, only a number for each row of them.
    """
    h = config.hidden_size
    return length * (2 * 4 * h + 4 * 4 + low * (6 * h + 2 * config.mlp_size) + 4 * config.num_heads)


def activation_bytes(
    config: JatConfig,
    window: Window,
    low: int = 2,
    checkpointed: bool = False,
    objective: Objective = EVERYTHING,
) -> int:
    """What a forward pass over one window keeps for the backward pass, masks and data aside.

    ``checkpointed``: of each block its input alone, and all of one block, whose turn it is.
    """
    h, length = config.hidden_size, window.tokens
    block = block_bytes(config, length, low)
    trunk = (
        config.num_layers * 4 * h * length + block if checkpointed else config.num_layers * block
    )
    norm = length * (4 * h + 2 * 4)
    return trunk + norm + _ends_bytes(config, window, low, objective)


def _ends_bytes(config: JatConfig, window: Window, low: int, objective: Objective) -> int:
    """What encoders, decoders and losses keep."""
    t, h = window.timesteps, config.hidden_size
    copied = low if low < 4 else 0  # frames and pictures are kept anyway; in bfloat16 as a copy too
    words = window.words * (
        low * h + 4 * config.vocab_size
    )  # the decoder's input, and the logarithms of the probabilities
    if window.kind == "continuous":
        return (
            2 * t * (4 * config.max_continuous_size + low * h + 4 * config.max_continuous_size)
        )  # encoder's input; decoder's; the error
    if window.kind == "discrete":
        return words + t * _discrete_bytes(config, low)
    if window.kind == "image":
        read, drawn = _frame_maps(config)
        frame = 4 * SIDES[0] ** 2
        return (
            words
            + t * (low * read + copied * frame)
            + frames_decoded(objective, t) * (low * (drawn + h) + (low + 4) * frame)
        )  # tanh and the error keep frames too
    return words + copied * window.patches * config.num_channels * config.patch_size**2


def _discrete_bytes(config: JatConfig, low: int) -> int:
    """Of a timestep: the integers' places (int64) and features, the gates, the residual MLPs, the
    grid's decoder.
    """
    h, k, gates = config.hidden_size, config.max_discrete_value, config.discrete_gates
    kept = k * (8 + low * config.bottleneck)
    kept += low * GRID_CELLS * (3 * gates + 2 * (gates // 3)) if gates else 0
    kept += config.discrete_encoder_layers * (4 * h + low * (h + 2 * config.mlp_size))
    if config.predict_discrete_observations:
        integers, hidden = min(GRID_INTEGERS, k), config.discrete_decoder_size or h
        kept += low * (h + integers * (config.bottleneck + hidden)) + integers * 4 * GRID_CLASSES
    return kept


def _frame_maps(config: JatConfig) -> tuple[int, int]:
    """Numbers that the two image branches, encoder and decoder, keep of a frame: each convolution's
    output, before and after norm, ReLU and gate.
    """
    c1, c2, c3 = config.image_channels
    encoder = sum(4 * c * side**2 for c, side in zip(config.image_channels, SIDES[1:]))
    decoder = (
        c3 * SIDES[3] ** 2
        + c2 * (2 * (2 * SIDES[3]) ** 2 + 2 * SIDES[2] ** 2)
        + c1 * 4 * SIDES[1] ** 2
    )
    return encoder, decoder


def head_bytes(config: JatConfig, window: Window, low: int = 2) -> int:
    """What the vocabulary's logits need for a moment at the turn from forward to backward: them,
    two copies, and a gradient.
    """
    return window.words * config.vocab_size * (2 * low + 2 * 4)
