"""Lesson 00, Meet the agent: solutions and checks."""

from __future__ import annotations

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, near, number, whole
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson00_build import STEPS, check_rollout, compare, play, play_all

# --- 00.1: what a return says ---


def steps_taken(total: float, limit: int) -> int:
    """How many steps a BabyAI episode took that ended with success.

    Its return is 1 - 0.9 * steps / limit.
    """
    return round((1 - total) * limit / 0.9)


def check_steps_taken(answer: Answer) -> None:
    """Check 00.1 with a limit of 64 steps, then with another limit."""
    got = number(answer(0.775, 64), "return a number")
    expect(not near(got, 0.25), "that is the share of the limit: multiply by the limit")
    expect(abs(got - 14.4) > 0.01, "the 0.9 is missing: 1 - return is 0.9 x steps / limit")
    expect(abs(got - 55.1) > 0.2, "the return falls with every step: start from 1 - return")
    expect(near(got, 16), f"a return of 0.775 within 64 steps took 16 of them, not {got}")
    expect(
        near(number(answer(1 - 0.9 * 7 / 576, 576), "return a number"), 7),
        "right for a limit of 64 steps, but not for 576 (or steps not rounded to whole ones)",
    )
    expect(got == round(got), "steps are whole: round to the nearest one")


# --- 00.2: how many tokens ---


def tokens_at(t: int) -> int:
    """How many tokens the agent has before it when it decides at timestep t (from 0)."""
    return 2 * t + 1


def check_tokens_at(answer: Answer) -> None:
    """Check 00.2 at timesteps 0 to 4."""
    first = [whole(answer(t)) for t in range(5)]
    expect(first[0] != 0, "at timestep 0 there is something to look at: the first observation")
    expect(
        first[0] != 2,
        "at timestep 0 no action has been chosen yet: there is one token, the observation",
    )
    expect(first[0] == 1, f"at timestep 0 there is one token, not {first[0]}")
    expect(first[3] != 4, "those are the observations; the actions between them are tokens too")
    expect(first[3] != 8, "the action of now is what is being chosen: it is no token yet")
    expect(
        first == [1, 3, 5, 7, 9],
        f"1 3 5 7 9 …: one more observation and action every timestep; yours is {first}",
    )


# --- 00.3: what it looked at most ---


def most_attended(attentions: np.ndarray) -> int:
    """The timestep whose observation gets most of one decision's attention.

    `attentions` (layers, heads, tokens); the mean of all layers and heads counts.
    """
    weights = attentions.mean(axis=(0, 1))  # (tokens,)
    return int(weights[::2].argmax())  # observations are the even tokens


def check_most_attended(answer: Answer) -> None:
    """Check 00.3: the token, the timestep, and the mean over layers and heads."""
    weights = np.zeros((2, 2, 9))
    weights[0, :, 4], weights[1, :, 2], weights[1, :, 4], weights[0, :, 8] = 0.9, 0.4, 0.6, 0.1
    got = _timestep(answer, weights)
    expect(got != 4, "that is the token; timestep t's observation is token 2 t")
    expect(got == 2, f"token 4 gets most, the observation of timestep 2; yours is {got}")
    weights = np.zeros((2, 1, 7))
    weights[:, 0, 3], weights[:, 0, 6], weights[:, 0, 0] = 0.6, 0.3, 0.1
    got = _timestep(answer, weights)
    expect(got != 1, "token 3 is an action: find the timestep whose *observation* gets most")
    expect(got == 3, f"of the observations token 6 gets most, timestep 3; yours is {got}")
    first = [[0, 0, 0.1, 0, 0.9], [0.25, 0, 0.75, 0, 0]]  # two heads each
    last = [[0.55, 0, 0.45, 0, 0], [0.5, 0, 0.5, 0, 0]]
    got = _timestep(answer, np.array([first, last]))
    expect(got != 0, "only the last layer was looked at: take the mean of all layers")
    expect(
        got != 2,
        "a single weight, head or layer decided: take the mean of all of them, not the largest",
    )
    expect(got == 1, f"on the mean of both layers and heads timestep 1 gets most; yours is {got}")


def _timestep(answer: Answer, weights: np.ndarray) -> int:
    found = array(answer(weights.copy()), "return one timestep, a whole number")
    expect(
        found.size == 1,
        "one timestep is asked for: average over layers and heads first, "
        "(layers, heads, tokens) -> (tokens,)",
    )
    return whole(found, "return one timestep, a whole number")


EXERCISES = {
    "00.1": Exercise(
        difficulty=1, importance=3, minutes=2, solution=steps_taken, check=check_steps_taken
    ),
    "00.2": Exercise(
        difficulty=1, importance=4, minutes=2, solution=tokens_at, check=check_tokens_at
    ),
    "00.3": Exercise(
        difficulty=1, importance=3, minutes=3, solution=most_attended, check=check_most_attended
    ),
    "00.4": Exercise(
        difficulty=2,
        importance=5,
        minutes=20,
        solution=(play, play_all, compare),
        check=check_rollout,
        steps=STEPS,
    ),
}
