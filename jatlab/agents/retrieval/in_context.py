"""The in-context agent: it acts in a task that it never saw, from demonstrations in its context.

It is REGENT (Sridhar and others, arXiv 2412.04759) with this package's model. Before each decision
it retrieves the demonstrated timesteps most like the present one, puts them before it in the
context, the nearest first, and mixes the action that it predicts with that of the nearest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jatlab.agents.agent import Agent
from jatlab.agents.checks import check_in_context
from jatlab.agents.retrieval.retrieve import Retriever
from jatlab.data.retrieval.context import retrieved_weight
from jatlab.data.retrieval.index import DemonstrationIndex, Demonstrations
from jatlab.data.retrieval.search import Neighbours
from jatlab.model.memory import Recall
from jatlab.model.transformer import sequence_masks
from jatlab.tasks import Task
from jatlab.tasks.task import Observation
from jatlab.utils.checks import require


class InContextAgent(Agent):
    """An agent with demonstrations of one task, which it plays with the calls of `Agent`.

    It remembers nothing of the episode but which timestep it retrieved last.

    Args:
        agent: trained with `jatlab train --in-context`; its settings say how many timesteps are
            retrieved.
        task: the task, or its name.
        demonstrations: episodes, a store of them, or the folder of the data.
        count: use so many demonstrations, the first; None: all.
        encoder: the agent whose encoder compares frames, or its name or folder; None: the one of
            the training, which the settings name.

    Attributes:
        demonstrations: what tells the demonstrations from others, see `Retriever`.
        neighbours: what was retrieved for the last `act`, n rows of them, the nearest first.

    Raises:
        FileNotFoundError: if the folder has no episode of the task, or the encoder is not there.
        ValueError: for an agent that was not trained for it, one whose settings retrieve more
            than fits into its positions, and as `DemonstrationIndex`.
    """

    def __init__(
        self,
        agent: Agent,
        task: str | Task,
        demonstrations: Demonstrations,
        count: int | None = None,
        encoder: Agent | str | os.PathLike[str] | None = None,
    ):
        name = agent.info.get("name", "this agent")
        require(
            agent.settings.retrieved,
            f"{name} is no in-context agent and does not play from demonstrations: train one with "
            "`jatlab train --in-context`, or play `jatlab play retrieve TASK --demonstrations "
            "FOLDER`",
        )
        check_in_context(agent.settings, agent.model.config, name)
        encoder = agent.settings.frame_encoder if encoder is None else encoder
        self.retriever = Retriever(task, demonstrations, count, encoder)
        self.demonstrations = self.retriever.demonstrations
        info = agent.info | {"name": f"{name}-{self.demonstrations}"}
        super().__init__(agent.model, agent.tokenizer, info, agent.settings)
        self.neighbours: Neighbours | None = None

    @property
    def index(self) -> DemonstrationIndex:
        """The demonstrations."""
        return self.retriever.index

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        """Get ready for ``n`` environments in lockstep.

        Raises:
            ValueError: for another task than that of the demonstrations, and unless ``n`` is a
                whole number of at least 1.
        """
        self.retriever.reset(n, task)
        super().reset(n, self.retriever.task)
        # the tokens o a of each stored timestep, once they have been retrieved
        size = self.model.config.hidden_size
        self._tokens = self.model.text_embedding.weight.new_zeros(len(self.index), 2, size)
        self._embedded = np.zeros(len(self.index), bool)

    def _check_memory(self) -> None:
        """It has its demonstrations."""

    # --- sense

    @torch.inference_mode()
    def _recall(
        self, observations: Sequence[Observation], rewards: np.ndarray, starts: np.ndarray
    ) -> Recall:
        require(
            not self.record_attention,
            "an in-context agent attends to what it retrieved, not to its episode: record no "
            "attention, and look at agent.neighbours",
        )
        k = min(self.settings.retrieved, len(self.index))
        near = self.neighbours = self.retriever.retrieve(observations, starts, k)
        tokens = self._context(near.rows, observations, rewards)
        length = tokens.shape[1]
        masks = sequence_masks(self.model.config, length, device=self.device)
        positions = torch.arange(length, device=self.device)
        hidden, _, _ = self.model.trunk(tokens, masks, positions)
        places = positions.expand(len(tokens), -1)
        return Recall(hidden[:, -1], hidden[:, -2], (), places)

    def _context(
        self, rows: np.ndarray, observations: Sequence[Observation], rewards: np.ndarray
    ) -> Tensor:
        """The tokens o a o a … o, (n, L, H): the retrieved timesteps, then the observation."""
        missing = np.unique(rows[~self._embedded[rows]])
        if len(missing):
            self._tokens[torch.from_numpy(missing)] = self._embed(missing)
            self._embedded[missing] = True
        past = self._tokens[torch.from_numpy(rows)].flatten(1, 2)  # (n, 2 k, H)
        return torch.cat([past, self._observed(observations, rewards)], dim=1)

    def _embed(self, rows: np.ndarray) -> Tensor:
        """The tokens o a of stored timesteps, (rows, 2, H)."""
        rewards = self.index.store.columns["rewards"][rows]
        observed = self._observed(self.index.observations(rows), rewards)
        done = self._retrieved(rows)[:, None]
        acted = self.model.embed_actions(f"{self.task.action}_actions", done)
        return torch.cat([observed, acted], dim=1)

    def _observed(self, observations: Sequence[Observation], rewards: np.ndarray) -> Tensor:
        """The tokens of observations and what came with them, (n, 1, H)."""
        name, values = self.observe(observations)
        received = self._tensor(rewards[:, None])
        return self.model.embed_observations(name, values[:, None], received)

    def _retrieved(self, rows: np.ndarray) -> Tensor:
        """The demonstrated actions of these rows (…): (…, m), or whole numbers (…)."""
        actions = self.index.store.columns[f"{self.task.action}_actions"][rows]
        return self._tensor(actions) if actions.dtype.kind == "f" else self._tensor(actions).long()

    def _tensor(self, values: np.ndarray) -> Tensor:
        kind = np.float32 if values.dtype.kind == "f" else np.int64
        return torch.from_numpy(np.ascontiguousarray(values, kind)).to(self.device)

    # --- choose

    def _predict(self, hidden: Tensor, temperature: float) -> Tensor:
        """The network's prediction, mixed with the nearest demonstrated action by its distance."""
        assert self.neighbours is not None
        predicted = super()._predict(hidden, temperature)
        distances, scale = self.neighbours.distances[:, 0], self.index.scale
        weight = self._tensor(retrieved_weight(distances, scale, self.settings.sharpness))[:, None]
        nearest = self._retrieved(self.neighbours.rows[:, 0])
        if self.task.action == "discrete":
            apart = self._tensor(np.minimum(distances / scale, 1.0))[:, None]
            nearest = softened(nearest, predicted.shape[-1], apart)
        return (weight * nearest + (1 - weight) * predicted).to(predicted.dtype)

    def _expected(self, hidden: Tensor) -> None:
        """It expects no observation: the next token may be another demonstration's."""


def softened(choices: Tensor, size: int, distance: Tensor) -> Tensor:
    """Probabilities (n, size) that stand for retrieved choices (n,), as REGENT softens them.

    Each other choice has d / size, and the retrieved one the rest: 1 at distance 0, and as much as
    the others at 1.

    Args:
        choices: that were retrieved.
        size: how many choices there are.
        distance: d (n, 1), in the task's unit, at most 1.
    """
    return (1 - distance) * F.one_hot(choices, size) + distance / size
