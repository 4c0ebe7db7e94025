"""Exercise 08.5: what an agent's memory is worth, built in three steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, kind, near, number

Decide = Callable[[list], Any]  # the observations remembered, oldest first -> probabilities (A,)

# --- one right answer of each step


def distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """How far apart two decisions are, for each timestep: 0 the same, 1 nothing in common.

    Probabilities (T, A) each -> (T,).
    """
    return np.abs(p - q).sum(-1) / 2


def with_memory(decide: Decide, observations: Sequence, k: int) -> np.ndarray:
    """The decisions (T, A) of an agent that remembers k timesteps, the present one included."""
    return np.stack(
        [
            np.asarray(decide(list(observations[max(0, t + 1 - k) : t + 1])))
            for t in range(len(observations))
        ]
    )


def worth(decide: Decide, observations: Sequence, lengths: Sequence[int]) -> dict[int, float]:
    """For each k the mean distance from the decisions with everything remembered.

    Only timesteps with more than k behind and at them count: before, nothing is forgotten.
    """
    full = with_memory(decide, observations, len(observations))
    return {
        k: float(distance(with_memory(decide, observations, k), full)[k:].mean()) for k in lengths
    }


STEPS = ("how far apart", "a shorter memory", "what it is worth")
STEPS_SEEN = 12


def check_worth(apart: Answer, shorter: Answer | None = None, value: Answer | None = None) -> None:
    """Check 08.5: the distance alone, or with the later steps."""
    _check_distance(apart)
    if shorter is not None:
        _check_memory(shorter)
    if value is not None:
        _check_value(value)


def _decide(observations: list) -> np.ndarray:
    """An agent that weighs what it remembers, the newest most."""
    weights = 0.7 ** np.arange(len(observations))[::-1]
    mixed = float((weights * np.asarray(observations, dtype=float)).sum())
    logits = np.array([mixed, -mixed, 0.3 * len(observations)])
    return np.exp(logits) / np.exp(logits).sum()


def _seen() -> list[float]:
    return np.random.default_rng(2).normal(size=STEPS_SEEN).tolist()


def _check_distance(answer: Answer) -> None:
    p = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    q = np.array([[0, 1.0, 0], [0.5, 0.5, 0], [0.5, 0.3, 0.2]])
    got = array(answer(p.copy(), q.copy()), "step 1: return one number for each timestep")
    expect(
        got.shape == (3,),
        f"step 1: three timesteps give three distances, shape (3,), not {got.shape}",
    )
    expect(
        not near(got, 2 * distance(p, q)),
        "step 1: two decisions with nothing in common are 1 apart, yours 2: halve the sum",
    )
    expect(
        not near(got, (p - q).sum(-1) / 2),
        "step 1: the differences cancel out: take their size (np.abs) before you add",
    )
    expect(near(got, distance(p, q)), f"step 1: expected [1, 0, 0.3], got {got.tolist()}")


def _check_memory(answer: Answer) -> None:
    seen, right = _seen(), with_memory(_decide, _seen(), 3)
    asked: list[int] = []

    def decide(observations: Any) -> np.ndarray:
        given = array(list(observations), "step 2: decide takes a list of observations")
        expect(given.ndim == 1 and given.size > 0, "step 2: decide takes a list of observations")
        asked.append(given.size)
        return _decide(given.tolist())

    got = array(answer(decide, list(seen), 3), "step 2: return the decisions, (T, A)")
    expect(
        got.shape == right.shape,
        f"step 2: {STEPS_SEEN} timesteps and 3 actions are {right.shape}; yours {got.shape}",
    )
    expect(
        max(asked) != 4,
        "step 2: k = 3 remembers three timesteps, the present one included; yours remembers 4",
    )
    expect(max(asked) <= 3, f"step 2: with k = 3 decide gets 3 observations at most: {max(asked)}")
    if near(got[2:], right[2:]):
        expect(
            near(got, right),
            "step 2: right from timestep 2 on; before it there are fewer than k to remember, and a "
            "negative start counts from the end",
        )
    expect(
        near(got, right),
        "step 2: other decisions: at timestep t the last k observations up to t, oldest first",
    )


def _check_value(answer: Answer) -> None:
    seen, lengths = _seen(), (1, 2, 4, 8)
    raw, right = answer(_decide, list(seen), lengths), worth(_decide, seen, lengths)
    expect(
        isinstance(raw, dict) and set(raw) == set(lengths),
        f"step 3: return a dict with the keys {lengths}; yours is {kind(raw)}",
    )
    got = {k: number(raw[k], f"step 3, k = {k}: one number") for k in lengths}
    full = with_memory(_decide, seen, len(seen))
    all_steps = {k: float(distance(with_memory(_decide, seen, k), full).mean()) for k in lengths}
    expect(
        not all(near(got[k], all_steps[k]) for k in lengths),
        "step 3: the first k timesteps count too, at which nothing has been forgotten yet, and "
        "make the distance too small",
    )
    for k in lengths:
        expect(near(got[k], right[k]), f"step 3, k = {k}: {right[k]:.4f}, not {got[k]:.4f}")
