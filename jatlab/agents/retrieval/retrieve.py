"""Retrieve and play: do what was done in the demonstration's timestep that looks most like this."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from jatlab.agents.agent import Agent
from jatlab.agents.checks import (
    check_lengths,
    check_observation,
    checked_rewards,
    checked_starts,
)
from jatlab.data.retrieval.index import (
    DemonstrationIndex,
    Demonstrations,
    Encoder,
    encoder_digest,
)
from jatlab.data.retrieval.search import Neighbours
from jatlab.tasks import Task, get_task
from jatlab.tasks.task import Observation
from jatlab.utils.checks import require, shortened, whole_number


class Retriever:
    """Finds demonstrated timesteps for n environments in lockstep, and remembers what they follow.

    Where the timestep that follows the last one retrieved is as near as the nearest, that one comes
    first, so that a demonstration of its own is repeated to its end.

    Args:
        task: the task, or its name.
        demonstrations: episodes, a store of them, or the folder of the data.
        count: use so many demonstrations, the first; None: all.
        encoder: where the task observes frames, the agent whose encoder compares them, or its name
            or folder; None: jatlab-mini.

    Attributes:
        demonstrations: what tells these demonstrations, and the encoder that compares their frames,
            from others: their number and some hexadecimal digits.

    Raises:
        FileNotFoundError: if the folder has no episode of the task, or the encoder is not there.
        ValueError, OSError: as `jatlab.data.retrieval.index.DemonstrationIndex`.
    """

    def __init__(
        self,
        task: str | Task,
        demonstrations: Demonstrations,
        count: int | None = None,
        encoder: Agent | str | os.PathLike[str] | None = None,
    ):
        self.task = get_task(task) if isinstance(task, str) else task
        encode = frame_encoder(encoder) if self.task.observation == "image" else None
        self.index = DemonstrationIndex(self.task, demonstrations, count, encode)
        self.demonstrations = f"{self.index.episodes}-{self.index.store.fingerprint}"
        if encode is not None:
            self.demonstrations += f"-{encoder_digest(encode)}"
        self._before: list[int | None] | None = None

    def reset(self, n: int, task: str | Task | None) -> None:
        """Get ready for ``n`` environments.

        Raises:
            ValueError: for another task than that of the demonstrations, and unless ``n`` is a
                whole number of at least 1.
        """
        n = whole_number(n, "n", 1)
        name = self.task.name if task is None else getattr(task, "name", task)
        require(
            name == self.task.name,
            f"these demonstrations are of {self.task.name}, so {name} cannot be played from them: "
            f"give demonstrations of {name}",
        )
        self._before = [None] * n

    def ready(self) -> list[int | None]:
        """The row that each environment followed last. Raises ValueError before `reset`."""
        if self._before is None:
            raise ValueError("agent.act comes after agent.reset(n, task)")
        return self._before

    def retrieve(
        self, observations: Sequence[Observation], starts: np.ndarray, k: int = 1
    ) -> Neighbours:
        """The ``k`` nearest timesteps of each observation, the first one to be repeated."""
        before = [None if start else row for start, row in zip(starts, self.ready(), strict=True)]
        found = self.index.nearest(observations, k)
        firsts = self.index.going_on(observations, found, before)
        rows = [_first(row.tolist(), first) for row, first in zip(found.rows, firsts, strict=True)]
        self._before = list(firsts)
        return Neighbours(np.array(rows), found.distances)


def _first(rows: list[int], first: int) -> list[int]:
    """As many rows, ``first`` before the others."""
    return [first, *(row for row in rows if row != first)][: len(rows)]


class RetrieveAndPlay:
    """Acts without any training, with the calls of `Agent`, in lockstep too.

    Of each observation it finds the nearest demonstrated timestep and repeats its action, see
    `Retriever`, whose arguments it takes.

    Attributes:
        index: the demonstrations.
        demonstrations: what tells them from others, see `Retriever`.
        neighbours: of the last `act`, one for each environment.
    """

    def __init__(
        self,
        task: str | Task,
        demonstrations: Demonstrations,
        count: int | None = None,
        encoder: Agent | str | os.PathLike[str] | None = None,
    ):
        self.retriever = Retriever(task, demonstrations, count, encoder)
        self.task, self.index = self.retriever.task, self.retriever.index
        self.demonstrations = self.retriever.demonstrations
        self.info: dict[str, Any] = {"name": f"retrieve-and-play-{self.demonstrations}"}
        self.neighbours: Neighbours | None = None

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        """Get ready for ``n`` environments in lockstep.

        Raises:
            ValueError: for another task than that of the demonstrations, and unless ``n`` is a
                whole number of at least 1.
        """
        self.retriever.reset(n, task)
        self._fresh = True

    def act(
        self,
        observations: Sequence[Observation] | Observation,
        rewards: float | Sequence[float] | np.ndarray = 0.0,
        starts: bool | Sequence[bool] | np.ndarray | None = None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> Any:
        """The next action of each environment, as `Agent.act`; of one observation one action.

        Nothing is sampled: ``greedy``, ``temperature`` and ``seeds`` change nothing.

        Raises:
            ValueError: for a wrong number, kind, size or value.
        """
        if isinstance(observations, dict):
            one = None if starts is None else np.array([starts])
            got: Any = [rewards]
            return self.act([observations], got, one)[0]
        n = len(self.retriever.ready())
        begins = checked_starts([self._fresh] * n if starts is None else starts)
        check_lengths(n, observations, checked_rewards(rewards, begins), begins, seeds)
        for observation in observations:
            check_observation(observation, self.task)
        self._fresh = False
        self.neighbours = self.retriever.retrieve(observations, begins)
        return [self.index.action(row) for row in self.neighbours.rows[:, 0].tolist()]


def frame_encoder(agent: Agent | str | os.PathLike[str] | None = None) -> Encoder:
    """What turns frames (n, 4, 84, 84) into features (n, H): the encoder of an agent's model.

    Args:
        agent: whose, or its name or folder; None: jatlab-mini's.

    Raises:
        FileNotFoundError: if there is no such agent.
        ValueError: for what is no agent.
    """
    model = _named(agent).model

    @torch.inference_mode()
    def encode(frames: np.ndarray) -> np.ndarray:
        device = model.text_embedding.weight.device
        pixels = torch.tensor(frames, device=device).float() / 127.5 - 1  # stored ones: read-only
        return model.image_encoder(pixels[:, None])[:, 0].float().cpu().numpy()

    return encode


def _named(agent: Agent | str | os.PathLike[str] | None) -> Agent:
    """The agent itself, or the one of this name or folder; None: jatlab-mini."""
    if agent is None or isinstance(agent, str | os.PathLike):
        from jatlab.agents.checkpoints import load_agent

        return load_agent("jatlab-mini" if agent is None else agent)
    require(
        isinstance(agent, Agent),
        f"encoder is {shortened(agent)}: expected an agent, or its name or folder",
    )
    return agent
