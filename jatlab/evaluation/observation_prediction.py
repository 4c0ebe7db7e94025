"""How well an agent foresees: its prediction of the next observation, measured on demonstrations
that it was not trained on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jatlab.model.config import GRID_INTEGERS

HELD_OUT_SEED, HELD_OUT_EPISODES, NOISE = 50_000, 40, 0.3


def held_out(task: str, data: str | Path) -> Path:
    """Record demonstrations of `task` from seeds that nobody trains on, unless they are there;
    their folder, below `data`.
    """
    from jatlab.data.recording.record import record

    folder = Path(data) / "held-out"
    record([task], folder, HELD_OUT_EPISODES, 1, seed=HELD_OUT_SEED, noise=NOISE, progress=False)
    return folder


def measure_prediction_error(agent, task: str, data: str | Path) -> dict[str, float]:
    """On held-out demonstrations of `task`: `action_error`, the unweighted loss of the actions
    (nats, or mean squared error); `error` of the next observation, and that of the guess that
    `nothing_changes`, both as `prediction_error` has them.
    """
    import torch

    from jatlab.data.windows import open_source, to_tensors

    source = open_source(
        task, held_out(task, data), agent.model.config, agent.tokenizer, loss_weight=1.0
    )
    batch = to_tensors(source.batch(source.windows(np.random.default_rng(0))), agent.device)
    with torch.no_grad():
        output = agent.model(**batch)
    now = batch[
        "discrete_observations" if "discrete_observations" in batch else "continuous_observations"
    ]
    errors = {
        "error": prediction_error(output.pred_observations, batch),
        "nothing_changes": prediction_error(now, batch),
    }
    return {"action_error": float(output.action_loss)} | errors


def prediction_error(predicted, batch: dict) -> float:
    """How far a prediction of the next observations, (B, T, …) as the model gives them, is off,
    over the timesteps that have a successor.

    Grids (integers, or logits of them): the share of integers that are wrong among those that
    change. Vectors: root mean squared error over their values, in the task's units.
    """
    has_next = batch["attention_mask"][:, 1:].bool()
    name = (
        "discrete_observations" if "discrete_observations" in batch else "continuous_observations"
    )
    now, then, guess = (
        batch[name][:, :-1][has_next],
        batch[name][:, 1:][has_next],
        predicted[:, :-1][has_next],
    )
    if name == "continuous_observations":
        return float((guess[:, : then.shape[-1]] - then).square().mean().sqrt())
    guess = (guess.argmax(-1) if guess.ndim == 3 else guess)[:, :GRID_INTEGERS]
    changed = (now != then)[:, :GRID_INTEGERS]
    return float((guess != then[:, :GRID_INTEGERS])[changed].float().mean())
