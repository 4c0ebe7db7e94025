"""Lesson 01: solutions pass, and typical wrong answers are told their mistake."""

import json
from collections import Counter

import numpy as np
import torch

from jatlab.data.storage import arriving_rewards
from jatlab.experiments.baselines.gato_tokens import encode_observation
from jatlab.lessons.lesson01 import arriving, cut, gato_token, repeat
from jatlab.lessons.lesson01_build import count_pairs, encode, learn, merge
from jatlab.model.encoders import repeat_to
from tests.support.exercises import exercise_tests


def filled_up(x, size):
    return torch.cat([x, x.new_zeros(*x.shape[:-1], size - x.shape[-1])], dim=-1)


def merged_once(ids, pair, new):
    for place in range(len(ids) - 1):
        if tuple(ids[place : place + 2]) == pair:
            return ids[:place] + [new] + ids[place + 2 :]
    return ids


def merged_overlapping(ids, pair, new):
    return [new if tuple(ids[i : i + 2]) == pair else ids[i] for i in range(len(ids))]


def merged_without_last(ids, pair, new):
    merged = merge(ids, pair, new)
    return merged if merged[-1] == new else merged[:-1]


def merged_in_any_order(ids, pair, new):
    return merge(merge(ids, pair, new), pair[::-1], new)


def merged_as_text(ids, pair, new):
    return json.loads(json.dumps(ids).replace(f"{pair[0]}, {pair[1]}", str(new)))


def merged_in_place(ids, pair, new):
    place = 0
    while place < len(ids) - 1:
        if (ids[place], ids[place + 1]) == pair:
            ids[place : place + 2] = [new]
        place += 1
    return ids


def only_reshaped(picture, size):
    return picture.reshape(-1, picture.shape[0] * size * size)


def cut_by_columns(picture, size):
    return cut(picture.transpose(1, 2), size)


def cut_channels_last(picture, size):
    return cut(picture, size).unflatten(1, (len(picture), -1)).transpose(1, 2).flatten(1)


def companded(x, mu=100, most=25_600):
    return np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(most)


def bins(y):
    return np.floor((np.clip(y, -1, 1) + 1) / 2 * 1024).clip(max=1023).astype(int)


def unclipped_token(x):
    return 32_000 + np.floor((companded(x) + 1) / 2 * 1024).astype(int)


def rounded_token(x):
    return 32_000 + np.round((np.clip(companded(x), -1, 1) + 1) / 2 * 1023).astype(int)


def unfolded(picture, size):
    return torch.nn.functional.unfold(picture[None], size, stride=size)[0].T


def arriving_in_a_loop(rewards):
    arrived, last = [], 0
    for reward in rewards:
        arrived.append(last)
        last = reward
    return arrived


def arriving_one_by_one(rewards):
    yield 0
    yield from rewards[:-1]


def repeated_in_numpy(x, size):
    times = -(-size // x.shape[-1])
    return np.concatenate([x.numpy()] * times, axis=-1)[..., :size]


def merged_by_recursion(ids, pair, new):
    if len(ids) < 2:
        return tuple(ids)
    if (ids[0], ids[1]) == pair:
        return (new, *merged_by_recursion(ids[2:], pair, new))
    return (ids[0], *merged_by_recursion(ids[1:], pair, new))


def merged_one_by_one(ids, pair, new):
    ids = iter(ids)
    held = next(ids, None)
    for one in ids:
        if (held, one) == pair:
            yield new
            held = next(ids, None)
        else:
            yield held
            held = one
    if held is not None:
        yield held


def merged_in_a_copy(ids, pair, new):
    return np.array(merged_in_place(list(ids), pair, new))


def cut_in_loops(picture, size):
    _, height, width = picture.shape
    corners = [(i, j) for i in range(0, height, size) for j in range(0, width, size)]
    return [picture[:, i : i + size, j : j + size].flatten().tolist() for i, j in corners]


def cut_in_numpy(picture, size):
    c, h, w = picture.shape
    tiles = picture.numpy().reshape(c, h // size, size, w // size, size)
    return tiles.transpose(1, 3, 0, 2, 4).reshape(-1, c * size * size)


def tokens_by_digitize(x):
    places = np.digitize(np.clip(companded(x), -1, 1), np.linspace(-1, 1, 1025)) - 1
    return 32_000 + places.clip(0, 1023)


def tokens_in_torch(x):
    y = torch.from_numpy(np.clip(companded(x), -1, 1))
    return ((y + 1) / 2 * 1024).floor().clamp(max=1023).long() + 32_000


def tokens_in_a_loop(x):
    return [32_000 + int(bins(companded(one))) for one in x]


# --- 01.7: byte-pair encoding


def count_in_loops(words):
    counts = {}
    for pieces in words:
        for place in range(len(pieces) - 1):
            pair = (pieces[place], pieces[place + 1])
            counts[pair] = counts.get(pair, 0) + 1
    return counts


def learn_by_sorting(text, count):
    words = [list(word) for word in text]
    for _ in range(count):
        counts = count_in_loops(words)
        if not counts:
            return
        best = sorted(counts, key=lambda pair: (-counts[pair], pair))[0]
        yield best
        words = [merge(pieces, best, "".join(best)) for pieces in words]


def encode_by_ranks(word, merges):
    pieces = list(word)
    while len(pieces) > 1:
        ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
        best = min(zip(pieces, pieces[1:], strict=False), key=lambda p: ranks.get(p, 1e9))
        if best not in ranks:
            break
        pieces = merge(pieces, best, "".join(best))
    return tuple(pieces)


def count_once_a_word(words):
    return Counter(pair for one in words for pair in set(zip(one, one[1:], strict=False)))


def most_frequent_letters(text, count):
    counts = count_pairs([list(word) for word in text])
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:count]


def count_without_overlap(words):
    """`aaa` has one pair ('a', 'a'), as it can be merged once."""
    counts = count_pairs(words)
    counts["a", "a"] -= 1
    return counts


WRONG = {
    "01.7": [
        (lambda words: count_pairs([[p for w in words for p in w]]), "into the next"),
        (count_once_a_word, "count every place"),
        (count_without_overlap, "though they overlap"),
        (lambda words: {a + b: n for (a, b), n in count_pairs(words).items()}, "a tuple"),
        ((count_pairs, most_frequent_letters), "count again"),
        ((count_pairs, lambda text, n: learn(text, n)[::-1]), "the first merge is"),
        ((count_pairs, lambda text, n: learn(text, n)[:3]), "five merges"),
        ((count_pairs, learn, lambda word, merges: encode(word, merges[::-1])), "in the order"),
        ((count_pairs, learn, lambda word, merges: encode(word, merges)[:1]), "the word again"),
    ],
    "01.1": [
        (lambda r: r, "still the rewards that came after"),
        (lambda r: torch.cat([r[1:], torch.zeros(1)]), "moved the wrong way"),
        (lambda r: torch.roll(r, 1), "not 3"),
        (lambda r: torch.cat([torch.zeros(1), r]), "yours has 4"),
        (lambda r: 0.0, "one reward a timestep"),
    ],
    "01.2": [
        (lambda x, size: x.repeat_interleave(3, dim=-1)[..., :size], "repeat_interleave"),
        (filled_up, "filled up with zeros"),
        (lambda x, size: x.repeat(3), "cut the last copy"),
        (lambda x, size: x.flatten()[torch.arange(size) % x.numel()], "only the last dimension"),
    ],
    "01.3": [
        (merged_once, "only the first pair"),
        (merged_overlapping, "second id is still there"),
        (merged_without_last, "the last id got lost"),
        (merged_in_any_order, "a pair has an order"),
        (merged_as_text, "compare ids"),
        (merged_in_place, "you change the list that is given"),
        (lambda ids, pair, new: str(merge(ids, pair, new)), "return a list"),
    ],
    "01.4": [
        (only_reshaped, "the picture's first row"),
        (cut_by_columns, "column by column"),
        (cut_channels_last, "all of the first channel comes first"),
        (lambda picture, size: cut(picture, size).flatten(), "(4 patches, 4 values)"),
    ],
    "01.5": [
        (lambda x: bins(companded(x)), "not shifted"),
        (lambda x: 32_000 + bins(x), "without companding"),
        (lambda x: 32_000 + bins(np.abs(companded(x))), "sign of x"),
        (unclipped_token, "behind the last bin"),
        (lambda x: 32_000 + bins(companded(x)).astype(float), "tokens are integers"),
        (rounded_token, "floor, do not round"),
        (lambda x: 32_000 + bins(companded(x, 255, 255)), "beside the right one"),
    ],
    "01.6": [
        ((29, 256), "the separator is a token too"),
        ((37, 256), "action's 8 numbers"),
        ((36, 256), "without the action's 8"),
        ((28, 257), "in all: not 257"),
        (("28", "256"), "give two numbers"),
        ((1024 / 36, 256), "whole timesteps only"),
        ((28, 512), "512 are tokens"),
        ((23, 256), "27 + 1 + 8"),
    ],
}
RIGHT = {
    "01.7": [
        (count_in_loops, learn_by_sorting, encode_by_ranks),
        (count_pairs, learn, encode_by_ranks),
    ],
    "01.1": [
        lambda r: [0.0, *r[:-1]],
        lambda r: np.concatenate([[0], r.numpy()[:-1]]),
        lambda r: r.double().roll(1) * torch.arange(len(r)).bool(),
        arriving_in_a_loop,
        arriving_one_by_one,
    ],
    "01.2": [
        lambda x, size: torch.cat([x] * size, dim=-1)[..., :size],
        lambda x, size: x.double().repeat(*[1] * (x.ndim - 1), size)[..., :size],
        repeated_in_numpy,
    ],
    "01.3": [merged_by_recursion, merged_one_by_one, merged_in_a_copy],
    "01.4": [unfolded, cut_in_loops, cut_in_numpy],
    "01.5": [tokens_by_digitize, tokens_in_torch, tokens_in_a_loop],
    "01.6": [
        (np.int64(28), np.floor(512 / 2)),
        (torch.tensor(28), torch.tensor(256.0)),
        (28.0, np.array([256])),
    ],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("01", WRONG, RIGHT)
)


def test_solutions_are_what_the_package_does():
    rewards, x = np.arange(5, dtype=np.float32), torch.randn(2, 7)
    assert arriving(torch.from_numpy(rewards)).tolist() == arriving_rewards(rewards).tolist()
    torch.testing.assert_close(repeat(x, 30), repeat_to(x, 30))
    numbers = np.random.default_rng(0).normal(size=1000) * 100
    np.testing.assert_array_equal(gato_token(numbers), encode_observation(numbers))


def test_patches_are_those_of_a_convolution():
    convolution, picture = torch.nn.Conv2d(3, 5, 4, stride=4), torch.randn(3, 8, 12)
    ours = cut(picture, 4) @ convolution.weight.flatten(1).T + convolution.bias
    theirs = convolution(picture[None])[0].flatten(1).T
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
