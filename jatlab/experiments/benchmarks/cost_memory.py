"""The memory that a training takes, in bytes, counted from the configuration.

Tests compare the counts with the tensors that are kept. For windows and letters see
`jatlab.experiments.benchmarks.cost`. ``low`` is the number of bytes of a value in the computation:
2 in bfloat16, 4 in float32.
"""

from __future__ import annotations

from jatlab.experiments.benchmarks.cost import (
    SIDES,
    Window,
    blocked,
    discrete_decoder_sizes,
    frames_decoded,
)
from jatlab.model.attention import block_size
from jatlab.model.config import GRID_CELLS, GRID_CLASSES, JatConfig
from jatlab.model.objectives import EVERYTHING, Objective


def weights_bytes(count: int) -> dict[str, int]:
    """Memory of ``count`` parameters, before activations.

    These are float32 weights, their gradients and AdamW's two moments, which FSDP divides among the
    processes, and bfloat16 copies for the computation.
    """
    return {
        "weights": 4 * count,
        "gradients": 4 * count,
        "AdamW's moments": 8 * count,
        "bfloat16 copies": 2 * count,
    }


def block_bytes(config: JatConfig, length: int, low: int = 2, kind: str = "global") -> int:
    """What one block, with attention of this kind, keeps of one sequence for its backward pass.

    Always in float32: the stream before attention and before the MLP, and the means and scales of
    the norms. In ``low``: two normalised streams; queries, keys and values; what they mix to; the
    MLP's hidden layer before and after GELU. The attention scores are not kept, only one number for
    each row of them. A local layer in blocks has keys and values twice, and copies what they mix
    to, since its blocks are put together again.
    """
    h = config.hidden_size
    size = block_size(config.window_size, 1, length) if kind == "local" else None
    attended = blocked(length, size) if size else length
    attention = low * (6 * attended + length if size else 4 * length) * h
    attention += 4 * config.num_heads * attended
    return attention + length * (2 * 4 * h + 4 * 4 + low * (2 * h + 2 * config.mlp_size))


def activation_bytes(
    config: JatConfig,
    window: Window,
    low: int = 2,
    checkpointed: bool = False,
    objective: Objective = EVERYTHING,
) -> int:
    """What a forward pass over one window keeps for the backward pass, without masks and data.

    Args:
        config: of the model.
        window: what it reads.
        low: bytes of a value in the computation.
        checkpointed: keep only the input of each block, and all of the one that is computed again.
        objective: what the batch predicts.
    """
    h, length = config.hidden_size, window.tokens
    blocks = [block_bytes(config, length, low, kind) for kind in config.attention_layers]
    inputs = config.num_layers * 4 * h * length
    trunk = inputs + max(blocks) if checkpointed else sum(blocks)
    norm = length * (4 * h + 2 * 4)
    return trunk + norm + _ends_bytes(config, window, low, objective)


def _ends_bytes(config: JatConfig, window: Window, low: int, objective: Objective) -> int:
    """What encoders, decoders and losses keep."""
    t, h = window.timesteps, config.hidden_size
    if window.kind == "continuous":  # the encoder's input; the decoder's; the error
        return 2 * t * (4 * config.max_continuous_size + low * h + 4 * config.max_continuous_size)
    # the decoder's input, and the logarithms of the probabilities
    words = window.words * (low * h + 4 * config.vocab_size)
    if window.kind == "discrete":
        return words + t * _discrete_bytes(config, low)
    # frames and pictures are kept anyway, in bfloat16 as a copy too
    copied = low if low < 4 else 0
    if window.kind == "image":
        read, drawn = _frame_maps(config)
        frame = 4 * SIDES[0] ** 2
        decoded = low * (drawn + h) + (low + 4) * frame  # tanh and the error keep frames too
        seen = t * (low * read + copied * frame)
        return words + seen + frames_decoded(objective, t) * decoded
    return words + copied * window.patches * config.num_channels * config.patch_size**2


def _discrete_bytes(config: JatConfig, low: int) -> int:
    """Of a timestep of a grid.

    The integers' indices (int64) and features, the gates, the residual MLPs, the decoder.
    """
    h, k, gates = config.hidden_size, config.max_discrete_value, config.discrete_gates
    kept = k * (8 + low * config.bottleneck)
    kept += low * GRID_CELLS * (3 * gates + 2 * (gates // 3)) if gates else 0
    kept += config.discrete_encoder_layers * (4 * h + low * (h + 2 * config.mlp_size))
    if config.predict_discrete_observations:
        integers, hidden = discrete_decoder_sizes(config)
        kept += low * (h + integers * (config.bottleneck + hidden)) + integers * 4 * GRID_CLASSES
    return kept


def _frame_maps(config: JatConfig) -> tuple[int, int]:
    """Values that the image encoder and the image decoder keep of a frame.

    Each convolution's output, before norm, after ReLU (which writes where it reads), after gate.
    """
    c1, c2, c3 = config.image_channels
    encoder = 3 * (c1 * SIDES[1] ** 2 + c2 * SIDES[2] ** 2 + c3 * SIDES[3] ** 2)
    decoder = c3 * SIDES[3] ** 2
    decoder += c2 * (2 * (2 * SIDES[3]) ** 2 + 2 * SIDES[2] ** 2)
    decoder += c1 * 3 * SIDES[1] ** 2
    return encoder, decoder


def head_bytes(config: JatConfig, window: Window, low: int = 2) -> int:
    """What the vocabulary's logits need for a moment between forward and backward pass.

    These are the logits, two copies, and a gradient.
    """
    return window.words * config.vocab_size * (2 * low + 2 * 4)
