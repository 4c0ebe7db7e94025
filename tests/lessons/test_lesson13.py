"""Lesson 13: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np

from jatlab.lessons.lesson13 import mix, nearest, remember, retrieve, sequence
from tests.support.exercises import exercise_tests


def farthest(stored, query, k):
    return np.argsort(-np.linalg.norm(stored - query, axis=1))[:k]


def signed(stored, query, k):
    return np.argsort(np.abs((stored - query).sum(1)), kind="stable")[:k]


def distances(stored, query, k):
    return np.sort(np.linalg.norm(stored - query, axis=1))[:k]


def backwards(stored, query, k):
    return nearest(stored, query, k)[::-1]


def every(stored, query, k):
    return nearest(stored, query, len(stored))


def by_partition(stored, query, k):
    squares = ((stored - query) ** 2).sum(1)
    some = np.argpartition(squares, k)[:k]
    return some[np.argsort(squares[some])]


def by_loop(stored, query, k):
    squares = [float(sum((a - b) ** 2 for a, b in zip(row, query, strict=True))) for row in stored]
    return sorted(range(len(stored)), key=squares.__getitem__)[:k]


def first_only(episodes):
    return episodes[0]["observations"], episodes[0]["actions"]


def last_only(episodes):
    return episodes[-1]["observations"], episodes[-1]["actions"]


def swapped(episodes):
    return remember(episodes)[::-1]


def shuffled(episodes):
    observations, actions = remember(episodes)
    return observations, actions[::-1]


def seen(memory, observation):
    row = np.linalg.norm(memory[0] - observation, axis=1).argmin()
    return memory[0][row], 0.0


def most_unlike(memory, observation):
    away = np.linalg.norm(memory[0] - observation, axis=1)
    return memory[1][away.argmax()], away.max()


def squared(memory, observation):
    action, distance = retrieve(memory, observation)
    return action, distance**2


def without_distance(memory, observation):
    return retrieve(memory, observation)[0], 1.0


def stacked(episodes):
    return [
        np.array([row for episode in episodes for row in episode[name]])
        for name in ("observations", "actions")
    ]


def by_squares(memory, observation):
    squares = ((memory[0] - observation) ** 2).sum(1)
    row = int(np.argmin(squares))
    return [memory[1][row], np.sqrt(squares[row])]


def query_first(memory, observation, k):
    return tuple(np.concatenate([one[-1:], one[:-1]]) for one in sequence(memory, observation, k))


def farthest_first(memory, observation, k):
    found = sequence(memory, observation, k)
    return tuple(np.concatenate([one[-2::-1], one[-1:]]) for one in found)


def without_query(memory, observation, k):
    return tuple(one[:-1] for one in sequence(memory, observation, k))


def without_last_action(memory, observation, k):
    observations, actions = sequence(memory, observation, k)
    return observations, actions[:-1]


def nearest_action_last(memory, observation, k):
    observations, actions = sequence(memory, observation, k)
    return observations, np.concatenate([actions[:-1], actions[:1]])


def first_actions(memory, observation, k):
    observations, actions = sequence(memory, observation, k)
    return observations, np.concatenate([memory[1][:k], actions[-1:]])


def one_more(memory, observation, k):
    return sequence(memory, observation, k + 1)


def by_lists(memory, observation, k):
    order = sorted(range(len(memory[0])), key=lambda i: np.linalg.norm(memory[0][i] - observation))
    seen = [memory[0][i].tolist() for i in order[:k]] + [observation.tolist()]
    done = [memory[1][i].tolist() for i in order[:k]] + [[0.0] * memory[1].shape[1]]
    return seen, done


def filled(memory, observation, k):
    observations, actions = (np.zeros((k + 1, one.shape[1])) for one in memory)
    rows = nearest(memory[0], observation, k)
    observations[:k], observations[k], actions[:k] = memory[0][rows], observation, memory[1][rows]
    return observations, actions


def reversed_weights(retrieved, predicted, distance, scale):
    return mix(predicted, retrieved, distance, scale)


def without_scale(retrieved, predicted, distance, scale):
    return mix(retrieved, predicted, distance, 1.0)


def times_scale(retrieved, predicted, distance, scale):
    return mix(retrieved, predicted, distance * scale, 1.0)


def without_ten(retrieved, predicted, distance, scale):
    return mix(retrieved, predicted, distance / 10, scale)


def linear(retrieved, predicted, distance, scale):
    weight = max(0.0, 1 - distance / scale)
    return weight * retrieved + (1 - weight) * predicted


def from_predicted(retrieved, predicted, distance, scale):
    return predicted + np.exp(-10 * distance / scale) * (retrieved - predicted)


def one_by_one(retrieved, predicted, distance, scale):
    weight = 1 / np.exp(10 * distance / scale)
    return [weight * a + (1 - weight) * b for a, b in zip(retrieved, predicted, strict=True)]


WRONG = {
    "13.1": [
        (farthest, "farthest"),
        (signed, "cancel"),
        (distances, "these are distances"),
        (backwards, "in another order"),
        (every, "k is 3"),
    ],
    "13.2": [
        (first_only, "the first episode only"),
        (last_only, "the last episode only"),
        (swapped, "the observations come first"),
        (shuffled, "in the order of the observations"),
        ((remember, seen), "the observation that was found"),
        ((remember, most_unlike), "farthest"),
        ((remember, squared), "squared"),
        ((remember, without_distance), "here 0.05"),
    ],
    "13.3": [
        (query_first, "comes last"),
        (farthest_first, "the farthest comes first"),
        (without_query, "retrieved observations only"),
        (without_last_action, "no action in the last row"),
        (nearest_action_last, "that the network has to find"),
        (first_actions, "in the same order"),
        (one_more, "k is 4"),
    ],
    "13.4": [
        (reversed_weights, "wrong way round"),
        (without_scale, "the scale is ignored"),
        (times_scale, "you multiply by the scale"),
        (without_ten, "factor 10"),
        (linear, "add up to 1"),
    ],
}
RIGHT = {
    "13.1": [by_partition, by_loop],
    "13.2": [(stacked, retrieve), (remember, by_squares)],
    "13.3": [by_lists, filled],
    "13.4": [from_predicted, one_by_one],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("13", WRONG, RIGHT)
)
