"""The time of a training run: how much of its budget is used, and how fast it is."""

from __future__ import annotations

import time

from jatlab.training.recipe import TrainConfig


class Clock:
    """Counts the seconds of a run, those before it was resumed included.

    Attributes:
        seconds: of training before this process started.
    """

    def __init__(self, config: TrainConfig):
        self.steps, self.minutes = config.steps, config.minutes
        self.seconds = 0.0
        self.start()

    def start(self) -> None:
        """Begin to count; what came before, such as opening the data, does not count."""
        self.started = time.monotonic()

    def elapsed(self) -> float:
        """Seconds of training."""
        return self.seconds + time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """How much of the budget is used, from 0 to 1: the learning rate follows it."""
        steps = step / self.steps if self.steps else 0
        minutes = self.elapsed() / (60 * self.minutes) if self.minutes else 0
        return max(steps, minutes)

    def was_done(self, step: int) -> bool:
        """Whether the budget was used up when the checkpoint was saved that the run goes on from.

        All processes say the same, whatever their clocks show now.
        """
        by_steps = self.steps is not None and step >= self.steps
        return by_steps or (self.minutes is not None and self.seconds >= 60 * self.minutes)

    @property
    def budget(self) -> tuple[float, str]:
        """What the progress bar counts to: steps, or seconds where only minutes are given."""
        return (self.steps, "steps") if self.steps else (60 * (self.minutes or 0), "s")

    def done(self, step: int) -> float:
        """How far the bar is, in the unit of `budget`."""
        return step if self.steps else self.elapsed()

    def mark(self, timesteps: int) -> None:
        """Begin to measure the speed; validation and saving are left out of it."""
        self.marked = (time.monotonic(), timesteps)

    def speed(self, timesteps: int) -> float:
        """Timesteps a second since `mark`."""
        return (timesteps - self.marked[1]) / (time.monotonic() - self.marked[0])
