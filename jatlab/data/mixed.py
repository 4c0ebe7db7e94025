"""Several tasks of one kind as one source, so that a batch holds windows of many tasks.

With a hundred tasks, a step on a batch of one task moves the weights towards that task, and the
next ninety-nine steps move them elsewhere. Tasks of one domain (BabyAI, Meta-World, MuJoCo, Atari)
can share batches instead: each gradient is then a mean over tasks, at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TypeVar

import numpy as np

from jatlab.data.sources import Batch, Source, Stream
from jatlab.data.windows import WindowSource

CONTINUOUS = ("continuous_observations", "continuous_actions")
AnySource = TypeVar("AnySource", bound=Source | Stream)


class MixedSource:
    """The windows of several tasks' episodes, as if they were one task's.

    It is named after the first: ``"babyai-go-to + 38"``. In a window [start, length], ``start``
    counts from the first timestep of the first task; the tasks' timesteps follow each other.
    """

    def __init__(self, sources: Sequence[WindowSource]):
        self.sources = list(sources)
        self.name = f"{self.sources[0].name} + {len(self.sources) - 1}"
        rows = [int(source.store.lengths.sum()) for source in self.sources]
        self.firsts = np.cumsum([0, *rows[:-1]])  # the row at which each task begins

    @property
    def fingerprint(self) -> str:
        """Changes when one of the tasks' content does."""
        parts = " ".join(f"{source.name} {source.fingerprint}" for source in self.sources)
        return sha256(parts.encode()).hexdigest()[:16]

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch's windows, (n, 2) int64 [start, length]: every timestep of every task once."""
        pairs = zip(self.sources, self.firsts, strict=True)
        return np.concatenate([source.windows(rng) + [first, 0] for source, first in pairs])

    def batch(self, windows: np.ndarray) -> Batch:
        """Windows (B, 2) of any of the tasks, as `WindowSource.batch` gives them: (B, T, ...).

        Vectors shorter than the longest are filled up with zeros. Where their sizes differ,
        ``continuous_sizes`` (B, 2) says how many values each row's observation and action have.
        """
        parts = []
        for source, mine, own in self._parts(windows):
            part = source.batch(own)
            sizes = [part[name].shape[2] if name in part else 0 for name in CONTINUOUS]
            parts.append((mine, part | {"continuous_sizes": np.tile(sizes, (len(own), 1))}))
        batch = {
            name: _side_by_side([(mine, part[name]) for mine, part in parts])
            for name in parts[0][1]
        }
        if (batch["continuous_sizes"] == batch["continuous_sizes"][0]).all():
            del batch["continuous_sizes"]
        return batch

    def describe(self, windows: np.ndarray) -> str:
        """Which episodes of which tasks these windows are from, for error messages."""
        return "; ".join(source.describe(own) for source, _, own in self._parts(windows))

    def _parts(self, windows: np.ndarray) -> Iterator[tuple[WindowSource, np.ndarray, np.ndarray]]:
        """For each task among ``windows`` (B, 2): its source, and its windows.

        The windows come as a mask (B,) of where they are, and in the source's numbering (b, 2).
        """
        which = np.searchsorted(self.firsts, windows[:, 0], side="right") - 1
        for number in np.unique(which):
            mine = which == number
            yield self.sources[number], mine, windows[mine] - [self.firsts[number], 0]


def _side_by_side(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """One array of several, zeros where another is longer.

    Each part is a mask (B,) of its rows, and their values (b, ...).
    """
    shape = np.max([values.shape[1:] for _, values in parts], axis=0)
    mask, first = parts[0]
    joined = np.zeros((len(mask), *shape), first.dtype)
    for mask, values in parts:
        place: tuple[np.ndarray | slice, ...] = (mask, *map(slice, values.shape[1:]))
        joined[place] = values
    return joined


def mix_alike(
    sources: Sequence[AnySource], weights: Mapping[str, float]
) -> tuple[list[AnySource | MixedSource], dict[str, float]]:
    """Put sources of episodes of one kind side by side; all others stay as they are.

    Args:
        sources: of any kind, by task.
        weights: the tasks' sampling weights, by name; 1 where none is given.

    Returns:
        The sources there are now, and their sampling weights: that of a mixed source is the sum of
        its tasks'.

    Raises:
        ValueError: for tasks of one kind with different weights. Side by side, each comes as often
            as it has timesteps.
    """
    groups: dict[tuple, list[AnySource]] = {}
    for source in sources:
        groups.setdefault(_kind(source), []).append(source)
    found: list[AnySource | MixedSource] = []
    sums = {}
    for group in groups.values():
        shares = {weights.get(source.name, 1.0) for source in group}
        if len(shares) > 1:
            raise ValueError(
                f"{group[0].name} and {len(group) - 1} more tasks of its kind have different "
                f"task_weights ({', '.join(map(str, sorted(shares)))}): mixed tasks need the same"
            )
        windowed = [source for source in group if isinstance(source, WindowSource)]
        mixed = MixedSource(windowed) if len(windowed) > 1 else group[0]
        found.append(mixed)
        sums[mixed.name] = shares.pop() * len(group)
    return found, sums


def _kind(source: Source | Stream) -> tuple:
    """What sources must share for their windows to be in one batch.

    For episodes this is the domain, and all shapes but the lengths of vectors. Text, pictures and
    streams are not mixed: their kind is their name.
    """
    if not isinstance(source, WindowSource):
        return (source.name,)
    texts = None if source.text_ids is None else source.text_ids.shape[1]
    shapes = (
        (name, name not in CONTINUOUS and values.shape[1:])
        for name, values in sorted(source.store.columns.items())
    )
    return (source.store.task.domain, texts, *shapes)
