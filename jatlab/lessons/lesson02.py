"""Lesson 02, Dual attention: solutions and checks.

Attention under a mask, the two masks, the reach of a stack of layers, and attention from one kind
of token to another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, array, expect, named, near, number, whole
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson02_build import (
    STEPS,
    attention,
    block,
    check_build,
    split_heads,
    trunk,
)

# --- 02.1: attention under a mask ---


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Values mixed by attention: (L, D).

    Query (L, D), key and value (S, D), mask (L, S), True where a query may look.
    """
    scores = query @ key.T  # (L, S), not divided by sqrt(D)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    return weights @ value


def check_attend(answer: Answer) -> None:
    """Check 02.1 with a mask that allows everything, then with one that hides keys."""
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 4), torch.randn(5, 4), torch.randn(5, 4)
    _check_unmasked(answer, query, key, value)
    mask = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]]).bool()
    mixed, scores = _mixed(answer, query, key, value, mask), query @ key.T
    expect(
        not near(mixed, (scores.softmax(-1) * mask) @ value),
        "you put weights to 0 after the softmax, so the others no longer add up to 1: "
        "mask the scores, before it, with -inf",
    )
    expect(
        not near(mixed, (scores * mask).softmax(-1) @ value),
        "a score of 0 is not 'never': e to the 0 is 1. Fill hidden scores with -inf",
    )
    expect(
        near(mixed, attend(query, key, value, mask)),
        "with a mask the result is wrong: is a hidden score -inf before the softmax?",
    )
    expect(
        near(mixed[0], value[0]),
        "the first query sees one key only, so it should get exactly that key's value",
    )


def _check_unmasked(answer: Answer, query: Tensor, key: Tensor, value: Tensor) -> None:
    everything = torch.ones(3, 5, dtype=torch.bool)
    mixed = _mixed(answer, query, key, value, everything)
    expect(
        not np.isnan(mixed).any(),
        "NaN where everything may be seen: the mask is inverted, or nothing is left to look at. "
        "True says that a query may look there",
    )
    expect(
        not near(mixed, (query @ key.T).softmax(0) @ value),
        "each query's weights should add up to 1: "
        "take the softmax over the keys, dim=-1, not over the queries",
    )
    expect(
        not near(mixed, (query @ key.T / 2).softmax(-1) @ value),
        "you divide the scores by the square root of the head size. "
        "Most models do; GPT-Neo and JAT do not",
    )
    expect(
        near(mixed, attend(query, key, value, everything)),
        "with a mask that allows everything the result is wrong: softmax(query @ key.T) @ value?",
    )


def _mixed(answer: Answer, *given: Tensor) -> np.ndarray:
    found = array(answer(*(one.clone() for one in given)))
    expect(
        found.shape == (3, 4),
        "three queries over values of four numbers give a result of "
        f"shape (3, 4), not {found.shape}",
    )
    return found


# --- 02.2: the two masks ---


def dual_masks(length: int, window: int) -> dict[str, Tensor]:
    """The masks of both kinds of layer, booleans (length, length).

    Row i says which tokens token i may see.
    """
    index = torch.arange(length)
    distance = index[:, None] - index[None, :]  # row minus column: how far back
    causal = distance >= 0
    return {"global": causal, "local": causal & (distance < window)}


def check_masks(answer: Answer) -> None:
    """Check 02.2 with 6 tokens and a window of 3, then with other sizes."""
    masks = _masks(answer, 6, 3)
    for kind, mask in masks.items():
        _check_mask(kind, mask)
    expect(
        np.tril(masks["global"]).sum() == 21,
        "the global mask should show everything up to the token itself",
    )
    seen = int(masks["local"][5].sum())
    expect(
        seen != 4,
        "a window of 3 shows 4 tokens: it counts the token itself, "
        "so the distance has to be below the window",
    )
    expect(
        seen == 3,
        "with a window of 3 the last token should see 3 tokens, itself and the two before it; "
        f"yours sees {seen}",
    )
    for length, window in ((1, 1), (9, 4), (7, 20), (8, 1)):
        right, got = dual_masks(length, window), _masks(answer, length, window)
        expect(
            all(near(got[kind], right[kind]) for kind in right),
            f"wrong for {length} tokens and a window of {window}",
        )


def _masks(answer: Answer, length: int, window: int) -> dict[str, np.ndarray]:
    wanted = "return a dictionary with the two masks, {'global': …, 'local': …}"
    found = named(answer(length, window), ("global", "local"), wanted)
    masks = {kind: array(mask, f"the {kind} mask: {wanted}") for kind, mask in found.items()}
    for kind, mask in masks.items():
        expect(
            mask.shape == (length, length),
            f"the {kind} mask should have shape ({length}, {length}), not {mask.shape}",
        )
        expect(
            np.isin(mask, (0, 1)).all(),
            f"the {kind} mask should be booleans, True where a token may look",
        )
    return masks


def _check_mask(kind: str, mask: np.ndarray) -> None:
    expect(
        mask.diagonal().all(),
        f"in your {kind} mask a token does not see itself: it should, the distance 0 counts",
    )
    future, past = np.triu(mask, 1).any(), np.tril(mask, -1).any()
    expect(
        past or not future,
        f"your {kind} mask shows the future and hides the past: "
        "row i is the token that looks, column j the one looked at",
    )
    expect(not future, f"your {kind} mask lets tokens see the future: j > i must be False")


# --- 02.4: the reach of a stack of layers ---


def reach(kinds: Sequence[str], window: int, length: int) -> int:
    """How many tokens back the last of `length` tokens can know of something.

    `kinds` are those of the layers it has passed, "global" or "local".
    """
    if "global" in kinds:
        return length - 1
    return min(len(kinds) * (window - 1), length - 1)


def check_reach(answer: Answer) -> None:
    """Check 02.4 with local layers, with a global one among them, and with none."""

    def back(*kinds: str, window: int = 4, length: int = 100) -> int:
        return whole(answer(list(kinds), window, length))

    one = back("local")
    expect(
        one != 4,
        "one local layer of window 4 sees the token itself and three before it: "
        "it reaches 3 back, not 4",
    )
    expect(one == 3, f"one local layer of window 4 reaches 3 tokens back, not {one}")
    two = back("local", "local")
    expect(
        two != 3,
        "layers build on each other: what the layer below brought three tokens back, "
        "the next brings three more",
    )
    expect(two == 6, f"two local layers of window 4 reach 3 + 3 = 6 tokens back, not {two}")
    ten = back(*["local"] * 10, length=8)
    expect(ten == 7, f"there are only 8 tokens, so nothing is more than 7 back; you say {ten}")
    expect(
        back("global", length=50) == 49,
        "a global layer reaches the first token: of 50 tokens that is 49 back",
    )
    mixed = back("local", "global", "local", length=50)
    expect(
        mixed == 49,
        "one global layer anywhere in the stack reaches everything: "
        f"49 of 50 tokens back, not {mixed}",
    )
    expect(back(length=50) == 0, "without layers a token knows only of itself: 0")


# --- 02.5: attention from one kind of token to another ---


def attention_share(weights: Tensor, queries: Tensor, keys: Tensor) -> float:
    """The share of the attention paid by the tokens `queries` that goes to the tokens `keys`.

    Weights (N, L, L), queries and keys booleans (L,).
    """
    paid = weights[:, queries]  # (N, queries, L)
    return float(paid[:, :, keys].sum(-1).mean())


def check_share(answer: Answer) -> None:
    """Check 02.5 with tokens that look at themselves, then with random weights."""
    weights = torch.eye(4).expand(2, 4, 4)
    even, everything = torch.tensor([True, False] * 2), torch.ones(4, dtype=torch.bool)
    total = _share(answer, weights, everything, everything)
    expect(
        total < 1 + 1e-5,
        f"a share is at most 1, yours is {total:.3g}: "
        "you add up the queries or the heads; take their mean",
    )
    expect(
        total > 1 - 1e-5,
        "all attention goes somewhere, so to all tokens together the share is 1, "
        f"not {total:.3g}: sum over the keys, do not average",
    )
    own = _share(answer, weights, even, even)
    other = _share(answer, weights, even, ~even)
    expect(
        near(own, 1),
        f"tokens that look at themselves pay all to their own kind: 1, not {own:.3g}",
    )
    expect(
        near(other, 0),
        "tokens that look at themselves pay nothing to the other kind: 0",
    )
    torch.manual_seed(0)
    weights = torch.randn(3, 6, 6).softmax(-1)
    queries, keys = torch.tensor([1, 1, 0, 0, 0, 0]).bool(), torch.tensor([0, 0, 0, 1, 1, 1]).bool()
    right, got = attention_share(weights, queries, keys), _share(answer, weights, queries, keys)
    turned = float(weights[:, keys][:, :, queries].sum(-1).mean())
    expect(not near(got, turned), "queries and keys are mixed up: rows look, columns are looked at")
    expect(
        near(got, right),
        f"sum over the keys, then the mean over queries and heads, is {right:.4f}; "
        f"you have {got:.4f}",
    )


def _share(answer: Answer, weights: Tensor, queries: Tensor, keys: Tensor) -> float:
    return number(answer(weights.clone(), queries.clone(), keys.clone()))


EXERCISES = {
    "02.1": Exercise(difficulty=2, importance=5, minutes=10, solution=attend, check=check_attend),
    "02.2": Exercise(difficulty=2, importance=5, minutes=8, solution=dual_masks, check=check_masks),
    "02.3": Exercise(
        difficulty=4,
        importance=5,
        minutes=30,
        solution=(split_heads, attention, block, trunk),
        check=check_build,
        steps=STEPS,
    ),
    "02.4": Exercise(difficulty=2, importance=3, minutes=6, solution=reach, check=check_reach),
    "02.5": Exercise(
        difficulty=3, importance=3, minutes=8, solution=attention_share, check=check_share
    ),
}
