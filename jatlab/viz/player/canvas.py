"""One picture of a watched episode, drawn in milliseconds with Pillow: the frame and the decision,
what was expected, the value of context, and the past with the attention that it gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from jatlab.viz.attention import by_timestep, reduce_heads
from jatlab.viz.player.playback import ACCENT, FRAME, MARGIN, SIDE, TRACK, panel
from jatlab.viz.player.watching import Moment
from jatlab.viz.video import GROUND, INK, MUTED, font, pillow, resize

WIDTH, PAST, STRIP = (
    944,
    122,
    118,
)  # pixels: width of the picture, heights of the attention's bars and of the film strip
HEIGHT = FRAME + PAST + STRIP
LEFT = FRAME + SIDE + MARGIN  # where the third column begins
ORANGE = (230, 159, 0)
SHOWN = 64  # past timesteps that have bars
FRAMES, THUMB = 9, 88  # frames in the strip, and their height in pixels
GRID_COLOURS = (
    (228, 70, 60),
    (70, 190, 90),
    (70, 120, 240),
    (160, 90, 220),
    (240, 210, 60),
    (150, 150, 150),
)  # red, green, blue, purple, yellow, grey
CELL = 20  # pixels of a grid's cell


def draw_moment(
    moments: Sequence[Moment],
    index: int = -1,
    layer: int | None = None,
    head: int | None = None,
    about: str = "",
) -> np.ndarray:
    """The picture of `moments[index]`, uint8 (560, 944, 3); the moments before it are its past.
    `layer`, `head`: whose attention (the mean unless given).

    `about` is a line for the corner: who plays. Raises `ValueError` for a layer or head that is not
    there.
    """
    moments = list(moments)[: index if index >= 0 else len(moments) + index][-SHOWN:] + [
        moments[index]
    ]
    pil = pillow()
    image = pil.Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    draw, now = pil.ImageDraw.Draw(image), moments[-1]
    frame = now.frame if now.frame.shape[1] <= FRAME else resize(now.frame, FRAME)
    image.paste(pil.Image.fromarray(frame), ((FRAME - frame.shape[1]) // 2, 0))
    panel(draw, FRAME + MARGIN, LEFT - MARGIN, now.facts)
    draw.text((WIDTH - MARGIN, MARGIN), about, font=font(13), fill=MUTED, anchor="ra")
    _expectation(image, draw, now)
    _context(draw, now)
    _past(image, draw, moments, layer, head)
    return np.asarray(image)


# --- what was expected
# ---------------------------------------------------------------------------------------------------------


def _expectation(image, draw, now: Moment) -> None:
    """What the last action's token had predicted, beside what came."""
    top, width = MARGIN + 22, (WIDTH - LEFT - MARGIN) // 2
    vector = now.observed.ndim == 1 and now.observed.dtype.kind == "f"
    if vector:
        return _vectors(draw, top, now)
    shown = picture_of(now.observed)
    for place, (title, values) in enumerate(
        [("it expected to see", now.expected), ("it sees", now.observed)]
    ):
        left = LEFT + place * width
        draw.text((left, top), title, font=font(12), fill=MUTED)
        if values is not None:
            image.paste(pillow().Image.fromarray(picture_of(values)), (left, top + 18))
        else:
            draw.rectangle(
                (left, top + 18, left + shown.shape[1] - 1, top + 17 + shown.shape[0]),
                outline=TRACK,
            )
            draw.text(
                (left + 8, top + 26),
                "nothing yet" if now.step == 0 else "nothing",
                font=font(12),
                fill=MUTED,
            )
    if now.expected is not None:
        draw.text((LEFT, top + 22 + shown.shape[0]), _distance(now), font=font(12), fill=INK)


def _distance(now: Moment) -> str:
    if now.observed.ndim == 1:
        wrong = (now.expected[1:148] != now.observed[1:148]).reshape(-1, 3).any(1).sum()
        return f"{wrong} of 49 cells are not as expected"
    return f"root mean square error {np.sqrt(np.mean((now.expected - now.observed) ** 2)):.3f} (black to white: 2)"


def _vectors(draw, top: int, now: Moment) -> None:
    """Two rows of bars, one a number: what came in blue, what was expected as an orange line across
    it.
    """
    right, height = WIDTH - MARGIN, 140
    draw.text((LEFT, top), "the numbers that it sees", font=font(12), fill=ACCENT)
    draw.text(
        (right, top),
        "expected" if now.expected is not None else "",
        font=font(12),
        fill=ORANGE,
        anchor="ra",
    )
    count = min(len(now.observed), 60)
    values, wide = now.observed[:count], (right - LEFT) / count
    most = max(
        1e-6,
        float(np.abs(values).max()),
        0.0 if now.expected is None else float(np.abs(now.expected[:count]).max()),
    )
    middle = top + 22 + height // 2
    draw.line((LEFT, middle, right, middle), fill=TRACK)
    for place, value in enumerate(values):
        left, tip = LEFT + place * wide, middle - value / most * height / 2
        draw.rectangle(
            (left, min(middle, tip), left + max(1, wide - 2), max(middle, tip)), fill=ACCENT
        )
        if now.expected is not None:
            line = middle - now.expected[place] / most * height / 2
            draw.line((left - 1, line, left + max(2, wide - 1), line), fill=ORANGE, width=2)
    said = (
        ""
        if now.expected is None
        else f"  ·  root mean square error {np.sqrt(np.mean((now.expected - now.observed) ** 2)):.3g}"
    )
    more = "" if count == len(now.observed) else f"first {count} of {len(now.observed)}, "
    draw.text(
        (LEFT, top + 26 + height), f"{more}full height {most:.2g}{said}", font=font(12), fill=MUTED
    )


def picture_of(values: np.ndarray) -> np.ndarray:
    """Grid integers (148,), or a frame (84, 84) in [-1, 1], as a picture (140, 140, 3), uint8."""
    if values.ndim == 2:
        grey = ((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
        return resize(np.repeat(grey[..., None], 3, axis=2), 7 * CELL)
    cells = values[1:148].reshape(
        7, 7, 3
    )  # column, row, (thing, colour, state); the agent stands below, in the middle
    picture = np.empty((7 * CELL, 7 * CELL, 3), np.uint8)
    for x in range(7):
        for y in range(7):
            picture[y * CELL : (y + 1) * CELL, x * CELL : (x + 1) * CELL] = _cell(
                *(int(value) for value in cells[x, y])
            )
    return picture


@cache
def _cell(thing: int, colour: int, state: int) -> np.ndarray:
    """One cell of BabyAI's grid (20, 20, 3): unseen black, empty, wall, door (an open one is a
    frame), key, ball, box.
    """
    pil, paint = pillow(), GRID_COLOURS[min(colour, 5)]
    ground = {0: (10, 10, 12), 2: (110, 112, 118)}.get(thing, (40, 43, 50))
    image = pil.Image.new("RGB", (CELL, CELL), ground)
    draw = pil.ImageDraw.Draw(image)
    if thing == 4:
        draw.rectangle(
            (1, 1, 18, 18),
            outline=paint,
            width=2,
            fill=None if state == 0 else tuple(value // 2 for value in paint),
        )
        draw.text((10, 10), "x" if state == 2 else "", font=font(12), fill=INK, anchor="mm")
    elif thing == 5:
        draw.ellipse((6, 2, 14, 9), outline=paint, width=2)
        draw.line((10, 9, 10, 17), fill=paint, width=2)
        draw.line((10, 16, 14, 16), fill=paint, width=2)
    elif thing == 6:
        draw.ellipse((4, 4, 16, 16), fill=paint)
    elif thing == 7:
        draw.rectangle((4, 4, 16, 16), outline=paint, width=3)
    elif thing > 7:
        draw.text((10, 10), "?", font=font(12), fill=paint, anchor="mm")
    draw.line((0, CELL - 1, CELL - 1, CELL - 1), fill=GROUND)
    draw.line((CELL - 1, 0, CELL - 1, CELL - 1), fill=GROUND)
    return np.asarray(image)


# --- the value of context
# ------------------------------------------------------------------------------------------------------


def _context(draw, now: Moment) -> None:
    """For each number of timesteps remembered, the probability of the action that was taken, or how
    far away the action would have been.
    """
    if not now.context:
        if now.attention is not None:
            draw.text(
                (LEFT, FRAME - 86),
                "value of context: not asked here (played fast)",
                font=font(12),
                fill=MUTED,
            )
        return
    top, bottom, wide = FRAME - 66, FRAME - 18, (WIDTH - LEFT - MARGIN) / 7
    signed = now.facts["signed"]
    asked = (
        "how far off its action would be" if signed else f"probability of {now.facts['action']!r}"
    )
    draw.text(
        (LEFT, top - 20), f"with only k timesteps remembered: {asked}", font=font(12), fill=MUTED
    )
    most = max(0.05, *now.context.values()) if signed else 1.0
    shares = {f"k = {k}": value for k, value in now.context.items()} | (
        {} if signed else {"all": now.facts["probability"]}
    )
    for place, (name, value) in enumerate(shares.items()):
        left, tip = LEFT + place * wide, bottom - round((bottom - top) * min(1.0, value / most))
        draw.rectangle((left, top, left + wide - 8, bottom), fill=TRACK)
        draw.rectangle((left, tip, left + wide - 8, bottom), fill=ACCENT)
        high = tip < top + 20
        draw.text(
            (left + wide / 2 - 4, tip + 3 if high else tip - 3),
            f"{value:.2f}",
            font=font(11),
            fill=GROUND if high else INK,
            anchor="mt" if high else "mb",
        )
        draw.text((left + wide / 2 - 4, bottom + 14), name, font=font(11), fill=MUTED, anchor="mb")


# --- the past
# ------------------------------------------------------------------------------------------------------------------


def _past(image, draw, moments: list[Moment], layer: int | None, head: int | None) -> None:
    """Bars of attention over the past timesteps, observations above and actions below, and the
    frames that got most of it.
    """
    now, top = moments[-1], FRAME + 12
    if now.attention is None:
        said = now.facts.get("ending") or "No attention to be seen: no model plays."
        draw.text(
            (MARGIN, top), said, font=font(13), fill=INK if now.facts.get("ending") else MUTED
        )
        weights = np.zeros(len(moments), np.float32)
    else:
        observations, actions = by_timestep(reduce_heads(now.attention, layer, head))
        weights = observations[-SHOWN:]
        _bars(draw, top, now.step, weights, actions[-SHOWN:])
    _strip(image, draw, FRAME + PAST, moments[-len(weights) :], weights[-len(moments) :])


def _bars(draw, top: int, step: int, observations: np.ndarray, actions: np.ndarray) -> None:
    slots = max(16, len(observations))
    wide, middle, half = (WIDTH - 2 * MARGIN) / slots, top + 62, 40
    most = max(1e-6, float(observations.max()), float(actions.max()))
    draw.text((MARGIN, top), "attention to past observations", font=font(12), fill=ACCENT)
    draw.text(
        (MARGIN + 196, top),
        "and actions"
        + ("" if actions.any() else " (none: hidden from this agent)" if step else ""),
        font=font(12),
        fill=ORANGE,
    )
    draw.text(
        (WIDTH - MARGIN, top), f"highest bar {most:.2f}", font=font(12), fill=MUTED, anchor="ra"
    )
    for back in range(len(observations)):
        left = WIDTH - MARGIN - (back + 1) * wide
        up, down = (half * float(weights[-1 - back]) / most for weights in (observations, actions))
        draw.rectangle((left, middle - up, left + max(1, wide - 2), middle), fill=ACCENT)
        if down:
            draw.rectangle(
                (left, middle + 1, left + max(1, wide - 2), middle + 1 + down / 2), fill=ORANGE
            )
        if (step - back) % (5 if slots <= 40 else 10) == 0 or back == 0:
            draw.text(
                (left + wide / 2, middle + 36),
                f"t {step - back}" if back else "now",
                font=font(11),
                fill=MUTED,
                anchor="mb",
            )


def _strip(image, draw, top: int, moments: list[Moment], weights: np.ndarray) -> None:
    """The frames with the highest weights, in the order of time; without weights evenly spaced
    ones. The brighter a border, the higher the weight.
    """
    evenly = np.unique(np.linspace(0, len(moments) - 1, FRAMES).round().astype(int))
    chosen = np.sort(np.argsort(weights, kind="stable")[-FRAMES:]) if weights.any() else evenly
    most, pil = max(1e-6, float(weights.max())), pillow()
    for place, index in enumerate(chosen):
        frame, weight = moments[index].frame, float(weights[index])
        small = pil.Image.fromarray(frame).resize(
            (round(THUMB * frame.shape[1] / frame.shape[0]), THUMB), pil.Image.Resampling.BILINEAR
        )
        left = MARGIN + round(place * (WIDTH - 2 * MARGIN) / FRAMES)
        tint = tuple(
            round(low + (high - low) * weight / most)
            for low, high in zip(TRACK, ACCENT, strict=True)
        )
        draw.rectangle((left, top, left + small.width + 5, top + THUMB + 5), fill=tint)
        image.paste(small, (left + 3, top + 3))
        said = f"t {moments[index].step}" + (f" · {weight:.0%}" if weights.any() else "")
        draw.text(
            (left, top + THUMB + 8), said, font=font(12), fill=INK if weight > most / 2 else MUTED
        )
