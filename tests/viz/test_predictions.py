"""Expected against real: what is drawn is what differs."""

import numpy as np
import pytest

from jatlab.viz.predictions import compare_frames, compare_grids, compare_vectors


def grid(**cells):
    values = np.zeros(148, int)
    values[1::3] = 1  # empty everywhere
    for place, cell in cells.items():
        column, row = int(place[1]), int(place[2])
        values[1 + 3 * (7 * column + row) :][:3] = cell
    return values


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_cells_that_differ_are_framed():
    real = grid(c23=(6, 0, 0), c31=(4, 2, 2))
    figure = compare_grids(grid(c23=(6, 2, 0), c31=(4, 2, 2)), real)
    framed = [patch for patch in figure.axes[0].patches if patch.get_linewidth() == 2.2]
    assert [(round(p.get_x()), round(p.get_y())) for p in framed] == [(2, 3)]
    assert {"expected: facing right", "red", "blue", "ball", "locked"} <= set(texts(figure))
    assert "147 of 148 integers agree; 1 of 49 cells are wrong" in figure.caption
    logits = np.eye(8)[np.minimum(real, 7)]
    assert "148 of 148" in compare_grids(logits, real).caption
    with pytest.raises(ValueError, match=r"148 integers .* not an array of shape \(7, 7, 3\)"):
        compare_grids(np.zeros((7, 7, 3)), real)


def test_frames_are_compared_on_one_scale():
    real = np.full((4, 84, 84), 255, np.uint8)
    figure = compare_frames(np.zeros((4, 84, 84)), real)
    pair, difference = figure.axes[0].images
    assert pair.get_array().shape == (84, 174) and np.nanmax(pair.get_array()) == 1
    assert (difference.get_array() == 1).all() and "mean squared error 1.000" in figure.caption


def test_vectors_are_points_or_curves():
    figure = compare_vectors(np.array([0.0, 2.0]), np.array([0.0, 0.5]), ["x", "y"])
    real, predicted = figure.axes[0].lines
    assert list(real.get_ydata()) == [0, 0.5] and list(predicted.get_ydata()) == [0, 2]
    assert "Farthest off: y, by 1.5." in figure.caption
    curves = compare_vectors(np.zeros((5, 2)), np.ones((5, 2)))
    assert len(curves.axes[0].lines) == 4 and "difference 1." in curves.caption
    with pytest.raises(ValueError, match="alike in size"):
        compare_vectors(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="at most six"):
        compare_vectors(np.zeros((5, 7)), np.zeros((5, 7)))
