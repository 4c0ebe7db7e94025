"""What a picture tells about a timestep, and the panel beside the frame that tells it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from jatlab.tasks.task import Action, Observation
from jatlab.viz.video import GROUND, INK, MUTED, font, pillow, resize

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

TRACK, ACCENT = (48, 52, 60), (86, 180, 233)
FRAME, SIDE, MARGIN = 320, 224, 16  # pixels: height of the frame, width of the panel beside it
BARS = (92, 252)  # pixels: where the bars begin and end
NOTE = 30  # pixels: height of a note below them

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255
Bar = tuple[str, float, bool]  # an action's name, its probability or value, whether it was chosen


class Progress(Protocol):
    """An episode so far."""

    task: str
    length: int
    total: float


@dataclass
class Facts:
    """What a picture tells about a timestep.

    Attributes:
        task: The task's name.
        step: The timestep, from 0.
        total: The return so far.
        mission: What the agent was told; "" if nothing.
        bars: One for each action: its probability in [0, 1], or each value of a continuous action.
            Empty where nothing was decided.
        signed: Whether the bars are values in [-1, 1].
        action: The name of a discrete action; "" for a continuous one.
        probability: The discrete action's, where the agent says it.
        reward: What the action brought, once it is known.
        ending: How the episode ended, in words; "" while it goes on.
        note: What else there is to say about the decision, in two short lines; "" if nothing.
    """

    task: str
    step: int
    total: float
    mission: str = ""
    bars: Sequence[Bar] = ()
    signed: bool = False
    action: str = ""
    probability: float | None = None
    reward: float | None = None
    ending: str = ""
    note: str = ""


def facts_of(
    probabilities: np.ndarray | None,
    observation: Observation,
    action: Action,
    so_far: Progress,
    names: Sequence[str],
) -> Facts:
    """What a picture tells about a timestep.

    Args:
        probabilities: (1, actions), with which a discrete action was drawn. None where nobody says
            them: the action taken then has all the probability.
        observation: What was seen.
        action: What was decided on it.
        so_far: The episode before that.
        names: The names of the actions.
    """
    mission = observation.get("text_observation", "")
    facts = Facts(so_far.task, so_far.length, so_far.total, mission)
    if isinstance(action, np.ndarray):
        facts.bars = [(name, float(value), True) for name, value in zip(names, action, strict=True)]
        facts.signed = True
        return facts
    shares = np.eye(len(names))[action] if probabilities is None else probabilities[0]
    facts.bars = [
        (name, float(share), index == action)
        for index, (name, share) in enumerate(zip(names, shares, strict=True))
    ]
    facts.action = names[action]
    facts.probability = None if probabilities is None else float(shares[action])
    return facts


# --- pictures ---


def picture(frame: np.ndarray, facts: Facts) -> np.ndarray:
    """A frame with its panel: uint8 (h, w, 3) -> (320, …, 3).

    All pictures of an episode have the same size.
    """
    pil = pillow()
    frame = resize(frame, max(1, round(FRAME * frame.shape[1] / frame.shape[0])))
    canvas = pil.Image.new("RGB", (frame.shape[1] + SIDE, frame.shape[0]), GROUND)
    canvas.paste(pil.Image.fromarray(frame), (0, 0))
    panel(pil.ImageDraw.Draw(canvas), frame.shape[1] + MARGIN, canvas.width - MARGIN, facts)
    return np.asarray(canvas)


def write(
    draw: ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    color: Colour = MUTED,
    anchor: str | None = None,
) -> None:
    """Write a text into a picture.

    Args:
        draw: Of the picture.
        place: (x, y) in pixels, of the anchor.
        text: One line.
        size: Of the letters, in pixels.
        color: Of the letters.
        anchor: Pillow's, such as "ra" for right and top; left and top unless given.
    """
    draw.text(place, text, font=font(size), fill=color, anchor=anchor)


def panel(draw: ImageDraw, left: int, right: int, facts: Facts) -> None:
    """Draw `facts` between the columns `left` and `right` of a picture FRAME pixels high."""
    write(draw, (left, MARGIN), facts.task, 13)
    top = MARGIN + 22
    for line in textwrap.wrap(facts.mission, 26)[:3]:
        write(draw, (left, top), line, 15, INK)
        top += 20
    numbers = (("step", f"{facts.step}"), ("return", f"{facts.total:.4g}"))
    for place, (name, value) in enumerate(numbers):
        column = left + place * (right - left) // 2
        write(draw, (column, FRAME - 58), name, 12)
        write(draw, (column, FRAME - 42), value, 22, INK)
    count = len(facts.bars)
    first = top + 8 if count > 8 else max(top + 8, BARS[0])
    last = BARS[1] - NOTE if facts.note else BARS[1]
    height = min(20, (last - first) / max(1, count))
    for place, line in enumerate(facts.note.splitlines()):
        write(draw, (left, last + 4 + 15 * place), line, 12, ACCENT)
    for index, bar in enumerate(facts.bars):
        _draw_bar(draw, left, right, first + round(height * index), height, bar, facts.signed)


def _draw_bar(
    draw: ImageDraw, left: int, right: int, top: int, height: float, bar: Bar, signed: bool
) -> None:
    """Draw one action in a row of `height`: its name and its bar.

    The bar goes from 0 to 1, or from the middle for values in [-1, 1].
    """
    name, value, chosen = bar
    start, length, thick = left + 72, right - left - 72, round(height / 2)
    zero = start + length // 2 if signed else start
    tip = zero + round(np.clip(value, -1, 1) * (length // 2 if signed else length))
    size, color = min(13, round(height) + 1), INK if chosen else MUTED
    write(draw, (left, top + thick / 2 + 2), name, size, color, "lm")
    draw.rectangle((start, top + 2, right, top + 1 + thick), fill=TRACK)
    if tip != zero:
        ends = (min(zero, tip), top + 2, max(zero, tip), top + 1 + thick)
        draw.rectangle(ends, fill=ACCENT if chosen else MUTED)
