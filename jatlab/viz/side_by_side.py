"""An episode as one video: the frame, the decision, what was expected and the attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jatlab.agents.agent import Agent
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.viz.video import check_suffix, save_video


def side_by_side(
    agent: Agent,
    task: str,
    seed: int = FIRST_SEED,
    output: str | Path | None = None,
    *,
    fps: float = 6,
    layer: int | None = None,
    head: int | None = None,
    temperature: float | None = None,
    max_steps: int | None = None,
    every: int = 1,
    limit: int | None = None,
) -> list[np.ndarray]:
    """Play one episode and draw its timesteps as the player does.

    Everything that is drawn comes from the passes that acted.

    Args:
        agent: Who plays.
        task: The task's name.
        seed: Of the episode.
        output: A .gif or .mp4 file to write the video to.
        fps: Frames a second of the video.
        layer: Whose attention; the mean unless given.
        head: Whose attention; the mean unless given.
        temperature: Of the sampling of discrete actions, 0 for the likeliest; the agent's own
            unless given.
        max_steps: End after so many timesteps; at the episode's end unless given.
        every: Draw every such timestep, and the last.
        limit: The most bytes that the file may have.

    Returns:
        The pictures, uint8 (560, 944, 3) each.

    Raises:
        ValueError: The task, the suffix, the layer or the head is unknown. It is raised before much
            is played.
    """
    from jatlab.viz.player.canvas import draw_moment
    from jatlab.viz.player.watching import Watch

    if output is not None:
        check_suffix(output)
    watch = Watch(agent, task, seed)
    watch.temperature = agent.temperature if temperature is None else temperature
    try:
        frames = [draw_moment(watch.moments, layer=layer, head=head)]
        while not watch.done and watch.length != max_steps:
            watch.step()
            if watch.length % every == 0 or watch.done:
                frames.append(draw_moment(watch.moments, layer=layer, head=head))
    finally:
        watch.close()
    if output is not None:
        save_video(frames, output, fps, limit)
    return frames
