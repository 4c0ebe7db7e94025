"""Several tasks of one kind as one source, so that a batch holds windows of many of them.

With a hundred tasks, a step on a batch of one task moves the weights for that task, and the next
ninety-nine steps move them elsewhere. Tasks of one domain (all of BabyAI, of Meta-World, of MuJoCo,
all Atari games) can lie side by side instead. What follows is a mean over tasks, at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np

from jatlab.data.windows import Batch, WindowSource

CONTINUOUS = ("continuous_observations", "continuous_actions")


class MixedSource:
    """The windows of some tasks' episodes, as if they were one task's. Called after the first:
    ``"babyai-go-to + 38"``.

    A row [start, length] counts from the first timestep of the first task; the tasks' timesteps
    follow each other.
    """

    def __init__(self, sources: Sequence[WindowSource]):
        self.sources = list(sources)
        self.name = f"{self.sources[0].name} + {len(self.sources) - 1}"
        rows = [int(source.store.lengths.sum()) for source in self.sources]
        self.firsts = np.cumsum([0, *rows[:-1]])  # the row at which each task begins

    @property
    def fingerprint(self) -> str:
        return sha256(
            " ".join(f"{source.name} {source.fingerprint}" for source in self.sources).encode()
        ).hexdigest()[:16]

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch's windows, (n, 2) int64 rows: every timestep of every task once."""
        return np.concatenate(
            [
                source.windows(rng) + [first, 0]
                for source, first in zip(self.sources, self.firsts, strict=True)
            ]
        )

    def batch(self, windows: np.ndarray) -> Batch:
        """As `WindowSource.batch`, of windows (B, 2) of any of the tasks: arrays (B, T, ...), zeros
        behind the shorter vectors and ``continuous_sizes`` (B, 2) where they differ.
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

    def _parts(self, windows: np.ndarray):
        """For each task among ``windows``: its source, where its windows are (B,), and what that
        task calls them.
        """
        which = np.searchsorted(self.firsts, windows[:, 0], side="right") - 1
        for number in np.unique(which):
            mine = which == number
            yield self.sources[number], mine, windows[mine] - [self.firsts[number], 0]


def _side_by_side(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """One array of several: for each, which rows are its (B,), and what stands there (b, ...).
    Zeros where another is longer.
    """
    shape = np.max([values.shape[1:] for _, values in parts], axis=0)
    whole = np.zeros((len(parts[0][0]), *shape), parts[0][1].dtype)
    for mine, values in parts:
        whole[(mine, *map(slice, values.shape[1:]))] = values
    return whole


def mix_alike(sources: Sequence, weights: Mapping[str, float]) -> tuple[list, dict[str, float]]:
    """Put sources of episodes of one kind together; the others, and a source alone of its kind,
    stay. With them the weights of what there is now.

    ``weights`` are by task (1 where not said), a mixed source's is the sum of its tasks'. Raises
    ValueError for tasks of one kind with different weights: side by side each comes as often as it
    has timesteps.
    """
    groups: dict[tuple, list] = {}
    for source in sources:
        groups.setdefault(_kind(source), []).append(source)
    found, sums = [], {}
    for group in groups.values():
        shares = {weights.get(source.name, 1.0) for source in group}
        if len(shares) > 1:
            raise ValueError(
                f"{group[0].name} and {len(group) - 1} more tasks of its kind have different task_weights ({', '.join(map(str, sorted(shares)))}): mixed tasks need the same"
            )
        found.append(group[0] if len(group) == 1 else MixedSource(group))
        sums[found[-1].name] = shares.pop() * len(group)
    return found, sums


def _kind(source) -> tuple:
    """What must be the same for windows to lie in one batch: the domain, and all shapes but
    vectors' lengths; for text, pictures and streams the name: they stay alone.
    """
    if not isinstance(source, WindowSource):
        return (source.name,)
    texts = None if source.text_ids is None else source.text_ids.shape[1]
    return (
        source.store.task.domain,
        texts,
        *(
            (name, name not in CONTINUOUS and values.shape[1:])
            for name, values in sorted(source.store.columns.items())
        ),
    )
