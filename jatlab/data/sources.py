"""What training draws from: each task is a source of windows.

A *window* is a stretch of one episode, a row of text, or a picture with its text. The mixture
(`jatlab.data.mixture`) plans batches from the windows' lengths; `Source.batch` then builds their
arrays. The sources of episodes are in `jatlab.data.windows`, those of documents and pictures in
`jatlab.data.language`, and `jatlab.data.mixed` puts several tasks side by side. Another class with
the same methods is another kind of source.
"""

from __future__ import annotations

from typing import Any, Protocol, TypedDict, runtime_checkable

import numpy as np

Batch = dict[str, np.ndarray]  # arrays by the model's argument names
NAMED = 8  # windows that an error message names, at most


class Source(Protocol):
    """The windows of one task."""

    @property
    def name(self) -> str:
        """The task, or what else the source is called."""

    @property
    def fingerprint(self) -> str:
        """A text that changes when the content does."""

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch: (n, 2) int64, a row [start, length] for each window.

        Lengths count timesteps; two tokens of text are one timestep.
        """

    def batch(self, windows: np.ndarray) -> Batch:
        """The arrays of some of these windows, (B, 2)."""

    def describe(self, windows: np.ndarray) -> str:
        """Where these windows come from, for error messages."""


class Place(TypedDict):
    """A place in a stream."""

    epoch: int  # how often the stream has ended
    rows: dict[str, Any] | None  # the state of the rows; None where they begin


@runtime_checkable
class Stream(Protocol):
    """A task that is read in parts, each of them a source; see `jatlab.data.published.streams`."""

    @property
    def name(self) -> str:
        """The task."""

    @property
    def fingerprint(self) -> str:
        """A text that changes when the content does."""

    @property
    def beginning(self) -> Place:
        """Where the stream begins."""

    def read(self, place: Place) -> tuple[Source, Place]:
        """The part that begins at ``place``, and the place behind it."""


def describe_items(name: str, kind: str, numbers: np.ndarray) -> str:
    """For error messages: "babyai-go-to, episodes 3, 4"; at most `NAMED` numbers."""
    plural = "s" if len(numbers) > 1 else ""
    more = " …" if len(numbers) > NAMED else ""
    return f"{name}, {kind}{plural} {', '.join(map(str, numbers[:NAMED]))}{more}"


def hold_out(items: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Split ``items`` at random into those to train on, at least one, and a held-out ``fraction``.

    The second is None if the fraction rounds to no item.
    """
    count = min(round(len(items) * fraction), len(items) - 1)
    if count == 0:
        return items, None
    held = np.random.default_rng(seed).permutation(len(items)) < count
    return items[~held], items[held]
