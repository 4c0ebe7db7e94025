"""Videos decode to what went in, and are whole or not there."""

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image, ImageSequence

from jatlab.viz.video import (
    GROUND,
    caption,
    check_frames,
    data_uri,
    film_strip,
    resize,
    save_small_gif,
    save_video,
    shorten,
    write_webp,
)


def video(count=12, height=48, width=64, noise=False):
    """A white square that moves over a coloured ground, so that no two neighbours are equal."""
    frames = []
    for index in range(count):
        frame = np.full((height, width, 3), (30, 60, 120), np.uint8)
        if noise:
            frame = np.random.default_rng(index).integers(0, 256, frame.shape, dtype=np.uint8)
        left = 4 * index % (width - 8)
        frame[8:16, left : left + 8] = 255
        frames.append(frame)
    return frames


def decode(path):
    if path.suffix == ".gif":
        with Image.open(path) as image:
            return [np.asarray(one.convert("RGB")) for one in ImageSequence.Iterator(image)]
    return [np.asarray(frame) for frame in imageio.get_reader(path)]


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_video_decodes_to_the_frames_that_went_in(tmp_path, name):
    frames = video()
    decoded = decode(save_video(frames, tmp_path / "new" / name, fps=10))
    assert len(decoded) == len(frames)
    for before, after in zip(frames, decoded, strict=True):
        assert after.shape == before.shape
        assert np.abs(after.astype(int) - before).mean() < 6  # codecs lose a little


def test_gif_keeps_the_rate_and_merges_equal_neighbours(tmp_path):
    frames = video(5)
    path = save_video([frames[0], frames[0], *frames[1:]], tmp_path / "a.gif", fps=4)
    with Image.open(path) as image:
        durations = [one.info["duration"] for one in ImageSequence.Iterator(image)]
    assert durations == [500, 250, 250, 250, 250]


def test_mp4_of_odd_size_gains_a_line(tmp_path):
    decoded = decode(save_video(video(3, height=49, width=63), tmp_path / "a.mp4"))
    assert decoded[0].shape == (50, 64, 3)


def test_one_frame_is_a_video(tmp_path):
    assert len(decode(save_video(video(1), tmp_path / "a.gif"))) == 1
    assert len(decode(save_video(video(1), tmp_path / "a.mp4"))) == 1


@pytest.mark.parametrize("name, says", [("a.avi", "'.avi'"), ("video", "no suffix")])
def test_unknown_suffix_is_a_clear_error(tmp_path, name, says):
    with pytest.raises(ValueError, match=says):
        save_video(video(), tmp_path / name)


def test_no_frames_and_wrong_frames_are_clear_errors(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        save_video([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"frame 1 is uint8 \(10, 10, 3\)"):
        check_frames([video(1)[0], np.zeros((10, 10, 3), np.uint8)])
    with pytest.raises(ValueError, match="frame 0 is float64"):
        check_frames([np.zeros((4, 4, 3))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer, name", [("_write_gif", "a.gif"), ("_write_mp4", "a.mp4")])
def test_a_writer_that_fails_leaves_only_the_old_file(tmp_path, monkeypatch, writer, name):
    path = save_video(video(3), tmp_path / name)
    before = path.read_bytes()

    def fail(frames, target, fps):
        target.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"jatlab.viz.video.{writer}", fail)
    with pytest.raises(OSError, match="the disk is full"):
        save_video(video(4), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_gif_keeps_the_colours_of_small_things(tmp_path):
    """A purple ball in a grey room beside many browns stays purple: not the floor's grey."""
    browns = np.random.default_rng(0).normal((120, 90, 70), 25, (96, 192, 3))
    frame = browns.clip(0, 255).astype(np.uint8)
    greys = np.random.default_rng(1).normal(100, 25, (96, 96, 1))
    frame[:, :96] = greys.clip(0, 255).astype(np.uint8)
    frame[40:46, 40:46] = 112, 39, 195
    [shown] = decode(save_video([frame], tmp_path / "a.gif"))
    assert np.abs(shown[42, 42].astype(int) - (112, 39, 195)).max() < 24


def test_small_gif_fits_its_limit(tmp_path):
    frames = video(48, height=48, width=64, noise=True)
    path = save_small_gif(frames, tmp_path / "a.gif", limit=40_000)
    assert path.stat().st_size <= 40_000
    assert len(decode(path)) >= 8
    with pytest.raises(ValueError, match="no GIF"):
        save_small_gif(frames, tmp_path / "b.gif", limit=100)
    assert not (tmp_path / "b.gif").exists()


def test_film_strip_runs_from_the_first_to_the_last_frame():
    frames = [np.full((20, 30, 3), 10 * i, np.uint8) for i in range(9)]
    strip = film_strip(frames, count=5, rows=1, height=20, gap=2)
    assert strip.shape == (20, 5 * 30 + 4 * 2, 3)
    assert [int(strip[10, 15 + 32 * i, 0]) for i in range(5)] == [0, 20, 40, 60, 80]
    sheet = film_strip(frames, count=6, rows=2, height=20, gap=2)
    assert sheet.shape == (42, 94, 3)
    first, second = sheet[10, 15::32, 0].tolist(), sheet[32, 15::32, 0].tolist()
    assert [first, second] == [[0, 20, 30], [50, 60, 80]]


def test_film_strip_of_a_short_video_shows_each_frame_once():
    frames = [np.full((20, 20, 3), shade, np.uint8) for shade in (200, 100)]
    strip = film_strip(frames, count=4, rows=1, height=20, gap=0)
    assert [int(strip[10, 10 + 20 * i, 0]) for i in range(4)] == [200, 100, GROUND[0], GROUND[0]]
    assert film_strip(frames, count=6, rows=2, height=20, gap=0).shape == (20, 60, 3)


def test_resize_keeps_proportions_and_hard_pixels():
    frame = np.zeros((10, 20, 3), np.uint8)
    frame[:, 10:] = 255
    assert resize(frame, 10).shape == (5, 10, 3)
    assert set(np.unique(resize(frame, 80))) == {0, 255}


def test_data_uri_embeds_files(tmp_path):
    picture = data_uri(write_webp(video(1)[0], tmp_path / "a.webp"))
    assert picture.startswith("data:image/webp;base64,UklGR")
    moving = data_uri(save_video(video(2), tmp_path / "a.mp4"))
    assert moving.startswith("data:video/mp4;base64,")


def test_caption_adds_a_bar_and_shortens_what_does_not_fit():
    frame, mission = np.full((40, 60, 3), 200, np.uint8), "put the purple key next to the grey box"
    plain, told = (caption(frame, words, 3, 0.5) for words in ("", mission))
    assert plain.shape == (171 + 26, 256, 3) and told.shape == (171 + 44, 256, 3)
    assert (plain[26:] == 200).all() and (plain[:26] != GROUND).any() and (told[44:] == 200).all()
    assert shorten("short", 13, 240) == "short"
    short = shorten(mission, 13, 100)
    assert short.startswith("put the purp") and short.endswith("…")
