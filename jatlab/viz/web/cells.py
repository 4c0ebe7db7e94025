"""What a model sees of an observation, as a small picture: BabyAI's grid, or the newest frame."""

from __future__ import annotations

from functools import cache

import numpy as np

from jatlab.viz.video import GROUND, INK, font, pillow, resize

CELL = 20  # pixels of a grid's cell
# red, green, blue, purple, yellow, grey
GRID_COLOURS = (
    (228, 70, 60),
    (70, 190, 90),
    (70, 120, 240),
    (160, 90, 220),
    (240, 210, 60),
    (150, 150, 150),
)


def picture_of(values: np.ndarray) -> np.ndarray:
    """Grid integers (148,), or a frame (84, 84) in [-1, 1], as a picture (140, 140, 3), uint8."""
    if values.ndim == 2:
        grey = ((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
        return resize(np.repeat(grey[..., None], 3, axis=2), 7 * CELL)
    # column, row, (thing, colour, state); the agent stands below, in the middle
    cells = values[1:148].reshape(7, 7, 3).tolist()
    rows = [np.hstack([cell_picture(*cells[x][y]) for x in range(7)]) for y in range(7)]
    return np.vstack(rows)


@cache
def cell_picture(thing: int, colour: int, state: int) -> np.ndarray:
    """One cell of BabyAI's grid, (20, 20, 3): unseen is black, an open door is a frame."""
    pil, paint = pillow(), GRID_COLOURS[min(colour, 5)]
    ground = {0: (10, 10, 12), 2: (110, 112, 118)}.get(thing, (40, 43, 50))
    image = pil.Image.new("RGB", (CELL, CELL), ground)
    draw = pil.ImageDraw.Draw(image)
    if thing == 4:  # door
        red, green, blue = paint
        fill = None if state == 0 else (red // 2, green // 2, blue // 2)
        draw.rectangle((1, 1, 18, 18), outline=paint, width=2, fill=fill)
        draw.text((10, 10), "x" if state == 2 else "", font=font(12), fill=INK, anchor="mm")
    elif thing == 5:  # key
        draw.ellipse((6, 2, 14, 9), outline=paint, width=2)
        draw.line((10, 9, 10, 17), fill=paint, width=2)
        draw.line((10, 16, 14, 16), fill=paint, width=2)
    elif thing == 6:  # ball
        draw.ellipse((4, 4, 16, 16), fill=paint)
    elif thing == 7:  # box
        draw.rectangle((4, 4, 16, 16), outline=paint, width=3)
    elif thing > 7:
        draw.text((10, 10), "?", font=font(12), fill=paint, anchor="mm")
    draw.line((0, CELL - 1, CELL - 1, CELL - 1), fill=GROUND)
    draw.line((CELL - 1, 0, CELL - 1, CELL - 1), fill=GROUND)
    return np.asarray(image)
