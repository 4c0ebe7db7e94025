"""Lesson 04: solutions pass and equal the package; typical wrong answers are told their mistake."""

import statistics

import numpy as np
import torch

from jatlab.evaluation.observation_prediction import prediction_error
from jatlab.experiments.ablations import student_interval
from jatlab.lessons.lesson04 import missed_changes, next_error, over_runs
from jatlab.lessons.lesson04_build import aligned, skill, skills
from jatlab.model.losses import squared_error
from tests.support.exercises import exercise_tests


def squares(p, o):
    return (p - o).square().mean(-1)


def divided_by_all(p, o, m):
    return (squares(p[:-1], o[1:]) * m[1:]).mean()


def masked_too_early(p, o, m):
    return (squares(p[:-1], o[1:]) * m[:-1]).sum() / m[:-1].sum()


def bounds(half):
    return lambda values, t: (np.mean(values) - half(values, t), np.mean(values) + half(values, t))


def error_in_a_loop(predicted, observed, mask):
    errors = [
        sum((float(a) - float(b)) ** 2 for a, b in zip(p, o, strict=True)) / len(p)
        for p, o, real in zip(predicted[:-1], observed[1:], mask[1:], strict=True)
        if real
    ]
    return sum(errors) / len(errors)


def missed_in_a_loop(predicted, now, then):
    pairs = [(p, t) for p, n, t in zip(predicted, now, then, strict=True) if n != t]
    return sum(p != t for p, t in pairs) / len(pairs)


def missed_where_guessed(predicted, now, then):
    predicted, now, then = map(torch.from_numpy, (predicted, now, then))
    return (predicted != then)[predicted != now].float().mean()


def missed_in_torch(predicted, now, then):
    predicted, now, then = map(torch.from_numpy, (predicted, now, then))
    return (predicted != then)[now != then].float().mean()


def bounds_in_python(values, t):
    mean, half = statistics.mean(values), t * statistics.stdev(values) / len(values) ** 0.5
    return [mean - half, mean + half]


# --- 04.5: skill


def aligned_in_a_loop(predicted, observed):
    rows = [(predicted[t], observed[t + 1], observed[t]) for t in range(len(observed) - 1)]
    return [np.stack(part) for part in zip(*rows, strict=True)]


def skill_by_torch(predicted, observed):
    expected, came, before = (torch.from_numpy(one) for one in aligned(predicted, observed))
    return 1 - torch.nn.functional.mse_loss(expected, came) / (before - came).square().mean()


def skills_by_sums(predicted, observed):
    errors, guesses = np.zeros(3), np.zeros(3)
    for one, other in zip(predicted, observed, strict=True):
        expected, came, before = aligned_in_a_loop(one, other)
        errors += ((expected - came) ** 2).sum(0)
        guesses += ((before - came) ** 2).sum(0)
    return [1 - error / guess for error, guess in zip(errors, guesses, strict=True)]


def rooted(predicted, observed):
    return 1 - (1 - skill(predicted, observed)) ** 0.5


def with_sizes(predicted, observed):
    expected, came, before = aligned(predicted, observed)
    return 1 - np.abs(expected - came).mean() / np.abs(before - came).mean()


def mean_of_episodes(predicted, observed):
    pairs = zip(predicted, observed, strict=True)
    return np.mean([skills([one], [other]) for one, other in pairs], axis=0)


def across_episodes(predicted, observed):
    return skills([np.concatenate(predicted)], [np.concatenate(observed)])


WRONG = {
    "04.5": [
        (lambda p, o: (p, o, o), "3 can be foreseen"),
        (lambda p, o: (p[1:], o[1:], o[:-1]), "the predictions are shifted"),
        (lambda p, o: (p[:-1], o[:-1], o[:-1]), "one timestep later"),
        ((aligned, rooted), "the ratio of the roots"),
        ((aligned, with_sizes), "square the errors"),
        ((aligned, lambda p, o: max(0.0, skill(p, o))), "do not cut it off"),
        ((aligned, skill, mean_of_episodes), "a short episode counts as much"),
        ((aligned, skill, across_episodes), "align each episode alone"),
        ((aligned, skill, lambda p, o: skills(p, o).mean()), "so three skills"),
    ],
    "04.1": [
        (lambda p, o, m: (squares(p, o) * m).sum() / m.sum(), "of its own timestep"),
        (lambda p, o, m: squares(p[1:], o[:-1]).mean(), "shifted the wrong way"),
        (lambda p, o, m: squares(p, o.roll(-1, 0)).mean(), "the last timestep has no next one"),
        (lambda p, o, m: squares(p[:-1], o[1:]).mean(), "mask is not used"),
        (divided_by_all, "padding makes your error too small"),
        (masked_too_early, "mask of timestep t"),
        (lambda p, o, m: next_error(p, o, m).sqrt(), "the root of it"),
    ],
    "04.2": [
        (missed_where_guessed, "where the *guess* differs"),
        (lambda p, now, then: (p == now)[now != then].mean(), "neither the old value nor the new"),
        (lambda p, now, then: (p != then).mean(), "only those that change"),
        (lambda p, now, then: (p == then)[now != then].mean(), "count what is right"),
        (lambda p, now, then: (p != then).sum() / (now != then).sum(), "errors in what stays"),
    ],
    "04.3": [
        (lambda o, a: a / o if o != a else 0.5, "the actions have weight 1 - kappa"),
        (lambda o, a: a / o if o < a else 0.25 if o > a else 0.5, "the two terms differ"),
        (lambda o, a: o / (o + a), "larger loss the larger weight"),
        (lambda o, a: a / o, "0.5, not 1"),
        (lambda o, a: 0.5, "0.25 * 3"),
    ],
    "04.4": [
        (bounds(lambda v, t: t * np.std(v, ddof=1) / np.sqrt(3)), "root of 3 for five as well"),
        (bounds(lambda v, t: 4.303 * np.std(v, ddof=1) / len(v) ** 0.5), "the t that is given"),
        (bounds(lambda v, t: t * np.std(v) / np.sqrt(len(v))), "ddof=1"),
        (bounds(lambda v, t: t * np.std(v, ddof=1)), "by sqrt(n)"),
        (bounds(lambda v, t: 1.96 * np.std(v, ddof=1) / np.sqrt(len(v))), "1.96 is for many runs"),
        (bounds(lambda v, t: t * np.std(v, ddof=1) / len(v)), "root of n"),
        (lambda v, t: t * np.std(v, ddof=1) / np.sqrt(len(v)), "return low, high"),
    ],
}
RIGHT = {
    "04.5": [
        (aligned_in_a_loop, skill_by_torch, skills_by_sums),
        (aligned, skill_by_torch, skills),
    ],
    "04.1": [
        lambda p, o, m: squares(p[:-1], o[1:])[m[1:] > 0].mean().item(),
        lambda p, o, m: squares(p[:-1], o[1:]).double()[m[1:] > 0].mean(),
        lambda p, o, m: np.average(squares(p[:-1], o[1:]).numpy(), weights=m[1:].numpy()),
        error_in_a_loop,
    ],
    "04.2": [
        lambda p, now, then: np.mean(p[now != then] != then[now != then]),
        missed_in_a_loop,
        missed_in_torch,
    ],
    "04.3": [
        lambda o, a: 1 - o / (o + a),
        lambda o, a: np.float32(1) / np.float32(1 + o / a),
        lambda o, a: torch.linalg.solve(torch.tensor([[o + a]]), torch.tensor([a]))[0],
    ],
    "04.4": [
        lambda v, t: np.mean(v) + np.array([-1, 1]) * t * np.std(v, ddof=1) / np.sqrt(len(v)),
        lambda v, t: torch.tensor(over_runs(v, t)),
        bounds_in_python,
    ],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("04", WRONG, RIGHT)
)


def test_solutions_equal_the_package():
    torch.manual_seed(0)
    predicted, observed = torch.randn(7, 3), torch.randn(7, 3)
    mask, weights = torch.tensor([1, 1, 1, 1, 1, 0, 0]), torch.ones(1, 6)
    package = squared_error(predicted[None, :-1], observed[None, 1:], mask[None, 1:], weights)
    torch.testing.assert_close(next_error(predicted, observed, mask), package)
    np.testing.assert_allclose(over_runs([0.1, 0.4, 0.3], 4.303), student_interval([0.1, 0.4, 0.3]))


def test_error_of_grids_counts_changes_and_omits_padding():
    rng = np.random.default_rng(0)
    now, then, guess = (rng.integers(0, 3, 148) for _ in range(3))
    padding, missions = np.zeros(148, int), torch.ones(1, 3, 64, dtype=torch.long)
    grids = torch.from_numpy(np.stack([now, then, padding]))[None]
    guesses = torch.from_numpy(np.stack([guess] * 3))[None]
    batch = {
        "discrete_observations": torch.cat([grids, missions], -1),
        "attention_mask": torch.tensor([[1, 1, 0]]),
    }
    error = prediction_error(torch.nn.functional.one_hot(guesses, 8).float(), batch)
    assert error == prediction_error(guesses, batch)
    np.testing.assert_allclose(error, missed_changes(guess, now, then), rtol=1e-6)
    assert prediction_error(batch["discrete_observations"], batch) == 1


def test_error_of_vectors_is_in_their_units():
    observed = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]]])
    batch = {"continuous_observations": observed, "attention_mask": torch.tensor([[1, 1, 0]])}
    np.testing.assert_allclose(prediction_error(observed, batch), np.sqrt(12.5))
    # a model's prediction has as many values as its decoder: repeated
    repeated = torch.tensor([[[3.0, 4.0, 3.0]] * 3])
    assert prediction_error(repeated, batch) == 0
