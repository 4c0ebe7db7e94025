"""Lesson 09: solutions pass, and typical wrong answers are told their mistake."""

import math

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
    "09.3": [lambda nats: torch.exp(torch.cat(nats).mean())],
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
