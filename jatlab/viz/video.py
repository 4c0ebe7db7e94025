"""Frames to pictures: videos (GIF, MP4), film strips, and the panel that `jatlab play` draws beside
a frame.

Frames are RGB uint8 arrays (h, w, 3).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from jatlab.utils.files import atomic_write

SUFFIXES = (".gif", ".mp4")
GROUND, INK, MUTED = (22, 24, 29), (240, 240, 238), (160, 163, 170)


def save_video(
    frames: Sequence[np.ndarray], path: str | Path, fps: float = 10, limit: int | None = None
) -> Path:
    """Write `frames` as GIF or MP4 (H.264), whichever the suffix of `path` says, in one piece;
    return the path. `limit`: in at most so many bytes.

    A GIF holds a run of identical frames once, shown for longer. Frames of odd height or width gain
    a line in an MP4. Raises `ValueError` for another suffix, no frames, frames of unlike shapes or
    a limit that cannot be met; `ImportError` without Pillow, imageio or imageio-ffmpeg.
    """
    path, frames = check_suffix(path), check_frames(frames)
    if limit is not None:
        return (save_small_gif if path.suffix.lower() == ".gif" else save_bounded_mp4)(
            frames, path, fps, limit
        )
    write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
    with atomic_write(path) as temporary:
        write(frames, temporary, fps)
    return path


def save_small_gif(
    frames: Sequence[np.ndarray], path: str | Path, fps: float = 10, limit: int = 600_000
) -> Path:
    """`save_video` to a GIF of at most `limit` bytes: every second frame is left out, then the
    frame is made smaller, until it fits.
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
        f"{path}: no GIF of {len(frames)} frames fits into {limit} bytes; allow more, or write an .mp4"
    )


def save_bounded_mp4(
    frames: Sequence[np.ndarray], path: str | Path, fps: float = 10, limit: int = 8_000_000
) -> Path:
    """`save_video` to an MP4 of at most `limit` bytes: drawn more coarsely, then with fewer frames,
    until it fits. Raises `ValueError` if it never does.
    """
    frames = check_frames(frames)
    with atomic_write(path) as temporary:
        for step in (1, 2, 4):
            for quality in (28, 33, 38):
                _write_mp4(frames[::step], temporary, fps / step, quality)
                if temporary.stat().st_size <= limit:
                    return Path(path)
        raise ValueError(
            f"{path}: no MP4 of {len(frames)} frames of {frames[0].shape[1]} x {frames[0].shape[0]} fits into {limit} bytes; allow more"
        )


def check_suffix(path: str | Path) -> Path:
    """The path, if a video can be written there by its name. Raises `ValueError` for another suffix
    than .gif or .mp4.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{path}: a video's name ends in .gif or .mp4, not {path.suffix or 'in no suffix'!r}"
        )
    return path


def read_video(path: str | Path) -> list[np.ndarray]:
    """The frames of a .gif or .mp4, uint8 (h, w, 3). Raises `ImportError` without Pillow, imageio
    or imageio-ffmpeg.
    """
    if Path(path).suffix.lower() == ".gif":
        from PIL import ImageSequence

        with pillow().Image.open(path) as film:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    imageio = _ffmpeg()
    with imageio.get_reader(path, format="FFMPEG") as reader:
        return [np.asarray(frame) for frame in reader]


def check_frames(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The frames as a list of RGB uint8 arrays. Raises `ValueError` when there are none or one is
    something else.
    """
    frames = [np.asarray(frame) for frame in frames]
    if not frames:
        raise ValueError(
            "a video needs at least one frame, and got none: was the episode played with render=True?"
        )
    for index, frame in enumerate(frames):
        if (
            frame.shape != frames[0].shape
            or frame.ndim != 3
            or frame.shape[-1] != 3
            or frame.dtype != np.uint8
        ):
            raise ValueError(
                f"frame {index} is {frame.dtype} {frame.shape}: expected uint8 (h, w, 3), the same for all (frame 0: {frames[0].shape})"
            )
    return frames


def resize(frame: np.ndarray, width: int) -> np.ndarray:
    """The frame at `width` pixels, proportions kept: (h, w, 3) -> (h', width, 3). Small frames keep
    hard pixels when enlarged.
    """
    image = pillow().Image
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    method = image.Resampling.NEAREST if width >= 2 * frame.shape[1] else image.Resampling.LANCZOS
    return np.asarray(image.fromarray(frame).resize((width, height), method))


def caption(frame: np.ndarray, words: str, step: int, total: float, width: int = 256) -> np.ndarray:
    """The frame at `width` pixels below a dark bar with `words` (a mission, ended with … where it
    is too long), step and return so far.
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
    """As much of `words` as fits into `width` pixels at this font size, ended with … where
    something is missing.
    """
    if font(size).getlength(words) <= width:
        return words
    while words and font(size).getlength(words + "…") > width:
        words = words[:-1]
    return words.rstrip() + "…"


@cache
def font(size: int):
    """Pillow's own sans serif at `size` pixels."""
    return pillow().ImageFont.load_default(size)


def film_strip(
    frames: Sequence[np.ndarray], count: int = 10, rows: int = 2, height: int = 144, gap: int = 4
) -> np.ndarray:
    """`count` frames, evenly spaced from the first to the last, in rows on a dark ground: -> uint8
    (rows * (height + gap) - gap, …, 3).

    A film of fewer frames shows each once, and leaves the rest of the ground empty.
    """
    frames = check_frames(frames)
    width, columns = (
        max(1, round(height * frames[0].shape[1] / frames[0].shape[0])),
        -(-count // rows),
    )
    sheet = np.empty((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    sheet[:] = GROUND
    for place, index in enumerate(
        np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
    ):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        sheet[top : top + height, left : left + width] = _to_height(frames[index], height, width)
    return sheet


def write_webp(frame: np.ndarray, path: str | Path, quality: int = 80) -> Path:
    """Write one frame as WebP, in one piece: a third of a PNG's size, for pages only."""
    with atomic_write(path) as temporary:
        pillow().Image.fromarray(frame).save(temporary, "WEBP", quality=quality)
    return Path(path)


def data_uri(path: str | Path) -> str:
    """A .gif, .mp4, .png or .webp file as a `data:` address, to embed in a page."""
    path = Path(path)
    kind = {".mp4": "video/mp4", ".gif": "image/gif", ".png": "image/png", ".webp": "image/webp"}[
        path.suffix.lower()
    ]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def pillow():
    """Pillow with its parts for drawing. Raises `ImportError` that says how to get it."""
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError as error:
        raise ImportError('pictures need Pillow: pip install "jatlab[envs]"') from error
    return PIL


def _to_height(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    image = pillow().Image
    return np.asarray(image.fromarray(frame).resize((width, height), image.Resampling.LANCZOS))


def _write_gif(frames: list[np.ndarray], target: Path | io.BytesIO, fps: float) -> None:
    """One palette for the whole film: pixels that stay the same then keep their index, and only
    what moved is stored. An octree keeps the colours of small things, such as a purple ball in a
    grey room; a median cut gives them to the floor.
    """
    image = pillow().Image
    sample = np.concatenate(frames[:: max(1, len(frames) // 12)], axis=1)
    palette = image.fromarray(sample).quantize(256, method=image.Quantize.FASTOCTREE)
    pictures = [
        image.fromarray(frame).quantize(palette=palette, dither=image.Dither.NONE)
        for frame in frames
    ]
    pictures[0].save(
        target,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / fps),
        loop=0,
        optimize=False,
    )


def _write_mp4(frames: list[np.ndarray], path: Path, fps: float, quality: int = 26) -> None:
    """`quality` is x264's rate factor: 6 more is about half the size."""
    options = ["-crf", str(quality), "-preset", "slow", "-movflags", "+faststart"]
    with _ffmpeg().get_writer(
        path,
        format="FFMPEG",
        fps=fps,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        output_params=options,
    ) as writer:
        for frame in frames:
            odd = [(0, size % 2) for size in frame.shape[:2]]
            writer.append_data(np.pad(frame, [*odd, (0, 0)], mode="edge"))


def _ffmpeg():
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401  (imageio loads it by name, with a vaguer error)
    except ImportError as error:
        raise ImportError(
            'an .mp4 needs imageio and imageio-ffmpeg: pip install "jatlab[envs]" (a .gif does not)'
        ) from error
    return imageio
