"""The regulator of a problem with a known answer."""

import numpy as np
import pytest

from jatlab.teachers.fitting.lqr import regulator


def test_the_regulator_of_a_double_integrator():
    """x' = x + v dt, v' = v + u dt, Q = I, R = 1: stable, and no feedback nearby is cheaper."""
    transition, control = np.array([[1, 0.1], [0, 1]]), np.array([[0.0], [0.1]])
    cost, effort = np.eye(2), np.eye(1)
    gain = regulator(transition, control, cost, effort)
    assert np.abs(np.linalg.eigvals(transition - control @ gain)).max() < 1

    def total(gain):
        state, sum_ = np.array([1.0, -0.5]), 0.0
        for _ in range(200):
            action = -gain @ state
            sum_ += state @ cost @ state + action @ effort @ action
            state = transition @ state + control @ action
        return sum_

    for change in ([0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]):
        assert total(gain) < total(gain + np.array([change]))
    golden = (1 + 5**0.5) / 2
    one = np.eye(1)
    assert regulator(one, one, one, one)[0, 0] == pytest.approx(golden / (1 + golden))
    with pytest.raises(ValueError, match="did not settle"):
        regulator(2 * one, 0 * one, one, one)
