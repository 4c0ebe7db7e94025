"""A moment as HTML: the player's text, bars and small pictures, in the notebook's own colours.

The browser lays it out, so it is legible in narrow windows and in dark themes. `player.css` says
how it looks.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jatlab.viz.attention import by_timestep, reduce_heads
from jatlab.viz.attention.weights import whose
from jatlab.viz.player.panel import Facts
from jatlab.viz.player.watching import Moment
from jatlab.viz.video import pillow
from jatlab.viz.web.cells import picture_of

if TYPE_CHECKING:
    from jatlab.viz.player.session import Session

SHOWN = 64  # past timesteps that have bars
NUMBERS = 60  # of a vector that have bars
FRAMES = 9  # in the strip
UP, DOWN = 74, 34  # pixels: the highest bars of observations and of actions


def bar(name: str, value: float, low: float, high: float, chosen: bool, mark: float | None) -> str:
    """A name, a bar from 0 to the value within its range, perhaps a mark, and the value."""

    def place(number: float) -> float:
        return 100 * float(np.clip((number - low) / (high - low), 0, 1))

    ends = sorted((place(0.0), place(value)))
    line = "" if mark is None else f'<b style="left:{place(mark):.1f}%"></b>'
    fill = f'<i style="left:{ends[0]:.1f}%;width:{ends[1] - ends[0]:.1f}%"></i>'
    told = html.escape(name)
    return (
        f'<div class="jl-bar{" jl-chosen" if chosen else ""}"><span title="{told}">{told}</span>'
        f'<span class="jl-track">{fill}{line}</span><span>{value:.2f}</span></div>'
    )


@dataclass(frozen=True)
class Views:
    """The texts of a player's picture, as HTML.

    Attributes:
        decision: What the player does.
        rival: What the one beside does; "" where nobody is.
        seen: What was expected beside what came.
        past: Attention to the past, and its frames.
    """

    decision: str
    rival: str
    seen: str
    past: str


def views_of(session: Session, moving: bool) -> Views:
    """The texts of what a session shows now; the frames for the mouse only where nothing moves."""
    watch, rival, place = session.watch, session.rival, session.place
    now = watch.moments[place]
    beside = ""
    if rival is not None:
        beside = decision(rival.at(now.step).facts, f"{session.beside}, beside")
    return Views(
        decision(now.facts, session.about),
        beside,
        seen(now, watch.numbers),
        past(watch.moments, place, session.layer, session.head, frames=not moving),
    )


def frame_beside(session: Session) -> np.ndarray | None:
    """The frame of the one beside, at the timestep that is shown; None where nobody is."""
    if session.rival is None:
        return None
    return session.rival.at(session.watch.moments[session.place].step).frame


# --- who decides what ---


def decision(facts: Facts, about: str) -> str:
    """The mission, the actions with their probabilities or values, timestep and return."""
    low = -1.0 if facts.signed else 0.0
    bars = "".join(bar(name, value, low, 1.0, chosen, None) for name, value, chosen in facts.bars)
    mission = f'<p class="jl-mission">{html.escape(facts.mission)}</p>' if facts.mission else ""
    words = html.escape(", ".join(facts.note.splitlines()))
    note = f'<p class="jl-note">{words}</p>' if words else ""
    many = " jl-many" if len(facts.bars) > 9 else ""
    return (
        f"<h4>{html.escape(facts.task)} · {html.escape(about)}</h4>{mission}"
        f'<div class="{many.strip()}">{bars}</div>{note}<div class="jl-numbers">'
        f"<span>timestep<strong>{facts.step}</strong></span>"
        f"<span>return<strong>{facts.total:.4g}</strong></span></div>"
    )


# --- what was expected ---


def seen(now: Moment, names: Sequence[str]) -> str:
    """What was expected of this observation beside what came, and the value of context."""
    is_vector = now.observed.ndim == 1 and now.observed.dtype.kind == "f"
    shown = _vectors(now, names) if is_vector else _pictures(now)
    return f"<h4>expected and observed</h4>{shown}{_context(now)}"


def _pictures(now: Moment) -> str:
    missing = "nothing yet" if now.step == 0 else "nothing"
    expected = missing if now.expected is None else _image(picture_of(now.expected))
    pair = (("expected", expected), ("observed", _image(picture_of(now.observed))))
    figures = "".join(f"<figure>{shown}<span>{name}</span></figure>" for name, shown in pair)
    words = "" if now.expected is None else distance(now.expected, now.observed)
    return f'<div class="jl-pair">{figures}</div><p class="jl-note">{words}</p>'


def distance(expected: np.ndarray, observed: np.ndarray) -> str:
    """How far apart they are, in words: cells of a grid, or the error of a frame or vector."""
    if observed.dtype.kind != "f":
        wrong = (expected[1:148] != observed[1:148]).reshape(-1, 3).any(1).sum()
        return f"{wrong} of 49 cells are not as expected"
    error = float(np.sqrt(np.mean((expected - observed) ** 2)))
    scale = " (black to white: 2)" if observed.ndim == 2 else ""
    return f"root mean square error {error:.3g}{scale}"


def _vectors(now: Moment, names: Sequence[str]) -> str:
    values = now.observed[:NUMBERS]
    expected = None if now.expected is None else now.expected[: len(values)]
    both = values if expected is None else np.concatenate([values, expected])
    low, high = min(0.0, float(both.min())), max(1e-6, float(both.max()))
    rows = [
        bar(name, float(value), low, high, True, None if expected is None else float(expected[i]))
        for i, (name, value) in enumerate(zip(named(names, len(values)), values, strict=True))
    ]
    left = len(now.observed) - len(values)
    more = f"the first {len(values)} of {len(now.observed)}; " if left else ""
    words = "nothing was expected" if now.expected is None else "orange lines: expected; "
    words += "" if now.expected is None else distance(now.expected, now.observed)
    return f'<div class="jl-many">{"".join(rows)}</div><p class="jl-note">{more}{words}</p>'


def named(names: Sequence[str], count: int) -> list[str]:
    """So many names; numbers that have none are counted."""
    return [*names, *(f"number {i}" for i in range(len(names), count))][:count]


def _context(now: Moment) -> str:
    if now.attention is None:
        return ""
    if not now.context:
        return '<p class="jl-note">value of context: not asked here (played fast)</p>'
    shares = {f"k = {k}": value for k, value in now.context.items()}
    most, asked = 1.0, f"probability of {now.facts.action!r}"
    if now.facts.signed:
        most, asked = max(0.05, *shares.values()), "how far off its action would be"
    else:
        shares["all"] = now.facts.probability or 0.0
    rows = "".join(bar(name, value, 0.0, most, True, None) for name, value in shares.items())
    return f"<h4>with only k timesteps remembered: {html.escape(asked)}</h4>{rows}"


# --- the past ---


def past(
    moments: Sequence[Moment], index: int, layer: int | None, head: int | None, frames: bool
) -> str:
    """The attention that one moment pays to those before it.

    Args:
        moments: An episode's moments.
        index: Which one decides; -1 for the last.
        layer: Whose attention; the mean unless given.
        head: Whose attention; the mean unless given.
        frames: Whether to send the frames of all bars, for the mouse; it makes the text long.
    """
    end = index if index >= 0 else len(moments) + index
    shown = list(moments)[: end + 1][-SHOWN - 1 :]
    now = shown[-1]
    if now.attention is None:
        words = now.facts.ending or "No attention to be seen: no model plays."
        return f'<p class="jl-note">{html.escape(words)}</p>{_strip(shown, np.zeros(len(shown)))}'
    observations, actions = by_timestep(reduce_heads(now.attention, layer, head))
    count = min(len(observations), len(shown))
    observations, actions, shown = observations[-count:], actions[-count:], shown[-count:]
    hidden = " (none: hidden from this agent)" if now.step and not actions.any() else ""
    return (
        f'<p class="jl-key">attention ({whose(layer, head)})'
        '<i style="background:var(--jl-blue)"></i>to observations'
        f'<i style="background:var(--jl-orange)"></i>to actions{hidden}</p>'
        f"{_bars(shown, observations, actions, frames)}{_strip(shown, observations)}"
    )


def _bars(
    shown: Sequence[Moment], observations: np.ndarray, actions: np.ndarray, frames: bool
) -> str:
    most = max(1e-6, float(observations.max()), float(actions.max()))
    every = -(-len(shown) // 12)
    spans = []
    for place, (moment, up, down) in enumerate(zip(shown, observations, actions, strict=True)):
        ago = len(shown) - 1 - place
        label = ("now" if ago == 0 else f"t {moment.step}") if ago % every == 0 else ""
        words = f"timestep {moment.step}: {up:.1%} to its observation, {down:.1%} to its action"
        frame = f'<img src="{moment.thumbnail}" alt="">' if frames else ""
        spans.append(
            f'<span aria-label="{words}"><i style="height:{UP * up / most:.0f}px"></i>'
            f'<u style="height:{DOWN * down / most:.0f}px"></u><em>{label}</em>'
            f'<span class="jl-tip">{words}{frame}</span></span>'
        )
    return f'<div class="jl-past">{"".join(spans)}</div>'


def _strip(shown: Sequence[Moment], weights: np.ndarray) -> str:
    """The frames with the highest weights, in the order of time; evenly spaced without weights."""
    chosen = np.unique(np.linspace(0, len(shown) - 1, FRAMES).round().astype(int))
    if weights.any():
        chosen = np.sort(np.argsort(weights, kind="stable")[-FRAMES:])
    most = max(1e-6, float(weights.max()))
    figures = []
    for index in chosen.tolist():
        weight = f" · {weights[index]:.0%}" if weights.any() else ""
        border = f"border-color:rgba(43,140,196,{0.15 + 0.85 * weights[index] / most:.2f})"
        style = f' style="{border}"' if weights.any() else ""
        figures.append(
            f'<figure><img src="{shown[index].thumbnail}" alt="frame"{style}>'
            f"t {shown[index].step}{weight}</figure>"
        )
    return f'<div class="jl-strip">{"".join(figures)}</div>'


def _image(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    pillow().Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    address = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/png;base64,{address}" alt="">'
