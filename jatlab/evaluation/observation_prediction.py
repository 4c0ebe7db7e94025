"""How well an agent predicts the next observation, on demonstrations that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jatlab.agents.agent import Agent
from jatlab.data.recording.record import record
from jatlab.data.windows import open_source, to_tensors
from jatlab.model.config import GRID_INTEGERS
from jatlab.tasks import get_task

# Our recipes record seeds below 50,000 and relabel those up to 89,999, so no agent of theirs is
# trained on these. The noise also shows states off the teacher's path.
HELD_OUT_SEED, HELD_OUT_EPISODES, NOISE = 90_000, 40, 0.3


def held_out(task: str, data: str | Path) -> Path:
    """The folder below `data` with held-out demonstrations of `task`; recorded if missing."""
    folder = Path(data) / "held-out"
    record([task], folder, HELD_OUT_EPISODES, 1, seed=HELD_OUT_SEED, noise=NOISE, progress=False)
    return folder


def measure_prediction_error(agent: Agent, task: str, data: str | Path) -> dict[str, float]:
    """The errors of an agent on held-out demonstrations of `task`, recorded below `data`.

    Returns:
        `action_error`, the unweighted loss of the actions (nats, or mean squared error); `error`
        of the next observation, and that of the guess that `nothing_changes`, both as
        `prediction_error` defines them.
    """
    folder = held_out(task, data)
    window = agent.window(get_task(task))  # as much as it remembers in play
    config, tokenizer = agent.model.config, agent.tokenizer
    source = open_source(task, folder, config, tokenizer, window, loss_weight=1.0)
    batch = to_tensors(source.batch(source.windows(np.random.default_rng(0))), agent.device)
    with torch.no_grad():
        output = agent.model(**batch)
    return {
        "action_error": float(output.action_loss),
        "error": prediction_error(output.pred_observations, batch),
        "nothing_changes": prediction_error(batch[_observations(batch)], batch),
    }


def prediction_error(predicted: Tensor, batch: dict[str, Tensor]) -> float:
    """The error of predicted observations, over the timesteps that have a successor.

    Args:
        predicted: (B, T, …), at timestep t the prediction of t + 1, as the model gives it.
        batch: the batch that was predicted, with `attention_mask` (B, T).

    Returns:
        For grids (integers, or logits of them): the share of integers that are wrong among those
        that change. For vectors: the root mean squared error, in the task's units.
    """
    has_next = batch["attention_mask"][:, 1:].bool()
    name = _observations(batch)
    now, then = batch[name][:, :-1][has_next], batch[name][:, 1:][has_next]
    guess = predicted[:, :-1][has_next]
    if name == "continuous_observations":
        return float((guess[:, : then.shape[-1]] - then).square().mean().sqrt())
    guess = (guess.argmax(-1) if guess.ndim == 3 else guess)[:, :GRID_INTEGERS]
    changed = (now != then)[:, :GRID_INTEGERS]
    return float((guess != then[:, :GRID_INTEGERS])[changed].float().mean())


def _observations(batch: dict[str, Tensor]) -> str:
    grid = "discrete_observations" in batch
    return "discrete_observations" if grid else "continuous_observations"
