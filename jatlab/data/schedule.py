"""One task's batches: windows of similar length together, and when the next batch is due."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from jatlab.data.sources import Source, Stream
from jatlab.utils.checks import require

# A batch ends where a shorter window would leave less than this share of it unpadded.
FILL = 0.9
# While it holds less than this share of the timesteps wanted, the lower limit MIN_FILL applies,
# because tiny batches make noisy steps.
ENOUGH = 0.5
MIN_FILL = 0.7

Counters = list[Any]  # JSON: three integers, and the `Place` of a stream


def cut_batches(
    lengths: np.ndarray, batch_timesteps: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Group windows into batches of at most ``batch_timesteps`` timesteps, padding included.

    Every window is in exactly one batch. Windows of similar length go together, ties at random. A
    window longer than ``batch_timesteps`` is a batch by itself.

    Args:
        lengths: the windows' lengths, (n,).
        batch_timesteps: timesteps of a batch, at most.
        rng: decides the order of the batches, and of windows of equal length.

    Returns:
        The indices of the windows of each batch, in random order.

    Raises:
        ValueError: for a window without timesteps.
    """
    if len(lengths):
        shortest = lengths.min()
        require(shortest >= 1, f"a window of {shortest} timesteps: each has at least one")
    shuffled = rng.permutation(len(lengths))
    order = shuffled[np.argsort(-lengths[shuffled], kind="stable")]  # longest first
    ordered = lengths[order]
    batches, start = [], 0
    while start < len(order):
        count = _count_fitting(ordered[start:], batch_timesteps)
        batches.append(order[start : start + count])
        start += count
    return [batches[i] for i in rng.permutation(len(batches))]


def _count_fitting(lengths: np.ndarray, batch_timesteps: int) -> int:
    """How many of these windows, longest first, make one batch: at least one.

    As many as fit without too much padding.
    """
    lengths = lengths[: max(1, batch_timesteps // lengths[0])]
    filled = np.cumsum(lengths)
    share = filled / (lengths[0] * np.arange(1, len(lengths) + 1))  # falls from 1
    wanted = np.where(filled > ENOUGH * batch_timesteps, FILL, MIN_FILL)
    return int(np.argmin(np.append(share >= wanted, False)))


@dataclass
class _Epoch:
    """The batches of one epoch: of each, its windows (B, 2)."""

    source: Source
    batches: list[np.ndarray]
    average: float  # timesteps of a batch


class Schedule(ABC):
    """One task's batches, epoch after epoch, and the time at which the next one is due."""

    def __init__(self, name: str, weight: float, batch_timesteps: int, seed: int):
        self.weight, self.batch_timesteps = weight, batch_timesteps
        self.key = [seed, crc32(name.encode())]

    def counters(self) -> Counters:
        """Where this task is, for `restore`."""
        return [self.drawn, self.epoch, self.position]

    def restore(self, counters: Counters) -> None:
        """Go to where ``counters`` were taken."""
        self.drawn, self.epoch, self.position = counters
        self._current: _Epoch | None = None  # planned when needed: a stream has to be read for it
        self._set_due()

    def _set_due(self) -> None:
        """Batch k is due anywhere in the k-th interval of length 1 / weight.

        So the tasks have no fixed order, but even shares.
        """
        moment = np.random.default_rng([*self.key, 1, self.drawn]).random()
        self.due = (self.drawn + moment) / self.weight

    def take(self) -> tuple[Source, np.ndarray, float]:
        """The next batch: its source, windows and share (see `jatlab.data.mixture.BatchPlan`)."""
        epoch = self._current = self._current or self._plan_epoch()
        windows = epoch.batches[self.position]
        self.drawn, self.position = self.drawn + 1, self.position + 1
        if self.position == len(epoch.batches):
            self._end_epoch()
        self._set_due()
        return epoch.source, windows, float(windows[:, 1].sum() / epoch.average)

    def _plan_epoch(self) -> _Epoch:
        source = self._open_epoch()
        rng = np.random.default_rng([*self.key, 0, self.epoch])
        windows = source.windows(rng)
        batches = [windows[i] for i in cut_batches(windows[:, 1], self.batch_timesteps, rng)]
        return _Epoch(source, batches, windows[:, 1].sum() / len(batches))

    @abstractmethod
    def _open_epoch(self) -> Source:
        """The source of this epoch's windows."""

    def _end_epoch(self) -> None:
        self.epoch, self.position, self._current = self.epoch + 1, 0, None


class _SourceSchedule(Schedule):
    """The schedule of a source: each epoch has all of its windows."""

    def __init__(self, source: Source, weight: float, batch_timesteps: int, seed: int):
        super().__init__(source.name, weight, batch_timesteps, seed)
        self.source = source
        self.restore([0, 0, 0])

    def _open_epoch(self) -> Source:
        return self.source


class _StreamSchedule(Schedule):
    """The schedule of a stream: each part that is read takes the place of an epoch.

    ``place`` is where in the stream this part begins; it belongs to the counters.
    """

    def __init__(self, stream: Stream, weight: float, batch_timesteps: int, seed: int):
        super().__init__(stream.name, weight, batch_timesteps, seed)
        self.stream = stream
        self.restore([0, 0, 0, stream.beginning])

    def counters(self) -> Counters:
        return [*super().counters(), self.place]

    def restore(self, counters: Counters) -> None:
        *counters, self.place = counters
        super().restore(counters)

    def _open_epoch(self) -> Source:
        source, self.behind = self.stream.read(self.place)
        return source

    def _end_epoch(self) -> None:
        super()._end_epoch()
        self.place = self.behind


def make_schedule(
    source: Source | Stream, weight: float, batch_timesteps: int, seed: int
) -> Schedule:
    """The schedule of one task; the arguments are those of `jatlab.data.mixture.Mixture`."""
    if isinstance(source, Stream):
        return _StreamSchedule(source, weight, batch_timesteps, seed)
    return _SourceSchedule(source, weight, batch_timesteps, seed)
