"""Lesson 02, Dual attention: solutions and checks.

Attention under a mask, the two masks, the reach of a stack of layers, and attention from one kind
of token to another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jatlab.lessons.harness import Answer, Exercise, expect

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
    mixed, scores = answer(query, key, value, mask), query @ key.T
    expect(
        not _close(mixed, (scores.softmax(-1) * mask) @ value),
        "you put weights to 0 after the softmax, so the others no longer add up to 1: "
        "mask the scores, before it, with -inf",
    )
    expect(
        not _close(mixed, (scores * mask).softmax(-1) @ value),
        "a score of 0 is not 'never': e to the 0 is 1. Fill hidden scores with -inf",
    )
    expect(
        _close(mixed, attend(query, key, value, mask)),
        "with a mask the result is wrong: is a hidden score -inf before the softmax?",
    )
    expect(
        _close(mixed[0], value[0]),
        "the first query sees one key only, so it should get exactly that key's value",
    )


def _check_unmasked(answer: Answer, query: Tensor, key: Tensor, value: Tensor) -> None:
    everything = torch.ones(3, 5, dtype=torch.bool)
    mixed = answer(query, key, value, everything)
    expect(torch.is_tensor(mixed), f"return a tensor, not {type(mixed).__name__}")
    expect(
        mixed.shape == (3, 4),
        "three queries over values of four numbers give a result of "
        f"shape (3, 4), not {tuple(mixed.shape)}",
    )
    expect(
        not mixed.isnan().any(),
        "NaN where everything may be seen: the mask is inverted, or nothing is left to look at. "
        "True says that a query may look there",
    )
    expect(
        not _close(mixed, (query @ key.T).softmax(0) @ value),
        "each query's weights should add up to 1: "
        "take the softmax over the keys, dim=-1, not over the queries",
    )
    expect(
        not _close(mixed, (query @ key.T / 2).softmax(-1) @ value),
        "you divide the scores by the square root of the head size. "
        "Most models do; GPT-Neo and JAT do not",
    )
    expect(
        _close(mixed, attend(query, key, value, everything)),
        "with a mask that allows everything the result is wrong: softmax(query @ key.T) @ value?",
    )


def _close(mixed: Tensor, other: Tensor) -> bool:
    return torch.allclose(mixed, other, atol=1e-5)


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
    masks = answer(6, 3)
    expect(
        isinstance(masks, dict) and set(masks) == {"global", "local"},
        "return a dictionary with the two masks, {'global': …, 'local': …}",
    )
    for kind, mask in masks.items():
        _check_mask(kind, mask)
    expect(
        masks["global"].tril().sum() == 21,
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
        right, got = dual_masks(length, window), answer(length, window)
        expect(
            all(torch.equal(right[kind], got[kind]) for kind in right),
            f"wrong for {length} tokens and a window of {window}",
        )


def _check_mask(kind: str, mask: Tensor) -> None:
    expect(
        torch.is_tensor(mask) and mask.dtype == torch.bool,
        f"the {kind} mask should be a tensor of booleans",
    )
    expect(
        mask.shape == (6, 6),
        f"the {kind} mask should have shape (6, 6), not {tuple(mask.shape)}",
    )
    expect(
        mask.diagonal().all(),
        f"in your {kind} mask a token does not see itself: it should, the distance 0 counts",
    )
    future, past = mask.triu(1).any(), mask.tril(-1).any()
    expect(
        past or not future,
        f"your {kind} mask shows the future and hides the past: "
        "row i is the token that looks, column j the one looked at",
    )
    expect(not future, f"your {kind} mask lets tokens see the future: j > i must be False")


# --- 02.3: the reach of a stack of layers ---


def reach(kinds: Sequence[str], window: int, length: int) -> int:
    """How many tokens back the last of `length` tokens can know of something.

    `kinds` are those of the layers it has passed, "global" or "local".
    """
    if "global" in kinds:
        return length - 1
    return min(len(kinds) * (window - 1), length - 1)


def check_reach(answer: Answer) -> None:
    """Check 02.3 with local layers, with a global one among them, and with none."""
    one = answer(["local"], 4, 100)
    expect(
        one != 4,
        "one local layer of window 4 sees the token itself and three before it: "
        "it reaches 3 back, not 4",
    )
    expect(one == 3, f"one local layer of window 4 reaches 3 tokens back, not {one}")
    two = answer(["local", "local"], 4, 100)
    expect(
        two != 3,
        "layers build on each other: what the layer below brought three tokens back, "
        "the next brings three more",
    )
    expect(two == 6, f"two local layers of window 4 reach 3 + 3 = 6 tokens back, not {two}")
    ten = answer(["local"] * 10, 4, 8)
    expect(ten == 7, f"there are only 8 tokens, so nothing is more than 7 back; you say {ten}")
    expect(
        answer(["global"], 4, 50) == 49,
        "a global layer reaches the first token: of 50 tokens that is 49 back",
    )
    mixed = answer(["local", "global", "local"], 4, 50)
    expect(
        mixed == 49,
        "one global layer anywhere in the stack reaches everything: "
        f"49 of 50 tokens back, not {mixed}",
    )
    expect(answer([], 4, 50) == 0, "without layers a token knows only of itself: 0")


# --- 02.4: attention from one kind of token to another ---


def attention_share(weights: Tensor, queries: Tensor, keys: Tensor) -> float:
    """The share of the attention paid by the tokens `queries` that goes to the tokens `keys`.

    Weights (N, L, L), queries and keys booleans (L,).
    """
    paid = weights[:, queries]  # (N, queries, L)
    return float(paid[:, :, keys].sum(-1).mean())


def check_share(answer: Answer) -> None:
    """Check 02.4 with tokens that look at themselves, then with random weights."""
    weights = torch.eye(4).expand(2, 4, 4)
    even, everything = torch.tensor([True, False] * 2), torch.ones(4, dtype=torch.bool)
    total = float(answer(weights, everything, everything))
    expect(
        total < 1 + 1e-6,
        f"a share is at most 1, yours is {total:.3g}: "
        "you add up the queries or the heads; take their mean",
    )
    expect(
        total > 1 - 1e-6,
        "all attention goes somewhere, so to all tokens together the share is 1, "
        f"not {total:.3g}: sum over the keys, do not average",
    )
    own, other = float(answer(weights, even, even)), float(answer(weights, even, ~even))
    expect(
        abs(own - 1) < 1e-6,
        f"tokens that look at themselves pay all to their own kind: 1, not {own:.3g}",
    )
    expect(
        abs(other) < 1e-6,
        "tokens that look at themselves pay nothing to the other kind: 0",
    )
    torch.manual_seed(0)
    weights = torch.randn(3, 6, 6).softmax(-1)
    queries, keys = torch.tensor([1, 1, 0, 0, 0, 0]).bool(), torch.tensor([0, 0, 0, 1, 1, 1]).bool()
    right, got = attention_share(weights, queries, keys), float(answer(weights, queries, keys))
    turned = float(weights[:, keys][:, :, queries].sum(-1).mean())
    expect(
        abs(got - turned) > 1e-6, "queries and keys are mixed up: rows look, columns are looked at"
    )
    expect(
        abs(got - right) < 1e-6,
        f"sum over the keys, then the mean over queries and heads, is {right:.4f}; "
        f"you have {got:.4f}",
    )


EXERCISES = {
    "02.1": Exercise(minutes=10, solution=attend, check=check_attend),
    "02.2": Exercise(minutes=8, solution=dual_masks, check=check_masks),
    "02.3": Exercise(minutes=6, solution=reach, check=check_reach),
    "02.4": Exercise(minutes=8, solution=attention_share, check=check_share),
}
