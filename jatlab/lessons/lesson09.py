"""Lesson 09, Words and pictures: solutions and checks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, array, expect, near, number
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson09_build import (
    STEPS,
    attend_new,
    check_generation,
    greedy,
    greedy_cached,
    read_token,
)

# --- 09.1: temperature ---


def with_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Logits (V,) -> probabilities (V,) at this temperature."""
    return (logits / temperature).softmax(-1)


def check_with_temperature(answer: Answer) -> None:
    """Check 09.1 at temperatures 1 and 2."""
    logits = torch.tensor([2.0, 1.0, 0.0])
    got = _tempered(answer, logits, 1.0)
    expect(
        near(got.sum(), 1),
        f"probabilities add up to 1, yours to {float(got.sum()):.3f}: softmax comes last",
    )
    expect(near(got, logits.softmax(-1)), "at temperature 1 nothing changes: plain softmax")
    warm, right = _tempered(answer, logits, 2.0), (logits / 2).softmax(-1)
    expect(
        not near(warm, (logits * 2).softmax(-1)),
        "multiplied by the temperature: a high temperature then sharpens; divide by it",
    )
    halves = logits.softmax(-1) / 2
    expect(
        not near(warm, halves / halves.sum()),
        "the temperature divides the logits, before softmax; "
        "dividing probabilities changes nothing",
    )
    expect(
        near(warm, right),
        f"at temperature 2 these logits give {_rounded(right)}; yours are {_rounded(warm)}",
    )


def _tempered(answer: Answer, logits: Tensor, temperature: float) -> np.ndarray:
    wanted = "three logits give three probabilities, shape (3,)"
    found = array(answer(logits.clone(), temperature), wanted)
    expect(found.shape == (3,), f"{wanted}; yours has shape {found.shape}")
    return found


# --- 09.2: top-p ---


def keep_top_p(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the fewest likeliest tokens that reach `top_p` together; the others become 0.

    Probabilities (V,) -> probabilities (V,), whose sum is 1 again.
    """
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(0) - ordered  # what the likelier tokens have together
    kept = torch.zeros_like(probabilities)
    kept[order[before < top_p]] = probabilities[order[before < top_p]]
    return kept / kept.sum()


def check_keep_top_p(answer: Answer) -> None:
    """Check 09.2: which tokens are kept, with which probabilities, and the limits."""
    probabilities = torch.tensor([0.15, 0.5, 0.05, 0.3])
    got = _kept(answer, probabilities, 0.7)
    _check_kept((got > 0).tolist())
    expect(
        near(got.sum(), 1),
        "what is kept must add up to 1 again, "
        f"yours adds up to {float(got.sum()):.2f}: divide by the sum",
    )
    expect(
        near(got, torch.tensor([0, 0.625, 0, 0.375])),
        f"0.5 and 0.3 become 0.625 and 0.375; yours is {_rounded(got)}",
    )
    expect(
        near(_kept(answer, probabilities, 1.0), probabilities),
        "with top_p = 1 every token stays",
    )
    expect(
        (_kept(answer, probabilities, 0.01) > 0).sum() == 1,
        "the likeliest token is kept even if its probability exceeds top_p",
    )
    exact = _kept(answer, torch.tensor([0.125, 0.5, 0.125, 0.25]), 0.75)
    expect(
        (exact > 0).tolist() == [False, True, False, True],
        "0.5 and 0.25 reach 0.75 exactly: no third token is needed",
    )


def _kept(answer: Answer, probabilities: Tensor, top_p: float) -> np.ndarray:
    wanted = "four probabilities stay four, in their old order"
    found = array(answer(probabilities.clone(), top_p), wanted)
    expect(found.shape == (4,), f"{wanted}; yours has shape {found.shape}")
    return found


def _check_kept(kept: list[bool]) -> None:
    expect(
        kept != [False, True, False, False],
        "0.5 alone does not reach 0.7: the token that reaches it is kept too",
    )
    expect(
        kept != [True, False, True, False],
        "these are the unlikely ones: keep the likeliest until they reach top_p together",
    )
    expect(
        kept != [True, True, False, False],
        "the first tokens of the vocabulary were kept: "
        "sort first, and put the kept ones back in their places",
    )
    expect(
        kept == [False, True, False, True],
        f"0.5 and 0.3 reach 0.7 together, so those two are kept; you kept {kept}",
    )


# --- 09.3: perplexity ---


def perplexity_of(nats: list[Tensor]) -> float:
    """The perplexity, per token, of several documents.

    `nats` are the negative log-likelihoods of their tokens, one tensor (tokens,) a document.
    """
    return math.exp(float(torch.cat(nats).mean()))


def check_perplexity(answer: Answer) -> None:
    """Check 09.3 with one document, then with a short and a long one."""
    short, long = torch.full((1,), math.log(16.0)), torch.full((3,), math.log(2.0))
    wanted = "a perplexity is a number of at least 1"
    alone = number(answer([long.clone()]), wanted)
    expect(alone > 0, f"{wanted}, yours is {alone}")
    expect(not near(alone, math.log(2)), "that is the mean in nats: raise e to it")
    expect(
        not near(alone, 2 ** math.log(2)),
        "the likelihoods are in nats, to the base e: e to the mean, not 2 to the mean",
    )
    expect(
        not near(alone, 8.0),
        "e to the sum is one over the probability of the whole text: "
        "take the mean over tokens first",
    )
    expect(
        near(alone, 2.0),
        f"three tokens of probability 1/2 each have a perplexity of 2; yours is {alone:g}",
    )
    both = number(answer([short.clone(), long.clone()]), wanted)
    expect(
        not near(both, 9.0),
        "the mean of the documents' perplexities: the one-token document counts "
        "as much as the long one, and surprises count exponentially",
    )
    expect(
        not near(both, math.sqrt(32)),
        "the mean over documents of their mean: every token should count the same, "
        "so add up all nats and divide by all tokens",
    )
    expect(
        near(both, 2 ** (7 / 4)),
        "log 16 once and log 2 three times are 7 log 2 in four tokens: "
        f"2 to the 7/4, {2**1.75:.3f}; yours is {both:.3f}",
    )


# --- 09.4: what a token looks at ---


def to_map(weights: Tensor, patches: int) -> Tensor:
    """What the last token gives each patch, mean over heads, as a map (side, side).

    One layer's attention (heads, L, L) over `patches` patches and then the text.
    """
    side = math.isqrt(patches)
    return weights[:, -1, :patches].mean(0).reshape(side, side)


def check_to_map(answer: Answer) -> None:
    """Check 09.4 with four patches and three tokens of text."""
    weights = torch.rand(2, 7, 7, generator=torch.Generator().manual_seed(0)).softmax(-1)
    weights = torch.where(torch.ones(7, 7).tril().bool(), weights, 0.0)
    wanted, right = "four patches are a map of shape (2, 2)", to_map(weights, 4)
    got = array(answer(weights.clone(), 4), wanted)
    expect(got.shape == (2, 2), f"{wanted}; yours has shape {got.shape}")
    expect(
        not near(got, right.T),
        "rows and columns are swapped: patches come row by row, so a plain reshape will do",
    )
    expect(
        not near(got, weights[:, :4, -1].mean(0).reshape(2, 2)),
        "that is what the patches give to the last token (nothing: it comes later); "
        "rows are queries, columns keys",
    )
    expect(
        not near(got, weights[:, -1, -4:].mean(0).reshape(2, 2)),
        "the last columns are text: the patches stand first",
    )
    expect(
        not near(got, weights[:, -1, :4].sum(0).reshape(2, 2)),
        "mean over the heads, not their sum",
    )
    expect(
        not near(got, right / right.sum()),
        "do not divide by the sum: what the text gets is missing from the map, "
        "and that is worth seeing",
    )
    expect(
        near(got, right),
        "the row of the last token, the columns of the patches, the mean over heads, reshaped",
    )


def _rounded(values: Tensor | np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in values]


EXERCISES = {
    "09.1": Exercise(
        difficulty=1,
        importance=4,
        minutes=5,
        solution=with_temperature,
        check=check_with_temperature,
    ),
    "09.2": Exercise(
        difficulty=3, importance=4, minutes=10, solution=keep_top_p, check=check_keep_top_p
    ),
    "09.3": Exercise(
        difficulty=3, importance=4, minutes=8, solution=perplexity_of, check=check_perplexity
    ),
    "09.4": Exercise(difficulty=2, importance=3, minutes=8, solution=to_map, check=check_to_map),
    "09.5": Exercise(
        difficulty=5,
        importance=4,
        minutes=30,
        solution=(greedy, attend_new, read_token, greedy_cached),
        check=check_generation,
        steps=STEPS,
    ),
}
