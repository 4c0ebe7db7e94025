"""Which task's batch comes next: an endless, reproducible sequence of batches from many tasks.

Each task is repeated in epochs. In an epoch, every window of the task comes exactly once, in a new
order, in batches of windows of similar length. The sampling weights decide when a task's next
batch is due: a task of weight 2 gives two batches where one of weight 1 gives one, at times that
vary a little at random.

All of it depends only on the seed and on counters. So the state to save is a handful of integers
(for a streamed task, also the place at which the part in memory begins), and the sequence goes on
unchanged after resuming. Several processes can each take every W-th batch of the one sequence
without communicating.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypedDict

import numpy as np

from jatlab.data.schedule import Counters, cut_batches, make_schedule
from jatlab.data.sources import Batch, Source, Stream
from jatlab.utils.checks import require

__all__ = ["BatchPlan", "Mixture", "MixtureState", "cut_batches", "prefetch"]

Transform = Callable[[Batch, np.random.Generator], Batch]


class MixtureState(TypedDict):
    """Where the sequence of a mixture is, and what the mixture was made of (JSON)."""

    number: int
    counters: dict[str, Counters]
    settings: dict[str, Any]
    sources: dict[str, str]


@dataclass
class BatchPlan:
    """A batch that has been planned, but not loaded.

    Attributes:
        number: its place in the mixture's sequence.
        source: the source of its windows.
        windows: (B, 2) of the source's windows.
        share: its size beside that of the task's average batch. With losses weighted by it, every
            timestep counts the same.
        state: the mixture's state behind this batch.
        transform: draws another view of the batch, the same one for the same number.
    """

    number: int
    source: Source
    windows: np.ndarray
    share: float = 1.0
    state: MixtureState | None = None
    transform: Transform | None = None

    @property
    def task(self) -> str:
        """The name of the source."""
        return self.source.name

    @property
    def timesteps(self) -> int:
        """Timesteps without padding."""
        return int(self.windows[:, 1].sum())

    @property
    def padded(self) -> int:
        """Timesteps with padding: what the model computes."""
        return int(self.windows[:, 1].max()) * len(self.windows)

    def load(self) -> Batch:
        """The arrays, under the model's argument names."""
        batch = self.source.batch(self.windows)
        if self.transform is None:
            return batch
        return self.transform(batch, np.random.default_rng(self.number))

    def __str__(self) -> str:
        return f"batch {self.number} ({self.source.describe(self.windows)})"


class Mixture:
    """An endless iterator of `BatchPlan` over the batches of many tasks.

    Args:
        sources: the tasks' sources and streams, see `jatlab.data.sources`.
        batch_timesteps: timesteps of a batch, padding included, at most.
        weights: how often each task's batches come, by name; 1 where none is given.
        seed: of the orders and of the times.
        transform: draws another view of each batch, such as
            `jatlab.data.symmetries.GridSymmetries`.

    Raises:
        ValueError: for no sources, two of one name, weights that are not positive or that name no
            source, or a negative seed.
    """

    def __init__(
        self,
        sources: Iterable[Source | Stream],
        batch_timesteps: int,
        weights: dict[str, float] | None = None,
        seed: int = 0,
        transform: Transform | None = None,
    ):
        sources, weights = list(sources), weights or {}
        self.sources = {source.name: source for source in sources}
        self._check_names([source.name for source in sources], weights)
        require(batch_timesteps > 0, f"batch_timesteps must be positive, got {batch_timesteps}")
        require(seed >= 0, f"seed must be 0 or more, got {seed}")
        weights = {name: weights.get(name, 1.0) for name in self.sources}
        self.settings: dict[str, Any] = {
            "seed": seed,
            "batch_timesteps": batch_timesteps,
            "weights": weights,
        }
        self.number, self.transform = 0, transform
        self.schedules = {
            name: make_schedule(source, weights[name], batch_timesteps, seed)
            for name, source in self.sources.items()
        }

    def _check_names(self, names: list[str], weights: dict[str, float]) -> None:
        require(
            len(self.sources) == len(names) > 0,
            f"a mixture needs sources of different names, got {names}",
        )
        unknown = sorted(weights.keys() - self.sources.keys())
        require(not unknown, f"weights for {unknown}, which are not in the mixture")
        require(
            all(weight > 0 for weight in weights.values()),
            f"weights must be positive, got {weights}; leave a task out instead of weighing it 0",
        )

    def __iter__(self) -> Iterator[BatchPlan]:
        return self

    def __next__(self) -> BatchPlan:
        schedule = min(self.schedules.values(), key=lambda schedule: schedule.due)
        source, windows, share = schedule.take()
        self.number += 1
        return BatchPlan(self.number - 1, source, windows, share, self.state_dict(), self.transform)

    def state_dict(self) -> MixtureState:
        """Where the sequence is: its number, and each task's batches taken, epoch and position."""
        return {
            "number": self.number,
            "counters": {name: each.counters() for name, each in self.schedules.items()},
            "settings": self.settings,
            "sources": {name: source.fingerprint for name, source in self.sources.items()},
        }

    def load_state_dict(self, state: MixtureState) -> None:
        """Go to where ``state`` was taken.

        Raises ValueError if it was taken with other data or settings: the sequence would not be the
        same.
        """
        mine = self.state_dict()
        for name in mine["sources"].keys() | state["sources"].keys():
            require(
                mine["sources"].get(name) == state["sources"].get(name),
                f"the episodes of {name} are not those that this state was saved with (recorded "
                "again, extended, added, removed or cut otherwise): put the old ones back, or "
                "start a new run",
            )
        for name, value in mine["settings"].items():
            saved = state["settings"][name]
            require(
                value == saved,
                f"{name} was {saved} when this state was saved and is {value} now: "
                "keep it, or start a new run",
            )
        self.number = state["number"]
        for name, schedule in self.schedules.items():
            schedule.restore(state["counters"][name])


def prefetch(
    mixture: Iterator[BatchPlan],
    plans_per_step: int = 1,
    process: int = 0,
    processes: int = 1,
    depth: int = 2,
) -> Iterator[tuple[list[BatchPlan], list[Batch]]]:
    """Plan and load the batches of each step ahead, in a thread, while the model computes.

    Args:
        mixture: the sequence of plans.
        plans_per_step: batches of a step, all processes together.
        process: the number of this process, which loads ``plans[process::processes]``.
        processes: how many processes share the sequence.
        depth: steps that are prepared ahead.

    Yields:
        All plans of a step, and the arrays of this process's. An error in planning or loading is
        raised where the batch would come.
    """

    def prepare() -> tuple[list[BatchPlan], list[Batch]]:
        plans = list(islice(mixture, plans_per_step))
        return plans, [plan.load() for plan in plans[process::processes]]

    with ThreadPoolExecutor(1, "batches") as pool:
        ready = deque(pool.submit(prepare) for _ in range(depth))
        while True:
            step = ready.popleft().result()
            ready.append(pool.submit(prepare))
            yield step
