"""Which task's windows come next: an endless, reproducible sequence of batches drawn from many
tasks.

Every task goes through its own epochs: in each, all its windows come exactly once, in a new order,
cut into batches of windows of similar length. Whose batch is next follows from the weights: a task
of weight 2 has two turns where one of weight 1 has one, at times that vary a little at random. All
of it depends on the seed and on counters alone. So the state to save is a handful of integers (and,
for a task that is streamed, the place where the part in memory begins), the rest of the sequence is
the same after resuming, and several processes can each take every W-th batch of the one sequence
without a word between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from zlib import crc32

import numpy as np

from jatlab.data.windows import Batch
from jatlab.utils.checks import require

FILL = 0.9  # a batch ends where a shorter window would leave less than this share of it unpadded …
# … unless it holds less than this share of the timesteps wanted: tiny batches make noisy steps
ENOUGH = 0.5
MIN_FILL = 0.7  # … but never below this share


def cut_batches(
    lengths: np.ndarray, batch_timesteps: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Group n windows of these lengths into batches of at most ``batch_timesteps`` padded
    timesteps: a list of index arrays, in random order.

    Every window is in exactly one batch. Windows of similar length go together, ties at random. A
    window longer than ``batch_timesteps`` has a batch of its own. Raises ValueError for a window
    without timesteps.
    """
    if len(lengths) and lengths.min() < 1:
        raise ValueError(f"a window of {lengths.min()} timesteps: each has at least one")
    shuffled = rng.permutation(len(lengths))
    order = shuffled[np.argsort(-lengths[shuffled], kind="stable")]  # longest first
    ordered = lengths[order]
    batches, start = [], 0
    while start < len(order):
        count = _fitting(ordered[start:], batch_timesteps)
        batches.append(order[start : start + count])
        start += count
    return [batches[i] for i in rng.permutation(len(batches))]


def _fitting(lengths: np.ndarray, batch_timesteps: int) -> int:
    """How many of these windows, longest first, make one batch: as many as fit without too much
    padding, at least one.
    """
    lengths = lengths[: max(1, batch_timesteps // lengths[0])]
    filled = np.cumsum(lengths)
    share = filled / (lengths[0] * np.arange(1, len(lengths) + 1))  # falls from 1
    wanted = np.where(filled > ENOUGH * batch_timesteps, FILL, MIN_FILL)
    return int(np.argmin(np.append(share >= wanted, False)))


@dataclass
class BatchPlan:
    """A batch to be: the ``number``-th of the mixture, ``windows`` (B, 2) of ``source``.

    ``share`` is how large it is beside its task's average batch: a loss times its share lets every
    timestep count the same. ``state`` is the mixture's after it. ``transform`` (batch, rng) draws
    another view of the batch, the same one for the same number.
    """

    number: int
    source: object
    windows: np.ndarray
    share: float = 1.0
    state: dict | None = None
    transform: Callable | None = None

    @property
    def task(self) -> str:
        return self.source.name

    @property
    def timesteps(self) -> int:
        """Valid timesteps, padding left out."""
        return int(self.windows[:, 1].sum())

    @property
    def padded(self) -> int:
        """Timesteps with padding: what the model computes."""
        return int(self.windows[:, 1].max()) * len(self.windows)

    def load(self) -> Batch:
        """The arrays, under the model's argument names."""
        batch = self.source.batch(self.windows)
        return (
            batch
            if self.transform is None
            else self.transform(batch, np.random.default_rng(self.number))
        )

    def __str__(self) -> str:
        return f"batch {self.number} ({self.source.describe(self.windows)})"


class _Turns:
    """One task's batches, epoch after epoch, and when its next turn is."""

    def __init__(self, source, weight: float, batch_timesteps: int, seed: int):
        self.source, self.weight, self.batch_timesteps = source, weight, batch_timesteps
        self.key = [seed, crc32(source.name.encode())]
        self.restore(self.start())

    def start(self) -> list:
        return [0, 0, 0]

    def counters(self) -> list:
        """Where this task is (JSON), for `restore`."""
        return [self.drawn, self.epoch, self.position]

    def restore(self, counters: list) -> None:
        self.drawn, self.epoch, self.position = counters
        self.batches = None  # planned when they are needed: a stream has to be read for it
        self._plan_turn()

    def _plan_epoch(self) -> None:
        self.pool = self._epoch_source()
        rng = np.random.default_rng([*self.key, 0, self.epoch])
        windows = self.pool.windows(rng)
        self.batches = [windows[i] for i in cut_batches(windows[:, 1], self.batch_timesteps, rng)]
        self.average = windows[:, 1].sum() / len(self.batches)

    def _epoch_source(self):
        """Whose windows an epoch has."""
        return self.source

    def _plan_turn(self) -> None:
        """The k-th turn lies anywhere in the k-th of the intervals of length 1 / weight: even
        shares, no fixed order.
        """
        self.turn = (
            self.drawn + np.random.default_rng([*self.key, 1, self.drawn]).random()
        ) / self.weight

    def take(self) -> tuple[object, np.ndarray, float]:
        """The next batch: its source, windows and share (see `BatchPlan`)."""
        if self.batches is None:
            self._plan_epoch()
        source, windows = self.pool, self.batches[self.position]
        share = float(windows[:, 1].sum() / self.average)
        self.drawn, self.position = self.drawn + 1, self.position + 1
        if self.position == len(self.batches):
            self._end_epoch()
        self._plan_turn()
        return source, windows, share

    def _end_epoch(self) -> None:
        self.epoch, self.position, self.batches = self.epoch + 1, 0, None


class _StreamTurns(_Turns):
    """The same for a stream (`jatlab.data.published.streams.StreamSource`): what it holds in memory
    at a time, a chunk, takes the place of an epoch.

    ``place`` is where in the stream the chunk begins: its counters have it too.
    """

    def start(self) -> list:
        return [0, 0, 0, self.source.beginning]

    def counters(self) -> list:
        return [*super().counters(), self.place]

    def restore(self, counters: list) -> None:
        *counters, self.place = counters
        super().restore(counters)

    def _epoch_source(self):
        chunk, self.behind = self.source.read(self.place)
        return chunk

    def _end_epoch(self) -> None:
        super()._end_epoch()
        self.place, self.pool = self.behind, None


def _turns(source) -> type[_Turns]:
    return _StreamTurns if hasattr(source, "beginning") else _Turns


class Mixture:
    """An endless iterator of `BatchPlan`s over ``sources`` (see ``jatlab.data.windows``).

    ``batch_timesteps``: padded timesteps of a batch, at most. ``weights``: how often each task has
    its turn, by name; 1 where none is given. ``transform``: (batch, rng) -> batch, another view of
    each batch, such as `jatlab.data.symmetries.GridSymmetries`. Raises ValueError for no sources,
    two of one name, weights that are not positive or name no source, or a negative seed.
    """

    def __init__(
        self,
        sources: Iterable,
        batch_timesteps: int,
        weights: dict[str, float] | None = None,
        seed: int = 0,
        transform: Callable | None = None,
    ):
        sources, weights = list(sources), weights or {}
        self.sources = {source.name: source for source in sources}
        require(
            len(self.sources) == len(sources) > 0,
            f"a mixture needs sources of different names, got {[s.name for s in sources]}",
        )
        require(
            weights.keys() <= self.sources.keys(),
            f"weights for {sorted(weights.keys() - self.sources.keys())}, which are not in the mixture",
        )
        require(
            all(w > 0 for w in weights.values()),
            f"weights must be positive, got {weights}; leave a task out instead of weighing it 0",
        )
        require(
            batch_timesteps > 0 and seed >= 0,
            f"batch_timesteps ({batch_timesteps}) must be positive, seed ({seed}) 0 or more",
        )
        self.settings = {
            "seed": seed,
            "batch_timesteps": batch_timesteps,
            "weights": {name: weights.get(name, 1.0) for name in self.sources},
        }
        self.number, self.transform = 0, transform
        self.turns = {
            name: _turns(s)(s, weights.get(name, 1.0), batch_timesteps, seed)
            for name, s in self.sources.items()
        }

    def __iter__(self) -> Iterator[BatchPlan]:
        return self

    def __next__(self) -> BatchPlan:
        turns = min(self.turns.values(), key=lambda t: t.turn)
        source, windows, share = turns.take()
        self.number += 1
        return BatchPlan(self.number - 1, source, windows, share, self.state_dict(), self.transform)

    def state_dict(self) -> dict:
        """Where the sequence is (JSON): its number, each task's turns taken, epoch and position in
        it, and what it was made of.
        """
        counters = {name: t.counters() for name, t in self.turns.items()}
        return {
            "number": self.number,
            "counters": counters,
            "settings": self.settings,
            "sources": {n: s.fingerprint for n, s in self.sources.items()},
        }

    def load_state_dict(self, state: dict) -> None:
        """Go to where ``state`` was taken. Raises ValueError if it was taken of other data or
        settings: the sequence would not be the same.
        """
        mine = self.state_dict()
        for name in mine["sources"].keys() | state["sources"].keys():
            require(
                mine["sources"].get(name) == state["sources"].get(name),
                f"the episodes of {name} are not those that this state was saved "
                "with (recorded again, extended, added, removed or cut otherwise): put the old ones back, or start a new run",
            )
        for name, value in mine["settings"].items():
            require(
                value == state["settings"][name],
                f"{name} was {state['settings'][name]} when this state was saved and is {value} now: keep it, or start a new run",
            )
        self.number = state["number"]
        for name, turns in self.turns.items():
            turns.restore(state["counters"][name])


def prefetch(
    mixture: Iterator[BatchPlan],
    plans_per_step: int = 1,
    process: int = 0,
    processes: int = 1,
    depth: int = 2,
) -> Iterator[tuple[list[BatchPlan], list[Batch]]]:
    """For each optimizer step: all its plans, and the arrays of those that are this process's
    (``plans[process::processes]``).

    The arrays are prepared ahead, in a thread, while the model computes. Errors come out where the
    batch would.
    """

    def prepare():
        plans = list(islice(mixture, plans_per_step))
        return plans, [plan.load() for plan in plans[process::processes]]

    with ThreadPoolExecutor(1, "batches") as pool:
        ready = deque(pool.submit(prepare) for _ in range(depth))
        while True:
            step = ready.popleft().result()
            ready.append(pool.submit(prepare))
            yield step
