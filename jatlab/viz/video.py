"""Frames to pictures: videos (GIF, MP4), film strips, and the panel that `jatlab play` draws beside a frame.

Frames are RGB uint8 arrays (h, w, 3).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files import whole_file

SUFFIXES = (".gif", ".mp4")


def save_video(frames: Sequence[np.ndarray], path: str | Path, fps: float = 10) -> Path:
    """Write `frames` as GIF or MP4 (H.264), whichever the suffix of `path` says, in one piece; return the path.

    A GIF holds a run of identical frames once, shown for longer. Frames of odd height or width gain a line in an MP4.
    Raises `ValueError` for another suffix, no frames, or frames of unlike shapes; `ImportError` without Pillow, imageio or imageio-ffmpeg.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path.name}: a video ends in .gif or .mp4, not {path.suffix or 'in no suffix'!r}")
    frames = check_frames(frames)
    write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
    with whole_file(path) as temporary:
        write(frames, temporary, fps)
    return path


def save_small_gif(frames: Sequence[np.ndarray], path: str | Path, fps: float = 10, limit: int = 600_000) -> Path:
    """`save_video` to a GIF of at most `limit` bytes: every second frame is left out, then the frame is made smaller, until it fits."""
    frames = check_frames(frames)
    for attempt in range(12):
        buffer = io.BytesIO()
        _write_gif(frames, buffer, fps)
        if buffer.tell() <= limit:
            with whole_file(path) as temporary:
                temporary.write_bytes(buffer.getvalue())
            return Path(path)
        if attempt % 2 == 0 and len(frames) > 24:
            frames, fps = frames[::2], fps / 2
        else:
            frames = [resize(frame, int(frame.shape[1] * 0.75)) for frame in frames]
    raise ValueError(f"{path}: no GIF of {len(frames)} frames fits into {limit} bytes; allow more, or write an .mp4")


def check_frames(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The frames as a list of RGB uint8 arrays. Raises `ValueError` when there are none or one is something else."""
    frames = [np.asarray(frame) for frame in frames]
    if not frames:
        raise ValueError("a video needs at least one frame, and got none: was the episode played with render=True?")
    for index, frame in enumerate(frames):
        if frame.shape != frames[0].shape or frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"frame {index} is {frame.dtype} {frame.shape}: expected uint8 (h, w, 3), the same for all (frame 0: {frames[0].shape})")
    return frames


def resize(frame: np.ndarray, width: int) -> np.ndarray:
    """The frame at `width` pixels, proportions kept: (h, w, 3) -> (h', width, 3). Small frames keep hard pixels when enlarged."""
    image = _pillow().Image
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    method = image.Resampling.NEAREST if width >= 2 * frame.shape[1] else image.Resampling.LANCZOS
    return np.asarray(image.fromarray(frame).resize((width, height), method))


def film_strip(frames: Sequence[np.ndarray], count: int = 6, height: int = 128, gap: int = 4) -> np.ndarray:
    """`count` frames, evenly spaced from the first to the last, side by side on white: -> uint8 (height, …, 3)."""
    frames = check_frames(frames)
    chosen = np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
    width = max(1, round(height * frames[0].shape[1] / frames[0].shape[0]))
    stills = [_to_height(frames[index], height, width) for index in chosen]
    space = np.full((height, gap, 3), 255, np.uint8)
    return np.concatenate([part for still in stills for part in (space, still)][1:], axis=1)


def data_uri(path_or_frame: str | Path | np.ndarray, colors: int = 128) -> str:
    """A file (.gif, .mp4, .png) or a frame (as PNG of at most `colors` colours) as a `data:` address, to embed in a page."""
    if isinstance(path_or_frame, np.ndarray):
        buffer = io.BytesIO()
        _pillow().Image.fromarray(path_or_frame).quantize(colors).save(buffer, "PNG", optimize=True)
        kind, data = "image/png", buffer.getvalue()
    else:
        path = Path(path_or_frame)
        kind, data = {".mp4": "video/mp4", ".gif": "image/gif", ".png": "image/png"}[path.suffix.lower()], path.read_bytes()
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _pillow():
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError as error:
        raise ImportError('pictures need Pillow: pip install "jatlab[envs]"') from error
    return PIL


def _to_height(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    image = _pillow().Image
    return np.asarray(image.fromarray(frame).resize((width, height), image.Resampling.LANCZOS))


def _write_gif(frames: list[np.ndarray], target: Path | io.BytesIO, fps: float) -> None:
    """One palette for the whole film: pixels that stay the same then keep their index, and only what moved is stored."""
    image = _pillow().Image
    sample = np.concatenate(frames[:: max(1, len(frames) // 12)], axis=1)
    palette = image.fromarray(sample).quantize(128, method=image.Quantize.MEDIANCUT)
    pictures = [image.fromarray(frame).quantize(palette=palette, dither=image.Dither.NONE) for frame in frames]
    pictures[0].save(target, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0, optimize=False)


def _write_mp4(frames: list[np.ndarray], path: Path, fps: float) -> None:
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401  (imageio loads it by name, with a vaguer error)
    except ImportError as error:
        raise ImportError('an .mp4 needs imageio and imageio-ffmpeg: pip install "jatlab[envs]" (a .gif does not)') from error
    options = ["-crf", "26", "-preset", "slow", "-movflags", "+faststart"]
    with imageio.get_writer(path, format="FFMPEG", fps=fps, codec="libx264", quality=None, macro_block_size=2, output_params=options) as writer:
        for frame in frames:
            odd = [(0, size % 2) for size in frame.shape[:2]]
            writer.append_data(np.pad(frame, [*odd, (0, 0)], mode="edge"))
