"""What was recorded of attention while an agent acted, put together: rows of single decisions ->
one square, queries by keys.

No second forward pass: `rollout(agent, env, record_attention=True)` kept the rows, and here they
are only aligned. A row belongs to a token, and its last entry is the weight of that token on
itself; so rows align from their ends, also where the window has moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_TOKENS = 64  # of a bertviz page: its size grows with the square
MAX_LAYERS = 4


def square(episode: dict, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Who looked at whom from timestep `start` to before `stop`: (layers, N, L, L), queries by
    keys, tokens o a o a …

    L is twice the number of timesteps, one less where the episode's last action is among them:
    nobody computed its view. What a query gave to tokens before `start` is left out, so rows need
    not add up to 1. Raises `ValueError` for an episode without recorded attention, or no such
    timesteps.
    """
    if "attentions" not in episode:
        raise ValueError(
            "the episode has no recorded attention: play it with rollout(agent, env, record_attention=True)"
        )
    length = len(episode["attentions"])
    stop = length if stop is None else stop
    if not 0 <= start < stop <= length:
        raise ValueError(
            f"timesteps {start} to {stop} of an episode of {length}: expected 0 <= start < stop <= {length}"
        )
    rows = [
        row
        for t in range(start, stop)
        for row in (episode["attentions"][t], *episode.get("action_attentions", [])[t : t + 1])
    ]
    weights = np.zeros((*rows[0].shape[:2], len(rows), len(rows)), np.float32)
    for query, row in enumerate(rows):
        seen = min(query + 1, row.shape[-1])
        weights[:, :, query, query + 1 - seen : query + 1] = row[..., row.shape[-1] - seen :]
    return weights


def token_names(
    episode: dict, start: int, count: int, actions: Sequence[str] | None = None
) -> list[str]:
    """o0, a0, o1 … for `count` tokens from timestep `start` on; discrete actions with their name,
    if `actions` gives them, else their number.
    """
    chosen = episode.get("discrete_actions")
    names = []
    for place in range(count):
        t = start + place // 2
        said = (
            ""
            if place % 2 == 0 or chosen is None
            else f" {actions[chosen[t]] if actions else chosen[t]}"
        )
        names.append(f"{'oa'[place % 2]}{t}{said}")
    return names


def for_bertviz(
    episode: dict,
    start: int = 0,
    stop: int | None = None,
    layers: Sequence[int] | None = None,
    kinds: Sequence[str] = (),
) -> dict:
    """Keyword arguments for `bertviz.head_view(**...)`: `attention`, a tensor (1, N, L, L) for each
    of `layers` (default: the first two), and `tokens`.

    Without `stop`, as many timesteps as 64 tokens hold. Weights are rounded to three digits, which
    makes the page several times smaller. Raises `ValueError` for more than 64 tokens or 4 layers
    (the page grows with their product: 12 layers of 256 tokens are 425 MB), and as `square` does.
    """
    import torch

    stop = (
        min(start + MAX_TOKENS // 2, len(episode.get("attentions", []))) if stop is None else stop
    )
    weights = square(episode, start, stop)
    layers = list(range(min(2, len(weights)))) if layers is None else list(layers)
    if weights.shape[-1] > MAX_TOKENS:
        shown = f"{stop - start} timesteps are {weights.shape[-1]} tokens, and a bertviz page holds {MAX_TOKENS}"
        raise ValueError(f"{shown}: show at most {MAX_TOKENS // 2} timesteps")
    if not 0 < len(layers) <= MAX_LAYERS or not set(layers) <= set(range(len(weights))):
        raise ValueError(
            f"layers {layers}: expected 1 to {MAX_LAYERS} of 0 to {len(weights) - 1}"
            + (f" ({', '.join(kinds)})" if kinds else "")
        )
    attention = [
        torch.from_numpy(weights[layer][None].astype(np.float64).round(3)) for layer in layers
    ]
    return {"attention": attention, "tokens": token_names(episode, start, weights.shape[-1])}
