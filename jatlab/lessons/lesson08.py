"""Lesson 08, Live rollouts: solutions and checks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, array, expect, near, whole
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson08_build import STEPS, check_worth, distance, with_memory, worth

POLICIES = ("recompute", "published")

# --- 08.1: temperature ---


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Logits (A,) -> probabilities (A,) at a temperature; at 0 the likeliest action has 1."""
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(), len(logits)).float()
    return (logits / temperature).softmax(-1)


def check_tempered(answer: Answer) -> None:
    """Check 08.1 at temperatures 1, 4 and 0."""
    logits = torch.tensor([2.0, 1.0, -1.0])
    got = _probabilities(answer(logits.clone(), 1.0), 3)
    expect(
        near(got.sum(), 1),
        f"probabilities add up to 1, yours to {float(got.sum()):.3f}: softmax comes last",
    )
    expect(
        near(got, logits.softmax(-1)),
        "temperature 1 changes nothing: it is softmax of the logits themselves",
    )
    hot, times = _probabilities(answer(logits.clone(), 4.0), 3), (logits * 4).softmax(-1)
    expect(
        not near(hot, times),
        "multiplied instead of divided: a high temperature makes the choice more even, not less",
    )
    divided = logits.softmax(-1) / 4
    expect(
        not near(hot, divided / divided.sum()),
        "the probabilities were divided, and divided evenly: divide the logits, before softmax",
    )
    expect(
        near(hot, (logits / 4).softmax(-1)),
        "at temperature 4 each logit counts a quarter: softmax(logits / 4)",
    )
    cold = _probabilities(answer(logits.clone(), 0), 3)
    expect(
        np.isfinite(cold).all(),
        "at temperature 0 there is NaN: dividing by 0 has to be a case of its own",
    )
    expect(
        near(cold, [1, 0, 0]),
        f"at temperature 0 the likeliest action has probability 1: [1, 0, 0], not {cold.tolist()}",
    )
    expect(
        near(_probabilities(answer(torch.tensor([0.0, 5.0]), 0), 2), [0, 1]),
        "at temperature 0 it is not always the first action: take the argmax of the logits",
    )


def _probabilities(value: object, size: int) -> np.ndarray:
    found = array(value, f"return {size} probabilities")
    expect(
        found.shape == (size,),
        f"{size} logits give {size} probabilities, yours have shape {found.shape}",
    )
    return found


# --- 08.2: the last k timesteps ---


def last_timesteps(tokens: Tensor, k: int) -> Tensor:
    """The tokens of the last k timesteps; all of them where there are no k.

    Tokens o0 a0 o1 a1 … oT, (2 T + 1, H), oldest first.
    """
    return tokens[-(2 * k - 1) :]


def check_last_timesteps(answer: Answer) -> None:
    """Check 08.2 with five timesteps, in which token i holds the number i."""
    tokens = torch.arange(9.0)[:, None].repeat(1, 2)
    got = _tokens(answer, tokens, 2)
    expect(
        len(got) != 2,
        "these are the last 2 tokens; "
        "2 timesteps are an observation, an action and the observation of now",
    )
    expect(
        len(got) != 4,
        "4 tokens begin with an action whose observation is gone: "
        "the timestep of now has no action yet, so k timesteps are 2 k - 1 tokens",
    )
    expect(len(got) == 3, f"2 timesteps are 3 tokens (o a o), yours are {len(got)}")
    expect(
        got[:, 0].tolist() == [6, 7, 8],
        f"the last timesteps are at the end: tokens 6, 7, 8, not {got[:, 0].tolist()}",
    )
    expect(
        _tokens(answer, tokens, 1)[:, 0].tolist() == [8],
        "with one timestep remembered, only the observation of now is left",
    )
    expect(
        len(_tokens(answer, tokens, 9)) == 9,
        "where there are fewer than k timesteps, all tokens are left",
    )


def _tokens(answer: Answer, tokens: Tensor, k: int) -> np.ndarray:
    found = array(answer(tokens.clone(), k), "return tokens, (some, H)")
    expect(
        found.ndim == 2 and found.shape[1] == tokens.shape[1],
        f"return tokens, (some, H), here (some, 2); yours has shape {found.shape}",
    )
    return found


# --- 08.3: how much is remembered ---


def remembered(t: int, context: int, policy: str) -> int:
    """How many observations the agent sees at timestep t (from 0), that of now included.

    It remembers `context` timesteps (an even number).
    """
    if policy == "published":
        return min(t + 1, context + 2)
    half = context // 2
    return t + 1 if t < context else half + 1 + (t - context) % half


def check_remembered(answer: Answer) -> None:
    """Check 08.3 with a context of 8, then with others."""
    got = {policy: [whole(answer(t, 8, policy)) for t in range(40)] for policy in POLICIES}
    for policy, values in got.items():
        expect(
            values[0] == 1,
            f"{policy}: at timestep 0 there is one observation, that of now, not {values[0]}",
        )
        expect(
            values[:8] == list(range(1, 9)),
            f"{policy}: until the context of 8 is full, all t + 1 observations are remembered; "
            f"yours are {values[:8]}",
        )
    expect(got["published"] != got["recompute"], "the two policies differ once the context is full")
    late = got["published"][20]
    expect(
        late == got["published"][30],
        "published: the oldest is dropped whenever one comes, so the number stays the same",
    )
    expect(
        late == 10,
        f"published: {late} observations at timestep 20; look at the table above: "
        "two more than the context, 10",
    )
    _check_cut(got["recompute"])
    _check_other_contexts(answer, remembered)


def _check_cut(moved: list[int]) -> None:
    expect(
        moved[8] != 1,
        "recompute: the window moves, it is not emptied: the later half of its timesteps stays",
    )
    expect(moved[8] != 8, "recompute: at the cut half of the window is given up, not one timestep")
    expect(
        moved[8] != 4, "recompute: the later half, 4 timesteps, and the observation of now make 5"
    )
    expect(
        moved[8:16] == [5, 6, 7, 8, 5, 6, 7, 8],
        f"recompute: from timestep 8 on it is 5 6 7 8 5 6 7 8 …; yours is {moved[8:16]}",
    )


def _check_other_contexts(answer: Answer, right: Callable[[int, int, str], int]) -> None:
    for context in (4, 16, 64):
        for policy in POLICIES:
            for t in range(200):
                expect(
                    whole(answer(t, context, policy)) == right(t, context, policy),
                    f"right for a context of 8, but not for {context} ({policy}), "
                    f"first at timestep {t}",
                )


# --- 08.4: which position is the newest ---


def newest_position(t: int, context: int, policy: str) -> int:
    """The position of the observation token of now, at timestep t (from 0).

    A timestep costs two positions.
    """
    if policy == "published":
        return min(2 * t, 2 * context + 2)
    return 2 * (remembered(t, context, policy) - 1)


def check_newest_position(answer: Answer) -> None:
    """Check 08.4 with a context of 8, then with others."""
    got = {policy: [whole(answer(t, 8, policy)) for t in range(40)] for policy in POLICIES}
    for policy, values in got.items():
        expect(values[0] == 0, f"{policy}: the first token has position 0, not {values[0]}")
        expect(
            values[1:3] != [1, 2],
            f"{policy}: between two observations there is an action: observation t is token 2 t",
        )
        expect(
            values[:8] == list(range(0, 16, 2)),
            f"{policy}: before the cut observation t has position 2 t; yours are {values[:8]}",
        )
    published, recompute = got["published"], got["recompute"]
    expect(
        max(published) < 40,
        "published: positions do not grow for ever: there are no more of them. "
        "They stay where they are when the context is full",
    )
    expect(
        published[-1] == 18,
        "published: with a context of 8 positions stay at 18 "
        f"(2 x 8, and the last three tokens fed), not at {published[-1]}",
    )
    expect(
        recompute[8] != 0,
        "recompute: the window's later half is encoded again from position 0, "
        "and the observation of now comes after it",
    )
    expect(
        recompute[8:12] == [8, 10, 12, 14],
        "recompute: at the cut 4 timesteps stay, at positions 0 to 7; "
        f"now is at 8, then 10, 12, 14; yours are {recompute[8:12]}",
    )
    _check_other_contexts(answer, newest_position)


NEWEST_POSITION = """
def newest_position(t: int, context: int, policy: str) -> int:
    if policy == "published":
        return min(2 * t, 2 * context + 2)
    return 2 * (remembered(t, context, policy) - 1)  # exercise 08.3
"""
EXERCISES = {
    "08.1": Exercise(
        difficulty=1, importance=4, minutes=5, solution=tempered, check=check_tempered
    ),
    "08.2": Exercise(
        difficulty=2, importance=3, minutes=5, solution=last_timesteps, check=check_last_timesteps
    ),
    "08.3": Exercise(
        difficulty=3, importance=3, minutes=10, solution=remembered, check=check_remembered
    ),
    "08.4": Exercise(
        difficulty=3,
        importance=2,
        minutes=10,
        solution=newest_position,
        check=check_newest_position,
        shown=NEWEST_POSITION,
    ),
    "08.5": Exercise(
        difficulty=3,
        importance=4,
        minutes=20,
        solution=(distance, with_memory, worth),
        check=check_worth,
        steps=STEPS,
    ),
}
