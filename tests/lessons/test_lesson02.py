"""Lesson 02: solutions pass and equal the package; typical wrong answers are told their mistake."""

import math
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from jatlab.lessons.lesson02 import attend, dual_masks, reach
from jatlab.lessons.lesson02_build import attention, block, split_heads, trunk
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


# --- 02.3, in its four steps


def projections(layer):
    return layer.query, layer.key, layer.value


def split_by_chunks(x, heads):
    return torch.stack(x.chunk(heads, dim=-1))


def split_in_loops(x, heads):
    size = x.shape[1] // heads
    return [[row[h * size : (h + 1) * size] for row in x.tolist()] for h in range(heads)]


def attention_by_torch(x, layer, mask):
    q, k, v = (
        split_by_chunks(f(x), layer.num_heads) for f in (layer.query, layer.key, layer.value)
    )
    mixed = F.scaled_dot_product_attention(q, k, v, mask, scale=1.0)
    return layer.output(torch.cat(list(mixed), dim=-1))


def attention_in_numpy(x, layer, mask):
    w = {n: getattr(layer, n).weight.numpy() for n in ("query", "key", "value", "output")}
    size, parts = x.shape[1] // layer.num_heads, []
    for head in range(layer.num_heads):
        rows = slice(head * size, (head + 1) * size)
        q, k, v = (x.numpy() @ w[n][rows].T for n in ("query", "key", "value"))
        weights = np.exp(q @ k.T) * mask.numpy()
        parts.append(weights / weights.sum(1, keepdims=True) @ v)
    return np.concatenate(parts, axis=1) @ w["output"].T + layer.output.bias.numpy()


def block_in_lines(x, part, mask):
    a = part.attention_norm(x)
    x = x + torch.as_tensor(attention_in_numpy(a, part.attention, mask))
    return part.mlp(part.mlp_norm(x)) + x


def trunk_by_index(x, part, masks):
    x = x + part.positions(torch.arange(len(x)))
    for one in part.blocks:
        x = block_in_lines(x, one, masks[one.attention.kind])
    return part.norm(x).double()


def post_norm(x, part, mask):
    x = part.attention_norm(x + attention(x, part.attention, mask))
    return part.mlp_norm(x + part.mlp(x))


def without_output(x, layer, mask):
    layer = SimpleNamespace(
        **{n: getattr(layer, n) for n in ("query", "key", "value", "num_heads")}
    )
    layer.output = torch.nn.Identity()
    return attention(x, layer, mask)


def split_without_transpose(x, heads):
    return x.reshape(heads, len(x), -1)


def badly_joined(x, layer, mask):
    q, k, v = (split_heads(f(x), layer.num_heads) for f in projections(layer))
    mixed = F.scaled_dot_product_attention(q, k, v, mask, scale=1.0)
    return layer.output(mixed.reshape(len(x), -1))


def mlp_of(x, part):
    return part.mlp.down(F.gelu(part.mlp.up(x), approximate="tanh"))


def trunk_with(x, part, masks, kind=None, positions=True, norm=True):
    x = x + part.positions.weight[: len(x)] * positions
    for one in part.blocks:
        x = block(x, one, masks[kind or one.attention.kind])
    return part.norm(x) if norm else x


def attention_divided(x, layer, mask):
    q, k, v = (split_heads(f(x), layer.num_heads) for f in projections(layer))
    mixed = F.scaled_dot_product_attention(q, k, v, mask)
    return layer.output(mixed.transpose(0, 1).reshape(len(x), -1))


INF = float("-inf")
BUILT = (split_heads, attention, block, trunk)
WRONG = {
    "02.3": [
        (split_without_transpose, "cuts between tokens"),
        (lambda x, heads: x.reshape(len(x), heads, -1), "heads come first"),
        (lambda x, heads: x.reshape(len(x), -1, heads).permute(2, 0, 1), "every second number"),
        (BUILT[:1] + (without_output,), "layer.output, is missing"),
        (BUILT[:1] + (attention_divided,), "square root of D"),
        (BUILT[:1] + (badly_joined,), "joined in the wrong order"),
        (BUILT[:1] + (lambda x, layer, mask: attention(x, layer, mask | True),), "sees the future"),
        (BUILT[:1] + (lambda x, layer, mask: attention(x, layer, ~mask),), "inverted"),
        (BUILT[:2] + (post_norm,), "pre-norm"),
        (BUILT[:2] + (lambda x, p, m: mlp_of(p.mlp_norm(x), p),), "JatModel's block"),
        (BUILT[:2] + (lambda x, p, m: block(x, p, m) - x,), "JatModel's block"),
        (
            BUILT[:2]
            + (
                lambda x, p, m: (
                    (y := x + attention(p.attention_norm(x), p.attention, m)) + mlp_of(y, p)
                ),
            ),
            "normalised copy too",
        ),
        (BUILT[:3] + (lambda x, p, m: trunk_with(x, p, m, positions=False),), "positions"),
        (BUILT[:3] + (lambda x, p, m: trunk_with(x, p, m, norm=False),), "last norm"),
        (BUILT[:3] + (lambda x, p, m: trunk_with(x, p, m, kind="global"),), "the same mask"),
    ],
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
    "02.4": [
        (lambda kinds, window, length: window, "reaches 3 back, not 4"),
        (lambda kinds, window, length: window - 1, "layers build on each other"),
        (lambda kinds, window, length: len(kinds) * (window - 1), "only 8 tokens"),
        (local_only, "reaches the first token"),
    ],
    "02.5": [
        (lambda w, q, k: w[:, q][:, :, k].mean(), "do not average"),
        (lambda w, q, k: w[:, k][:, :, q].sum(-1).mean(), "rows look, columns are looked at"),
        (lambda w, q, k: w[:, q][:, :, k].sum() / len(w), "you add up the queries or the heads"),
        (lambda w, q, k: w.mean(0)[q].sum(-1).mean(), "pay nothing to the other kind"),
    ],
}
RIGHT = {
    "02.3": [
        (split_by_chunks, attention_by_torch, block, trunk),
        (split_in_loops, attention_in_numpy, block_in_lines, trunk_by_index),
    ],
    "02.1": [
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, scale=1.0),
        attended_in_loops,
        attended_in_numpy,
        attended_in_double,
    ],
    "02.2": [triangles, masks_in_loops, masks_in_numpy],
    "02.4": [reach_in_a_loop, reach_by_masks],
    "02.5": [share_in_loops, share_by_product],
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
