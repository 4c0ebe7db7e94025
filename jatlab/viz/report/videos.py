"""The moving pictures of a report: a video of each task's first episode, and all of them side by
side.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from jatlab.evaluation.evaluate import EpisodeVideo
from jatlab.tasks import short_name
from jatlab.viz.grid import grid, tile, tile_size
from jatlab.viz.report.tables import number, plural
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

EMBED = 12_000_000  # bytes of pictures that a page holds itself; more stay beside it
GRID = "all-tasks"
GRID_BYTES = 8_000_000
GRID_FPS = 8
GROUPED = 18  # more videos than these stand below the names of their domains


def save_task_video(video: EpisodeVideo, folder: str | Path, name: str) -> Path:
    """Write `name`.mp4 (a small .gif without imageio-ffmpeg), `name`-strip.webp and
    `name`-poster.webp; return the video's path.
    """
    folder, captions = Path(folder), video.captions
    pictures = [
        caption(frame, c["mission"], c["step"], c["total"])
        for frame, c in zip(video.frames, captions, strict=True)
    ]
    write_webp(film_strip(video.frames), folder / f"{name}-strip.webp")
    write_webp(pictures[0], folder / f"{name}-poster.webp")
    fps = 12 if video.stride == 1 else 8
    try:
        return save_video(pictures, folder / f"{name}.mp4", fps)
    except ImportError:
        return save_small_gif(pictures, folder / f"{name}.gif", fps)


def save_grid(results: dict, folder: str | Path, titles: dict[str, str]) -> Path | None:
    """Write `all-tasks.mp4` (or .gif) and its poster from the videos in `folder`; return the
    video's path, None where there are fewer than two videos.
    """
    folder, videos = (
        Path(folder),
        {name: path for name in results["tasks"] if (path := find_video(folder, name))},
    )
    if len(videos) < 2:
        return None
    size, groups = tile_size(len(videos)), {}
    for name, path in videos.items():
        task = results["tasks"][name]
        bar = bar_height(task["missions"][0])
        heading, words = (
            (titles.get(task["domain"], task["domain"]), short_name(name))
            if len(videos) > GROUPED
            else ("", name)
        )
        groups.setdefault(heading, {})[words] = tile(
            [frame[bar:] for frame in read_video(path)], size
        )
    frames = grid(groups)
    write_webp(frames[len(frames) // 2], folder / f"{GRID}-poster.webp")
    try:
        return save_bounded_mp4(frames, folder / f"{GRID}.mp4", GRID_FPS, GRID_BYTES)
    except ImportError:
        return save_small_gif(frames, folder / f"{GRID}.gif", GRID_FPS, GRID_BYTES)


def find_video(folder: Path, name: str) -> Path | None:
    """The video called `name` in `folder`, if there is one."""
    return next(
        (path for suffix in (".mp4", ".gif") if (path := folder / f"{name}{suffix}").exists()), None
    )


def grid_figure(results: dict, videos: Path | None) -> str:
    """The grid as HTML; "" if there is none."""
    path = videos and find_video(videos, GRID)
    if not path:
        return ""
    words = f"First episodes of {plural(len(results['tasks']), 'task')}, side by side; each lasts as long here, however long it was."
    moving = _moving(path, videos / f"{GRID}-poster.webp", words, _embedded(videos), "autoplay")
    return f'<figure class="grid">{moving}<figcaption>{escape(words)}</figcaption></figure>'


def clips(tasks: dict, videos: Path | None) -> str:
    """A video strip and a video of each task's first episode, as HTML; beside the page, where all
    of them together would be too much for it.
    """
    files = (
        {}
        if videos is None
        else {name: path for name in tasks if (path := find_video(videos, name))}
    )
    return "".join(
        _clip(name, tasks[name], path, _embedded(videos)) for name, path in files.items()
    )


def _embedded(videos: Path) -> bool:
    return sum(path.stat().st_size for path in videos.glob("*.*")) <= EMBED


def _clip(name: str, task: dict, path: Path, embed: bool) -> str:
    mission = f", told “{task['missions'][0]}”" if task["missions"][0] else ""
    outcome = {True: ", success", False: ", no success", None: ""}[task["successes"][0]]
    words = f"seed {task['seeds'][0]:,}{mission}: return {number(task['returns'][0])} in {plural(task['lengths'][0], 'step')}{outcome}"
    strip = _source(path.with_name(f"{name}-strip.webp"), embed)
    image = f'<img class="strip" loading="lazy" src="{strip}" alt="{escape(f"Moments of {name}, {words}, from start to end.")}">'
    moving = _moving(path, path.with_name(f"{name}-poster.webp"), f"{name}, {words}.", embed)
    text = f"<figcaption><b>{escape(short_name(name))}</b>, the first episode: {escape(words)}.</figcaption>"
    return f'<figure class="clip">{moving}<div>{text}{image}</div></figure>'


def _moving(path: Path, poster: Path, words: str, embed: bool, *attributes: str) -> str:
    """A video that loads when it is asked for, or an animated picture that loads when it is
    scrolled to.
    """
    if path.suffix == ".gif":
        return f'<img class="moving" loading="lazy" src="{_source(path, embed)}" alt="{escape(f"Animation: {words}")}">'
    options = " ".join(
        ["controls", "muted", "loop", "playsinline", *(attributes or ['preload="none"'])]
    )
    return f'<video {options} poster="{_source(poster, embed)}" aria-label="{escape(f"Video: {words}")}" src="{_source(path, embed)}"></video>'


def _source(path: Path, embed: bool) -> str:
    return data_uri(path) if embed else f"{path.parent.name}/{path.name}"
