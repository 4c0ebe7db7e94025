"""What in an observation the chosen action hangs on.

Frames and vectors: the gradient of the chosen action (its logit; for continuous actions the sum of
the absolute values) with respect to the input. Grids hold integers, which have no gradient: there
each cell is emptied in turn, and the fall of the logit is drawn.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import torch

from jatlab.tasks import Task, get_task
from jatlab.viz.figures import bare, panel, words
from jatlab.viz.plots import AGENT
from jatlab.viz.predictions import SIDE, draw_grid

EMPTIED = (1, 0, 0)  # MiniGrid's empty cell


def saliency(
    agent, observations: dict, timestep: int = -1, task: str | Task | None = None, axes=None
):
    """Draw what the action at `timestep` hangs on in the observation of that timestep.

    `observations`: an episode as `rollout` returns it (observations, actions, rewards); `task`
    defaults to the one that the agent was reset for. The gradient needs a pass of its own, over the
    timesteps up to this one, as many as fit into the positions. Of an agent that was not trained on
    the task it means nothing. Raises `ValueError` as `sensitivity` does.
    """
    task = _task(agent, task)
    values, chosen = sensitivity(agent, observations, timestep, task)
    observed = np.asarray(observations[f"{task.observation}_observations"])[timestep]
    draw = {"image": _draw_frames, "discrete": _draw_cells, "continuous": _draw_values}[
        task.observation
    ]
    return draw(values, observed, chosen, axes)


def sensitivity(
    agent, observations: dict, timestep: int = -1, task: str | Task | None = None
) -> tuple[np.ndarray, int | None]:
    """How much the action at `timestep` depends on each part of what was seen then, and the action
    (None if continuous).

    Frames (4, 84, 84) and vectors (n,): absolute gradients. Grids (7, 7): by how much the action's
    logit falls when a cell is emptied. Raises `ValueError` when the episode has not the task's
    observations, or the timestep does not exist.
    """
    task = _task(agent, task)
    name = f"{task.observation}_observations"
    if name not in observations:
        raise ValueError(f"{task.name} observes {name}; the episode has {', '.join(observations)}")
    length = len(observations[name])
    if not -length <= timestep < length:
        raise ValueError(f"timestep {timestep} of an episode of {length}")
    inputs = _inputs(agent, observations, range(length)[timestep], task)
    with _evaluating(agent.model):
        if task.observation == "discrete":
            return _by_emptying(agent.model, inputs, task)
        return _by_gradient(agent.model, inputs, task)


def _task(agent, task: str | Task | None) -> Task:
    task = getattr(agent, "task", None) if task is None else task
    if task is None:
        raise ValueError(
            "saliency needs to know the task: saliency(agent, episode, task='atari-pong')"
        )
    return get_task(task) if isinstance(task, str) else task


def _inputs(agent, episode: dict, last: int, task: Task) -> dict:
    """The model's inputs for the timesteps up to `last`, (1, T, …)."""
    first = max(0, last + 1 - agent.window(task))
    window, name, action = (
        slice(first, last + 1),
        f"{task.observation}_observations",
        f"{task.action}_actions",
    )
    values = np.asarray(episode[name])[window]
    if task.observation == "discrete":
        missions = agent.tokenizer.encode_batch(
            list(episode["text_observations"][window]), agent.model.config.max_text_tokens
        )
        values = np.concatenate([values, missions], axis=1)
    observed = torch.from_numpy(np.ascontiguousarray(values))[None].to(agent.device)
    observed = observed if task.observation == "discrete" else observed.float()
    rewards = np.concatenate([[0.0], np.asarray(episode["rewards"])])[
        window
    ]  # the one received on arriving there
    return {
        name: observed / 127.5 - 1 if task.observation == "image" else observed,
        action: torch.from_numpy(np.asarray(episode[action])[window])[None].to(agent.device),
        "rewards": torch.from_numpy(rewards).float()[None].to(agent.device),
    }


@contextmanager
def _evaluating(model):
    """Gradients for inputs, none for weights."""
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    try:
        model.requires_grad_(False)
        with torch.enable_grad():
            yield
    finally:
        for parameter, want in zip(model.parameters(), wanted, strict=True):
            parameter.requires_grad_(want)


def _by_gradient(model, inputs: dict, task: Task) -> tuple[np.ndarray, int | None]:
    name = f"{task.observation}_observations"
    inputs[name].requires_grad_(True)
    output = model(**inputs, return_loss=False).pred_actions[0, -1]
    chosen = None if task.action == "continuous" else int(inputs["discrete_actions"][0, -1])
    score = output.abs().sum() if chosen is None else output[chosen]
    (gradient,) = torch.autograd.grad(score, inputs[name])
    return gradient[0, -1].abs().float().cpu().numpy(), chosen


@torch.no_grad()
def _by_emptying(model, inputs: dict, task: Task) -> tuple[np.ndarray, int]:
    cells = SIDE * SIDE
    batch = {
        name: value.expand(cells + 1, *value.shape[1:]).clone() for name, value in inputs.items()
    }
    grids = batch["discrete_observations"]
    for cell in range(cells):
        grids[cell, -1, 1 + 3 * cell : 4 + 3 * cell] = torch.tensor(EMPTIED, device=grids.device)
    chosen = int(inputs["discrete_actions"][0, -1])
    logits = model(**batch, return_loss=False).pred_actions[:, -1, chosen].float()
    return (logits[-1] - logits[:-1]).reshape(SIDE, SIDE).cpu().numpy(), chosen


# --- pictures
# -----------------------------------------------------------------------------------------------------------------


def _draw_frames(values: np.ndarray, observed: np.ndarray, chosen: int | None, axes):
    heat = values.sum(0)  # over the four frames
    with panel(axes, 4.0, 3.2) as axes:
        bare(axes)
        axes.imshow(observed[-1], cmap="gray", vmin=0, vmax=255)
        image = axes.imshow(
            heat,
            cmap="viridis",
            alpha=0.2 + 0.7 * heat / max(heat.max(), 1e-12),
            interpolation="nearest",
        )
        axes.figure.colorbar(
            image, ax=axes, label="|gradient|, four frames together", shrink=0.9
        ).outline.set_visible(False)
    caption = f"How much the logit of action {chosen} depends on each pixel, over the newest frame. Bright: a change there would change the action most."
    return words(axes, caption, "A grey frame under a heat map of gradients.")


def _draw_values(values: np.ndarray, observed: np.ndarray, chosen: int | None, axes):
    with panel(axes, max(4.0, 0.16 * len(values) + 1), 2.3) as axes:
        axes.bar(range(len(values)), values, color=AGENT)
        axes.set_xlabel("value of the observation (its place)")
        axes.set_ylabel("|gradient| of the action")
        axes.grid(axis="x", visible=False)
    what = (
        "the action (the sum of its absolute values)"
        if chosen is None
        else f"the logit of action {chosen}"
    )
    caption = f"How much {what} depends on each of the {len(values)} values: value {values.argmax()} most."
    return words(axes, caption, f"Bars of the gradient for {len(values)} values.")


def _draw_cells(values: np.ndarray, observed: np.ndarray, chosen: int | None, axes):
    most = max(float(np.abs(values).max()), 1e-9)
    with panel(axes, 4.8, 4.0) as axes:
        bare(axes)
        draw_grid(axes, observed[1:].reshape(SIDE, SIDE, 3), 0)
        image = axes.imshow(
            values.T,
            cmap="PuOr_r",
            vmin=-most,
            vmax=most,
            alpha=0.65 * np.abs(values.T) / most,
            extent=(0, SIDE, SIDE, 0),
            zorder=2,
        )
        axes.set_xlim(0, SIDE)
        axes.set_ylim(SIDE, 0)
        axes.figure.colorbar(
            image, ax=axes, label=f"fall of the logit of action {chosen}", shrink=0.9
        ).outline.set_visible(False)
    column, row = np.unravel_index(np.abs(values).argmax(), values.shape)
    caption = f"By how much the logit of action {chosen} falls when a cell is emptied: most for column {column}, row {row} ({values[column, row]:+.2f}). "
    caption += "The agent stands below the middle, looking up."
    return words(
        axes, caption, "A grid of 7 by 7 cells, tinted by what emptying each does to the action."
    )
