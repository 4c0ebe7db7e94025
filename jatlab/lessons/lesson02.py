"""Lesson 02, Dual attention: attention under a mask, the two masks, the reach of a stack of layers,
and attention from one kind of token to another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jatlab.lessons import Exercise, expect


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Values mixed by attention: query (L, D), key and value (S, D), mask (L, S), True where a
    query may look -> (L, D).
    """
    scores = query @ key.T  # (L, S), not divided by sqrt(D)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    return weights @ value


def check_attend(answer) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 4), torch.randn(5, 4), torch.randn(5, 4)
    everything = torch.ones(3, 5, dtype=torch.bool)
    mixed = answer(query, key, value, everything)
    expect(torch.is_tensor(mixed), f"return a tensor, not {type(mixed).__name__}")
    expect(
        mixed.shape == (3, 4),
        f"three queries over values of four numbers give a result of shape (3, 4), not {tuple(mixed.shape)}",
    )
    expect(
        not mixed.isnan().any(),
        "NaN where everything may be seen: the mask is inverted, or nothing is left to look at. True says that a query may look there",
    )
    right = attend(query, key, value, everything)
    over_queries = (query @ key.T).softmax(0) @ value
    expect(
        not torch.allclose(mixed, over_queries, atol=1e-5),
        "each query's weights should add up to 1: take the softmax over the keys, dim=-1, not over the queries",
    )
    divided = (query @ key.T / 2).softmax(-1) @ value
    expect(
        not torch.allclose(mixed, divided, atol=1e-5),
        "you divide the scores by the square root of the head size. Most models do; GPT-Neo and JAT do not",
    )
    expect(
        torch.allclose(mixed, right, atol=1e-5),
        "with a mask that allows everything the result is wrong: softmax(query @ key.T) @ value?",
    )
    mask = torch.tensor(
        [
            [True, False, False, False, False],
            [True, True, True, False, False],
            [False, False, True, True, True],
        ]
    )
    mixed, right = answer(query, key, value, mask), attend(query, key, value, mask)
    zeroed = ((query @ key.T).softmax(-1) * mask) @ value
    expect(
        not torch.allclose(mixed, zeroed, atol=1e-5),
        "you put weights to 0 after the softmax, so the others no longer add up to 1: mask the scores, before it, with -inf",
    )
    expect(
        not torch.allclose(mixed, ((query @ key.T) * mask).softmax(-1) @ value, atol=1e-5),
        "a score of 0 is not 'never': e to the 0 is 1. Fill hidden scores with -inf",
    )
    expect(
        torch.allclose(mixed, right, atol=1e-5),
        "with a mask the result is wrong: is a hidden score -inf before the softmax?",
    )
    expect(
        torch.allclose(mixed[0], value[0], atol=1e-5),
        "the first query sees one key only, so it should get exactly that key's value",
    )


def dual_masks(length: int, window: int) -> dict[str, Tensor]:
    """The masks of both kinds of layer, booleans (length, length): row i says which tokens token i
    may see.
    """
    index = torch.arange(length)
    distance = index[:, None] - index[None, :]  # row minus column: how far back
    causal = distance >= 0
    return {"global": causal, "local": causal & (distance < window)}


def check_masks(answer) -> None:
    masks = answer(6, 3)
    expect(
        isinstance(masks, dict) and set(masks) == {"global", "local"},
        "return a dictionary with the two masks, {'global': …, 'local': …}",
    )
    for kind, mask in masks.items():
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
        expect(
            not (mask.triu(1).any() and not mask.tril(-1).any()),
            f"your {kind} mask shows the future and hides the past: row i is the token that looks, column j the one looked at",
        )
        expect(
            not mask.triu(1).any(),
            f"your {kind} mask lets tokens see the future: j > i must be False",
        )
    expect(
        masks["global"].tril().sum() == 21,
        "the global mask should show everything up to the token itself",
    )
    seen = int(masks["local"][5].sum())
    expect(
        seen != 4,
        "a window of 3 shows 4 tokens: it counts the token itself, so the distance has to be below the window",
    )
    expect(
        seen == 3,
        f"with a window of 3 the last token should see 3 tokens, itself and the two before it; yours sees {seen}",
    )
    for length, window in ((1, 1), (9, 4), (7, 20), (8, 1)):
        right, got = dual_masks(length, window), answer(length, window)
        expect(
            all(torch.equal(right[kind], got[kind]) for kind in right),
            f"wrong for {length} tokens and a window of {window}",
        )


def reach(kinds: Sequence[str], window: int, length: int) -> int:
    """How many tokens back the last of `length` tokens can know of something, after layers of these
    kinds, "global" or "local".
    """
    if "global" in kinds:
        return length - 1
    return min(len(kinds) * (window - 1), length - 1)


def check_reach(answer) -> None:
    one = answer(["local"], 4, 100)
    expect(
        one != 4,
        "one local layer of window 4 sees the token itself and three before it: it reaches 3 back, not 4",
    )
    expect(one == 3, f"one local layer of window 4 reaches 3 tokens back, not {one}")
    two = answer(["local", "local"], 4, 100)
    expect(
        two != 3,
        "layers build on each other: what the layer below brought three tokens back, the next brings three more",
    )
    expect(two == 6, f"two local layers of window 4 reach 3 + 3 = 6 tokens back, not {two}")
    expect(
        answer(["local"] * 10, 4, 8) == 7,
        f"there are only 8 tokens, so nothing is more than 7 back; you say {answer(['local'] * 10, 4, 8)}",
    )
    expect(
        answer(["global"], 4, 50) == 49,
        "a global layer reaches the first token: of 50 tokens that is 49 back",
    )
    mixed = answer(["local", "global", "local"], 4, 50)
    expect(
        mixed == 49,
        f"one global layer anywhere in the stack reaches everything: 49 of 50 tokens back, not {mixed}",
    )
    expect(answer([], 4, 50) == 0, "without layers a token knows of itself alone: 0")


def attention_share(weights: Tensor, queries: Tensor, keys: Tensor) -> float:
    """Of the attention that the tokens `queries` pay, which share goes to the tokens `keys`?
    Weights (N, L, L), the others booleans (L,).
    """
    paid = weights[:, queries]  # (N, queries, L)
    return float(paid[:, :, keys].sum(-1).mean())


def check_share(answer) -> None:
    weights = torch.eye(4).expand(2, 4, 4)
    even, odd, everything = (
        torch.tensor([True, False] * 2),
        torch.tensor([False, True] * 2),
        torch.ones(4, dtype=torch.bool),
    )
    total = float(answer(weights, everything, everything))
    expect(
        total < 1 + 1e-6,
        f"a share is at most 1, yours is {total:.3g}: you add up the queries or the heads; take their mean",
    )
    expect(
        total > 1 - 1e-6,
        f"all attention goes somewhere, so to all tokens together the share is 1, not {total:.3g}: sum over the keys, do not average",
    )
    expect(
        abs(float(answer(weights, even, even)) - 1) < 1e-6,
        f"tokens that look at themselves pay all to their own kind: 1, not {float(answer(weights, even, even)):.3g}",
    )
    expect(
        abs(float(answer(weights, even, odd))) < 1e-6,
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
        f"sum over the keys, then the mean over queries and heads, is {right:.4f}; you have {got:.4f}",
    )


EXERCISES = {
    "02.1": Exercise(minutes=10, solution=attend, check=check_attend),
    "02.2": Exercise(minutes=8, solution=dual_masks, check=check_masks),
    "02.3": Exercise(minutes=6, solution=reach, check=check_reach),
    "02.4": Exercise(minutes=8, solution=attention_share, check=check_share),
}
