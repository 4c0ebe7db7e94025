"""What every search of controllers offers."""

from __future__ import annotations

from typing import Protocol

import numpy as np

SEARCH_SEED = 4_000_000  # of searches; recording, evaluation and measuring use other seeds


class Search(Protocol):
    """A search for a controller: rounds, and a state to go on from."""

    rounds: int  # done so far

    def round(self) -> dict[str, float]:
        """Do one round: ``return``, the mean return of its episodes, and ``steps`` played."""

    def tensors(self) -> dict[str, np.ndarray]:
        """The policy found so far, for ``jatlab.teachers.policy.Policy``."""

    def state(self) -> dict[str, np.ndarray]:
        """All that the next round depends on."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a :meth:`state`."""
