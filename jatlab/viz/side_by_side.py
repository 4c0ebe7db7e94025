"""An episode as one film: the frame, what was decided, what had been expected, and where the
attention went, side by side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jatlab.evaluation.playing import FIRST_SEED
from jatlab.viz.video import check_suffix, save_video


def side_by_side(
    agent,
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
    """Play one episode and draw each of its timesteps (or `every` second, third …) as the player
    does: uint8 (560, 944, 3) each.

    With `output` the film is also written, as .gif or .mp4; `limit` makes a file of at most so many
    bytes. `layer` and `head` choose whose attention, the mean unless given. Everything comes from
    the passes that acted. Raises `ValueError` for an unknown task, suffix, layer or head, before
    much is played.
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
