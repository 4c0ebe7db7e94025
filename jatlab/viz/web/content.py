"""What the page of an episode holds: plain lists and `data:` addresses, ready for JSON."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jatlab.utils.checks import require
from jatlab.viz.attention import by_timestep
from jatlab.viz.video import pillow, resize
from jatlab.viz.web.cells import CELL, cell_picture, picture_of

Episode = Mapping[str, Any]  # as `jatlab.agents.rollout.rollout` returns it


@dataclass(frozen=True)
class Detail:
    """How much of an episode a page keeps; a page that is too large is made with less.

    Attributes:
        moments: The most timesteps; of more, evenly spaced ones are kept.
        width: Of a frame, in pixels, at most.
        quality: Of a frame, WebP's, 1 to 100.
        past: The most timesteps of the past that have attention.
    """

    moments: int
    width: int
    quality: int
    past: int


@dataclass(frozen=True)
class Names:
    """What a page calls things.

    Attributes:
        task: The task.
        about: Who plays, and the seed, in words.
        actions: A name for each action, or for each number of a continuous one.
        observations: A name for each number of a vector; those without are counted.
        layers: The kinds of the model's layers, such as "global".
    """

    task: str
    about: str = ""
    actions: Sequence[str] = ()
    observations: Sequence[str] = ()
    layers: Sequence[str] = ()


def kind_of(episode: Episode, what: str) -> str:
    """The kind of an episode's observations or actions (`what`): "discrete", "image", ….

    Raises:
        ValueError: The episode has none, so `rollout` did not make it.
    """
    kinds = [k for k in ("discrete", "continuous", "image") if f"{k}_{what}" in episode]
    require(
        bool(kinds),
        f"the episode has no {what}, only {', '.join(sorted(episode)) or 'nothing'}: "
        "give what jatlab.rollout returns",
    )
    return kinds[0]


def content(episode: Episode, names: Names, detail: Detail) -> dict[str, Any]:
    """Everything that the page shows of an episode of T timesteps, drawn with `render=True`.

    Args:
        episode: As `rollout` returns it.
        names: What things are called.
        detail: How much to keep.
    """
    steps = kept(len(episode["rewards"]), detail.moments)
    returns = np.concatenate([[0.0], np.cumsum(episode["rewards"], dtype=np.float64)])
    arrived = np.concatenate([[0.0], episode["rewards"]])
    missions = episode.get("text_observations", [""])
    return {
        "task": names.task,
        "about": names.about,
        "mission": str(missions[0]),
        "length": len(episode["rewards"]),
        "ending": _ending(episode),
        "steps": steps,
        "returns": [float(returns[t]) for t in steps],
        "rewards": [float(arrived[t]) for t in steps],
        "actions": _actions(episode, names, steps),
        "frames": [_picture(episode["frames"][t], detail) for t in steps],
        "crisp": episode["frames"][0].shape[1] < 200,
        "observed": _observed(episode, names, steps),
        "attention": _attention(episode, names, steps, detail.past),
    }


def kept(length: int, most: int) -> list[int]:
    """Which of the timesteps 0 to `length` a page keeps: evenly spaced, the last always."""
    every = -(-(length + 1) // most)
    return sorted({*range(0, length, every), length})


def _ending(episode: Episode) -> str:
    """Words for the last frame; a rollout does not tell an end from `max_steps`."""
    words: dict[Any, str] = {True: ", with success", False: ", without success"}
    return f"The film ends here{words.get(episode.get('success'), '')}."


# --- pictures ---


def _picture(frame: np.ndarray, detail: Detail) -> str:
    width = min(detail.width, frame.shape[1])
    return encoded(resize(frame, width) if width < frame.shape[1] else frame, detail.quality)


def encoded(picture: np.ndarray, quality: int = 80) -> str:
    """A picture, uint8 (h, w, 3), as a `data:` address; quality 100 loses nothing."""
    buffer = io.BytesIO()
    image = pillow().Image.fromarray(picture)
    image.save(buffer, "WEBP", quality=quality, lossless=quality == 100)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


# --- decisions ---


def _actions(episode: Episode, names: Names, steps: list[int]) -> dict[str, Any]:
    kind = kind_of(episode, "actions")
    actions, shares = episode[f"{kind}_actions"], episode.get("probabilities")
    count = actions.shape[1] if kind == "continuous" else _choices(actions, shares, names)
    words = "What it decides" if kind == "continuous" else "What it did"
    return {
        "kind": kind,
        "about": "Probability of each action" if shares is not None else words,
        "names": _named(names.actions, count, "a" if kind == "continuous" else "action "),
        "taken": _at(actions, steps, 3),
        "shares": None if shares is None else _at(shares, steps, 3),
    }


def _choices(actions: np.ndarray, shares: np.ndarray | None, names: Names) -> int:
    if shares is not None:
        return shares.shape[1]
    return max(len(names.actions), int(np.max(actions)) + 1)


def _named(names: Sequence[str], count: int, stem: str) -> list[str]:
    return [*names, *(f"{stem}{i}" for i in range(len(names), count))][:count]


def _at(rows: np.ndarray, steps: list[int], digits: int) -> list[Any]:
    """The rows of the kept timesteps, rounded; None where there is none."""
    rounded = np.nan_to_num(np.asarray(rows)).round(digits).tolist()  # JSON has no NaN
    return [rounded[t] if 0 <= t < len(rounded) else None for t in steps]


# --- observations ---


def _observed(episode: Episode, names: Names, steps: list[int]) -> dict[str, Any]:
    kind = kind_of(episode, "observations")
    seen = episode[f"{kind}_observations"]
    expected = episode.get("pred_observations", seen[:0])
    make = {"discrete": _grids, "continuous": _vectors, "image": _images}[kind]
    if kind == "discrete" and seen.shape[1] < 148:  # integers, but not BabyAI's grid
        make = _vectors
    # what was expected of timestep t was said at t - 1
    return make(seen, expected, steps, [t - 1 for t in steps], names)


def _grids(
    seen: np.ndarray, expected: np.ndarray, steps: list[int], before: list[int], names: Names
) -> dict[str, Any]:
    """Grids (T, 148 or more) as places in an atlas of the distinct cells."""
    atlas: dict[tuple[int, ...], int] = {}

    def places(grid: np.ndarray) -> list[int]:
        cells = grid[1:148].reshape(7, 7, 3).transpose(1, 0, 2).reshape(49, 3)
        return [atlas.setdefault(tuple(cell), len(atlas)) for cell in cells.tolist()]

    shown = {
        name: [places(rows[t]) if 0 <= t < len(rows) else None for t in at]
        for name, rows, at in (("seen", seen, steps), ("expected", expected, before))
    }
    pictures = np.hstack([cell_picture(*cell) for cell in atlas])
    return {"kind": "grid", "cell": CELL, "atlas": encoded(pictures, 100), **shown}


def _vectors(
    seen: np.ndarray, expected: np.ndarray, steps: list[int], before: list[int], names: Names
) -> dict[str, Any]:
    """Vectors (T, n), with a range for each number that holds 0 and all that is shown."""
    both = np.nan_to_num(np.concatenate([seen, expected[:, : seen.shape[1]]]).astype(float))
    low, high = np.minimum(both.min(0), 0), np.maximum(both.max(0), 0)
    high = np.where(high > low, high, low + 1)
    return {
        "kind": "vector",
        "names": _named(names.observations, seen.shape[1], "number "),
        "ranges": np.stack([low, high], 1).round(4).tolist(),
        "seen": _at(seen, steps, 4),
        "expected": _at(expected, before, 4),
    }


def _images(
    seen: np.ndarray, expected: np.ndarray, steps: list[int], before: list[int], names: Names
) -> dict[str, Any]:
    """Stacked frames (T, 4, 84, 84): of each timestep the newest."""

    def newest(rows: np.ndarray, at: list[int]) -> list[str | None]:
        return [encoded(picture_of(rows[t][-1])) if 0 <= t < len(rows) else None for t in at]

    scaled = seen[:, -1:].astype(np.float32) / 127.5 - 1
    return {"kind": "image", "seen": newest(scaled, steps), "expected": newest(expected, before)}


# --- attention ---


def _attention(
    episode: Episode, names: Names, steps: list[int], past: int
) -> dict[str, Any] | None:
    """The kept timesteps' weights, one after the other; None without attention.

    Each has (layers * N, tokens) bytes, packed with zlib: local layers and hidden actions are
    mostly zeros.
    """
    recorded = episode.get("attentions")
    if not recorded:
        return None
    layers, heads = recorded[0].shape[:2]
    rows = [recorded[t][..., -(2 * past - 1) :] for t in steps if t < len(recorded)]
    packed = zlib.compress(b"".join(_bytes(row) for row in rows), 9)
    return {
        "rows": layers * heads,
        "heads": heads,
        "kinds": list(names.layers) or [""] * layers,
        "hidden": all(not by_timestep(row.mean((0, 1)))[1].any() for row in recorded),
        "tokens": [row.shape[-1] for row in rows],
        "weights": base64.b64encode(packed).decode(),
    }


def _bytes(weights: np.ndarray) -> bytes:
    """A byte is 255 times the square root, so that small weights keep more digits."""
    shares = np.clip(weights.astype(np.float32), 0, 1)
    return np.round(255 * np.sqrt(shares)).astype(np.uint8).tobytes()
