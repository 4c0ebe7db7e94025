"""The pictures of the demo's agent and of jatlab-mini: their play, and jatlab-mini's training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from jatlab.agents.agent import Agent
from jatlab.agents.rollout import rollout
from jatlab.tasks import make_env
from jatlab.training.log import read_log
from jatlab.viz.grid import grid, tile, tile_size
from jatlab.viz.plots import AGENT, INK, MUTED, label_decades, smooth, style
from jatlab.viz.report.words import DOMAIN_TITLES
from jatlab.viz.video import caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOUR = ("babyai-go-to-local", "babyai-open-door", "metaworld-reach", "metaworld-drawer-open")
MANY = (
    "babyai-go-to",
    "babyai-pickup-loc",
    "metaworld-pick-place",
    "metaworld-window-open",
    "mujoco-halfcheetah",
    "mujoco-hopper",
    "atari-boxing",
    "atari-freeway",
)
SEED = 1_000_003  # of the episodes that are shown
LONGEST, FRAMES = 200, 24  # timesteps of one of many episodes, and in how many frames
SMOOTHED = 12  # lines of the log


# --- episodes -------------------------------------------------------------------------------------


def four_episodes(agent: Agent) -> list[np.ndarray]:
    """The demo's play in four tasks, side by side.

    Each episode stays on its last frame until all have ended.
    """
    videos = [captioned_video(agent, task) for task in FOUR]
    frames = []
    for moment in range(max(map(len, videos))):
        one, two, three, four = (video[min(moment, len(video) - 1)] for video in videos)
        upper, lower = np.concatenate([one, two], axis=1), np.concatenate([three, four], axis=1)
        frames.append(np.concatenate([upper, lower]))
    return frames


def captioned_video(agent: Agent, task: str) -> list[np.ndarray]:
    """The frames of an episode, with mission, step and return so far."""
    episode = play(agent, task)
    mission = episode["text_observations"][0] if "text_observations" in episode else task
    totals = np.concatenate([[0], np.cumsum(episode["rewards"])])
    moments = range(0, len(totals), 3 if task.startswith("metaworld") else 1)
    return [caption(episode["frames"][t], mission, t, totals[t]) for t in moments]


def many_episodes(agent: Agent) -> list[np.ndarray]:
    """The beginnings of eight episodes of jatlab-mini, side by side, two of each domain."""
    size = tile_size(len(MANY))
    return grid(
        {"": {task: tile(play(agent, task, LONGEST)["frames"], size, FRAMES) for task in MANY}}
    )


def play(agent: Agent, task: str, longest: int | None = None) -> dict[str, Any]:
    """An episode with its frames, of at most ``longest`` timesteps."""
    env = make_env(task)
    episode = rollout(agent, env, seed=SEED, render=True, max_steps=longest)
    env.close()
    return episode


# --- training -------------------------------------------------------------------------------------


def training_curves(runs: Sequence[Path], domains: Sequence[str]) -> Figure:
    """The losses of training runs, one after the other, a panel for each domain.

    A dotted line marks where the next run begins.
    """
    figure, minutes = Figure(figsize=(9.5, 2.4), layout="constrained"), 0.0
    with style():
        panels = figure.subplots(1, len(domains))
        for number, run in enumerate(runs):
            log = read_log(run)
            for axes, domain in zip(panels, domains, strict=True):
                _draw_losses(axes, domain, log, minutes)
                if number:
                    axes.axvline(minutes, color=MUTED, linewidth=0.8, linestyle=":")
            minutes += log[-1]["seconds"] / 60
        for axes in panels:
            axes.set_xlim(0, 1.02 * minutes)
        panels[0].set_ylabel("loss (log scale)")
    return figure


def _draw_losses(axes: Axes, domain: str, log: list[dict[str, Any]], before: float) -> None:
    for kind, line, window in (("loss", "-", SMOOTHED), ("validation", "o", 1)):
        points = np.array(_points(log, kind, domain)).reshape(-1, 2)
        minutes, losses = before + points[:, 0], smooth(points[:, 1], window)
        axes.plot(minutes, losses, line, color=AGENT, linewidth=1.4, markersize=4)
    axes.set_yscale("log")
    label_decades(axes.yaxis)
    axes.set_title(DOMAIN_TITLES[domain], loc="left", size=9, color=INK)
    axes.set_xlabel("minutes of training")


def _points(log: list[dict[str, Any]], kind: str, domain: str) -> list[tuple[float, float]]:
    """(minutes, mean loss over the domain's tasks) of each line of the log that has any."""
    points = []
    for entry in log:
        tasks = entry.get(kind, {})
        losses = [loss for task, loss in tasks.items() if task.startswith(domain)]
        if losses:
            points.append((entry["seconds"] / 60, float(np.mean(losses))))
    return points
