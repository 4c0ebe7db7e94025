"""Which parts of an observation the chosen action depends on.

Frames and vectors: the gradient of the chosen action with respect to the input. The action counts
by its logit, a continuous one by the sum of its absolute values. Grids hold integers, which have no
gradient: there each cell is emptied in turn, and the fall of the logit is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from jatlab.agents.agent import Agent
from jatlab.model import JatModel
from jatlab.tasks import Task, get_task
from jatlab.viz.figures import bare, colour_bar, panel, words
from jatlab.viz.plots import AGENT
from jatlab.viz.predictions import SIDE, draw_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EMPTIED = (1, 0, 0)  # MiniGrid's empty cell


def saliency(
    agent: Agent,
    observations: Mapping[str, Any],
    timestep: int = -1,
    task: str | Task | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw which parts of the observation at `timestep` the action of that timestep depends on.

    The gradient needs a pass of its own. It means nothing for an agent that was not trained on the
    task.

    Args:
        agent: Whose model is asked.
        observations: An episode as `rollout` returns it (observations, actions, rewards).
        timestep: Which one; negative numbers count from the end.
        task: The episode's task. Default: the one that the agent was reset for.
        axes: Where to draw; a new figure unless given.

    Raises:
        ValueError: As `sensitivity` does.
    """
    task = _known_task(agent, task)
    values, chosen = sensitivity(agent, observations, timestep, task)
    observed = np.asarray(observations[f"{task.observation}_observations"])[timestep]
    if task.observation == "image":
        return _draw_frames(values, observed, chosen, axes)
    if task.observation == "discrete":
        return _draw_cells(values, observed, chosen, axes)
    return _draw_values(values, chosen, axes)


def sensitivity(
    agent: Agent,
    observations: Mapping[str, Any],
    timestep: int = -1,
    task: str | Task | None = None,
) -> tuple[np.ndarray, int | None]:
    """How much the action at `timestep` depends on each part of what was seen then.

    Args:
        agent: Whose model is asked, over the timesteps up to this one, as many as it remembers.
        observations: An episode as `rollout` returns it (observations, actions, rewards).
        timestep: Which one; negative numbers count from the end.
        task: The episode's task. Default: the one that the agent was reset for.

    Returns:
        The dependence, and the action (None if it is continuous). Frames (4, 84, 84) and vectors
        (n,): absolute gradients. Grids (7, 7): how much the action's logit falls when a cell is
        emptied.

    Raises:
        ValueError: The episode has not the task's observations, or the timestep does not exist.
    """
    task = _known_task(agent, task)
    name = f"{task.observation}_observations"
    if name not in observations:
        raise ValueError(f"{task.name} observes {name}; the episode has {', '.join(observations)}")
    length = len(observations[name])
    if not -length <= timestep < length:
        raise ValueError(f"timestep {timestep} of an episode of {length}")
    inputs = _inputs(agent, observations, range(length)[timestep], task)
    with _frozen(agent.model):
        if task.observation == "discrete":
            return _by_emptying(agent.model, inputs)
        return _by_gradient(agent.model, inputs, task)


def _known_task(agent: Agent, task: str | Task | None) -> Task:
    task = getattr(agent, "task", None) if task is None else task
    if task is None:
        raise ValueError(
            "saliency needs to know the task: saliency(agent, episode, task='atari-pong')"
        )
    return get_task(task) if isinstance(task, str) else task


def _inputs(agent: Agent, episode: Mapping[str, Any], last: int, task: Task) -> dict[str, Tensor]:
    """The model's inputs for the timesteps up to `last`, (1, T, …)."""
    name, action = f"{task.observation}_observations", f"{task.action}_actions"
    window = slice(max(0, last + 1 - agent.window(task)), last + 1)
    values = np.asarray(episode[name])[window]
    if task.observation == "discrete":
        texts, size = list(episode["text_observations"][window]), agent.model.config.max_text_tokens
        values = np.concatenate([values, agent.tokenizer.encode_batch(texts, size)], axis=1)
    observed = torch.from_numpy(np.ascontiguousarray(values))[None].to(agent.device)
    if task.observation != "discrete":
        observed = observed.float()
    if task.observation == "image":
        observed = observed / 127.5 - 1
    # an episode's rewards follow its actions; the model sees the one received on arriving
    rewards = np.concatenate([[0.0], np.asarray(episode["rewards"])])[window]
    actions = np.asarray(episode[action])[window]
    return {
        name: observed,
        action: torch.from_numpy(actions)[None].to(agent.device),
        "rewards": torch.from_numpy(rewards).float()[None].to(agent.device),
    }


@contextmanager
def _frozen(model: JatModel) -> Iterator[None]:
    """Gradients for inputs, none for weights."""
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    try:
        model.requires_grad_(False)
        with torch.enable_grad():
            yield
    finally:
        for parameter, want in zip(model.parameters(), wanted, strict=True):
            parameter.requires_grad_(want)


def _by_gradient(
    model: JatModel, inputs: dict[str, Tensor], task: Task
) -> tuple[np.ndarray, int | None]:
    observed = inputs[f"{task.observation}_observations"].requires_grad_(True)
    output = _predicted_actions(model, inputs)[0, -1]
    chosen = None if task.action == "continuous" else int(inputs["discrete_actions"][0, -1])
    score = output.abs().sum() if chosen is None else output[chosen]
    (gradient,) = torch.autograd.grad(score, observed)
    return gradient[0, -1].abs().float().cpu().numpy(), chosen


@torch.no_grad()
def _by_emptying(model: JatModel, inputs: dict[str, Tensor]) -> tuple[np.ndarray, int]:
    """All cells in one batch: row i has cell i emptied, the last row none."""
    cells = SIDE * SIDE
    batch = {
        name: value.expand(cells + 1, *value.shape[1:]).clone() for name, value in inputs.items()
    }
    grids = batch["discrete_observations"]
    for cell in range(cells):
        grids[cell, -1, 1 + 3 * cell : 4 + 3 * cell] = torch.tensor(EMPTIED, device=grids.device)
    chosen = int(inputs["discrete_actions"][0, -1])
    logits = _predicted_actions(model, batch)[:, -1, chosen].float()
    return (logits[-1] - logits[:-1]).reshape(SIDE, SIDE).cpu().numpy(), chosen


def _predicted_actions(model: JatModel, inputs: dict[str, Any]) -> Tensor:
    return model(**inputs, return_loss=False).pred_actions


# --- pictures ---


def _draw_frames(
    values: np.ndarray, observed: np.ndarray, chosen: int | None, axes: Axes | None
) -> Figure:
    heat = values.sum(0)  # over the four frames
    alpha = 0.2 + 0.7 * heat / max(heat.max(), 1e-12)
    with panel(axes, 4.0, 3.2) as axes:
        bare(axes)
        axes.imshow(observed[-1], cmap="gray", vmin=0, vmax=255)
        image = axes.imshow(heat, cmap="viridis", alpha=alpha, interpolation="nearest")
        colour_bar(axes, image, "|gradient|, four frames together", 0.9)
    caption = (
        f"How much the logit of action {chosen} depends on each pixel, over the newest frame. "
        "Bright: a change there would change the action most."
    )
    return words(axes, caption, "A grey frame under a heat map of gradients.")


def _draw_values(values: np.ndarray, chosen: int | None, axes: Axes | None) -> Figure:
    with panel(axes, max(4.0, 0.16 * len(values) + 1), 2.3) as axes:
        axes.bar(range(len(values)), values, color=AGENT)
        axes.set_xlabel("value of the observation (its place)")
        axes.set_ylabel("|gradient| of the action")
        axes.grid(axis="x", visible=False)
    what = "the action (the sum of its absolute values)"
    if chosen is not None:
        what = f"the logit of action {chosen}"
    most = values.argmax()
    caption = f"How much {what} depends on each of the {len(values)} values: value {most} most."
    return words(axes, caption, f"Bars of the gradient for {len(values)} values.")


def _draw_cells(
    values: np.ndarray, observed: np.ndarray, chosen: int | None, axes: Axes | None
) -> Figure:
    most = max(float(np.abs(values).max()), 1e-9)
    heat, alpha = values.T, 0.65 * np.abs(values.T) / most
    look: Any = dict(cmap="PuOr_r", vmin=-most, vmax=most, alpha=alpha, zorder=2)
    with panel(axes, 4.8, 4.0) as axes:
        bare(axes)
        draw_grid(axes, observed[1:].reshape(SIDE, SIDE, 3), 0)
        image = axes.imshow(heat, extent=(0, SIDE, SIDE, 0), **look)
        axes.set_xlim(0, SIDE)
        axes.set_ylim(SIDE, 0)
        colour_bar(axes, image, f"fall of the logit of action {chosen}", 0.9)
    column, row = np.unravel_index(np.abs(values).argmax(), values.shape)
    caption = (
        f"By how much the logit of action {chosen} falls when a cell is emptied: "
        f"most for column {column}, row {row} ({values[column, row]:+.2f}). "
        "The agent stands below the middle, looking up."
    )
    alt = "A grid of 7 by 7 cells, tinted by what emptying each does to the action."
    return words(axes, caption, alt)
