"""Lesson 04, Observation prediction: the error of the next observation, foresight where something
changes, the balance of two losses, an interval over runs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons import Exercise, expect, numbers


def next_error(predicted: Tensor, observed: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of what was predicted at each timestep against what came at the next:
    predicted and observed (T, n), mask (T,), 1 where a timestep is real.
    """
    # (T - 1,): row t is about timestep t + 1
    error = (predicted[:-1] - observed[1:]).square().mean(-1)
    valid = mask[1:].float()
    return (error * valid).sum() / valid.sum()


def check_next_error(answer) -> None:
    torch.manual_seed(0)
    observed, predicted, whole = torch.randn(6, 3), torch.randn(6, 3), torch.ones(6)
    error = torch.as_tensor(answer(predicted, observed, whole), dtype=torch.float32)
    expect(error.ndim == 0, f"the error is one number, not a tensor of shape {tuple(error.shape)}")
    perfect = torch.cat([observed[1:], torch.zeros(1, 3)])
    unshifted, backwards = (
        (predicted - observed).square().mean(),
        (predicted[1:] - observed[:-1]).square().mean(),
    )
    expect(
        not _near(error, unshifted),
        "you compare each prediction with the observation of its own timestep: what is predicted at t is to be compared with what came at t + 1",
    )
    expect(
        not _near(error, backwards),
        "shifted the wrong way: you compare the prediction at t with the observation at t - 1",
    )
    expect(
        float(answer(perfect, observed, whole)) < 1e-9,
        "a prediction that is exactly the next observation should have error 0; the last timestep has no next one, so its prediction must not count",
    )
    right = next_error(predicted, observed, whole)
    expect(
        not _near(error, right.sqrt()), "that is the root of it: the mean squared error is wanted"
    )
    expect(not _near(error, right * 3), "you add up the values of an observation: take their mean")
    expect(_near(error, right), f"without padding the error should be {right:.4f}, not {error:.4f}")
    mask = torch.tensor([1, 1, 1, 1, 0, 0])
    error, right = (
        torch.as_tensor(answer(predicted, observed, mask), dtype=torch.float32),
        next_error(predicted, observed, mask),
    )
    expect(
        not _near(error, next_error(predicted, observed, whole)),
        "the mask is not used: timesteps 4 and 5 are padding here",
    )
    expect(
        not _near(error, right * 3 / 5),
        "divide by the number of valid pairs, not by all of them: padding makes your error too small",
    )
    early = ((predicted[:-1] - observed[1:]).square().mean(-1) * mask[:-1]).sum() / mask[:-1].sum()
    expect(
        not _near(error, early),
        "you use the mask of timestep t: what counts is whether timestep t + 1, the one predicted, is real",
    )
    expect(
        _near(error, right),
        f"with two timesteps of padding the error should be {right:.4f}, not {error:.4f}",
    )


def _near(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4)


def missed_changes(predicted, now, then) -> float:
    """Of the integers that change from grid `now` to grid `then`, the share that `predicted` has
    wrong; all of the same shape.
    """
    changed = now != then
    return float((predicted != then)[changed].mean())


def check_missed(answer) -> None:
    now, then = (
        np.array([1, 1, 1, 1, 2, 2, 5, 5, 0, 0]),
        np.array([1, 1, 1, 1, 3, 4, 5, 5, 1, 7]),
    )  # four of ten change
    value = float(answer(now, now, then))
    expect(
        abs(value - 0.4) > 1e-9, "you count over all integers: only those that change are asked for"
    )
    expect(
        abs(value) > 1e-9,
        "the guess that nothing changes misses every change: 1, not 0. Do you count what is right, or compare with `now`?",
    )
    expect(
        abs(value - 1) < 1e-9,
        f"the guess that nothing changes should miss 1 of the changes, not {value:.3g}",
    )
    expect(
        abs(float(answer(then, now, then))) < 1e-9,
        f"a perfect guess misses nothing: 0, not {float(answer(then, now, then)):.3g}",
    )
    guess = np.array(
        [9, 9, 1, 1, 3, 2, 5, 5, 1, 6]
    )  # wrong in two that stay and in two that change
    value = float(answer(guess, now, then))
    expect(
        abs(value - 4 / 10) > 1e-9 and abs(value - 1) > 1e-9,
        "errors in what stays the same do not count here, nor does what stays in the number you divide by",
    )
    expect(abs(value - 0.5) < 1e-9, f"two of four changes are missed: 0.5, not {value:.3g}")


def balanced_kappa(observation_loss: float, action_loss: float) -> float:
    """The kappa under which both losses have the same part in kappa * observation_loss + (1 -
    kappa) * action_loss.
    """
    return action_loss / (observation_loss + action_loss)


def check_kappa(answer) -> None:
    equal = float(answer(2.0, 2.0))
    expect(
        abs(equal - 0.5) < 1e-9, f"two equal losses are balanced by kappa = 0.5, not {equal:.3g}"
    )
    value = float(answer(3.0, 1.0))
    expect(
        abs(value - 0.75) > 1e-9,
        "that gives the larger loss the larger weight: check it, kappa * 3 against (1 - kappa) * 1",
    )
    expect(
        abs(value - 1 / 3) > 1e-9,
        "kappa * observation = action forgets that the actions have weight 1 - kappa",
    )
    expect(
        abs(value - 0.25) < 1e-9,
        f"with losses 3 and 1, kappa is 0.25: 0.25 * 3 = 0.75 * 1. You have {value:.3g}",
    )
    for observation, action in ((0.19, 0.0006), (0.01, 7.0)):
        kappa = float(answer(observation, action))
        expect(
            abs(kappa * observation - (1 - kappa) * action) < 1e-6,
            f"losses {observation} and {action}: with kappa = {kappa:.4g} they do not have the same part",
        )


def over_runs(values, t: float) -> tuple[float, float]:
    """The 95 % interval of the mean over training runs: mean ± t s / sqrt(n), where s is the
    standard deviation with n - 1 in its denominator.
    """
    values = np.asarray(values, dtype=float)
    half = t * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def check_over_runs(answer) -> None:
    values, t = np.array([0.6, 0.7, 0.95]), 4.303
    low, high = numbers(answer(values, t), "low", "high")
    expect(low < high, "the lower bound comes first")
    expect(
        abs((low + high) / 2 - 0.75) < 1e-9,
        f"the interval's middle is the mean of the runs, 0.75, not {(low + high) / 2:.3g}",
    )
    half, s = (high - low) / 2, values.std(ddof=1)
    expect(
        abs(half - t * s) > 1e-9,
        "that is the spread of single runs; the mean of n runs is known better, by sqrt(n)",
    )
    expect(abs(half - t * s / 3) > 1e-9, "divide by the root of n, not by n")
    expect(
        abs(half - t * values.std() / np.sqrt(3)) > 1e-9,
        "np.std divides by n unless told otherwise: ddof=1, because the mean was estimated from the same three runs",
    )
    expect(
        abs(half - 1.96 * s / np.sqrt(3)) > 1e-9,
        "1.96 is for many runs; for three, Student's t is given: use it",
    )
    expect(
        abs(half - t * s / np.sqrt(3)) < 1e-9,
        f"the interval reaches {t * s / np.sqrt(3):.3f} to both sides, not {half:.3f}",
    )


EXERCISES = {
    "04.1": Exercise(minutes=8, solution=next_error, check=check_next_error),
    "04.2": Exercise(minutes=6, solution=missed_changes, check=check_missed),
    "04.3": Exercise(minutes=5, solution=balanced_kappa, check=check_kappa),
    "04.4": Exercise(minutes=6, solution=over_runs, check=check_over_runs),
}
