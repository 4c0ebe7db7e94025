"""The value of context: what an agent would do if it remembered only the last k timesteps.

The same weights are asked again, with the same observations, but with the past cut off after k
timesteps; positions start from 0. Whatever changes in the answer shows what the rest of the past
was worth to this decision.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jatlab.agents.agent import Agent
from jatlab.agents.sampling import tempered
from jatlab.model.attention import visible_keys

LENGTHS = (1, 2, 4, 8, 16, 32)  # timesteps remembered, that of now included


class Packing(NamedTuple):
    """Several lengths of the past in one sequence of L tokens, none of which sees another's."""

    places: Tensor  # (L,), where in the past each token is; -1 for the newest
    positions: Tensor  # (L,), of each token
    masks: dict[str, Tensor]  # kind of layer -> (1, 1, L, L)
    last: Tensor  # (lengths,), the last token of each length


class ContextProbe:
    """Keeps the embeddings of an episode's last timesteps, and answers from the last k of them.

    Args:
        agent: Whose model is asked. It must know its task (`agent.reset`).
        lengths: The numbers of timesteps k to answer from.

    Raises:
        ValueError: A length does not fit into the model's positions.
    """

    def __init__(self, agent: Agent, lengths: Sequence[int] = LENGTHS) -> None:
        most = agent.model.config.max_timesteps
        if not lengths or not 1 <= min(lengths) <= max(lengths) <= most:
            raise ValueError(
                f"lengths are {list(lengths)}: expected timesteps from 1 to {most}, "
                "the model's positions"
            )
        self.agent, self.lengths = agent, sorted(set(lengths))
        # o a o … o, each (H,), oldest first
        self.tokens: deque[Tensor] = deque(maxlen=2 * self.lengths[-1] - 1)
        self.timesteps = 0
        self._packings: dict[tuple[int, ...], Packing] = {}

    @torch.inference_mode()
    def add(
        self,
        observation: Mapping[str, Any],
        reward: float = 0.0,
        last_action: int | np.ndarray | None = None,
    ) -> None:
        """Take in a timestep.

        Args:
            observation: What was observed.
            reward: What came with it.
            last_action: The action before it. None at the start of an episode, where the past is
                forgotten.
        """
        agent, model = self.agent, self.agent.model
        if last_action is None:
            self.tokens.clear()
            self.timesteps, reward = 0, 0.0
        else:  # (1, 1), or (1, 1, m) for a continuous action
            action = torch.as_tensor(last_action, device=agent.device)[None, None]
            self.tokens.append(model.embed_actions(f"{agent.task.action}_actions", action)[0, 0])
        name, values = agent.observe([dict(observation)])
        rewards = torch.full((1, 1), float(reward), device=agent.device)
        self.tokens.append(model.embed_observations(name, values[:, None], rewards)[0, 0])
        self.timesteps += 1

    @torch.inference_mode()
    def ask(self, temperature: float = 1.0) -> dict[int, np.ndarray]:
        """What the agent would do now with its last k timesteps, or all if there are fewer.

        Returns:
            For each k the probabilities (actions,) at this temperature, or the action (m,).
        """
        held = tuple(sorted({min(k, self.timesteps) for k in self.lengths}))
        packing = self._packing(held)
        tokens = torch.stack(list(self.tokens))[None, packing.places]  # (1, L, H)
        hidden = self.agent.model.trunk(tokens, packing.masks, packing.positions[None])[0]
        found = self._answers(hidden[0, packing.last], temperature)
        answers = dict(zip(held, found, strict=True))
        return {k: answers[min(k, self.timesteps)] for k in self.lengths}

    def _packing(self, held: tuple[int, ...]) -> Packing:
        if held not in self._packings:
            self._packings[held] = self._pack(held)
        return self._packings[held]

    def _pack(self, held: tuple[int, ...]) -> Packing:
        config, device = self.agent.model.config, self.agent.device
        step = 2 if config.hide_past_actions else 1  # without actions that nobody sees
        parts = [torch.arange(0, 2 * k - 1, step, device=device) for k in held]
        places = [part - (2 * k - 1) for part, k in zip(parts, held, strict=True)]
        sizes = torch.tensor([len(part) for part in parts], device=device)
        positions, part_of = torch.cat(parts), torch.repeat_interleave(sizes)  # (L,) each
        together = part_of[:, None] == part_of[None]
        masks = {
            kind: (visible_keys(positions, positions, window) & together)[None, None]
            for kind, window in (("global", None), ("local", config.window_size))
        }
        return Packing(torch.cat(places), positions, masks, sizes.cumsum(0) - 1)

    def _answers(self, hidden: Tensor, temperature: float) -> np.ndarray:
        """Hidden states (lengths, H) -> probabilities (lengths, A) or actions (lengths, m)."""
        model, size = self.agent.model, self.agent.task.action_size
        if self.agent.task.action == "continuous":
            return model.continuous_decoder(hidden)[:, :size].float().cpu().numpy()
        logits = F.linear(hidden, model.token_decoder.weight[:size]).float()
        return tempered(logits, temperature).cpu().numpy()


def value_of_context(
    agent: Agent, episode: Mapping[str, Any], lengths: Sequence[int] = LENGTHS
) -> dict[int, np.ndarray]:
    """What the agent would have done in each timestep with only the last k timesteps remembered.

    Early in the episode, where there are no k timesteps, all of them are remembered.

    Args:
        agent: Who is asked. It must have been reset for the episode's task, as it is after
            `rollout`.
        episode: As `rollout` returns it.
        lengths: The numbers of timesteps k.

    Returns:
        For each k the probabilities (T, actions) at the agent's temperature, or the actions (T, m).

    Raises:
        ValueError: A length does not fit into the model's positions.
    """
    probe, task = ContextProbe(agent, lengths), agent.task
    key, actions = f"{task.observation}_observation", episode[f"{task.action}_actions"]
    observations = episode[f"{key}s"]
    missions = episode.get("text_observations", [""] * len(actions))
    # an episode's rewards follow its actions; the probe takes those that came on arriving
    arrived = np.concatenate([[0.0], episode["rewards"][:-1]])
    answers: dict[int, list[np.ndarray]] = {k: [] for k in probe.lengths}
    for t in range(len(actions)):
        observation = {key: observations[t], "text_observation": missions[t]}
        probe.add(observation, arrived[t], None if t == 0 else actions[t - 1])
        for k, answer in probe.ask(agent.temperature).items():
            answers[k].append(answer)
    return {k: np.stack(values) for k, values in answers.items()}


def share(answer: np.ndarray, action: int | np.ndarray) -> float:
    """How much of the action that was taken is in an answer.

    A discrete action's probability; for a continuous action, how far apart the two are (root mean
    square).
    """
    if np.ndim(action):
        return float(np.sqrt(np.mean((answer - action) ** 2)))
    return float(answer[int(action)])
