"""What was watched, as files: a film, a page that moves without a kernel, demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.data.recording.playing import Outcome, as_episode
from jatlab.tasks import get_task
from jatlab.utils.checks import require
from jatlab.viz.player.canvas import draw_moment
from jatlab.viz.player.panel import picture
from jatlab.viz.player.watching import Watch
from jatlab.viz.video import save_video

if TYPE_CHECKING:
    from jatlab.data.columns import Episode

FILM_BYTES = 8_000_000  # at most


def film_suffix() -> str:
    """.mp4 where it can be written, else .gif."""
    return ".mp4" if find_spec("imageio_ffmpeg") else ".gif"


def save_film(
    watches: Sequence[Watch],
    path: str | Path,
    fps: float,
    layer: int | None = None,
    head: int | None = None,
    about: str = "",
) -> Path:
    """Write the timesteps that are kept as a video.

    Args:
        watches: One, drawn with its attention and expectations; or two, side by side.
        path: A .gif or .mp4 file.
        fps: Timesteps a second.
        layer: Whose attention; the mean unless given.
        head: Whose attention; the mean unless given.
        about: Who plays.

    Raises:
        ValueError: As `save_video` does.
    """
    if len(watches) == 1:
        moments = watches[0].moments
        frames = [draw_moment(moments, i, layer, head, about) for i in range(len(moments))]
    else:
        frames = _side_by_side(watches)
    return save_video(frames, path, fps, FILM_BYTES)


def _side_by_side(watches: Sequence[Watch]) -> list[np.ndarray]:
    """At each timestep the frames of all; who has ended stays as it was."""
    length = max(len(watch.moments) for watch in watches)
    columns = []
    for watch in watches:
        moments = list(watch.moments)
        moments += [moments[-1]] * (length - len(moments))
        columns.append([picture(moment.frame, moment.facts) for moment in moments])
    return [np.hstack(row) for row in zip(*columns, strict=True)]


def rollout_of(watch: Watch) -> dict[str, Any]:
    """The timesteps that are kept, as `jatlab.rollout` returns an episode.

    Raises:
        ValueError: Nothing has been played yet.
    """
    *played, last = watch.moments
    require(bool(played), "nothing has been played yet: take a step first")
    task = get_task(watch.task)
    observations = np.stack([_stored(moment.observed) for moment in played])
    episode: dict[str, Any] = {
        f"{task.observation}_observations": observations,
        f"{task.action}_actions": np.array([moment.action for moment in played]),
        "text_observations": [moment.facts.mission for moment in played],
        "rewards": np.array(watch.rewards[-len(played) :], np.float32),
        "success": watch.success,
        "frames": [moment.frame for moment in (*played, last)],
    }
    if played[0].attention is not None:
        episode["attentions"] = [moment.attention for moment in played]
    if played[0].facts.probability is not None:
        shares = [[share for _, share, _ in moment.facts.bars] for moment in played]
        episode["probabilities"] = np.array(shares)
    expected = [moment.expected for moment in played[1:] if moment.expected is not None]
    if expected and len(expected) == len(played) - 1:
        rows = np.stack(expected)
        episode["pred_observations"] = rows[:, None] if rows.ndim == 3 else rows  # of four frames
    return episode


def _stored(observed: np.ndarray) -> np.ndarray:
    """A frame in [-1, 1] as a stack of one, uint8; others as they are."""
    if observed.ndim < 2:
        return observed
    return np.round((observed + 1) * 127.5).astype(np.uint8)[None]


def demonstration(watch: Watch) -> tuple[Episode, Outcome]:
    """The episode that you have finished, and how it went."""
    episode = as_episode(watch.decisions, watch.rewards, get_task(watch.task))
    return episode, Outcome(watch.seed, watch.total, watch.length, watch.success)
