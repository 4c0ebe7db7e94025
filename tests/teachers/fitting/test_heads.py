"""Distributions of actions against torch's."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from jatlab.teachers.fitting.heads import Choice, Gaussian


def test_gaussian_actions_against_torch():
    head = Gaussian(np.ones(3, np.float32), spread=0.4)
    outputs, others, actions = torch.randn(3, 7, 3)
    before, now = head(outputs).detach(), head(others) - 0.3
    wanted = Normal(outputs, 0.4)
    ours, theirs = head.log_probability(before, actions), wanted.log_prob(actions).sum(-1)
    assert torch.allclose(ours - ours[0], theirs - theirs[0], atol=1e-4)
    moved = Normal(now[:, 0], now[:, 1].exp())
    change = kl_divergence(wanted, moved).sum(-1).mean()
    assert torch.allclose(head.change(before, now), change, atol=1e-4)
    rise = (moved.entropy() - wanted.entropy()).sum(-1).mean()
    assert torch.allclose(head.entropy(now) - head.entropy(before), rise, atol=1e-4)


def test_choices_against_torch():
    head = Choice(4)
    outputs, others, actions = *torch.randn(2, 7, 4), torch.randint(4, (7,))
    before, now = Categorical(logits=outputs), Categorical(logits=others)
    assert torch.allclose(head.log_probability(head(others), actions), now.log_prob(actions))
    change = kl_divergence(before, now).mean()
    assert torch.allclose(head.change(head(outputs), head(others)), change)
    assert torch.allclose(head.entropy(head(others)), now.entropy().mean())
    drawn = head.draw(np.tile(outputs[:1].numpy(), (20_000, 1)), np.random.default_rng(0))
    shares = np.bincount(drawn, minlength=4) / 20_000
    assert shares == pytest.approx(before.probs[0].numpy(), abs=0.015)
