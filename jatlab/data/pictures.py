"""Pictures with text -> patches, then tokens -> batches: the source of captions and of questions.

A row is one picture: its patches take the first positions, the text follows. The text stands
between two end marks, so that the first word too is predicted, from the mark before it. On disk
pictures stay as compressed as they came (a file of millions has no room for pixels); they are
decoded, resized as CLIP does and cropped in the thread that prepares batches, several at once.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jatlab.data.flat import Rows, open_rows
from jatlab.data.text import (
    TOKENS,
    Batch,
    cache_home,
    check_vocabulary,
    digest,
    hold_out,
    language_files,
    read_columns,
    row_length,
    tokenize,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

MEAN, STD = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)  # CLIP's, of red, green and blue
MODES = (
    "RGB",
    "RGBA",
    "RGBX",
    "L",
    "LA",
    "P",
    "PA",
    "1",
    "CMYK",
    "YCbCr",
)  # what Pillow turns into RGB without loss of meaning
DECODERS = 4  # threads: Pillow decodes outside Python's lock


class PictureSource:
    """The pictures and texts of one task.

    ``pictures``: one row of compressed bytes each; ``tokens``: one row of ids each, end mark
    included. ``size``: the side of a picture; ``patches``: how many positions it takes;
    ``row_tokens``: how many positions there are. ``rows``: which to use (default all). Raises
    ValueError if there is nothing to use.
    """

    def __init__(
        self,
        name: str,
        pictures: Rows,
        tokens: Rows,
        fingerprint: str,
        size: int,
        patches: int,
        row_tokens: int,
        tokenizer: TextTokenizer,
        rows: np.ndarray | None = None,
    ):
        self.name, self.pictures, self.tokens, self.content = name, pictures, tokens, fingerprint
        self.size, self.patches, self.row_tokens, self.tokenizer = (
            size,
            patches,
            row_tokens,
            tokenizer,
        )
        self.episodes = np.arange(len(tokens)) if rows is None else rows
        if len(self.episodes) == 0:
            raise ValueError(f"{name}: no pictures to train on")

    @property
    def fingerprint(self) -> str:
        return f"{self.content}-{self.size}-{self.row_tokens}-{len(self.episodes)}"

    @property
    def timesteps(self) -> int:
        """What all patches and tokens cost: two are one timestep."""
        return int(self._timesteps().sum())

    def _text_lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of these rows' texts, both end marks included, as far as there is room."""
        return np.minimum(
            self.tokens.offsets[rows + 1] - self.tokens.offsets[rows] + 1,
            self.row_tokens - self.patches,
        )

    def _timesteps(self) -> np.ndarray:
        return (self.patches + self._text_lengths(self.episodes) + 1) // 2

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch, (n, 2) int64 [row, timesteps]: every picture once."""
        return np.stack([self.episodes, self._timesteps()], axis=1)

    def batch(self, windows: np.ndarray) -> Batch:
        """``pixel_values`` uint8 (B, 3, h, w), ``input_ids`` and ``attention_mask`` (B, S) int64.
        `to_tensors` scales and normalises the pixels.
        """
        rows = windows[:, 0]
        lengths = self._text_lengths(rows)
        ids = np.full((len(rows), lengths.max()), self.tokenizer.pad_id, np.int64)
        for line, row, length in zip(ids, rows, lengths):
            line[0] = self.tokenizer.end_id
            line[1:length] = self.tokens[row][: length - 1]
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        return {
            "pixel_values": self.pixels(rows),
            "input_ids": ids,
            "attention_mask": mask.astype(np.int64),
        }

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """The pictures of these rows, uint8 (B, 3, h, w)."""
        with ThreadPoolExecutor(DECODERS, "pictures") as pool:
            return np.stack(list(pool.map(self._decode, rows)))

    def _decode(self, row: int) -> np.ndarray:
        return preprocess(
            open_picture(self.pictures[row].tobytes(), f"{self.name}, picture {row}"), self.size
        )

    def describe(self, windows: np.ndarray) -> str:
        """Which pictures these are, for error messages."""
        return f"{self.name}, picture{'s' if len(windows) > 1 else ''} {', '.join(map(str, windows[:8, 0]))}{' …' if len(windows) > 8 else ''}"

    def split(self, fraction: float, seed: int) -> tuple[PictureSource, PictureSource | None]:
        """Two sources: one to train on, one with ``fraction`` of the pictures held out (None if
        that is none of them).
        """
        train, held = hold_out(self.episodes, fraction, seed)
        return (self, None) if held is None else (self._only(train), self._only(held))

    def _only(self, rows: np.ndarray) -> PictureSource:
        return PictureSource(
            self.name,
            self.pictures,
            self.tokens,
            self.content,
            self.size,
            self.patches,
            self.row_tokens,
            self.tokenizer,
            rows,
        )


# --- one picture
# -------------------------------------------------------------------------------------------------------------


def open_picture(source: bytes | str | Path | Image, where: str = "the picture") -> Image:
    """A picture, from compressed bytes, a file or as it is, in RGB. Raises ValueError, beginning
    with ``where``, for what is no picture or has a mode whose values cannot be read as colours of 8
    bits; FileNotFoundError for a file that is not there.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, Image.Image):
        return _to_rgb(source, where)
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            return _to_rgb(picture, where)
    except FileNotFoundError:
        raise FileNotFoundError(f"no picture at {source}") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{where} cannot be decoded ({error}): give a whole PNG or JPEG") from None


def _to_rgb(picture: Image, where: str) -> Image:
    check_mode(picture, where)
    return picture.convert("RGB")


def check_mode(picture: Image, where: str) -> None:
    """Raise ValueError for a picture whose mode has no honest conversion to RGB: 16 bits, 32 bits,
    real numbers, Lab.
    """
    if picture.mode not in MODES:
        raise ValueError(
            f"{where} has mode {picture.mode!r}, expected one of {', '.join(MODES)}: scale its values to 8 bits and save it as RGB or grey ('L')"
        )


def preprocess(picture: Image, size: int) -> np.ndarray:
    """An RGB picture as CLIP sees it, not yet scaled: shortest side resized to ``size`` (bicubic),
    the middle cropped; uint8 (3, size, size).
    """
    from PIL.Image import Resampling

    width, height = picture.size
    short, long = min(width, height), max(width, height)
    if short != size or long != size:
        side = max(int(size * long / short), size)
        picture = picture.resize(
            (size, side) if width <= height else (side, size), Resampling.BICUBIC
        )
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size))).transpose(2, 0, 1)


def normalise(pixels):
    """A tensor of uint8 pixels (B, 3, h, w) -> float32, scaled to [0, 1] and normalised with CLIP's
    mean and deviation, on its device.
    """
    import torch

    mean, std = (
        torch.tensor(values, device=pixels.device)[:, None, None] for values in (MEAN, STD)
    )
    return (pixels.float() / 255 - mean) / std


# --- from a task's name
# ------------------------------------------------------------------------------------------------------


def open_pictures(
    name: str,
    root: str | Path,
    config: JatConfig,
    tokenizer: TextTokenizer,
    max_timesteps: int | None = None,
    cache: str | Path | None = None,
    split: str = "train",
) -> PictureSource:
    """The pictures and texts under ``root/<name>/<split>``, for a model of ``config``.

    Texts that do not fit behind the patches are cut, with a warning. Raises FileNotFoundError
    without data; ValueError for a missing column, a picture that is damaged or of a wrong mode,
    patches that leave no room for text, ids beyond the vocabulary.
    """
    row_tokens = row_length(name, config, max_timesteps)
    patches = count_patches(name, config, row_tokens)
    check_vocabulary(name, config, tokenizer)
    columns, fingerprint = open_rows(
        language_files(root, name, split), cache_home(root, name, split, cache), f"pictures {digest(tokenizer)}",
        {"pictures": np.dtype(np.uint8), "tokens": TOKENS}, partial(_read_rows, tokenizer=tokenizer),
    )  # fmt: skip
    source = PictureSource(
        name,
        columns["pictures"],
        columns["tokens"],
        fingerprint,
        config.image_size,
        patches,
        row_tokens,
        tokenizer,
    )
    if cut := int((columns["tokens"].lengths > row_tokens - patches - 1).sum()):
        warnings.warn(
            f"{name}: {cut} of {len(source.episodes)} texts are longer than the {row_tokens - patches - 2} tokens beside a picture and were cut",
            stacklevel=2,
        )
    return source


def count_patches(name: str, config: JatConfig, row_tokens: int) -> int:
    """Positions that a picture takes. Raises ValueError where they leave no room for text."""
    patches = (config.image_size // config.patch_size) ** 2
    if row_tokens - patches < 3:
        raise ValueError(
            f"{name}: a picture takes {patches} positions of {row_tokens}, which leaves no room for text; use a smaller image_size or more positions"
        )
    return patches


def _read_rows(file: Path, tokenizer: TextTokenizer) -> Iterator[dict[str, np.ndarray]]:
    first = 0
    for rows in read_columns(file, ("images", "text")):
        for number, (image, ids) in enumerate(
            zip(rows["images"], tokenize(rows["text"], tokenizer)), start=first
        ):
            yield {
                "pictures": np.frombuffer(
                    picture_bytes(image, f"{file}, picture {number}"), np.uint8
                ),
                "tokens": ids,
            }
        first += len(rows["text"])


def picture_bytes(image: dict, where: str) -> bytes:
    """The compressed bytes of one entry of an Image column; its mode is looked at, its pixels not
    yet.
    """
    from PIL import Image, UnidentifiedImageError

    if not isinstance(image, dict) or not (image.get("bytes") or image.get("path")):
        raise ValueError(
            f"{where}: column 'images' holds neither bytes nor a path: expected the Image feature of the datasets library"
        )
    data = image["bytes"] or Path(image["path"]).read_bytes()
    try:
        check_mode(Image.open(io.BytesIO(data)), where)
    except UnidentifiedImageError:
        raise ValueError(f"{where}: not a picture that Pillow knows") from None
    return data
