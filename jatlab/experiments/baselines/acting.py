"""Acting with the methods of `jatlab.Agent`, for models that are not JAT's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import Task, get_task
from jatlab.tasks.task import Observation
from jatlab.utils.checks import check_temperature


class BaselineAgent(ABC):
    """An agent of one task. A subclass says what it remembers, forgets and answers.

    Args:
        model: the network.
        task: that it was trained on.
        tokenizer: of missions and texts.
        info: what is known about its training.
    """

    device = torch.device("cpu")

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        tokenizer: TextTokenizer,
        info: dict[str, Any] | None = None,
    ):
        self.model, self.task, self.tokenizer = model.eval(), task, tokenizer
        self.info = info or {}

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        """Forget everything, and prepare for ``n`` environments in lockstep.

        Raises ValueError for another task than the one that the agent was trained on.
        """
        if (get_task(task) if isinstance(task, str) else task) != self.task:
            raise ValueError(f"this agent was trained on {self.task.name} and cannot play {task}")
        self.generators = [np.random.default_rng(row) for row in range(n)]
        self.started = False
        self._prepare(n)

    @torch.inference_mode()
    def act(
        self,
        observations: Sequence[Observation] | Observation,
        rewards: Sequence[float] | np.ndarray | float = 0.0,
        starts: Sequence[bool] | np.ndarray | bool | None = None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> Any:
        """The next action of each environment; see `jatlab.Agent.act`.

        Args:
            observations: n observations, or one.
            rewards: not used.
            starts: (n,), where an episode begins; None: at the first call after `reset`.
            greedy: take the likeliest choice; else it is drawn.
            temperature: of the drawing, 0 for the likeliest choice; None: 1.
            seeds: (n,), from which to draw where an episode begins.
        """
        if isinstance(observations, dict):
            first = None if starts is None else [bool(starts)]
            return self.act([observations], 0.0, first, greedy, temperature, seeds)[0]
        begins = np.full(len(observations), not self.started) if starts is None else starts
        self._begin(np.asarray(begins, bool), seeds)
        warmth = 1.0 if temperature is None else check_temperature(temperature)
        self.started = True
        return self._answer(observations, 0.0 if greedy else warmth)

    def _begin(self, starts: np.ndarray, seeds: Sequence[int | None] | None) -> None:
        self._forget(starts)
        for row in np.flatnonzero(starts).tolist():
            if seeds is not None and seeds[row] is not None:
                self.generators[row] = np.random.default_rng(seeds[row])

    @abstractmethod
    def _prepare(self, n: int) -> None:
        """Make an empty memory for ``n`` environments."""

    @abstractmethod
    def _forget(self, starts: np.ndarray) -> None:
        """Empty the memory of the environments (n,) where an episode begins."""

    @abstractmethod
    def _answer(self, observations: Sequence[Observation], temperature: float) -> list[Any]:
        """The n actions, and remember what was seen."""
