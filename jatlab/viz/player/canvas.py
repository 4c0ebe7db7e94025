"""One picture of a watched episode, drawn in milliseconds with Pillow.

It shows the frame and the decision, what was expected, the value of context, and the past with the
attention that it gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jatlab.viz.attention import by_timestep, reduce_heads
from jatlab.viz.attention.weights import whose
from jatlab.viz.player.panel import ACCENT, FRAME, MARGIN, SIDE, TRACK, Colour, panel, write
from jatlab.viz.player.watching import Moment
from jatlab.viz.video import GROUND, INK, MUTED, pillow, resize
from jatlab.viz.web.cells import picture_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

WIDTH = 944  # pixels
PAST, STRIP = 122, 118  # pixels: heights of the attention's bars and of the film strip
HEIGHT = FRAME + PAST + STRIP
LEFT = FRAME + SIDE + MARGIN  # where the third column begins
ORANGE = (230, 159, 0)
SHOWN = 64  # past timesteps that have bars
NUMBERS = 60  # of a vector that have bars
FRAMES, THUMB = 9, 88  # frames in the strip, and their height in pixels


def draw_moment(
    moments: Sequence[Moment],
    index: int = -1,
    layer: int | None = None,
    head: int | None = None,
    about: str = "",
) -> np.ndarray:
    """The picture of one moment.

    Args:
        moments: An episode's moments; those before the one drawn are its past.
        index: Which one to draw; negative numbers count from the end.
        layer: Whose attention; the mean unless given.
        head: Whose attention; the mean unless given.
        about: A line for the corner: who plays.

    Returns:
        uint8 (560, 944, 3).

    Raises:
        ValueError: There is no such layer or head.
    """
    now, end = moments[index], index if index >= 0 else len(moments) + index
    past = list(moments)[:end][-SHOWN:]
    pil = pillow()
    image = pil.Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    draw = pil.ImageDraw.Draw(image)
    _draw_decision(image, draw, now, about)
    if now.observed.ndim == 1 and now.observed.dtype.kind == "f":
        _draw_vectors(draw, now)
    else:
        _draw_pictures(image, draw, now)
    _draw_context(draw, now)
    _draw_past(image, draw, [*past, now], layer, head)
    return np.asarray(image)


def draw_beside(moment: Moment, about: str) -> np.ndarray:
    """The frame and the decision of the one beside, as another row: uint8 (320, 944, 3).

    Args:
        moment: Of the one beside.
        about: A line for the corner: who plays.
    """
    pil = pillow()
    image = pil.Image.new("RGB", (WIDTH, FRAME), GROUND)
    _draw_decision(image, pil.ImageDraw.Draw(image), moment, about)
    return np.asarray(image)


def _draw_decision(image: Image, draw: ImageDraw, now: Moment, about: str) -> None:
    """The frame, the actions beside it, and in the corner who plays."""
    frame = now.frame if now.frame.shape[1] <= FRAME else resize(now.frame, FRAME)
    image.paste(pillow().Image.fromarray(frame), ((FRAME - frame.shape[1]) // 2, 0))
    panel(draw, FRAME + MARGIN, LEFT - MARGIN, now.facts)
    write(draw, (WIDTH - MARGIN, MARGIN), about, 13, anchor="ra")


# --- what was expected ---


def _draw_pictures(image: Image, draw: ImageDraw, now: Moment) -> None:
    """What the last action's token had predicted, beside what came: grids or frames."""
    top, width = MARGIN + 22, (WIDTH - LEFT - MARGIN) // 2
    seen = picture_of(now.observed)
    height, side = seen.shape[:2]
    write(draw, (LEFT, top), "it expected to see", 12)
    write(draw, (LEFT + width, top), "it sees", 12)
    image.paste(pillow().Image.fromarray(seen), (LEFT + width, top + 18))
    if now.expected is None:
        draw.rectangle((LEFT, top + 18, LEFT + side - 1, top + 17 + height), outline=TRACK)
        write(draw, (LEFT + 8, top + 26), "nothing yet" if now.step == 0 else "nothing", 12)
        return
    image.paste(pillow().Image.fromarray(picture_of(now.expected)), (LEFT, top + 18))
    distance = _distance(now.expected, now.observed)
    write(draw, (LEFT, top + 22 + height), distance, 12, INK)


def _distance(expected: np.ndarray, observed: np.ndarray) -> str:
    if observed.ndim == 1:
        wrong = (expected[1:148] != observed[1:148]).reshape(-1, 3).any(1).sum()
        return f"{wrong} of 49 cells are not as expected"
    return f"root mean square error {_error(expected, observed):.3f} (black to white: 2)"


def _error(expected: np.ndarray, observed: np.ndarray) -> float:
    return float(np.sqrt(np.mean((expected - observed) ** 2)))


def _draw_vectors(draw: ImageDraw, now: Moment) -> None:
    """A bar for each number: what came in blue, what was expected as an orange line across it."""
    top, right, height = MARGIN + 22, WIDTH - MARGIN, 140
    middle = top + 22 + height // 2
    values = now.observed[:NUMBERS]
    expected = None if now.expected is None else now.expected[: len(values)]
    wide = (right - LEFT) / len(values)
    most = max(1e-6, *(float(np.abs(v).max()) for v in (values, expected) if v is not None))
    write(draw, (LEFT, top), "the numbers that it sees", 12, ACCENT)
    draw.line((LEFT, middle, right, middle), fill=TRACK)
    for place, value in enumerate(values):
        left, tip = LEFT + place * wide, middle - value / most * height / 2
        ends = (left, min(middle, tip), left + max(1, wide - 2), max(middle, tip))
        draw.rectangle(ends, fill=ACCENT)
    words = f"full height {most:.2g}"
    if len(values) < len(now.observed):
        words = f"first {len(values)} of {len(now.observed)}, {words}"
    if expected is not None and now.expected is not None:
        write(draw, (right, top), "expected", 12, ORANGE, "ra")
        for place, value in enumerate(expected):
            left, line = LEFT + place * wide, middle - value / most * height / 2
            draw.line((left - 1, line, left + max(2, wide - 1), line), fill=ORANGE, width=2)
        error = _error(now.expected, now.observed)
        words += f"  ·  root mean square error {error:.3g}"
    write(draw, (LEFT, top + 26 + height), words, 12)


# --- the value of context ---


def _draw_context(draw: ImageDraw, now: Moment) -> None:
    """A bar for each number of timesteps remembered.

    It is the probability of the action that was taken, or how far away the action would have been.
    """
    if not now.context:
        if now.attention is not None:
            words = "value of context: not asked here (played fast)"
            write(draw, (LEFT, FRAME - 86), words, 12)
        return
    top, bottom, wide = FRAME - 66, FRAME - 18, (WIDTH - LEFT - MARGIN) / 7
    shares = {f"k = {k}": value for k, value in now.context.items()}
    if now.facts.signed:
        most, asked = max(0.05, *shares.values()), "how far off its action would be"
    else:
        most, asked = 1.0, f"probability of {now.facts.action!r}"
        shares["all"] = now.facts.probability or 0.0
    write(draw, (LEFT, top - 20), f"with only k timesteps remembered: {asked}", 12)
    for place, (name, value) in enumerate(shares.items()):
        left = LEFT + place * wide
        middle, tip = left + wide / 2 - 4, bottom - round((bottom - top) * min(1.0, value / most))
        draw.rectangle((left, top, left + wide - 8, bottom), fill=TRACK)
        draw.rectangle((left, tip, left + wide - 8, bottom), fill=ACCENT)
        if tip < top + 20:  # a high bar has its number inside
            write(draw, (middle, tip + 3), f"{value:.2f}", 11, GROUND, "mt")
        else:
            write(draw, (middle, tip - 3), f"{value:.2f}", 11, INK, "mb")
        write(draw, (middle, bottom + 14), name, 11, anchor="mb")


# --- the past ---


def _draw_past(
    image: Image, draw: ImageDraw, moments: list[Moment], layer: int | None, head: int | None
) -> None:
    """Bars of attention over the past timesteps, and the frames that got most of it."""
    now, top = moments[-1], FRAME + 12
    if now.attention is None:
        words = now.facts.ending or "No attention to be seen: no model plays."
        write(draw, (MARGIN, top), words, 13, INK if now.facts.ending else MUTED)
        weights = np.zeros(len(moments), np.float32)
    else:
        observations, actions = by_timestep(reduce_heads(now.attention, layer, head))
        weights = observations[-SHOWN:]
        _draw_attention(draw, top, now.step, weights, actions[-SHOWN:])
        write(draw, (WIDTH // 2 + 8, top), whose(layer, head), 12)
    _draw_strip(image, draw, moments[-len(weights) :], weights[-len(moments) :])


def _draw_attention(
    draw: ImageDraw, top: int, step: int, observations: np.ndarray, actions: np.ndarray
) -> None:
    """Bars of attention: observations above the line, actions below it, now at the right."""
    places, right = max(16, len(observations)), WIDTH - MARGIN
    wide, middle, half = (WIDTH - 2 * MARGIN) / places, top + 62, 40
    thick, every = max(1, wide - 2), 5 if places <= 40 else 10
    most = max(1e-6, float(observations.max()), float(actions.max()))
    hidden = " (none: hidden from this agent)" if step and not actions.any() else ""
    write(draw, (MARGIN, top), "attention to past observations", 12, ACCENT)
    write(draw, (MARGIN + 196, top), f"and actions{hidden}", 12, ORANGE)
    write(draw, (right, top), f"highest bar {most:.2f}", 12, anchor="ra")
    for back in range(len(observations)):
        left = right - (back + 1) * wide
        up, down = (half * float(weights[-1 - back]) / most for weights in (observations, actions))
        draw.rectangle((left, middle - up, left + thick, middle), fill=ACCENT)
        if down:
            draw.rectangle((left, middle + 1, left + thick, middle + 1 + down / 2), fill=ORANGE)
        if (step - back) % every == 0 or back == 0:
            name = f"t {step - back}" if back else "now"
            write(draw, (left + wide / 2, middle + 36), name, 11, anchor="mb")


def _draw_strip(image: Image, draw: ImageDraw, moments: list[Moment], weights: np.ndarray) -> None:
    """The frames with the highest weights, in the order of time; the brighter a border, the higher.

    Without weights they are evenly spaced.
    """
    top, most, pil = FRAME + PAST, max(1e-6, float(weights.max())), pillow()
    chosen = np.unique(np.linspace(0, len(moments) - 1, FRAMES).round().astype(int))
    if weights.any():
        chosen = np.sort(np.argsort(weights, kind="stable")[-FRAMES:])
    for place, index in enumerate(chosen):
        moment, weight = moments[index], float(weights[index])
        height, width = moment.frame.shape[:2]
        size = (round(THUMB * width / height), THUMB)
        small = pil.Image.fromarray(moment.frame).resize(size, pil.Image.Resampling.BILINEAR)
        left = MARGIN + round(place * (WIDTH - 2 * MARGIN) / FRAMES)
        ends = (left, top, left + small.width + 5, top + THUMB + 5)
        draw.rectangle(ends, fill=_between(TRACK, ACCENT, weight / most))
        image.paste(small, (left + 3, top + 3))
        words = f"t {moment.step}" + (f" · {weight:.0%}" if weights.any() else "")
        color = INK if weight > most / 2 else MUTED
        write(draw, (left, top + THUMB + 8), words, 12, color)


def _between(low: Colour, high: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return red, green, blue
