"""Lesson 08: solutions pass and say what the memory does; wrong answers are told their mistake."""

import math

import numpy as np
import pytest
import torch

from jatlab.lessons.lesson08 import newest_position, remembered
from jatlab.lessons.lesson08_build import distance, with_memory, worth
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.memory import Memory
from tests.support.exercises import exercise_tests


def emptied(t, context, policy):
    return min(t + 1, context + 2) if policy == "published" else t % context + 1


def one_by_one(t, context, policy):
    return min(t + 1, context + 2) if policy == "published" else min(t + 1, context)


def without_now(t, context, policy):
    late = policy == "recompute" and t >= context
    return remembered(t, context, policy) - late


def one_more(t, context, policy):
    return min(t + 1, context) + (policy == "published" and t >= context)


def two_too_low(t, context, policy):
    return min(2 * t, 2 * context) if policy == "published" else 2 * t


def restarted(t, context, policy):
    return min(2 * t, 2 * context + 2) if policy == "published" else 2 * (t % context)


def tempered_in_numpy(logits, temperature):
    logits = logits.numpy()
    if not temperature:
        return np.eye(len(logits))[logits.argmax()]
    exponents = np.exp(logits / temperature)
    return exponents / exponents.sum()


def tempered_in_lists(logits, temperature):
    logits = logits.tolist()
    if temperature == 0:
        return [float(one == max(logits)) for one in logits]
    exponents = [math.exp(one / temperature) for one in logits]
    return [one / sum(exponents) for one in exponents]


def last_by_number(tokens, k):
    return tokens[max(0, len(tokens) - 2 * k + 1) :].double()


def last_in_a_loop(tokens, k):
    kept = [row.numpy() for t, row in enumerate(tokens) if (len(tokens) - t) // 2 < k]
    return np.stack(kept)


def remembered_by_playing(t, context, policy):
    held = 0  # timesteps before that of now
    for _ in range(t):
        held += 1
        if policy == "published":
            held = min(held, context + 1)
        elif held == context:
            held = context // 2
    return np.int64(held + 1)


def remembered_in_one_line(t, context, policy):
    if policy == "published":
        return float(min(t + 1, context + 2))
    return float(t + 1 - max(0, t // (context // 2) - 1) * (context // 2))


def position_by_playing(t, context, policy):
    if policy == "published":
        return torch.tensor(2 * t).clamp(max=2 * context + 2)
    return torch.tensor(2 * (remembered_by_playing(t, context, policy) - 1))


def position_in_one_line(t, context, policy):
    if policy == "published":
        return min(2 * t, 2 * (context + 1))
    return 2 * t if t < context else context + 2 * (t % (context // 2))


# --- 08.5: what memory is worth


def distance_by_overlap(p, q):
    return 1 - np.minimum(p, q).sum(axis=1)


def memory_in_a_loop(decide, observations, k):
    remembered, decisions = [], []
    for one in observations:
        remembered = [*remembered, one][-k:]
        decisions.append(decide(remembered))
    return torch.tensor(np.array(decisions))


def worth_in_loops(decide, observations, lengths):
    full = memory_in_a_loop(decide, observations, 10**6).numpy()
    found = {}
    for k in lengths:
        gaps = distance_by_overlap(memory_in_a_loop(decide, observations, k).numpy(), full)
        found[k] = sum(gaps[k:]) / len(gaps[k:])
    return found


def negative_start(decide, observations, k):
    return [decide(observations[t + 1 - k : t + 1] or [0.0]) for t in range(len(observations))]


def newest_first(decide, observations, k):
    return with_memory(lambda some: decide(some[::-1]), observations, k)


def all_timesteps(decide, observations, lengths):
    full = with_memory(decide, observations, 99)
    return {k: distance(with_memory(decide, observations, k), full).mean() for k in lengths}


WRONG = {
    "08.5": [
        (lambda p, q: np.abs(p - q).sum(-1), "halve the sum"),
        (lambda p, q: (p - q).sum(-1) / 2, "np.abs"),
        (lambda p, q: distance(p, q).mean(), "three distances"),
        ((distance, lambda d, o, k: with_memory(d, o, k + 1)), "remembers 4"),
        ((distance, negative_start), "a negative start"),
        ((distance, newest_first), "oldest first"),
        ((distance, with_memory, all_timesteps), "the first k timesteps"),
        ((distance, with_memory, lambda *given: list(worth(*given).values())), "return a dict"),
    ],
    "08.1": [
        (lambda x, t: (x * t).softmax(-1), "multiplied instead of divided"),
        (lambda x, t: x.softmax(-1) / max(t, 1), "at temperature 4 each logit"),
        (lambda x, t: (x / t).softmax(-1), "NaN"),
        (lambda x, t: x / t if t else x, "softmax comes last"),
        (lambda x, t: (x / t).softmax(-1) if t else torch.eye(len(x))[0], "argmax"),
    ],
    "08.2": [
        (lambda tokens, k: tokens[-k:], "the last 2 tokens"),
        (lambda tokens, k: tokens[-2 * k :], "begin with an action"),
        (lambda tokens, k: tokens[: 2 * k - 1], "at the end"),
        (lambda tokens, k: tokens[-(2 * k - 1) :, 0], "(some, H)"),
    ],
    "08.3": [
        (lambda t, context, policy: t + 1, "the two policies differ"),
        (one_more, "two more than the context"),
        (emptied, "it is not emptied"),
        (one_by_one, "not one timestep"),
        (without_now, "make 5"),
        (lambda t, context, policy: remembered(t, 8, policy), "but not for 4"),
    ],
    "08.4": [
        (lambda t, context, policy: t, "token 2 t"),
        (lambda t, context, policy: 2 * t, "do not grow for ever"),
        (two_too_low, "stay at 18"),
        (restarted, "encoded again from position 0"),
        (lambda t, context, policy: newest_position(t, 8, policy), "but not for 4"),
    ],
}
RIGHT = {
    "08.5": [
        (distance_by_overlap, memory_in_a_loop, worth_in_loops),
        (distance, memory_in_a_loop, worth_in_loops),
    ],
    "08.1": [
        lambda x, t: (x / max(t, 1e-8)).softmax(-1),
        lambda x, t: (x.double() / max(t, 1e-12)).softmax(0),
        tempered_in_numpy,
        tempered_in_lists,
    ],
    "08.2": [last_by_number, last_in_a_loop],
    "08.3": [remembered_by_playing, remembered_in_one_line],
    "08.4": [position_by_playing, position_in_one_line],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("08", WRONG, RIGHT)
)


@pytest.mark.parametrize("policy", ["recompute", "published"])
@pytest.mark.parametrize("context", [2, 6, 8])
def test_the_solutions_say_what_the_memory_does(policy, context):
    config = JatConfig.preset(
        "nano",
        hidden_size=24,
        num_heads=2,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        max_position_embeddings=32,
        image_channels=(8, 8, 8),
    )
    model, positions = JatModel(config).eval(), []

    def note_position(module, given):
        positions.append(int(given[2][0, -1]))

    model.trunk.register_forward_pre_hook(note_position)
    memory = Memory(model, 1, policy, context)
    for t in range(30):
        recall = memory.step(torch.randn(1, 24), torch.randn(1, 24), torch.tensor([t == 0]))
        index = recall.key_index[0].numpy()
        assert np.count_nonzero((index >= 0) & (index % 2 == 0)) == remembered(t, context, policy)
        assert positions[-1] == newest_position(t, context, policy)
