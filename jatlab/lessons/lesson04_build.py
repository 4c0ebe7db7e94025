"""Exercise 04.5: how much better than a guess an agent foresees, built in three steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jatlab.lessons.answers import Answer, array, expect, near, number, parts

# --- one right answer of each step


def aligned(predicted: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, ...]:
    """What was expected of a timestep, what came, and what was there before: (T - 1, n) each.

    Row t of `predicted` (T, n) is about row t + 1 of `observed` (T, n).
    """
    return predicted[:-1], observed[1:], observed[:-1]


def skill(predicted: np.ndarray, observed: np.ndarray) -> float:
    """1 for a perfect prediction, 0 for one as good as "nothing changes", below 0 for worse.

    One less the ratio of the two mean squared errors.
    """
    expected, came, before = aligned(predicted, observed)
    return float(1 - ((expected - came) ** 2).mean() / ((before - came) ** 2).mean())


def skills(predicted: Sequence[np.ndarray], observed: Sequence[np.ndarray]) -> np.ndarray:
    """The skill for each of the n numbers, (n,), over all timesteps of all episodes together."""
    triples = [aligned(p, o) for p, o in zip(predicted, observed, strict=True)]
    expected, came, before = (np.concatenate(part) for part in zip(*triples, strict=True))
    return 1 - ((expected - came) ** 2).mean(0) / ((before - came) ** 2).mean(0)


STEPS = ("what belongs together", "skill", "skill of each number")


def check_skill(align: Answer, one: Answer | None = None, each: Answer | None = None) -> None:
    """Check 04.5: the first step alone, or with the later ones."""
    _check_aligned(align)
    if one is not None:
        _check_one(one)
    if each is not None:
        _check_each(each)


def _check_aligned(answer: Answer) -> None:
    observed = np.arange(8.0).reshape(4, 2)
    predicted = observed + 100
    wanted = "step 1: return three arrays: expected, came, before"
    got = parts(answer(predicted.copy(), observed.copy()), 3, wanted)
    for name, one in zip(("expected", "came", "before"), got, strict=True):
        expect(
            one.shape == (3, 2),
            f"step 1, {name}: of 4 timesteps 3 can be foreseen, shape (3, 2), not {one.shape}: the "
            "first observation was not predicted, and what the last row predicts is not known",
        )
    expected, came, before = got
    expect(
        not near(expected, predicted[1:]),
        "step 1: the predictions are shifted: row t of predicted is about row t + 1 of observed, "
        "so the last row, not the first, has nothing to be compared with",
    )
    expect(near(expected, predicted[:-1]), "step 1, expected: predicted without its last row")
    expect(
        not near(came, observed[:-1]),
        "step 1, came: that is what was there before; what came is one timestep later",
    )
    expect(near(came, observed[1:]), "step 1, came: observed without its first row")
    expect(near(before, observed[:-1]), "step 1, before: observed without its last row")


def _check_one(answer: Answer) -> None:
    rng = np.random.default_rng(0)
    observed = rng.normal(size=(30, 3)).cumsum(0)
    perfect = np.concatenate([observed[1:], np.zeros((1, 3))])

    def found(predicted: np.ndarray) -> float:
        return number(answer(predicted.copy(), observed.copy()), "step 2: return one number")

    expect(near(found(perfect), 1), "step 2: a perfect prediction has the skill 1")
    same = found(observed)
    expect(
        not near(same, 1),
        "step 2: 'nothing changes' has the skill 1 in yours: divide by *its* error",
    )
    expect(near(same, 0), f"step 2: 'nothing changes' has the skill 0, yours has {same:.3g}")
    poor = perfect + 3 * rng.normal(size=perfect.shape)
    right, got = skill(poor, observed), found(poor)
    root = 1 - np.sqrt(1 - right)
    expect(
        not near(got, root),
        "step 2: that is the ratio of the roots; take the ratio of the mean squared errors",
    )
    expect(
        right < 0 and not near(got, 0),
        f"step 2: worse than the guess is below 0: {right:.3f} here; do not cut it off",
    )
    absolute = np.abs((poor - perfect)[:-1]).mean() / np.abs(np.diff(observed, axis=0)).mean()
    expect(not near(got, 1 - absolute), "step 2: square the errors, do not take their size")
    expect(
        near(got, right), f"step 2: the skill of a poor prediction is {right:.4f}, not {got:.4f}"
    )


def _check_each(answer: Answer) -> None:
    rng = np.random.default_rng(1)
    observed = [rng.normal(size=(length, 3)).cumsum(0) for length in (4, 40, 12)]
    strength = np.array([0.1, 0.7, 2.0])
    predicted = []
    for number_, one in enumerate(observed):
        wrong = (1 + 2 * number_) * strength * rng.normal(size=one.shape)
        predicted.append(np.concatenate([one[1:], one[:1]]) + wrong)
    raw = answer([one.copy() for one in predicted], [one.copy() for one in observed])
    got = array(raw, "step 3: return one skill for each number")
    right = skills(predicted, observed)
    expect(
        got.shape == (3,),
        f"step 3: three numbers are observed, so three skills, shape (3,), not {got.shape}",
    )
    apart = np.mean([skills([p], [o]) for p, o in zip(predicted, observed, strict=True)], axis=0)
    expect(
        not near(got, apart),
        "step 3: that is the mean of the episodes' skills: a short episode counts as much as a "
        "long one. Put all timesteps of all episodes together first",
    )
    joined = skills([np.concatenate(predicted)], [np.concatenate(observed)])
    expect(
        not near(got, joined),
        "step 3: the last timestep of one episode is compared with the first of the next: align "
        "each episode alone, then put them together",
    )
    expect(
        near(got, right),
        f"step 3: the skills are {np.round(right, 3).tolist()}, yours are "
        f"{np.round(got, 3).tolist()}",
    )
