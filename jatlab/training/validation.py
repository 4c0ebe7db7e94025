"""The loss on held-out episodes, shared among the processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jatlab.data.mixture import BatchPlan
from jatlab.training.log import mean_over_processes

if TYPE_CHECKING:
    from accelerate import Accelerator


def mean_losses(
    plans: Sequence[BatchPlan], loss: Callable[[BatchPlan], float], accelerator: Accelerator
) -> dict[str, float]:
    """The mean loss of each task over its timesteps.

    Args:
        plans: the batches; each process computes its share.
        loss: of a batch, the mean over its timesteps.
        accelerator: which adds up over processes.
    """
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for plan, counts in _share(plans, accelerator.process_index, accelerator.num_processes):
        value = loss(plan)
        if counts:
            sums[plan.task][0] += value * plan.timesteps
            sums[plan.task][1] += plan.timesteps
    return mean_over_processes(sums, accelerator)


def _share(
    plans: Sequence[BatchPlan], process: int, processes: int
) -> list[tuple[BatchPlan, bool]]:
    """One process's batches, and whether each counts.

    All processes get equally many, because a sharded model is gathered by all of them together.
    Where the batches do not divide evenly, the last one is repeated, and does not count.
    """
    rounds = -(-len(plans) // processes)
    numbers = range(process, process + rounds * processes, processes)
    return [(plans[min(number, len(plans) - 1)], number < len(plans)) for number in numbers]
