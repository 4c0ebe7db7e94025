"""Drawing from probabilities: each row by its generator, and never what is impossible."""

import numpy as np

from jatlab.agents.sampling import draw


class Fixed:
    """A generator that always draws the same number."""

    def __init__(self, number):
        self.number = number

    def random(self):
        return self.number


def test_each_row_follows_its_generator():
    shares = np.array([[0.25, 0.25, 0.5]] * 4)
    numbers = (0.0, 0.3, 0.6, 1 - 2**-53)
    assert draw(shares, [Fixed(one) for one in numbers]).tolist() == [0, 1, 2, 2]


def test_what_is_impossible_is_never_drawn():
    shares = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    for number in (0.0, 0.5, 1 - 2**-53):
        assert draw(shares, [Fixed(number)] * 2).tolist() == [1, 2]


def test_shares_are_those_of_the_probabilities():
    shares = np.tile([0.1, 0.6, 0.3], (20_000, 1))
    counts = np.bincount(draw(shares, [np.random.default_rng(0)] * 20_000), minlength=3)
    np.testing.assert_allclose(counts / 20_000, [0.1, 0.6, 0.3], atol=0.015)
