"""Playing one episode for its page: what `jatlab play … --output episode.html` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from jatlab.agents.agent import Agent
from jatlab.agents.rollout import RandomAgent, rollout
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.tasks import make_env
from jatlab.tasks.frames import draw
from jatlab.teachers.human.names import action_names
from jatlab.viz.video import resize
from jatlab.viz.web.export import LIMIT, export_html
from jatlab.viz.web.page import Page, check_html

WIDTH = 320  # pixels: the widest frame that a page shows


def play_html(
    agent: Agent | RandomAgent,
    task: str,
    path: str | Path,
    seed: int = FIRST_SEED,
    *,
    greedy: bool = False,
    temperature: float | None = None,
    max_steps: int | None = None,
    limit: int = LIMIT,
) -> Page:
    """Play one episode, and write its page.

    Args:
        agent: Who plays. The random policy has no attention, probabilities and expectations. An
            in-context agent has no attention to its episode.
        task: The task's name.
        path: The .html file.
        seed: Of the episode.
        greedy: Take the likeliest action instead of sampling.
        temperature: Of the sampling; the agent's own unless given.
        max_steps: End after so many timesteps; at the episode's end unless given.
        limit: The most bytes of the page.

    Returns:
        The page.

    Raises:
        ValueError: The task is unknown, it cannot be drawn, the file's name does not end in .html,
            or the page cannot be made as small as `limit`.
    """
    check_html(path)
    env, sees = make_env(task), isinstance(agent, Agent)
    attends = isinstance(agent, Agent) and not agent.settings.retrieved
    keep: Any = dict(render=True, record_attention=attends, record_predictions=sees)
    choice: Any = dict(greedy=greedy, temperature=temperature)
    try:
        names = action_names(env)
        episode = rollout(agent, _SmallFrames(env), seed, max_steps, **keep, **choice)
    finally:
        env.close()
    return export_html(episode, path, agent=agent, task=task, seed=seed, names=names, limit=limit)


class _SmallFrames(gym.Wrapper):
    """Draws no larger than a page shows, so that a thousand frames fit into memory."""

    def render(self) -> Any:
        frame: np.ndarray = draw(self.env.render)
        return resize(frame, WIDTH) if frame.shape[1] > WIDTH else frame
