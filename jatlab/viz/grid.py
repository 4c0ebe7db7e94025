"""Many tasks in one video: small tiles with their names, in rows below their group's heading.

All tiles begin and end together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jatlab.viz.video import GROUND, INK, MUTED, check_frames, font, pillow, shorten

WIDTH, GAP, MARGIN = 1200, 4, 6  # pixels
HEADING, LABEL = 34, 19  # heights of a group's heading and of a tile's name
FRAMES = 48
COLUMNS = ((3, 3), (8, 4), (18, 6), (40, 8))  # up to so many tasks: tiles in a row
MOST_COLUMNS = 12


def columns_for(tasks: int) -> int:
    """Tiles in a row: few tasks are shown large."""
    return next((columns for most, columns in COLUMNS if tasks <= most), MOST_COLUMNS)


def tile_size(tasks: int) -> int:
    """Width and height of a tile in pixels, for so many tasks."""
    columns = columns_for(tasks)
    return (WIDTH - 2 * MARGIN - (columns - 1) * GAP) // columns


def tile(frames: Sequence[np.ndarray], size: int, count: int = FRAMES) -> np.ndarray:
    """A video as `count` small frames, uint8 (count, size, size, 3).

    Its whole length is slowed down or thinned out to that; proportions are kept.
    """
    frames = check_frames(frames)
    moments = np.linspace(0, len(frames) - 1, count).round().astype(int)
    small = {moment: _fit(frames[moment], size) for moment in np.unique(moments)}
    return np.stack([small[moment] for moment in moments])


def grid(groups: Mapping[str, Mapping[str, np.ndarray]]) -> list[np.ndarray]:
    """Frames of the whole grid, uint8 (h, WIDTH, 3).

    Args:
        groups: {heading: {name: tile}}; "" is no heading. Every tile is as `tile` made it, with the
            `tile_size` for all of these tasks.

    Raises:
        ValueError: There is no tile, or the tiles' shapes differ.
    """
    tiles = [video for videos in groups.values() for video in videos.values()]
    shapes = {video.shape for video in tiles}
    if len(shapes) != 1:
        raise ValueError(f"a grid needs at least one tile, all of one shape; got {sorted(shapes)}")
    size = tiles[0].shape[1]
    sheet, places = _layout(groups, size, columns_for(len(tiles)))
    frames = []
    for moment in range(len(tiles[0])):
        frame = sheet.copy()
        for video, (top, left) in zip(tiles, places, strict=True):
            frame[top : top + size, left : left + video.shape[2]] = video[moment]
        frames.append(frame)
    return frames


def _layout(
    groups: Mapping[str, Mapping[str, np.ndarray]], size: int, columns: int
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The sheet with its headings and names, and where each tile goes: (top, left) in pixels."""
    row_height = size + LABEL + GAP
    rows = sum(-(-len(videos) // columns) for videos in groups.values())
    headings = len(groups) - ("" in groups)
    height = 2 * MARGIN + headings * HEADING + rows * row_height
    image = pillow().Image.new("RGB", (WIDTH, height + height % 2), GROUND)
    draw, top, places = pillow().ImageDraw.Draw(image), MARGIN, []
    for heading, videos in groups.items():
        draw.text((MARGIN, top + 6), heading, font=font(18), fill=INK)
        top += HEADING if heading else 0
        for index, name in enumerate(videos):
            row, column = divmod(index, columns)
            place = top + row * row_height, MARGIN + column * (size + GAP)
            words = shorten(name, 13, size - 2)
            draw.text((place[1] + 1, place[0] + size + 2), words, font=font(13), fill=MUTED)
            places.append(place)
        top += -(-len(videos) // columns) * row_height
    return np.asarray(image), places


def _fit(frame: np.ndarray, size: int) -> np.ndarray:
    """The frame in the middle of a dark square: (h, w, 3) -> (size, size, 3)."""
    image, scale = pillow().Image, size / max(frame.shape[:2])
    height, width = (max(1, round(scale * length)) for length in frame.shape[:2])
    square = np.empty((size, size, 3), np.uint8)
    square[:] = GROUND
    top, left = (size - height) // 2, (size - width) // 2
    small = image.fromarray(frame).resize((width, height), image.Resampling.LANCZOS)
    square[top : top + height, left : left + width] = np.asarray(small)
    return square
