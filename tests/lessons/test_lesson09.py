"""Lesson 09: solutions pass, and typical wrong answers are told their mistake."""

import math

import numpy as np
import pytest
import torch

from jatlab.agents.generation import nucleus
from jatlab.lessons.lesson09 import keep_top_p, to_map
from tests.support.exercises import exercise_tests


def diluted(logits, temperature):
    shares = logits.softmax(-1) / temperature
    return shares / shares.sum()


def short_of_top_p(probabilities, top_p):
    ordered, order = probabilities.sort(descending=True)
    kept, chosen = torch.zeros_like(probabilities), order[ordered.cumsum(0) <= top_p]
    kept[chosen] = probabilities[chosen]
    return kept / kept.sum()


def unsorted_top_p(probabilities, top_p):
    kept = probabilities * (probabilities.cumsum(0) - probabilities < 0.6)
    return kept / kept.sum()


def one_too_many(probabilities, top_p):
    return keep_top_p(probabilities, top_p + 1e-6)


def mean_of(nats):
    return torch.cat(nats).mean()


def mean_of_perplexities(nats):
    return sum(math.exp(document.mean()) for document in nats) / len(nats)


def perplexity_of_means(nats):
    return math.exp(sum(float(document.mean()) for document in nats) / len(nats))


def tempered_in_numpy(logits, temperature):
    exponents = np.exp(logits.numpy() / temperature)
    return exponents / exponents.sum()


def tempered_in_lists(logits, temperature):
    exponents = [math.exp(one / temperature) for one in logits.tolist()]
    return [one / sum(exponents) for one in exponents]


def top_p_in_a_loop(probabilities, top_p):
    kept, reached = [0.0] * len(probabilities), 0.0
    for index in sorted(range(len(kept)), key=lambda i: -probabilities[i]):
        kept[index] = float(probabilities[index])
        reached += kept[index]
        if reached >= top_p:
            break
    return [one / reached for one in kept]


def top_p_in_numpy(probabilities, top_p):
    p = probabilities.numpy()
    order = np.argsort(-p)
    count = np.searchsorted(np.cumsum(p[order]), top_p) + 1
    kept = np.where(np.isin(np.arange(len(p)), order[:count]), p, 0)
    return kept / kept.sum()


def perplexity_in_a_loop(nats):
    surprises = [float(one) for document in nats for one in document]
    return np.exp(np.mean(surprises))


def map_in_loops(weights, patches):
    side = math.isqrt(patches)
    last = [sum(float(head[-1, p]) for head in weights) / len(weights) for p in range(patches)]
    return [last[row * side : (row + 1) * side] for row in range(side)]


def map_in_numpy(weights, patches):
    return weights.numpy().mean(0)[-1, :patches].reshape(math.isqrt(patches), -1)


WRONG = {
    "09.1": [
        (lambda logits, t: (logits * t).softmax(-1), "multiplied by the temperature"),
        (diluted, "before softmax"),
        (lambda logits, t: logits / t, "softmax comes last"),
        (lambda logits, t: None, "nothing there yet"),
    ],
    "09.2": [
        (short_of_top_p, "does not reach 0.7"),
        (unsorted_top_p, "first tokens of the vocabulary"),
        (lambda p, top_p: keep_top_p(p, top_p) * 0.8, "add up to 1 again"),
        (lambda p, top_p: torch.where(p < 0.2, p, 0.0), "the unlikely ones"),
        (one_too_many, "no third token"),
    ],
    "09.3": [
        (mean_of, "raise e to it"),
        (lambda nats: 2 ** mean_of(nats), "to the base e"),
        (lambda nats: math.exp(torch.cat(nats).sum()), "the whole text"),
        (mean_of_perplexities, "mean of the documents' perplexities"),
        (perplexity_of_means, "every token should count the same"),
    ],
    "09.4": [
        (lambda w, patches: to_map(w, patches).T, "rows and columns are swapped"),
        (lambda w, patches: w[:, :patches, -1].mean(0).reshape(2, 2), "rows are queries"),
        (lambda w, patches: w[:, -1, -patches:].mean(0).reshape(2, 2), "the patches stand first"),
        (lambda w, patches: w[:, -1, :patches].sum(0).reshape(2, 2), "not their sum"),
        (lambda w, patches: w[:, -1, :patches].mean(0), "a map of shape (2, 2)"),
    ],
}
RIGHT = {
    "09.1": [
        lambda logits, t: torch.nn.functional.softmax(logits.double() / t, dim=0),
        tempered_in_numpy,
        tempered_in_lists,
    ],
    "09.2": [top_p_in_a_loop, top_p_in_numpy],
    "09.3": [lambda nats: torch.exp(torch.cat(nats).mean()), perplexity_in_a_loop],
    "09.4": [map_in_loops, map_in_numpy],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("09", WRONG, RIGHT)
)


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.7, 0.95, 1.0])
def test_the_solution_of_top_p_is_what_generation_does(top_p):
    probabilities = torch.rand(50, generator=torch.Generator().manual_seed(1)).double().pow(3)
    probabilities /= probabilities.sum()
    package = nucleus(probabilities[None], top_p)[0]
    torch.testing.assert_close(keep_top_p(probabilities, top_p), package)
