"""Lesson 02's solutions pass, and typical mistakes are named; the solutions are the package's own attention."""

import torch
from common import exercise_tests

from jatlab import JatConfig
from jatlab.exercises.lesson02 import attend, dual_masks, reach
from jatlab.model.attention import _attend_recording
from jatlab.model.transformer import sequence_masks


def masks_of(causal, near):
    def masks(length, window):
        i = torch.arange(length)
        distance = i[:, None] - i[None, :]
        return {"global": causal(distance), "local": causal(distance) & near(distance, window)}

    return masks


def scores_then(after):
    return lambda q, k, v, m: after(q @ k.T, m) @ v


INF = float("-inf")
WRONG = {
    "02.1": [
        (scores_then(lambda s, m: (s / s.new_tensor(4).sqrt()).masked_fill(~m, INF).softmax(-1)), "square root of the head size"),
        (scores_then(lambda s, m: s.masked_fill(~m, INF).softmax(0)), "over the keys"),
        (scores_then(lambda s, m: s.softmax(-1) * m), "before it, with -inf"),
        (scores_then(lambda s, m: (s * m).softmax(-1)), "e to the 0 is 1"),
        (scores_then(lambda s, m: s.masked_fill(m, INF).softmax(-1).nan_to_num(0.2)), "mask that allows everything"),
        (lambda q, k, v, m: (q @ k.T).masked_fill(~m, INF).softmax(-1), "shape (3, 4), not (3, 5)"),
    ],
    "02.2": [
        (masks_of(lambda d: d >= 0, lambda d, w: d <= w), "counts the token itself"),
        (masks_of(lambda d: d > 0, lambda d, w: d < w), "does not see itself"),
        (masks_of(lambda d: d <= 0, lambda d, w: d > -w), "shows the future and hides the past"),
        (masks_of(lambda d: d > -9, lambda d, w: d < w), "see the future"),
        (lambda length, window: torch.ones(length, length, dtype=torch.bool), "a dictionary"),
    ],
    "02.3": [
        (lambda kinds, window, length: window, "reaches 3 back, not 4"),
        (lambda kinds, window, length: window - 1, "layers build on each other"),
        (lambda kinds, window, length: len(kinds) * (window - 1), "only 8 tokens"),
        (lambda kinds, window, length: min(len(kinds) * (window - 1), length - 1), "reaches the first token"),
    ],
    "02.4": [
        (lambda w, q, k: w[:, q][:, :, k].mean(), "do not average"),
        (lambda w, q, k: w[:, k][:, :, q].sum(-1).mean(), "rows look, columns are looked at"),
        (lambda w, q, k: w[:, q][:, :, k].sum() / len(w), "you add up the queries or the heads"),
        (lambda w, q, k: w.mean(0)[q].sum(-1).mean(), "pay nothing to the other kind"),
    ],
}  # fmt: skip
test_solution, test_wrong_answer, test_coverage = exercise_tests("02", WRONG)


def test_solutions_equal_the_package():
    torch.manual_seed(1)
    config = JatConfig.preset("nano", window_size=5)
    theirs, ours = sequence_masks(config, 12), dual_masks(12, 5)
    assert all(torch.equal(theirs[kind][0, 0], ours[kind]) for kind in ours)
    query, key, value = torch.randn(3, 12, 8)
    mixed, _ = _attend_recording(query[None, None], key[None, None], value[None, None], theirs["local"], 0.0)
    torch.testing.assert_close(mixed[0, 0], attend(query, key, value, ours["local"]))


def test_reach_is_that_of_the_masks_multiplied():
    for kinds in (["local"] * 3, ["local", "global"], ["local"]):
        masks, seen = dual_masks(20, 4), torch.eye(20)
        for kind in kinds:
            seen = (masks[kind].float() @ seen > 0).float()
        assert reach(kinds, 4, 20) == 19 - int(seen[-1].nonzero()[0])
