"""Lesson 04, Observation prediction: solutions and checks.

The error of the next observation, the changes that a prediction misses, the balance of two losses,
and an interval over runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, expect, near, number, numbers
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson04_build import STEPS, aligned, check_skill, skill, skills

# --- 04.1: the error of the next observation ---


def next_error(predicted: Tensor, observed: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of what each timestep predicts against what came at the next.

    Predicted and observed (T, n), mask (T,), 1 where a timestep is real.
    """
    error = (predicted[:-1] - observed[1:]).square().mean(-1)  # (T - 1,): row t is about t + 1
    valid = mask[1:].float()
    return (error * valid).sum() / valid.sum()


def check_next_error(answer: Answer) -> None:
    """Check 04.1 without padding, then with two timesteps of it."""
    torch.manual_seed(0)
    observed, predicted, whole = torch.randn(6, 3), torch.randn(6, 3), torch.ones(6)
    _check_without_padding(answer, predicted, observed, whole)
    mask = torch.tensor([1, 1, 1, 1, 0, 0])
    error = _error(answer, predicted, observed, mask)
    right = next_error(predicted, observed, mask)
    expect(
        not near(error, next_error(predicted, observed, whole)),
        "the mask is not used: timesteps 4 and 5 are padding here",
    )
    expect(
        not near(error, right * 3 / 5),
        "divide by the number of valid pairs, not by all of them: "
        "padding makes your error too small",
    )
    early = ((predicted[:-1] - observed[1:]).square().mean(-1) * mask[:-1]).sum() / mask[:-1].sum()
    expect(
        not near(error, early),
        "you use the mask of timestep t: "
        "what counts is whether timestep t + 1, the one predicted, is real",
    )
    expect(
        near(error, right),
        f"with two timesteps of padding the error should be {right:.4f}, not {error:.4f}",
    )


def _check_without_padding(
    answer: Answer, predicted: Tensor, observed: Tensor, whole: Tensor
) -> None:
    error = _error(answer, predicted, observed, whole)
    expect(
        not near(error, (predicted - observed).square().mean()),
        "you compare each prediction with the observation of its own timestep: "
        "compare what is predicted at t with what came at t + 1",
    )
    expect(
        not near(error, (predicted[1:] - observed[:-1]).square().mean()),
        "shifted the wrong way: you compare the prediction at t with the observation at t - 1",
    )
    perfect = torch.cat([observed[1:], torch.zeros(1, 3)])
    expect(
        near(_error(answer, perfect, observed, whole), 0),
        "a prediction that is exactly the next observation should have error 0; "
        "the last timestep has no next one, so its prediction must not count",
    )
    right = next_error(predicted, observed, whole)
    expect(
        not near(error, right.sqrt()), "that is the root of it: the mean squared error is wanted"
    )
    expect(not near(error, right * 3), "you add up the values of an observation: take their mean")
    expect(near(error, right), f"without padding the error should be {right:.4f}, not {error:.4f}")


def _error(answer: Answer, *given: Tensor) -> float:
    return number(answer(*(one.clone() for one in given)), "the error is one number")


# --- 04.2: missed changes ---


def missed_changes(predicted: np.ndarray, now: np.ndarray, then: np.ndarray) -> float:
    """The share that `predicted` has wrong of the integers that change from grid `now` to `then`.

    All grids have the same shape.
    """
    changed = now != then
    return float((predicted != then)[changed].mean())


def check_missed(answer: Answer) -> None:
    """Check 04.2 with grids in which four of ten integers change."""
    now = np.array([1, 1, 1, 1, 2, 2, 5, 5, 0, 0])
    then = np.array([1, 1, 1, 1, 3, 4, 5, 5, 1, 7])

    def missed(guess: np.ndarray) -> float:
        return number(
            answer(guess.copy(), now.copy(), then.copy()),
            hint="do you pick the places where the *guess* differs? "
            "Those where `then` differs from `now` are asked for",
        )

    value = missed(now)
    expect(
        not near(value, 0.4), "you count over all integers: only those that change are asked for"
    )
    expect(
        not near(value, 0),
        "the guess that nothing changes misses every change: 1, not 0. "
        "Do you count what is right, or compare with `now`?",
    )
    expect(
        near(value, 1),
        f"the guess that nothing changes should miss 1 of the changes, not {value:.3g}",
    )
    perfect = missed(then)
    expect(near(perfect, 0), f"a perfect guess misses nothing: 0, not {perfect:.3g}")
    guess = np.array([9, 9, 1, 1, 3, 2, 5, 5, 1, 6])  # wrong in two that stay, two that change
    value = missed(guess)
    expect(
        not near(value, 0.25),
        "a change is also missed by a guess that is neither the old value nor the new one: "
        "compare the guess with `then`",
    )
    expect(
        not near(value, 4 / 10) and not near(value, 1),
        "errors in what stays the same do not count here, "
        "nor does what stays in the number you divide by",
    )
    expect(near(value, 0.5), f"two of four changes are missed: 0.5, not {value:.3g}")


# --- 04.3: which kappa balances ---


def balanced_kappa(observation_loss: float, action_loss: float) -> float:
    """The kappa under which both terms of the loss have the same size.

    The loss is kappa * observation_loss + (1 - kappa) * action_loss.
    """
    return action_loss / (observation_loss + action_loss)


def check_kappa(answer: Answer) -> None:
    """Check 04.3 with equal losses, then with very different ones."""
    equal = number(answer(2.0, 2.0))
    expect(near(equal, 0.5), f"two equal losses are balanced by kappa = 0.5, not {equal:.3g}")
    value = number(answer(3.0, 1.0))
    expect(
        not near(value, 0.75),
        "that gives the larger loss the larger weight: check it, kappa * 3 against (1 - kappa) * 1",
    )
    expect(
        not near(value, 1 / 3),
        "kappa * observation = action forgets that the actions have weight 1 - kappa",
    )
    expect(
        near(value, 0.25),
        f"with losses 3 and 1, kappa is 0.25: 0.25 * 3 = 0.75 * 1. You have {value:.3g}",
    )
    for observation, action in ((0.19, 0.0006), (0.01, 7.0)):
        kappa = number(answer(observation, action))
        expect(
            near(kappa * observation, (1 - kappa) * action),
            f"losses {observation} and {action}: "
            f"with kappa = {kappa:.4g} the two terms differ in size",
        )


# --- 04.4: an interval over runs ---


def over_runs(values: Sequence[float], t: float) -> tuple[float, float]:
    """The 95 % interval of the mean over training runs: mean ± t s / sqrt(n).

    s is the standard deviation with n - 1 in its denominator.
    """
    mean, half = np.mean(values), t * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(mean - half), float(mean + half)


def check_over_runs(answer: Answer) -> None:
    """Check 04.4 with three runs, then with five."""
    values, t = np.array([0.6, 0.7, 0.95]), 4.303
    low, high = numbers(answer(values.copy(), t), "low", "high")
    expect(low < high, "the lower bound comes first")
    middle, half, s = (low + high) / 2, (high - low) / 2, values.std(ddof=1)
    expect(
        near(middle, 0.75),
        f"the interval's middle is the mean of the runs, 0.75, not {middle:.3g}",
    )
    expect(
        not near(half, t * s),
        "that is the spread of single runs; the mean of n runs is known better, by sqrt(n)",
    )
    expect(not near(half, t * s / 3), "divide by the root of n, not by n")
    expect(
        not near(half, t * values.std() / np.sqrt(3)),
        "np.std divides by n unless told otherwise: ddof=1, "
        "because the mean was estimated from the same three runs",
    )
    expect(
        not near(half, 1.96 * s / np.sqrt(3)),
        "1.96 is for many runs; for three, Student's t is given: use it",
    )
    right = t * s / np.sqrt(3)
    expect(
        near(half, right),
        f"the interval reaches {right:.3f} to both sides, not {half:.3f}",
    )
    _check_five_runs(answer)


def _check_five_runs(answer: Answer) -> None:
    values, t = [0.2, 0.5, 0.6, 0.4, 0.9], 2.776
    right, found = over_runs(values, t), numbers(answer(np.array(values), t), "low", "high")
    half, s = (found[1] - found[0]) / 2, np.std(values, ddof=1)
    expect(
        not near(half, t * s / np.sqrt(3)),
        "right for three runs, but you divide by the root of 3 for five as well: len(values)",
    )
    expect(
        not near(half, 4.303 * s / np.sqrt(5)),
        "right for three runs, but 4.303 belongs to three alone: use the t that is given",
    )
    expect(near(found, right), "right for three runs, wrong for five")


EXERCISES = {
    "04.1": Exercise(
        difficulty=3, importance=5, minutes=8, solution=next_error, check=check_next_error
    ),
    "04.2": Exercise(
        difficulty=2, importance=4, minutes=6, solution=missed_changes, check=check_missed
    ),
    "04.3": Exercise(
        difficulty=2, importance=2, minutes=5, solution=balanced_kappa, check=check_kappa
    ),
    "04.4": Exercise(
        difficulty=2, importance=4, minutes=6, solution=over_runs, check=check_over_runs
    ),
    "04.5": Exercise(
        difficulty=3,
        importance=4,
        minutes=20,
        solution=(aligned, skill, skills),
        check=check_skill,
        steps=STEPS,
    ),
}
