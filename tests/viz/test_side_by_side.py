"""An episode as one video."""

import numpy as np
import pytest

import jatlab
from jatlab.viz.side_by_side import side_by_side
from jatlab.viz.video import read_video


def test_an_episode_is_drawn_side_by_side(tmp_path):
    agent, output = jatlab.Agent.untrained("nano"), tmp_path / "video.gif"
    frames = side_by_side(agent, "babyai-go-to-obj", 7, output, max_steps=4, every=2)
    assert len(frames) == 3 and {frame.shape for frame in frames} == {frames[0].shape}
    assert all(frame.dtype == np.uint8 for frame in frames)
    assert (frames[0] != frames[-1]).any() and len(read_video(output)) >= 2
    with pytest.raises(ValueError, match=r"ends in \.gif or \.mp4"):
        side_by_side(agent, "babyai-go-to-obj", output="video.avi")
