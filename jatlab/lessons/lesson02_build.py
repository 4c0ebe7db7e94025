"""Exercise 02.3: multi-head attention, the block and the trunk, built in four steps.

Every step is compared with the modules of a small `JatModel`, on that model's own weights.
Letters: L tokens, H hidden size, N heads, D = H / N.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.lessons.answers import Answer, array, expect, near
from jatlab.model.config import JatConfig
from jatlab.model.jat import JatModel
from jatlab.model.transformer import sequence_masks

LENGTH, HEADS = 6, 3

# --- one right answer of each step


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Cut every token's vector into one piece a head: (L, H) -> (N, L, D)."""
    return x.reshape(len(x), heads, -1).transpose(0, 1)


def attention(x: Tensor, layer: Any, mask: Tensor) -> Tensor:
    """Multi-head attention of tokens (L, H) under a mask (L, L) -> (L, H)."""
    q, k, v = (split_heads(f(x), layer.num_heads) for f in (layer.query, layer.key, layer.value))
    scores = (q @ k.transpose(1, 2)).masked_fill(~mask, float("-inf"))  # (N, L, L)
    mixed = scores.softmax(-1) @ v  # (N, L, D)
    return layer.output(mixed.transpose(0, 1).reshape(len(x), -1))


def block(x: Tensor, part: Any, mask: Tensor) -> Tensor:
    """One block: tokens (L, H), the weights of a block, a mask (L, L) -> (L, H)."""
    x = x + attention(part.attention_norm(x), part.attention, mask)
    up = part.mlp.up(part.mlp_norm(x))  # (L, 4 H)
    return x + part.mlp.down(F.gelu(up, approximate="tanh"))


def trunk(x: Tensor, part: Any, masks: dict[str, Tensor]) -> Tensor:
    """The whole trunk: positions, every block under the mask of its kind, the last norm."""
    x = x + part.positions.weight[: len(x)]
    for one in part.blocks:
        x = block(x, one, masks[one.attention.kind])
    return part.norm(x)


STEPS = ("cut into heads", "attention", "the block", "the trunk")

# --- the checks


def check_build(
    split: Answer,
    attend: Answer | None = None,
    one: Answer | None = None,
    whole: Answer | None = None,
) -> None:
    """Check 02.3: the first step alone, or with the later ones."""
    model, x, masks = _model()
    with torch.no_grad():
        _check_split(split)
        if attend is not None:
            _check_attention(attend, model.trunk.blocks[0].attention, x, masks)
        if one is not None:
            _check_block(one, model.trunk.blocks[0], x, masks["global"])
        if whole is not None:
            _check_trunk(whole, model, x, masks)


@lru_cache(maxsize=1)
def _model() -> tuple[JatModel, Tensor, dict[str, Tensor]]:
    """A small model with weights that make every part count, six tokens, and both masks."""
    config = JatConfig(
        hidden_size=12,
        num_heads=HEADS,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        window_size=3,
        max_position_embeddings=16,
        vocab_size=10,
        max_discrete_value=6,
        max_continuous_size=8,
        discrete_bottleneck=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = JatModel(config).eval().requires_grad_(False)
        for weight in model.trunk.parameters():
            nn.init.normal_(weight, std=0.4)
        x = torch.randn(LENGTH, config.hidden_size)
    masks = {kind: mask[0, 0] for kind, mask in sequence_masks(config, LENGTH).items()}
    return model, x, masks


def _tokens(found: object, shape: tuple[int, ...], step: str) -> np.ndarray:
    """The answer as an array of this shape, without NaN."""
    got = array(found, f"{step}: return a tensor of shape {shape}")
    expect(got.shape == shape, f"{step}: the result should have shape {shape}, not {got.shape}")
    expect(
        not np.isnan(got).any(),
        f"{step}: NaN. Is the mask inverted? True says that a token may look there, and a row "
        "of -inf alone has no softmax",
    )
    return got


def _check_split(answer: Answer) -> None:
    x = torch.arange(24.0).reshape(4, 6)
    raw = answer(x.clone(), 2)
    expect(
        np.shape(array(raw, "step 1: return a tensor (heads, L, D)")) != (4, 2, 3),
        "step 1: the pieces are right, but heads come first: (N, L, D), not (L, N, D)",
    )
    got = _tokens(raw, (2, 4, 3), "step 1")
    expect(
        not near(got, x.reshape(2, 4, 3)),
        "step 1: you reshape straight to (N, L, D), which cuts between tokens: each token's own "
        "vector has to be cut. Reshape to (L, N, D) first, then exchange two axes",
    )
    expect(
        not near(got, x.reshape(4, 3, 2).permute(2, 0, 1)),
        "step 1: head 0 gets every second number; it should get the first D in a row",
    )
    expect(near(got, split_heads(x, 2)), "step 1: head 0 has the first D numbers of each token")


def _check_attention(answer: Answer, layer: Any, x: Tensor, masks: dict[str, Tensor]) -> None:
    mask, shape = masks["local"], tuple(x.shape)
    got = _tokens(answer(x.clone(), layer, mask.clone()), shape, "step 2")
    for variant, mistake in _ATTENTION_MISTAKES.items():
        expect(not near(got, _attention(x, layer, mask, variant)), f"step 2: {mistake}")
    right = _attention(x, layer, mask)
    expect(near(got, right), "step 2: other numbers than JatModel's attention on its own weights")
    other = _tokens(answer(x.clone(), layer, masks["global"].clone()), shape, "step 2")
    expect(
        near(other, _attention(x, layer, masks["global"])),
        "step 2: right for the local mask and wrong for the global one",
    )


_ATTENTION_MISTAKES = {
    "divided": "you divide the scores by the square root of D; GPT-Neo and JAT do not",
    "no output": "the last linear layer, layer.output, is missing",
    "inverted": "the mask is inverted: True says that a token may look there",
    "unmasked": "the mask is not used: every token sees the future",
    "queries": "each query's weights should add up to 1: softmax over the keys, dim=-1",
    "one head": "you attend with all H numbers at once: use split_heads, one softmax a head",
    "not joined": "the heads are joined in the wrong order: exchange the axes back, "
    "(N, L, D) to (L, N, D), before you reshape to (L, H)",
}


def _attention(x: Tensor, layer: Any, mask: Tensor, mistake: str = "") -> Tensor:
    """Attention, right or with one typical mistake."""
    heads = 1 if mistake == "one head" else layer.num_heads
    q, k, v = (split_heads(f(x), heads) for f in (layer.query, layer.key, layer.value))
    scores = q @ k.transpose(1, 2) / (q.shape[-1] ** 0.5 if mistake == "divided" else 1)
    if mistake != "unmasked":
        scores = scores.masked_fill(mask if mistake == "inverted" else ~mask, float("-inf"))
    mixed = scores.softmax(-2 if mistake == "queries" else -1).nan_to_num() @ v
    joined = mixed if mistake == "not joined" else mixed.transpose(0, 1)
    joined = joined.reshape(len(x), -1)
    return joined if mistake == "no output" else layer.output(joined)


def _check_block(answer: Answer, part: Any, x: Tensor, mask: Tensor) -> None:
    got = _tokens(answer(x.clone(), part, mask.clone()), tuple(x.shape), "step 3")
    for variant, mistake in _BLOCK_MISTAKES.items():
        expect(not near(got, _block(x, part, mask, variant)), f"step 3: {mistake}")
    expect(near(got, _block(x, part, mask)), "step 3: other numbers than JatModel's block")


_BLOCK_MISTAKES = {
    "no skip": "you return only what the MLP brings: both parts are added to the stream",
    "no first skip": "what attention brings is added to the stream, it does not replace it",
    "no norms": "attention and MLP should read a normalised copy of the stream",
    "one norm": "the MLP should read a normalised copy too: mlp_norm",
    "parallel": "the MLP should read the stream after attention, not the one before it",
    "exact": "the bend should be GELU in its tanh form: F.gelu(up, approximate='tanh')",
    "relu": "the bend should be GELU, not ReLU",
    "after": "the norms stand before attention and MLP (pre-norm), not behind the additions",
}


def _block(x: Tensor, part: Any, mask: Tensor, mistake: str = "") -> Tensor:
    """A block, right or with one typical mistake."""
    bends: dict[str, Callable[[Tensor], Tensor]] = {"exact": F.gelu, "relu": F.relu}
    bend = bends.get(mistake, nn.GELU(approximate="tanh"))
    same = nn.Identity()
    first = same if mistake in ("no norms", "after") else part.attention_norm
    second = same if mistake in ("no norms", "one norm", "after") else part.mlp_norm
    mixed = _attention(first(x), part.attention, mask)
    between = mixed if mistake == "no first skip" else x + mixed
    if mistake == "after":
        between = part.attention_norm(between)
    up = part.mlp.up(second(x if mistake == "parallel" else between))
    added = part.mlp.down(bend(up))
    if mistake == "no skip":
        return added
    return part.mlp_norm(between + added) if mistake == "after" else between + added


def _check_trunk(answer: Answer, model: JatModel, x: Tensor, masks: dict[str, Tensor]) -> None:
    given = {kind: mask.clone() for kind, mask in masks.items()}
    got = _tokens(answer(x.clone(), model.trunk, given), tuple(x.shape), "step 4")
    for variant, mistake in _TRUNK_MISTAKES.items():
        expect(not near(got, _trunk(x, model.trunk, masks, variant)), f"step 4: {mistake}")
    expect(
        near(got, model.trunk(x[None], {k: m[None, None] for k, m in masks.items()})[0][0]),
        "step 4: other numbers than JatModel's trunk",
    )


_TRUNK_MISTAKES = {
    "no positions": "the positions are missing: add positions.weight to the tokens first",
    "no norm": "the last norm is missing: part.norm",
    "one mask": "every block gets the same mask: that of one in part.blocks is one.attention.kind",
    "first only": "only the first block is run: pass the stream through all of part.blocks",
}


def _trunk(x: Tensor, part: Any, masks: dict[str, Tensor], mistake: str) -> Tensor:
    """The trunk with one typical mistake."""
    if mistake != "no positions":
        x = x + part.positions.weight[: len(x)]
    for one in part.blocks[:1] if mistake == "first only" else part.blocks:
        x = _block(x, one, masks["global" if mistake == "one mask" else one.attention.kind])
    return x if mistake == "no norm" else part.norm(x)
