"""What the search improves: a sequence of actions with the states that they lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ale_py import ALEState


@dataclass
class ActionPlan:
    """The actions of T steps and where they lead.

    Attributes:
        states: T + 1 states of the emulator; the plan begins at the first.
        actions: T numbers of the game's minimal action set.
        rewards: T rewards.
        memories: T memories of the console after the step, uint8 (128,).
        lost: Whether the last step loses a life.
        over: Whether nothing can follow: a life was lost, or the game is over.
    """

    states: list[ALEState]
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    memories: list[np.ndarray] = field(default_factory=list)
    lost: bool = False
    over: bool = False

    def __len__(self) -> int:
        return len(self.actions)

    def head(self, steps: int) -> ActionPlan:
        """The first ``steps`` steps, a copy; they go on if anything of the plan was cut off."""
        cut = steps < len(self)
        return ActionPlan(
            self.states[: steps + 1],
            self.actions[:steps],
            self.rewards[:steps],
            self.memories[:steps],
            self.lost and not cut,
            self.over and not cut,
        )

    def rest(self, steps: int = 1) -> ActionPlan:
        """What is left after the first ``steps`` steps."""
        return ActionPlan(
            self.states[steps:],
            self.actions[steps:],
            self.rewards[steps:],
            self.memories[steps:],
            self.lost,
            self.over,
        )

    def followed_by(self, rest: ActionPlan) -> ActionPlan:
        """This plan and another that begins where it ends."""
        return ActionPlan(
            self.states + rest.states[1:],
            self.actions + rest.actions,
            self.rewards + rest.rewards,
            self.memories + rest.memories,
            rest.lost,
            rest.over,
        )

    def loss(self) -> int | None:
        """The first step that loses points or a life; None if there is none."""
        points = next((t for t, reward in enumerate(self.rewards) if reward < 0), None)
        return len(self) - 1 if points is None and self.lost else points

    def changes(self, previous: int) -> int:
        """How often the action changes, from ``previous`` on."""
        return sum(a != b for a, b in pairwise([previous, *self.actions]))

    def end_of_run(self, start: int) -> int:
        """The first step after ``start`` with another action; T if there is none."""
        others = (t for t in range(start, len(self)) if self.actions[t] != self.actions[start])
        return next(others, len(self))
