"""The panel beside a frame: bars as long as what they stand for, and room for all of them."""

import numpy as np
import pytest

from jatlab.viz.player import panel
from jatlab.viz.player.panel import Facts, picture
from jatlab.viz.video import MUTED

FRAME = np.zeros((40, 60, 3), np.uint8)


def bar(facts, row):
    """The pixels of the panel's bar number `row`."""
    drawn, top = picture(FRAME, facts), panel.BARS[0] + 20 * row + 6
    width = drawn.shape[1]
    return drawn[top, width - panel.SIDE + panel.MARGIN + 72 : width - panel.MARGIN]


def test_bars_are_as_long_as_the_probabilities():
    bars = [("a", 0.25, False), ("b", 0.75, True), ("c", 0.0, False)]
    facts = Facts("t", 1, 0.0, bars=bars)
    for row, (_, value, chosen) in enumerate(bars):
        filled = (bar(facts, row) == (panel.ACCENT if chosen else MUTED)).all(-1).mean()
        assert filled == pytest.approx(value, abs=0.02)


def test_signed_bars_start_in_the_middle():
    facts = Facts("t", 1, 0.0, bars=[("a0", -0.5, True), ("a1", 3.0, True)], signed=True)
    for row, (start, end) in enumerate([(0.25, 0.5), (0.5, 1.0)]):
        pixels = bar(facts, row)
        blue = np.flatnonzero((pixels == panel.ACCENT).all(-1)) / len(pixels)
        assert blue.min() == pytest.approx(start, abs=0.02)
        assert blue.max() == pytest.approx(end, abs=0.02)


@pytest.mark.parametrize("count", [1, 7, 18])
def test_all_actions_fit_above_step_and_return(count):
    bars = [(f"a{index}", 1.0, True) for index in range(count)]
    drawn = picture(FRAME, Facts("t", 1, 0.0, bars=bars))
    rows = (drawn[:, -panel.MARGIN - 5] == panel.ACCENT).all(-1)
    assert np.count_nonzero(rows[1:] & ~rows[:-1]) == count
    assert np.flatnonzero(rows).max() < panel.BARS[1]
