"""The z-buffer against a plain search for the nearest triangle."""

import numpy as np
import pytest

from jatlab.tasks.rendering import raster


def test_every_pixel_shows_the_nearest_triangle():
    rng, width, height = np.random.default_rng(3), 40, 30
    points = np.stack([rng.uniform(-5, 45, 60), rng.uniform(-5, 35, 60), np.ones(60)])
    points = points * rng.uniform(1, 3, 60)
    corners = np.arange(60).reshape(20, 3)
    faces = np.concatenate([corners, corners[:, ::-1]])  # one of the two shows its front
    keys = np.zeros(width * height, np.int64)
    edges, seen = raster.rasterise(points, faces, keys, width)
    assert len(seen) == 20
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for row, column in np.ndindex(height, width):
        best, nearest = 0, 0.0
        for number, face in enumerate(faces[seen]):
            places = np.vstack([points[:2, face] / points[2, face], np.ones(3)])
            weights = np.linalg.solve(places, [x[row, column], y[row, column], 1])
            nearness = weights @ (1 / points[2, face])  # one over depth is linear on the screen
            if weights.min() > 0 and nearness > nearest:
                best, nearest = number + 1, nearness
        assert keys[row * width + column] & 0xFFFFFFFF == best
        assert raster.nearness_of(keys)[row * width + column] == pytest.approx(nearest, rel=1e-4)
