"""Lesson 03: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import torch
from torch import nn

from jatlab.experiments.benchmarks.cost import full_window, training_flops
from jatlab.lessons.lesson03 import block_parameters, observation_loss, trunk_training_flops
from jatlab.model.losses import squared_error
from jatlab.model.transformer import Block
from tests.support.exercises import exercise_tests
from tests.support.helpers import small


def squared(predicted, target):
    return (predicted - target).square().mean(-1)


def averaged(error, mask):
    return (error * mask).sum() / mask.sum()


def masked_errors(predicted, observed, mask):
    return squared(predicted[:, :-1], observed[:, 1:]) * mask[:, 1:]


def divided_by_mask(predicted, observed, mask):
    return masked_errors(predicted, observed, mask).sum() / mask.sum()


def summed_over_numbers(predicted, observed, mask):
    factor = 4 if predicted.shape[-1] == 4 else 1
    return factor * observation_loss(predicted, observed, mask)


def split_by_reshape(hidden):
    return torch.stack([hidden[:, ::2], hidden[:, 1::2]])


def split_in_a_loop(hidden):
    states = hidden.numpy()
    times = range(0, states.shape[1], 2)
    return [np.stack([states[:, t + shift] for t in times], axis=1) for shift in (0, 1)]


def loss_in_loops(predicted, observations, mask):
    errors = [
        float(squared(predicted[b, t], observations[b, t + 1]))
        for b in range(len(mask))
        for t in range(mask.shape[1] - 1)
        if mask[b, t + 1]
    ]
    return sum(errors) / len(errors)


def parameters_of_modules(h):
    def count(*layers):
        return sum(p.numel() for layer in layers for p in layer.parameters())

    with torch.device("meta"):
        mixing = [nn.Linear(h, h, bias=last) for last in (False, False, False, True)]
        return count(*mixing, nn.Linear(h, 4 * h), nn.Linear(4 * h, h), *[nn.LayerNorm(h)] * 2)


def flops_in_a_loop(layers, h, tokens):
    products = [(tokens, h, h)] * 4 + [(tokens, h, 4 * h), (tokens, 4 * h, h)]
    products += [(tokens, h, tokens), (tokens, tokens, h)]
    return sum(3 * 2 * a * b * c for _ in range(layers) for a, b, c in products)


WRONG = {
    "03.1": [
        (lambda h: (h[:, 1::2], h[:, ::2]), "swapped"),
        (lambda h: h.chunk(2, dim=1), "cut in halves"),
        (lambda h: h[:, ::2], "return two tensors"),
        (lambda h: (h[:, ::2], h[:, ::2]), "next observations are predicted from tokens 1, 3, 5"),
        (lambda h: (h[:, ::2], h[:, 1::2][:, :-1]), "for the observations: expected shape"),
    ],
    "03.2": [
        (lambda p, o, m: averaged(squared(p, o), m), "shift one against the other"),
        (lambda p, o, m: averaged(squared(p[:, 1:], o[:, :-1]), m[:, 1:]), "the wrong way"),
        (lambda p, o, m: squared(p[:, :-1], o[:, 1:]).mean(), "padding counts"),
        (lambda p, o, m: averaged(squared(p[:, :-1], o[:, 1:]), m[:, :-1]), "padding counts"),
        (lambda p, o, m: masked_errors(p, o, m).mean(), "divided by all timesteps"),
        (divided_by_mask, "counts the first timesteps too"),
        (summed_over_numbers, "not their sum"),
        (masked_errors, "return one number"),
    ],
    "03.3": [
        (lambda h: 12 * h * h, "the matrices alone"),
        (lambda h: block_parameters(h) + 3 * h, "only the output projection has one"),
        (lambda h: block_parameters(h) - h, "one bias of size h"),
        (lambda h: block_parameters(h) - 4 * h, "two layer norms are missing"),
        (lambda h: block_parameters(h) - 2 * h, "scale *and* a shift"),
        (lambda h: block_parameters(h) - 5 * h, "two linear layers have biases"),
        (lambda h: 12 * h * h / 1, "the matrices alone"),
        (lambda h: block_parameters(h) / 5, "is a whole number"),
        (lambda h: 8 * h * h, "is too few"),
        (lambda h: block_parameters(768), "wrong for 192"),
        (lambda h: block_parameters(h) + 7, "which is +7"),
    ],
    "03.4": [
        (lambda n, h, t: n * (24 * t * h * h + 4 * h * t * t), "the forward pass alone"),
        (lambda n, h, t: 2 * n * (24 * t * h * h + 4 * h * t * t), "three forward passes"),
        (lambda n, h, t: 6 * t * n * 12 * h * h, "attention is missing"),
        (lambda n, h, t: 3 * n * (24 * t * h * h + 2 * h * t * t), "two products over all pairs"),
        (lambda n, h, t: 3 * (24 * t * h * h + 4 * h * t * t), "one layer"),
        (lambda n, h, t: 3 * n * (12 * t * h * h + 2 * h * t * t), "two FLOPs"),
        (lambda n, h, t: 3 * n * (24 * t * h * h + 40 * h * t), "how does each part grow"),
    ],
}
RIGHT = {
    "03.1": [lambda h: h.unflatten(1, (-1, 2)).unbind(2), split_by_reshape, split_in_a_loop],
    "03.2": [
        lambda p, o, m: squared(p[:, :-1], o[:, 1:])[m[:, 1:] > 0].mean().numpy()[()],
        lambda p, o, m: observation_loss(p.double(), o.double(), m.double()),
        loss_in_loops,
    ],
    "03.3": [
        lambda h: 12 * h**2 + 10 * h,
        lambda h: 12.0 * h * h + 10 * h,
        lambda h: torch.tensor(12 * h * h + 10 * h),
        parameters_of_modules,
    ],
    "03.4": [
        lambda n, h, t: torch.tensor(12 * n * h * t * (6 * h + t)),
        lambda n, h, t: 6 * n * t * (12 * h**2 + 2.0 * t * h),
        flops_in_a_loop,
    ],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("03", WRONG, RIGHT)
)


def test_the_loss_is_that_of_the_model():
    predicted, observations, mask = torch.randn(2, 6, 3), torch.randn(2, 6, 3), torch.ones(2, 6)
    mask[1, 3:] = 0
    ours = squared_error(predicted[:, :-1], observations[:, 1:], mask[:, 1:], torch.ones(2, 5))
    torch.testing.assert_close(observation_loss(predicted, observations, mask), ours)


def test_counts_are_those_of_the_package():
    config = small()
    parameters = sum(p.numel() for p in Block(config, 0).parameters())
    assert block_parameters(config.hidden_size) == parameters
    trunk = trunk_training_flops(config.num_layers, config.hidden_size, 20)
    decoder = 3 * 2 * 20 * config.hidden_size * config.vocab_size
    assert training_flops(config, full_window(config, "text", 20)) == trunk + decoder
