"""The attention that was recorded while an agent acted, as one square: queries by keys.

No second forward pass is needed: `rollout(agent, env, record_attention=True)` kept the rows of
single decisions, and here they are aligned. A row belongs to a token, and its last entry is the
weight of that token on itself. So rows align from their ends, also where the window has moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.utils.checks import require

if TYPE_CHECKING:
    from jatlab.agents.last_step import LastStep

MAX_TOKENS = 64  # of a bertviz page: its size grows with the square
MAX_LAYERS = 4


def in_order(last: LastStep, attentions: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """A decision's attention in the first environment, oldest token first.

    Args:
        last: what the agent computed.
        attentions: per layer (n, N, S); None: those of the observation.

    Returns:
        (layers, N, tokens).
    """
    attentions = last.attentions if attentions is None else attentions
    index = last.key_index[0]
    order = np.argsort(index)[(index < 0).sum() :]
    return np.stack([weights[0][:, order] for weights in attentions])


def square(episode: dict[str, Any], start: int = 0, stop: int | None = None) -> np.ndarray:
    """Who attended to whom in some timesteps of an episode.

    Args:
        episode: from `rollout(agent, env, record_attention=True)`.
        start: the first timestep.
        stop: the timestep after the last; None: the episode's length.

    Returns:
        (layers, N, L, L), queries by keys, tokens o a o a … L is twice the number of timesteps, one
        less where the episode's last action is among them: nobody computed its view. What a query
        gave to tokens before ``start`` is left out, so rows need not add up to 1.

    Raises:
        ValueError: for an episode without recorded attention, or timesteps that it does not have.
    """
    require(
        "attentions" in episode,
        "the episode has no recorded attention: play it with rollout(agent, env, "
        "record_attention=True)",
    )
    length = len(episode["attentions"])
    stop = length if stop is None else stop
    require(
        0 <= start < stop <= length,
        f"timesteps {start} to {stop} of an episode of {length}: expected 0 <= start < stop <= "
        f"{length}",
    )
    of_actions = episode.get("action_attentions", [])
    rows = [
        row
        for t in range(start, stop)
        for row in (episode["attentions"][t], *of_actions[t : t + 1])
    ]
    weights = np.zeros((*rows[0].shape[:2], len(rows), len(rows)), np.float32)
    for query, row in enumerate(rows):
        seen = min(query + 1, row.shape[-1])
        weights[:, :, query, query + 1 - seen : query + 1] = row[..., row.shape[-1] - seen :]
    return weights


def token_names(
    episode: dict[str, Any], start: int, count: int, actions: Sequence[str] | None = None
) -> list[str]:
    """Names of tokens, such as "o0", "a0 forward", "o1".

    Args:
        episode: from `rollout`.
        start: the timestep of the first token.
        count: tokens.
        actions: names of discrete actions; None: their numbers.
    """
    chosen, names = episode.get("discrete_actions"), []
    for place in range(count):
        t, kind = start + place // 2, "oa"[place % 2]
        name = f"{kind}{t}"
        if kind == "a" and chosen is not None:
            name += f" {actions[chosen[t]] if actions else chosen[t]}"
        names.append(name)
    return names


def for_bertviz(
    episode: dict[str, Any],
    start: int = 0,
    stop: int | None = None,
    layers: Sequence[int] | None = None,
    kinds: Sequence[str] = (),
) -> dict[str, Any]:
    """Keyword arguments for `bertviz.head_view(**...)`.

    Weights are rounded to three digits, which makes the page several times smaller.

    Args:
        episode: from `rollout(agent, env, record_attention=True)`.
        start: the first timestep.
        stop: the timestep after the last; None: as many timesteps as 64 tokens hold.
        layers: at most four; None: the first two.
        kinds: of all layers, "global" or "local", for the error message.

    Returns:
        `attention`, a tensor (1, N, L, L) for each layer, and `tokens`, their names.

    Raises:
        ValueError: for more than 64 tokens or 4 layers (the page grows with their product: 12
            layers of 256 tokens are 425 MB), and as `square` does.
    """
    import torch

    if stop is None:
        stop = min(start + MAX_TOKENS // 2, len(episode.get("attentions", [])))
    weights = square(episode, start, stop)
    tokens, known = weights.shape[-1], range(len(weights))
    require(
        tokens <= MAX_TOKENS,
        f"{stop - start} timesteps are {tokens} tokens, and a bertviz page holds {MAX_TOKENS}: "
        f"show at most {MAX_TOKENS // 2} timesteps",
    )
    layers = list(known[:2]) if layers is None else list(layers)
    require(
        0 < len(layers) <= MAX_LAYERS and set(layers) <= set(known),
        f"layers {layers}: expected 1 to {MAX_LAYERS} of 0 to {len(weights) - 1}"
        + (f" ({', '.join(kinds)})" if kinds else ""),
    )
    rounded = weights.astype(np.float64).round(3)
    attention = [torch.from_numpy(rounded[layer][None]) for layer in layers]
    return {"attention": attention, "tokens": token_names(episode, start, tokens)}
