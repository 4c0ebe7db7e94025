"""Muon's step: an orthogonal direction, and AdamW for everything else."""

import pytest
import torch

from jatlab.training.optimization.muon import MOMENTUM, Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (24, 96), (96, 24), (1, 8)])
def test_singular_values_become_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(1000 * matrix)
    assert torch.linalg.svdvals(found).min() > 0.65 and torch.linalg.svdvals(found).max() < 1.25
    nearest = u @ v
    cosine = (found * nearest).sum() / (found.norm() * nearest.norm())
    assert cosine > 0.98


def test_nothing_comes_of_nothing():
    assert torch.equal(orthogonal(torch.zeros(3, 5)), torch.zeros(3, 5))


def made(lr=0.1, weight_decay=0.0):
    torch.manual_seed(1)
    matrix, bias = (torch.nn.Parameter(torch.randn(*shape)) for shape in ((6, 4), (6,)))
    groups = [{"params": [bias], "weight_decay": 0.0}]
    return matrix, bias, Muon([matrix], groups, lr, weight_decay, (0.9, 0.95))


def test_two_steps_by_hand():
    matrix, bias, optimizer = made(weight_decay=0.5)
    alone = torch.nn.Parameter(bias.detach().clone())
    adamw = torch.optim.AdamW([alone], lr=0.1, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    expected, average = matrix.detach().clone(), torch.zeros(6, 4)
    for _ in range(2):
        gradient = torch.randn(6, 4)
        matrix.grad, bias.grad = gradient.clone(), torch.randn(6)
        alone.grad = bias.grad.clone()
        optimizer.step()
        adamw.step()
        average = MOMENTUM * average + (1 - MOMENTUM) * gradient
        ahead = (1 - MOMENTUM) * gradient + MOMENTUM * average
        # the authors' scale: 0.2 times the root of the longer side
        expected = expected - 0.1 * (0.2 * 6**0.5 * orthogonal(ahead) + 0.5 * expected)
        torch.testing.assert_close(matrix.detach(), expected)
        torch.testing.assert_close(bias.detach(), alone.detach())
    assert matrix.grad is not None and set(optimizer.state[matrix]) == {"exp_avg"}


def test_what_has_no_gradient_stays():
    matrix, bias, optimizer = made(weight_decay=0.5)
    before, bias.grad = matrix.detach().clone(), torch.ones(6)
    optimizer.step()
    assert torch.equal(matrix, before) and not optimizer.state[matrix]


def test_a_gradient_that_is_not_a_number_can_be_left_out():
    matrix, bias, optimizer = made(weight_decay=0.5)
    before = matrix.detach().clone(), bias.detach().clone()
    matrix.grad, bias.grad = torch.full((6, 4), torch.nan), torch.full((6,), torch.nan)
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    assert torch.equal(matrix, before[0]) and torch.equal(bias, before[1])
    matrix.grad, bias.grad = torch.ones(6, 4), torch.ones(6)
    optimizer.found_inf = torch.zeros(())
    optimizer.step()
    assert matrix.isfinite().all() and not torch.equal(matrix, before[0])
