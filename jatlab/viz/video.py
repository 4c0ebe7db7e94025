"""Frames to pictures: videos (GIF, MP4), film strips, captions.

Frames are RGB uint8 arrays (h, w, 3).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from jatlab.utils.checks import positive_number
from jatlab.utils.files import atomic_write, expanded

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

MIME = {".mp4": "video/mp4", ".gif": "image/gif", ".png": "image/png", ".webp": "image/webp"}
SUFFIXES = (".gif", ".mp4")
GROUND, INK, MUTED = (22, 24, 29), (240, 240, 238), (160, 163, 170)

# --- writing ---


def save_video(
    frames: Sequence[np.ndarray], path: str | Path, fps: float = 10, limit: int | None = None
) -> Path:
    """Write `frames` as GIF or MP4 (H.264); the file is complete or not there.

    A GIF holds a run of identical frames once, shown for longer. Frames of odd height or width gain
    a line in an MP4.

    Args:
        frames: uint8 (h, w, 3) each, alike in size.
        path: Its suffix says which kind of file.
        fps: Frames a second, above 0.
        limit: The most bytes that the file may have.

    Returns:
        The path.

    Raises:
        ValueError: The suffix is another, there are no frames, their shapes differ, `fps` is not
            above 0, or the limit cannot be met.
        ImportError: Pillow, imageio or imageio-ffmpeg is not installed.
    """
    path, frames = check_suffix(path), check_frames(frames)
    is_gif = path.suffix.lower() == ".gif"
    if limit is not None:
        return (save_small_gif if is_gif else save_bounded_mp4)(frames, path, fps, limit)
    with atomic_write(path) as temporary:
        if is_gif:
            _write_gif(frames, temporary, fps)
        else:
            _write_mp4(frames, temporary, fps)
    return path


def save_small_gif(
    frames: Sequence[np.ndarray], path: str | Path, fps: float = 10, limit: int = 600_000
) -> Path:
    """Write a GIF of at most `limit` bytes.

    Every second frame is left out, then the frames are made smaller, until it fits.

    Args:
        frames: uint8 (h, w, 3) each, alike in size.
        path: Where to.
        fps: Frames a second.
        limit: The most bytes.

    Raises:
        ValueError: It never fits; also as `check_frames` does.
    """
    frames = check_frames(frames)
    for attempt in range(12):
        buffer = io.BytesIO()
        _write_gif(frames, buffer, fps)
        if buffer.tell() <= limit:
            with atomic_write(path) as temporary:
                temporary.write_bytes(buffer.getvalue())
            return Path(path)
        if attempt % 2 == 0 and len(frames) > 24:
            frames, fps = frames[::2], fps / 2
        else:
            frames = [resize(frame, int(frame.shape[1] * 0.75)) for frame in frames]
    raise ValueError(
        f"{path}: no GIF of {len(frames)} frames fits into {limit} bytes; "
        "allow more, or write an .mp4"
    )


def save_bounded_mp4(
    frames: Sequence[np.ndarray], path: str | Path, fps: float = 10, limit: int = 8_000_000
) -> Path:
    """Write an MP4 of at most `limit` bytes.

    It is drawn more coarsely, then with fewer frames, until it fits.

    Args:
        frames: uint8 (h, w, 3) each, alike in size.
        path: Where to.
        fps: Frames a second.
        limit: The most bytes.

    Raises:
        ValueError: It never fits; also as `check_frames` does.
    """
    frames = check_frames(frames)
    with atomic_write(path) as temporary:
        for step in (1, 2, 4):
            for quality in (28, 33, 38):
                _write_mp4(frames[::step], temporary, fps / step, quality)
                if temporary.stat().st_size <= limit:
                    return Path(path)
        height, width = frames[0].shape[:2]
        raise ValueError(
            f"{path}: no MP4 of {len(frames)} frames of {width} x {height} "
            f"fits into {limit} bytes; allow more"
        )


def write_webp(frame: np.ndarray, path: str | Path, quality: int = 80) -> Path:
    """Write one frame as WebP, for web pages: it has a third of a PNG's size."""
    with atomic_write(path) as temporary:
        pillow().Image.fromarray(frame).save(temporary, "WEBP", quality=quality)
    return Path(path)


def _write_gif(frames: list[np.ndarray], target: Path | io.BytesIO, fps: float) -> None:
    """Write a GIF with one palette for the whole video.

    Pixels that stay the same then keep their index, and only what moved is stored. An octree keeps
    the colours of small things, such as a purple ball in a grey room; a median cut gives them to
    the floor.
    """
    image, fps = pillow().Image, positive_number(fps, "fps")
    sample = np.concatenate(frames[:: max(1, len(frames) // 12)], axis=1)
    palette = image.fromarray(sample).quantize(256, method=image.Quantize.FASTOCTREE)
    look = dict(palette=palette, dither=image.Dither.NONE)
    first, *others = [image.fromarray(frame).quantize(**look) for frame in frames]
    options = dict(duration=round(1000 / fps), loop=0, optimize=False)
    first.save(target, "GIF", save_all=True, append_images=others, **options)


def _write_mp4(frames: list[np.ndarray], path: Path, fps: float, quality: int = 26) -> None:
    """Write an MP4. `quality` is x264's rate factor: 6 more is about half the size."""
    coding = ["-crf", str(quality), "-preset", "slow", "-movflags", "+faststart"]
    options = dict(codec="libx264", quality=None, macro_block_size=2, output_params=coding)
    fps = positive_number(fps, "fps")
    with _ffmpeg().get_writer(path, format="FFMPEG", fps=fps, **options) as writer:
        for frame in frames:
            odd = [(0, size % 2) for size in frame.shape[:2]]
            writer.append_data(np.pad(frame, [*odd, (0, 0)], mode="edge"))


# --- reading ---


def read_video(path: str | Path) -> list[np.ndarray]:
    """The frames of a .gif or .mp4, uint8 (h, w, 3).

    Raises:
        ImportError: Pillow, imageio or imageio-ffmpeg is not installed.
    """
    if Path(path).suffix.lower() == ".gif":
        from PIL import ImageSequence

        with pillow().Image.open(path) as video:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(video)]
    with _ffmpeg().get_reader(path, format="FFMPEG") as reader:
        return [np.asarray(frame) for frame in reader]


def data_uri(path: str | Path) -> str:
    """A .gif, .mp4, .png or .webp file as a `data:` address, to embed in a page."""
    path = Path(path)
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{MIME[path.suffix.lower()]};base64,{content}"


# --- checks ---


def check_suffix(path: str | Path) -> Path:
    """The path, if a video can be written there by its name.

    Raises:
        ValueError: The suffix is neither .gif nor .mp4.
    """
    path = expanded(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{path}: a video's name ends in .gif or .mp4, not {path.suffix or 'in no suffix'!r}"
        )
    return path


def check_frames(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The frames as a list of RGB uint8 arrays.

    Raises:
        ValueError: There are none, or one is something else or has another shape.
    """
    frames = [np.asarray(frame) for frame in frames]
    if not frames:
        raise ValueError(
            "a video needs at least one frame, and got none: "
            "was the episode played with render=True?"
        )
    first = frames[0].shape
    for index, frame in enumerate(frames):
        is_rgb = frame.ndim == 3 and frame.shape[-1] == 3 and frame.dtype == np.uint8
        if not is_rgb or frame.shape != first:
            raise ValueError(
                f"frame {index} is {frame.dtype} {frame.shape}: expected uint8 (h, w, 3), "
                f"the same for all (frame 0: {first})"
            )
    return frames


# --- one frame ---


def resize(frame: np.ndarray, width: int) -> np.ndarray:
    """The frame at `width` pixels, proportions kept: (h, w, 3) -> (h', width, 3).

    Small frames keep hard pixels when enlarged.
    """
    image = pillow().Image
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    method = image.Resampling.NEAREST if width >= 2 * frame.shape[1] else image.Resampling.LANCZOS
    return np.asarray(image.fromarray(frame).resize((width, height), method))


def caption(frame: np.ndarray, words: str, step: int, total: float, width: int = 256) -> np.ndarray:
    """The frame below a dark bar with words, step and return so far.

    Args:
        frame: uint8 (h, w, 3).
        words: A mission, ended with … where it is too long; "" for a lower bar.
        step: The timestep.
        total: The return so far.
        width: Of the picture, in pixels.

    Returns:
        uint8 (h', width, 3).
    """
    pil = pillow()
    frame, bar = resize(frame, width), bar_height(words)
    canvas = pil.Image.new("RGB", (width, frame.shape[0] + bar), GROUND)
    canvas.paste(pil.Image.fromarray(frame), (0, bar))
    draw = pil.ImageDraw.Draw(canvas)
    if words:
        draw.text((8, 5), shorten(words, 13, width - 16), font=font(13), fill=INK)
    draw.text((8, bar - 20), f"step {step}", font=font(12), fill=MUTED)
    draw.text((width - 8, bar - 20), f"return {total:.4g}", font=font(12), fill=MUTED, anchor="ra")
    return np.asarray(canvas)


def bar_height(words: str) -> int:
    """Height in pixels of the bar that `caption` puts above a frame."""
    return 44 if words else 26


def shorten(words: str, size: int, width: int) -> str:
    """As much of `words` as fits into `width` pixels at this font size.

    It ends with … where something is missing.
    """
    if font(size).getlength(words) <= width:
        return words
    while words and font(size).getlength(words + "…") > width:
        words = words[:-1]
    return words.rstrip() + "…"


def film_strip(
    frames: Sequence[np.ndarray], count: int = 10, rows: int = 2, height: int = 144, gap: int = 4
) -> np.ndarray:
    """Evenly spaced frames, from the first to the last, in rows on a dark ground.

    Args:
        frames: uint8 (h, w, 3) each.
        count: How many to show. A video of fewer frames shows each once, and leaves the rest of its
            last row empty.
        rows: In how many rows, at most.
        height: Of a frame, in pixels.
        gap: Between two frames, in pixels.

    Returns:
        uint8 (rows * (height + gap) - gap, …, 3), with the rows that are needed.
    """
    frames = check_frames(frames)
    width = max(1, round(height * frames[0].shape[1] / frames[0].shape[0]))
    columns, image = -(-count // rows), pillow().Image
    shown = np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
    rows = -(-len(shown) // columns)
    sheet = np.empty((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    sheet[:] = GROUND
    for place, index in enumerate(shown):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        small = image.fromarray(frames[index]).resize((width, height), image.Resampling.LANCZOS)
        sheet[top : top + height, left : left + width] = np.asarray(small)
    return sheet


# --- libraries ---


@cache
def font(size: int) -> FreeTypeFont | ImageFont:
    """Pillow's built-in sans serif at `size` pixels."""
    return pillow().ImageFont.load_default(size)


def pillow() -> ModuleType:
    """Pillow with its parts for drawing.

    Raises:
        ImportError: It is not installed; the message says how to get it.
    """
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError as error:
        raise ImportError('pictures need Pillow: pip install "jatlab[envs]"') from error
    return PIL


def _ffmpeg() -> ModuleType:
    """The part of imageio that reads and writes videos."""
    try:
        import_module("imageio_ffmpeg")  # imageio loads it by name, with a vaguer error
        return import_module("imageio.v2")
    except ImportError as error:
        raise ImportError(
            'an .mp4 needs imageio and imageio-ffmpeg: pip install "jatlab[envs]" (a .gif does not)'
        ) from error
