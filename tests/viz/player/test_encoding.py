"""Pictures for a notebook's server."""

import numpy as np

from jatlab.viz.player.canvas import HEIGHT, WIDTH
from jatlab.viz.player.encoding import Encoder


def test_pictures_grow_coarser_where_they_are_large():
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    encoder = Encoder()
    still = len(encoder.jpeg(noise, playing=False))
    sizes = [len(encoder.jpeg(noise, playing=True)) for _ in range(6)]
    assert sizes[-1] < sizes[0] < still
    assert encoder.quality == 35  # from 85 in steps of ten, as long as it is above 40
