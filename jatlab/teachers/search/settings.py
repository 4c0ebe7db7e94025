"""The numbers of the look-ahead search, and the search in words. Imports no environment."""

from __future__ import annotations

from dataclasses import dataclass

from jatlab.utils.checks import require

FRAMES_PER_EPISODE = 18_000  # five minutes of play; published scores are of up to 108,000 frames
FRAMES_PER_DECISION = 4  # as in ``jatlab.tasks.atari``, which imports the emulator


@dataclass(frozen=True)
class SearchSettings:
    """The numbers of the look-ahead search; a step is a simulated decision of four frames.

    Attributes:
        budget: Steps that a decision may simulate.
        alarm: The same if the plan loses a life or points; at most 500.
        horizon: Decisions that a plan looks ahead.
        discount: Of rewards, a decision.
        life_cost: What a lost life costs, in units of the largest reward seen.
        patience: Decisions without a reward in sight until novelty counts.
        smoothing: Share of the budget for removing needless changes of action.
    """

    budget: int = 64
    alarm: int = 240
    horizon: int = 50
    discount: float = 0.99
    life_cost: float = 10.0
    patience: int = 60
    smoothing: float = 0.25

    def __post_init__(self) -> None:
        require(
            1 <= self.budget <= self.alarm <= 500,
            "budget and alarm are from 1 to 500 simulated steps a decision, alarm not below "
            f"budget; got {self.budget} and {self.alarm}",
        )
        require(self.horizon >= 1, f"horizon is at least 1 step, got {self.horizon}")
        require(0 < self.discount <= 1, f"discount is above 0 and at most 1, got {self.discount}")


STANDARD = SearchSettings()  # those of the teacher of every game


def describe_search(settings: SearchSettings = STANDARD) -> str:
    """The teacher in words that change when its settings do."""
    return (
        f"look-ahead search, {settings.budget} simulated steps a decision "
        f"({settings.alarm} if a life or points are at stake), horizon {settings.horizon}, "
        f"discount {settings.discount:g}, a life {settings.life_cost:g}, "
        f"at most {FRAMES_PER_EPISODE:,} frames an episode (version 1)"
    )
