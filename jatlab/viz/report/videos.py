"""The videos of a report: the first episode of each task, and all of them side by side.

`save_task_video` and `save_grid` write them into a folder; `clips` and `grid_figure` show what is
in it.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

from jatlab.evaluation.playing import EpisodeVideo
from jatlab.evaluation.results import Results, TaskResults
from jatlab.tasks import short_name
from jatlab.viz.grid import grid, tile, tile_size
from jatlab.viz.report.words import domain_title, number, plural
from jatlab.viz.video import (
    bar_height,
    caption,
    data_uri,
    film_strip,
    read_video,
    save_bounded_mp4,
    save_small_gif,
    save_video,
    write_webp,
)

EMBED = 12_000_000  # bytes of pictures inside a page; beyond, they stay beside it
GRID = "all-tasks"
GRID_BYTES = 8_000_000
GRID_FPS = 8
GROUPED = 18  # with more videos than these, each domain gets a heading in the grid


def save_task_video(video: EpisodeVideo, folder: str | Path, name: str) -> Path:
    """Write `name`.mp4, `name`-strip.webp and `name`-poster.webp; return the path of the video.

    Without imageio-ffmpeg the video is a small .gif.
    """
    folder = Path(folder)
    pictures = [
        caption(frame, told["mission"], told["step"], told["total"])
        for frame, told in zip(video.frames, video.captions, strict=True)
    ]
    write_webp(film_strip(video.frames), folder / f"{name}-strip.webp")
    write_webp(pictures[0], folder / f"{name}-poster.webp")
    fps = 12 if video.stride == 1 else 8
    try:
        return save_video(pictures, folder / f"{name}.mp4", fps)
    except ImportError:
        return save_small_gif(pictures, folder / f"{name}.gif", fps)


def save_grid(results: Results, folder: str | Path) -> Path | None:
    """Write `all-tasks.mp4` (or .gif) and its poster from the videos in `folder`.

    Returns:
        The path of the video; None where there are fewer than two videos to show.
    """
    folder = Path(folder)
    found = {name: find_video(folder, name) for name in results["tasks"]}
    videos = {name: path for name, path in found.items() if path is not None}
    if len(videos) < 2:
        return None
    frames = grid(_tiles(results, videos))
    write_webp(frames[len(frames) // 2], folder / f"{GRID}-poster.webp")
    try:
        return save_bounded_mp4(frames, folder / f"{GRID}.mp4", GRID_FPS, GRID_BYTES)
    except ImportError:
        return save_small_gif(frames, folder / f"{GRID}.gif", GRID_FPS, GRID_BYTES)


def _tiles(results: Results, videos: dict[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """{heading: {name: tile}} of the videos, without the bars of their captions."""
    size = tile_size(len(videos))
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, path in videos.items():
        task = results["tasks"][name]
        bar = bar_height(task["missions"][0])
        frames = tile([frame[bar:] for frame in read_video(path)], size)
        if len(videos) > GROUPED:
            groups.setdefault(domain_title(task["domain"]), {})[short_name(name)] = frames
        else:
            groups.setdefault("", {})[name] = frames
    return groups


def find_video(folder: Path, name: str) -> Path | None:
    """The video called `name` in `folder`, if there is one."""
    paths = (folder / f"{name}{suffix}" for suffix in (".mp4", ".gif"))
    return next((path for path in paths if path.exists()), None)


def grid_figure(results: Results, videos: Path | None) -> str:
    """The grid as HTML; "" if there is none."""
    path = None if videos is None else find_video(videos, GRID)
    if videos is None or path is None:
        return ""
    words = (
        f"First episodes of {plural(len(results['tasks']), 'task')}, side by side, "
        "all stretched to the same length."
    )
    moving = _moving(path, videos / f"{GRID}-poster.webp", words, _fits(videos), "autoplay")
    return f'<figure class="grid">{moving}<figcaption>{escape(words)}</figcaption></figure>'


def clips(tasks: dict[str, TaskResults], videos: Path | None) -> str:
    """A film strip and a video of each task's first episode, as HTML; "" if there are none.

    They are embedded in the page, or linked where all of them together would be too large.
    """
    if videos is None:
        return ""
    embed = _fits(videos)
    return "".join(
        _clip(name, task, path, embed)
        for name, task in tasks.items()
        if (path := find_video(videos, name)) is not None
    )


def _fits(videos: Path) -> bool:
    """Whether all files of a folder may be embedded in a page."""
    return sum(path.stat().st_size for path in videos.glob("*.*")) <= EMBED


def _clip(name: str, task: TaskResults, path: Path, embed: bool) -> str:
    mission = f", told “{task['missions'][0]}”" if task["missions"][0] else ""
    outcome = {True: ", success", False: ", no success", None: ""}[task["successes"][0]]
    words = (
        f"seed {task['seeds'][0]:,}{mission}: return {number(task['returns'][0])} "
        f"in {plural(task['lengths'][0], 'step')}{outcome}"
    )
    moving = _moving(path, path.with_name(f"{name}-poster.webp"), f"{name}, {words}.", embed)
    strip = _source(path.with_name(f"{name}-strip.webp"), embed)
    alt = escape(f"Moments of {name}, {words}, from start to end.")
    return (
        f'<figure class="clip">{moving}<div>'
        f"<figcaption><b>{escape(short_name(name))}</b>, the first episode: {escape(words)}."
        "</figcaption>"
        f'<img class="strip" loading="lazy" src="{strip}" alt="{alt}">'
        "</div></figure>"
    )


def _moving(path: Path, poster: Path, words: str, embed: bool, *attributes: str) -> str:
    """A video that loads when it is played, or an animated picture that loads when it is seen."""
    if path.suffix == ".gif":
        alt = escape(f"Animation: {words}")
        return f'<img class="moving" loading="lazy" src="{_source(path, embed)}" alt="{alt}">'
    options = ["controls", "muted", "loop", "playsinline", *(attributes or ['preload="none"'])]
    return (
        f'<video {" ".join(options)} poster="{_source(poster, embed)}" '
        f'aria-label="{escape(f"Video: {words}")}" src="{_source(path, embed)}"></video>'
    )


def _source(path: Path, embed: bool) -> str:
    return data_uri(path) if embed else f"{path.parent.name}/{path.name}"
