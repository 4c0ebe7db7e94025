"""Lesson 00: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import torch

from jatlab.lessons.lesson00_build import compare, play, play_all
from tests.support.exercises import exercise_tests


def attended_in_a_loop(attentions):
    best, most = 0, -1.0
    for t in range((attentions.shape[-1] + 1) // 2):
        paid = sum(head[2 * t] for layer in attentions for head in layer)
        best, most = (t, paid) if paid > most else (best, most)
    return best


def attended_by_einsum(attentions):
    return torch.einsum("lht->t", torch.from_numpy(attentions))[::2].argmax()


# --- 00.4: the loop of acting


def play_forever(env, policy, seed):
    observation, _ = env.reset(seed=seed)
    rewards = []
    while True:
        observation, reward, *ended, _ = env.step(policy(observation))
        rewards.append(reward)
        if any(ended):
            return np.sum(rewards)


def play_all_in_a_loop(env, policy, seeds):
    returns = np.zeros(len(seeds))
    for place, seed in enumerate(seeds):
        returns[place] = play_forever(env, policy, seed)
    return torch.from_numpy(returns)


def compare_arrays(env, one, other, seeds):
    returns = np.array([play_all(env, policy, seeds) for policy in (one, other)])
    return [*returns.mean(axis=1), (returns[0] > returns[1]).mean()]


def played(env, policy, seed, ends="both", last=True, add=True):
    observation, _ = env.reset(seed=seed)
    total = 0.0
    for _ in range(20):
        observation, reward, terminated, truncated, _ = env.step(policy(observation))
        over = terminated or (truncated and ends == "both")
        if over and not last:
            break
        total = total + reward if add else reward
        if over:
            break
    return total


def three_steps(env, policy, seed):
    observation, _ = env.reset(seed=seed)
    return sum(env.step(policy(observation))[1] for _ in range(3))


def count_steps(env, policy, seed):
    play(env, policy, seed)
    return env.steps


def compare_other_seeds(env, one, other, seeds):
    first = play_all(env, one, seeds)
    second = play_all(env, other, [seed + 9 for seed in seeds])
    return np.mean(first), np.mean(second), np.mean(np.greater(first, second))


def compare_with_draws(env, one, other, seeds):
    first, second = play_all(env, one, seeds), play_all(env, other, seeds)
    return np.mean(first), np.mean(second), np.mean(np.greater_equal(first, second))


def compare_counts(env, one, other, seeds):
    a, b, share = compare(env, one, other, seeds)
    return a, b, share * len(seeds)


WRONG = {
    "00.4": [
        (lambda e, p, s: played(e, p, s, ends="terminated"), "after the episode has ended"),
        (lambda e, p, s: played(e, p, s, last=False), "the reward of the last step is missing"),
        (lambda e, p, s: played(e, p, s, add=False), "the last reward alone"),
        (lambda e, p, s: played(e, p, None), "reset the environment with the seed"),
        (three_steps, "before the episode has ended"),
        (count_steps, "the number of steps"),
        ((play, lambda e, p, seeds: sum(play_all(e, p, seeds))), "one number for each of 4"),
        ((play, lambda e, p, seeds: [play(e, p, 0) for _ in seeds]), "the seeds to play"),
        ((play, play_all, compare_other_seeds), "the same four seeds"),
        ((play, play_all, compare_counts), "a share is divided"),
        ((play, play_all, compare_with_draws), "a draw is no win"),
    ],
    "00.1": [
        (lambda total, limit: (1 - total) / 0.9, "share of the limit"),
        (lambda total, limit: (1 - total) * limit, "the 0.9 is missing"),
        (lambda total, limit: round(total * limit / 0.9), "start from 1 - return"),
        (lambda total, limit: round((1 - total) * 64 / 0.9), "but not for 576"),
        (lambda total, limit: (1 - total) * limit / 0.9, "steps are whole"),
        (lambda total, limit: "16", "return a number"),
    ],
    "00.2": [
        (lambda t: 2 * t, "the first observation"),
        (lambda t: t + 1, "actions between them"),
        (lambda t: 2 * t + 2, "no action has been chosen yet"),
        (lambda t: 1 + 3 * t, "1 3 5 7 9"),
    ],
    "00.3": [
        (lambda a: int(a.mean(axis=(0, 1)).argmax()), "that is the token"),
        (lambda a: int(a.mean(axis=(0, 1)).argmax()) // 2, "is an action"),
        (lambda a: a.mean(axis=0)[:, ::2].argmax(-1), "one timestep is asked for"),
        (lambda a: int(a[-1].mean(0)[::2].argmax()), "only the last layer"),
        (lambda a: int(a.max(axis=(0, 1))[::2].argmax()), "not the largest"),
        (lambda a: int(a[:, 0].mean(0)[::2].argmax()), "a single weight, head or layer decided"),
    ],
}
RIGHT = {
    "00.4": [
        (play_forever, play_all_in_a_loop, compare_arrays),
        (play_forever, play_all, compare_arrays),
    ],
    "00.1": [
        lambda total, limit: np.int64(round((1 - total) * limit / 0.9)),
        lambda total, limit: np.round((1 - total) * limit / 0.9),
        lambda total, limit: torch.tensor((1 - total) * limit / 0.9).round(),
    ],
    "00.2": [
        lambda t: len([kind for _ in range(t) for kind in "oa"]) + 1,
        lambda t: torch.tensor(t) * 2 + 1,
        lambda t: float(t + (t + 1)),
    ],
    "00.3": [attended_in_a_loop, attended_by_einsum],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("00", WRONG, RIGHT)
)
