"""The grid of videos: where its tiles are, what they show when, and how large it may become."""

import numpy as np
import pytest

from jatlab.viz.grid import FRAMES, GAP, MARGIN, WIDTH, columns_for, grid, tile, tile_size
from jatlab.viz.video import GROUND, read_video, save_bounded_mp4, save_small_gif, save_video


def video(length, shape=(40, 40), color=0):
    """Frames whose red is the moment."""
    frames = np.zeros((length, *shape, 3), np.uint8)
    frames[..., 0], frames[..., 1] = np.arange(length)[:, None, None], color
    return list(frames)


def test_a_tile_runs_from_the_first_frame_to_the_last():
    for length in (1, 5, FRAMES, 200):
        reds = tile(video(length), 20)[:, 10, 10, 0]
        assert len(reds) == FRAMES and reds[0] == 0 and reds[-1] == length - 1
        assert (np.diff(reds.astype(int)) >= 0).all()


def test_a_tile_keeps_proportions():
    tall = tile(video(2, (80, 40), color=200), 40)[0]
    assert (tall[:, :10] == GROUND).all() and (tall[:, -10:] == GROUND).all()
    assert (tall[:, 10:30, 1] == 200).all()


@pytest.mark.parametrize("tasks", [2, 8, 18, 40, 157])
def test_tiles_stand_side_by_side_and_fill_the_width(tasks):
    size, columns = tile_size(tasks), columns_for(tasks)
    tiles = [tile(video(3, color=50 + index), size, count=2) for index in range(tasks)]
    videos = [(f"task-{index}", one) for index, one in enumerate(tiles)]
    frames = grid({"One": dict(videos[: tasks // 2]), "Two": dict(videos[tasks // 2 :])})
    assert len(frames) == 2 and frames[0].shape[1] == WIDTH and frames[0].shape[0] % 2 == 0
    gaps = 2 * MARGIN + (columns - 1) * GAP
    assert gaps + columns * size <= WIDTH < gaps + columns * (size + 1)
    for index in range(tasks):  # every tile is whole, none covers another
        assert (frames[0][..., 1] == 50 + index).sum() >= size * size


def test_headings_and_names_are_drawn():
    videos = {"first": tile(video(3), 300, count=1)}
    [with_heading], [without] = grid({"Domain": videos}), grid({"": videos})
    assert with_heading.shape[0] > without.shape[0]  # no heading takes no room
    assert (without[MARGIN + 300 : -MARGIN] != GROUND).any()  # the name below the tile
    with pytest.raises(ValueError, match="at least one tile"):
        grid({"Domain": {}})


@pytest.mark.slow
def test_an_mp4_stays_below_its_bound_and_says_when_it_cannot(tmp_path):
    noise = list(np.random.default_rng(0).integers(0, 255, (16, 96, 96, 3), dtype=np.uint8))
    free = save_video(noise, tmp_path / "free.mp4", 8).stat().st_size
    bounded = save_bounded_mp4(noise, tmp_path / "bounded.mp4", 8, free // 3)
    assert bounded.stat().st_size <= free // 3 and read_video(bounded)[0].shape == (96, 96, 3)
    with pytest.raises(ValueError, match="fits into 10 bytes"):
        save_bounded_mp4(noise, tmp_path / "never.mp4", 8, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bounded.mp4", "free.mp4"]


@pytest.mark.parametrize("save, name", [(save_video, "video.mp4"), (save_small_gif, "video.gif")])
def test_a_video_can_be_read_back(tmp_path, save, name):
    frames = [np.full((32, 48, 3), 25 * moment, np.uint8) for moment in range(9)]
    back = read_video(save(frames, tmp_path / name, 8))
    assert len(back) == 9
    assert all(abs(int(one.mean()) - 25 * moment) < 6 for moment, one in enumerate(back))
