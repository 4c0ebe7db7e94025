"""The value of context: what an agent would do if it remembered no more than the last k timesteps.

The same weights are asked again, with the same observations, but with the past cut off after k
timesteps; positions start from 0. Whatever changes in the answer is what the rest of the past was
worth to this decision.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jatlab.model.attention import visible_keys

LENGTHS = (1, 2, 4, 8, 16, 32)  # timesteps remembered, that of now included


class ContextProbe:
    """Keeps the embeddings of an episode's last timesteps, and answers from the last k of them.
    `agent` must know its task (`agent.reset`).

    Raises `ValueError` for a length that does not fit into the model's positions.
    """

    def __init__(self, agent, lengths: Sequence[int] = LENGTHS):
        most = agent.model.config.max_timesteps
        if not lengths or not 1 <= min(lengths) <= max(lengths) <= most:
            raise ValueError(
                f"lengths are {list(lengths)}: expected timesteps from 1 to {most}, the model's positions"
            )
        self.agent, self.lengths = agent, sorted(set(lengths))
        self.tokens: deque[Tensor] = deque(
            maxlen=2 * self.lengths[-1] - 1
        )  # o a o … o, each (H,), oldest first
        self.timesteps, self.packings = 0, {}

    @torch.inference_mode()
    def add(self, observation: dict, reward: float = 0.0, last_action=None) -> None:
        """A timestep has come: the observation, the reward that came with it, and the action before
        it (None at the start, where the past is forgotten).
        """
        agent, model = self.agent, self.agent.model
        if last_action is None:
            self.tokens.clear()
            self.timesteps, reward = 0, 0.0
        else:
            action = torch.as_tensor(last_action, device=agent.device)[
                None, None
            ]  # (1, 1) or (1, 1, m)
            self.tokens.append(model.embed_actions(f"{agent.task.action}_actions", action)[0, 0])
        name, values = agent.observe([observation])
        self.tokens.append(
            model.embed_observations(
                name, values[:, None], torch.full((1, 1), float(reward), device=agent.device)
            )[0, 0]
        )
        self.timesteps += 1

    @torch.inference_mode()
    def ask(self, temperature: float = 1.0) -> dict[int, np.ndarray]:
        """What the agent would do now with its last k timesteps, or all if there are fewer, for
        each k: probabilities (actions,), or the action (m,).
        """
        held = tuple(sorted({min(k, self.timesteps) for k in self.lengths}))
        places, index, masks, last = self._packing(held)
        hidden = self.agent.model.trunk(
            torch.stack(list(self.tokens))[None, places], masks, index[None]
        )[0][0, last]  # (lengths, H)
        answers = dict(zip(held, self._answers(hidden, temperature), strict=True))
        return {k: answers[min(k, self.timesteps)] for k in self.lengths}

    def _packing(self, held: tuple[int, ...]) -> tuple[Tensor, Tensor, dict[str, Tensor], Tensor]:
        """All lengths in one sequence of L tokens, none of which sees another's: where to take the
        tokens from (L,), their positions (L,), the masks (1, 1, L, L), and which are the last of
        each length.
        """
        if held not in self.packings:
            config, device = self.agent.model.config, self.agent.device
            # observations that never see actions can do without them
            step = 2 if config.hide_past_actions else 1
            parts = [torch.arange(0, 2 * k - 1, step, device=device) for k in held]
            index, sizes = (
                torch.cat(parts),
                torch.tensor([len(part) for part in parts], device=device),
            )
            of = torch.repeat_interleave(torch.arange(len(parts), device=device), sizes)  # (L,)
            together = of[:, None] == of[None]
            windows = {"global": None, "local": config.window_size}
            masks = {
                kind: (visible_keys(index, index, window) & together)[None, None]
                for kind, window in windows.items()
            }
            self.packings[held] = (
                torch.cat([part - (2 * k - 1) for part, k in zip(parts, held)]),
                index,
                masks,
                sizes.cumsum(0) - 1,
            )
        return self.packings[held]

    def _answers(self, hidden: Tensor, temperature: float) -> np.ndarray:
        """Hidden states (lengths, H) -> probabilities (lengths, actions) or actions (lengths, m)."""
        model, size = self.agent.model, self.agent.task.action_size
        if self.agent.task.action == "continuous":
            return model.continuous_decoder(hidden)[:, :size].float().cpu().numpy()
        logits = F.linear(hidden, model.token_decoder.weight[:size]).float()
        return (logits / temperature).softmax(-1).cpu().numpy()


def value_of_context(
    agent, episode: dict, lengths: Sequence[int] = LENGTHS
) -> dict[int, np.ndarray]:
    """What the agent would have done in each timestep of an episode (as `rollout` returns it) with
    only the last k timesteps remembered.

    {k: probabilities (T, actions), or actions (T, m)}; early in the episode, where there are no k
    timesteps, all of them are remembered. The agent must have been reset for the episode's task, as
    it is after `rollout`.
    """
    probe, answers = ContextProbe(agent, lengths), {k: [] for k in sorted(set(lengths))}
    task = agent.task
    observations, actions = (
        episode[f"{task.observation}_observations"],
        episode[f"{task.action}_actions"],
    )
    missions = episode.get("text_observations", [""] * len(actions))
    arrived = np.concatenate(
        [[0.0], episode["rewards"][:-1]]
    )  # an episode's rewards follow its actions
    for t in range(len(actions)):
        observation = {
            f"{task.observation}_observation": observations[t],
            "text_observation": missions[t],
        }
        probe.add(observation, arrived[t], None if t == 0 else actions[t - 1])
        for k, answer in probe.ask().items():
            answers[k].append(answer)
    return {k: np.stack(values) for k, values in answers.items()}


def share(answer: np.ndarray, action) -> float:
    """How much of the action that was taken is in an answer: its probability, or for real actions
    how far apart the two are (root mean square).
    """
    if np.ndim(action):
        return float(np.sqrt(np.mean((answer - action) ** 2)))
    return float(answer[int(action)])
