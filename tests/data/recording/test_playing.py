"""Episodes that teachers play, with and without noise."""

import numpy as np
import pytest

from jatlab.data.recording.playing import EpisodePlayer


def play(seed, noise):
    return EpisodePlayer("metaworld-reach", noise=noise).play(seed, timeout=20)[1]


def test_noise_disturbs_what_is_executed_and_records_the_answers():
    calm, noisy, again = (play(3, noise) for noise in (0.0, 0.3, 0.3))
    ours, theirs = noisy["continuous_observations"], calm["continuous_observations"]
    assert np.array_equal(theirs[0], ours[0])
    assert not np.allclose(theirs[5], ours[5])
    teacher = EpisodePlayer("metaworld-reach").teacher
    for observation, action in zip(ours, noisy["continuous_actions"], strict=True):
        assert np.array_equal(teacher.act({"continuous_observation": observation}), action)
    assert all(np.array_equal(again[column], noisy[column]) for column in noisy)


@pytest.mark.slow
def test_noise_holds_the_body_still_before_it_has_arrived():
    """Standing still must not mean having arrived.

    So somewhere the hand moves less than a millimetre a step while the teacher, far from its goal,
    wants full speed.
    """
    standing_to_go = 0
    for seed in range(6):
        episode = play(seed, noise=0.8)
        hand = episode["continuous_observations"][:, :3]
        wanted = np.abs(episode["continuous_actions"][:, :3]).max(axis=1)
        moved = np.linalg.norm(np.diff(hand, axis=0, prepend=hand[:1] - 1), axis=1)
        standing_to_go += int(((moved < 1e-3) & (wanted > 0.9)).sum())
    assert standing_to_go >= 10


def test_an_image_episode_is_recorded_whole():
    """Frames are kept as they were: the environment may reuse its buffers."""
    outcome, episode = EpisodePlayer("atari-pong", "random").play(0, timeout=60)
    images = episode["image_observations"]
    assert images.shape == (outcome.length, 4, 84, 84) and images.dtype == np.uint8
    assert (images[1:, :3] == images[:-1, 1:]).all()
    assert len(np.unique(images[:, 3].reshape(len(images), -1).sum(1))) > 20
