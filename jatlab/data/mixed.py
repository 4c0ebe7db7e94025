"""Several tasks of one shape as one source, so that a batch holds windows of many of them.

With a hundred tasks, a step on a batch of one task moves the weights for that task, and the next ninety-nine steps move them elsewhere. Tasks
whose observations and actions have the same shapes (all of BabyAI, all of Meta-World, all Atari games) can lie side by side instead. What follows
is a mean over tasks, at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np

from jatlab.data.windows import Batch, WindowSource


class MixedSource:
    """The windows of some tasks' episodes, as if they were one task's. Called after the first: ``"babyai-go-to + 38"``.

    A row [start, length] counts from the first timestep of the first task; the tasks' timesteps follow each other.
    """

    def __init__(self, sources: Sequence[WindowSource]):
        self.sources = list(sources)
        self.name = f"{self.sources[0].name} + {len(self.sources) - 1}"
        rows = [int(source.store.lengths.sum()) for source in self.sources]
        self.firsts = np.cumsum([0, *rows[:-1]])  # the row at which each task begins

    @property
    def fingerprint(self) -> str:
        return sha256(" ".join(f"{source.name} {source.fingerprint}" for source in self.sources).encode()).hexdigest()[:16]

    @property
    def timesteps(self) -> int:
        return sum(source.timesteps for source in self.sources)

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch's windows, (n, 2) int64 rows: every timestep of every task once."""
        return np.concatenate([source.windows(rng) + [first, 0] for source, first in zip(self.sources, self.firsts, strict=True)])

    def batch(self, windows: np.ndarray) -> Batch:
        """As `WindowSource.batch`, of windows (B, 2) of any of the tasks: arrays (B, T, ...)."""
        batch, longest = {}, windows[:, 1].max()
        for source, mine, own in self._parts(windows):
            for name, values in source.batch(own).items():  # (b, t, ...), t the longest of these
                whole = batch.setdefault(name, np.zeros((len(windows), longest, *values.shape[2:]), values.dtype))
                whole[mine, : values.shape[1]] = values
        return batch

    def describe(self, windows: np.ndarray) -> str:
        """Which episodes of which tasks these windows are from, for error messages."""
        return "; ".join(source.describe(own) for source, _, own in self._parts(windows))

    def _parts(self, windows: np.ndarray):
        """For each task among ``windows``: its source, where its windows are (B,), and what that task calls them."""
        which = np.searchsorted(self.firsts, windows[:, 0], side="right") - 1
        for number in np.unique(which):
            mine = which == number
            yield self.sources[number], mine, windows[mine] - [self.firsts[number], 0]


def mix_alike(sources: Sequence, weights: Mapping[str, float]) -> tuple[list, dict[str, float]]:
    """Put sources of episodes with the same shapes together; the others, and a source alone of its shape, stay. With them the weights of what there is now.

    ``weights`` are by task (1 where not said), a mixed source's is the sum of its tasks'. Raises ValueError for tasks of one shape with different
    weights: side by side each comes as often as it has timesteps.
    """
    groups: dict[tuple, list] = {}
    for source in sources:
        groups.setdefault(_shapes(source), []).append(source)
    found, sums = [], {}
    for group in groups.values():
        shares = {weights.get(source.name, 1.0) for source in group}
        if len(shares) > 1:
            raise ValueError(f"{group[0].name} and {len(group) - 1} more tasks of its shape have different task_weights ({', '.join(map(str, sorted(shares)))}): mixed tasks need the same")
        found.append(group[0] if len(group) == 1 else MixedSource(group))
        sums[found[-1].name] = shares.pop() * len(group)
    return found, sums


def _shapes(source) -> tuple:
    """What must be the same for windows to lie in one batch; for text, pictures and streams the name: they stay alone."""
    if not isinstance(source, WindowSource):
        return (source.name,)
    texts = None if source.text_ids is None else source.text_ids.shape[1]
    return (source.store.task.domain, texts, *((name, values.shape[1:]) for name, values in sorted(source.store.columns.items())))
