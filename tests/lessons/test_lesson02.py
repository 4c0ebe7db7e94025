"""Lesson 02: solutions pass and equal the package; typical wrong answers are told their mistake."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from jatlab.lessons.lesson02 import attend, dual_masks, reach
from jatlab.model.attention import DualAttention
from jatlab.model.transformer import sequence_masks
from tests.support.exercises import exercise_tests
from tests.support.helpers import small


def triangles(length, window):
    causal = torch.ones(length, length).tril()
    return {"global": causal.bool(), "local": causal.triu(1 - window).bool()}


def masks_of(causal, near):
    def masks(length, window):
        i = torch.arange(length)
        distance = i[:, None] - i[None, :]
        return {"global": causal(distance), "local": causal(distance) & near(distance, window)}

    return masks


def scores_then(after):
    return lambda q, k, v, m: after(q @ k.T, m) @ v


def divided(scores, mask):
    return (scores / scores.new_tensor(4).sqrt()).masked_fill(~mask, INF).softmax(-1)


def local_only(kinds, window, length):
    return min(len(kinds) * (window - 1), length - 1)


def attended_in_loops(query, key, value, mask):
    rows = []
    for q, seen in zip(query, mask, strict=True):
        weights = [math.exp(q @ k) if see else 0.0 for k, see in zip(key, seen, strict=True)]
        mixed = sum(w * v for w, v in zip(weights, value, strict=True)) / sum(weights)
        rows.append(mixed.tolist())
    return rows


def attended_in_numpy(query, key, value, mask):
    weights = np.exp(query.numpy() @ key.numpy().T) * mask.numpy()
    return weights / weights.sum(1, keepdims=True) @ value.numpy()


def attended_in_double(query, key, value, mask):
    hidden = torch.where(mask, 0.0, -1e30).double()
    return (query.double() @ key.double().T + hidden).softmax(1) @ value.double()


def masks_in_loops(length, window):
    rows = range(length)
    return {
        "local": [[int(0 <= i - j < window) for j in rows] for i in rows],
        "global": [[int(j <= i) for j in rows] for i in rows],
    }


def masks_in_numpy(length, window):
    causal = np.tri(length)
    return {"global": causal > 0, "local": causal - np.tri(length, k=-window)}


def reach_in_a_loop(kinds, window, length):
    back = 0
    for kind in kinds:
        back = length if kind == "global" else back + window - 1
    return torch.tensor(min(back, length - 1))


def reach_by_masks(kinds, window, length):
    seen = np.eye(length)
    for kind in kinds:
        seen = dual_masks(length, window)[kind].numpy() @ seen
    return length - 1 - np.flatnonzero(seen[-1])[0]


def share_in_loops(weights, queries, keys):
    rows = [head[i] for head in weights for i in range(len(queries)) if queries[i]]
    return sum(float(row[j]) for row in rows for j in range(len(keys)) if keys[j]) / len(rows)


def share_by_product(weights, queries, keys):
    paid = weights.double() @ keys.double()
    return (paid @ queries.double()).mean() / queries.sum()


INF = float("-inf")
WRONG = {
    "02.1": [
        (scores_then(divided), "square root of the head size"),
        (scores_then(lambda s, m: s.masked_fill(~m, INF).softmax(0)), "over the keys"),
        (scores_then(lambda s, m: s.softmax(-1) * m), "before it, with -inf"),
        (scores_then(lambda s, m: (s * m).softmax(-1)), "e to the 0 is 1"),
        (scores_then(lambda s, m: s.masked_fill(m, INF).softmax(-1)), "the mask is inverted"),
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
        (local_only, "reaches the first token"),
    ],
    "02.4": [
        (lambda w, q, k: w[:, q][:, :, k].mean(), "do not average"),
        (lambda w, q, k: w[:, k][:, :, q].sum(-1).mean(), "rows look, columns are looked at"),
        (lambda w, q, k: w[:, q][:, :, k].sum() / len(w), "you add up the queries or the heads"),
        (lambda w, q, k: w.mean(0)[q].sum(-1).mean(), "pay nothing to the other kind"),
    ],
}
RIGHT = {
    "02.1": [
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, scale=1.0),
        attended_in_loops,
        attended_in_numpy,
        attended_in_double,
    ],
    "02.2": [triangles, masks_in_loops, masks_in_numpy],
    "02.3": [reach_in_a_loop, reach_by_masks],
    "02.4": [share_in_loops, share_by_product],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("02", WRONG, RIGHT)
)


def test_solutions_equal_the_package():
    torch.manual_seed(1)
    config = small(hidden_size=8, num_heads=1)
    theirs, ours = sequence_masks(config, 12), dual_masks(12, 5)
    assert all(torch.equal(theirs[kind][0, 0], ours[kind]) for kind in ours)
    layer, x = DualAttention(config, layer=1), torch.randn(12, 8)
    layer.output = torch.nn.Identity()
    mixed, _ = layer(x[None], theirs)
    attended = attend(layer.query(x), layer.key(x), layer.value(x), ours[layer.kind])
    torch.testing.assert_close(mixed[0], attended)


def test_reach_is_that_of_the_masks_multiplied():
    for kinds in (["local"] * 3, ["local", "global"], ["local"]):
        masks, seen = dual_masks(20, 4), torch.eye(20)
        for kind in kinds:
            seen = (masks[kind].float() @ seen > 0).float()
        assert reach(kinds, 4, 20) == 19 - int(seen[-1].nonzero()[0])
