"""How sure the agent was: what is drawn is what it said."""

import numpy as np
import pytest

from jatlab.viz.probabilities import action_probabilities


def test_probabilities_have_a_ring_on_the_action_taken():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    figure = action_probabilities(probabilities, [0, 1, 1], ["left", "right"])
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), 100 * probabilities.T)
    assert list(figure.axes[0].lines[0].get_ydata()) == [0, 1, 1]
    assert "67 % on average, 30 % at timestep 2" in figure.caption
    with pytest.raises(ValueError, match=r"\(T, A\), \(T,\) and A"):
        action_probabilities(probabilities, [0, 1], ["left", "right"])
