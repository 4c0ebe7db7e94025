"""Pictures with text -> patches, then tokens -> batches: the source of captions and of questions.

A row is one picture: its patches take the first positions, its text follows. The text stands
between two end marks, so that the model predicts its first word too, from the mark before it.

On disk, pictures stay as compressed as they came, because a file of millions has no room for
pixels. The thread that prepares batches decodes them, several at once, and resizes and crops them
as CLIP does.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.data.folders import cache_home
from jatlab.data.language.rows import (
    FlatRow,
    Rows,
    language_files,
    open_rows,
    read_columns,
)
from jatlab.data.language.text import (
    TOKENS,
    check_vocabulary,
    row_length,
    tokenize,
    tokenizer_digest,
)
from jatlab.data.sources import Batch, describe_items, hold_out
from jatlab.utils.checks import require
from jatlab.utils.files import expanded

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

# CLIP's mean and standard deviation of red, green and blue
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# the modes that Pillow turns into RGB without loss of meaning
MODES = ("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")
PIXELS = np.dtype(np.uint8)
DECODERS = 4  # threads: Pillow decodes outside Python's lock


class PictureSource:
    """The pictures and texts of one task.

    Lengths are in timesteps, as the mixture counts: two patches or tokens are one timestep.

    Args:
        name: the task.
        pictures: the compressed bytes of each picture.
        tokens: the ids of each text, its end mark included.
        fingerprint: changes when the pictures, the texts or the tokenizer do.
        size: the side of a picture, in pixels.
        patches: how many positions a picture takes.
        row_tokens: how many positions there are for a picture and its text.
        tokenizer: the one that made ``tokens``.
        rows: the rows to use; default all.

    Raises:
        ValueError: if there are no rows to use.
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
        self.size, self.patches = size, patches
        self.row_tokens, self.tokenizer = row_tokens, tokenizer
        self.episodes = np.arange(len(tokens)) if rows is None else rows
        require(len(self.episodes) > 0, f"{name}: no pictures to train on")

    @property
    def fingerprint(self) -> str:
        """Changes when the data, the tokenizer, or the size of pictures or rows does."""
        return f"{self.content}-{self.size}-{self.row_tokens}-{len(self.episodes)}"

    @property
    def timesteps(self) -> int:
        """Timesteps of all pictures and texts."""
        return int(self._timesteps().sum())

    def _text_lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of these rows' texts, both end marks included, as far as there is room."""
        lengths = self.tokens.offsets[rows + 1] - self.tokens.offsets[rows] + 1
        return np.minimum(lengths, self.row_tokens - self.patches)

    def _timesteps(self) -> np.ndarray:
        return (self.patches + self._text_lengths(self.episodes) + 1) // 2

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch, (n, 2) int64 [row, timesteps]: every picture once."""
        return np.stack([self.episodes, self._timesteps()], axis=1)

    def batch(self, windows: np.ndarray) -> Batch:
        """The pictures and texts of these rows.

        ``pixel_values`` is uint8 (B, 3, h, w), which `jatlab.data.windows.to_tensors` scales and
        normalises; ``input_ids`` and ``attention_mask`` are int64 (B, S), S the longest text.
        """
        rows = windows[:, 0]
        lengths = self._text_lengths(rows)
        ids = np.full((len(rows), lengths.max()), self.tokenizer.pad_id, np.int64)
        for line, row, length in zip(ids, rows, lengths, strict=True):
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
        picture = open_picture(self.pictures[row].tobytes(), f"{self.name}, picture {row}")
        return preprocess(picture, self.size)

    def describe(self, windows: np.ndarray) -> str:
        """Which pictures these are, for error messages."""
        return describe_items(self.name, "picture", windows[:, 0])

    def split(self, fraction: float, seed: int) -> tuple[PictureSource, PictureSource | None]:
        """A source to train on, and one with ``fraction`` of the pictures held out.

        The second is None if the fraction rounds to no picture.
        """
        train, held = hold_out(self.episodes, fraction, seed)
        return (self, None) if held is None else (self._subset(train), self._subset(held))

    def _subset(self, rows: np.ndarray) -> PictureSource:
        sizes = self.size, self.patches, self.row_tokens
        return PictureSource(
            self.name, self.pictures, self.tokens, self.content, *sizes, self.tokenizer, rows
        )


# --- one picture ---


def open_picture(source: bytes | str | Path | Image, where: str = "the picture") -> Image:
    """Open a picture and convert it to RGB.

    Args:
        source: compressed bytes, a file, or a picture that Pillow has opened.
        where: the beginning of the error message.

    Raises:
        ValueError: for what is no picture, or has a mode that `check_mode` refuses.
        FileNotFoundError: for a file that is not there.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, Image.Image):
        return _to_rgb(source, where)
    file = io.BytesIO(source) if isinstance(source, bytes) else expanded(source)
    try:
        with Image.open(file) as picture:
            return _to_rgb(picture, where)
    except FileNotFoundError:
        raise FileNotFoundError(f"no picture at {file}") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(
            f"{where} cannot be decoded ({error}): give a complete PNG or JPEG"
        ) from None


def _to_rgb(picture: Image, where: str) -> Image:
    check_mode(picture, where)
    return picture.convert("RGB")


def check_mode(picture: Image, where: str) -> None:
    """Raise ValueError for a picture whose values cannot be read as colours of 8 bits.

    Such modes have 16 bits, 32 bits, real numbers, or Lab.
    """
    require(
        picture.mode in MODES,
        f"{where} has mode {picture.mode!r}, expected one of {', '.join(MODES)}: "
        "scale its values to 8 bits and save it as RGB or grey ('L')",
    )


def preprocess(picture: Image, size: int) -> np.ndarray:
    """An RGB picture as CLIP prepares it, before scaling: uint8 (3, size, size).

    The shortest side is resized to ``size`` (bicubic), and the middle cropped.
    """
    from PIL.Image import Resampling

    width, height = picture.size
    short, long = min(width, height), max(width, height)
    if short != size or long != size:
        side = max(int(size * long / short), size)
        resized = (size, side) if width <= height else (side, size)
        picture = picture.resize(resized, Resampling.BICUBIC)
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size))).transpose(2, 0, 1)


def normalise(pixels: Tensor) -> Tensor:
    """Pixels (B, 3, h, w), uint8 -> float32, normalised with CLIP's mean and standard deviation."""
    import torch

    mean = torch.tensor(MEAN, device=pixels.device)[:, None, None]
    std = torch.tensor(STD, device=pixels.device)[:, None, None]
    return (pixels.float() / 255 - mean) / std


# --- from a task's name ---


def open_pictures(
    name: str,
    root: str | Path,
    config: JatConfig,
    tokenizer: TextTokenizer | None,
    max_timesteps: int | None = None,
    cache: str | Path | None = None,
    split: str = "train",
) -> PictureSource:
    """The pictures and texts under ``root/<name>/<split>``, for a model of ``config``.

    Texts that do not fit behind the patches are cut, with a warning.

    Args:
        name: a task of pictures.
        root: the folder of the data.
        config: the model's; it says how large pictures and patches are, and how many positions and
            ids there are.
        tokenizer: turns the texts into ids; it must not be None.
        max_timesteps: patches and tokens of a row are at most twice as many; default as many as the
            model has positions.
        cache: another folder for the flat files, for data that lies where nothing can be written.
        split: "train" or "test".

    Raises:
        FileNotFoundError: without data.
        ValueError: for no tokenizer, a missing column, a picture that is damaged or of a wrong
            mode, patches that leave no room for text, and ids beyond the vocabulary.
    """
    row_tokens = row_length(name, config, max_timesteps)
    patches = count_patches(name, config, row_tokens)
    tokenizer = check_vocabulary(name, config, tokenizer)
    files, home = language_files(root, name, split), cache_home(root, name, split, cache)
    columns, fingerprint = open_rows(
        files,
        home,
        f"pictures {tokenizer_digest(tokenizer)}",
        {"pictures": PIXELS, "tokens": TOKENS},
        lambda file: _read_rows(file, tokenizer),
    )
    pictures, tokens, size = columns["pictures"], columns["tokens"], config.image_size
    if cut := int((tokens.lengths > row_tokens - patches - 1).sum()):
        warnings.warn(
            f"{name}: {cut} of {len(tokens)} texts are longer than the "
            f"{row_tokens - patches - 2} tokens beside a picture and were cut",
            stacklevel=2,
        )
    return PictureSource(name, pictures, tokens, fingerprint, size, patches, row_tokens, tokenizer)


def count_patches(name: str, config: JatConfig, row_tokens: int) -> int:
    """Positions that a picture takes. Raises ValueError where they leave no room for text."""
    patches = (config.image_size // config.patch_size) ** 2
    require(
        row_tokens - patches >= 3,
        f"{name}: a picture takes {patches} positions of {row_tokens}, which leaves no room for "
        "text; use a smaller image_size or more positions",
    )
    return patches


def _read_rows(file: Path, tokenizer: TextTokenizer) -> Iterator[FlatRow]:
    number = 0
    for columns in read_columns(file, ("images", "text")):
        texts = tokenize(columns["text"], tokenizer)
        for image, ids in zip(columns["images"], texts, strict=True):
            data = picture_bytes(image, f"{file}, picture {number}")
            yield {"pictures": np.frombuffer(data, PIXELS), "tokens": ids}
            number += 1


def picture_bytes(image: dict[str, Any], where: str) -> bytes:
    """The compressed bytes of one entry of an Image column.

    The mode of the picture is checked here; the pixels are not decoded yet. Raises ValueError,
    whose message begins with ``where``, for an entry without a picture, or whose picture lies
    elsewhere: a data set that came from elsewhere must not read its user's files.
    """
    from PIL import Image

    require(
        isinstance(image, dict) and isinstance(image.get("bytes"), bytes) and image["bytes"],
        f"{where}: column 'images' holds no bytes of a picture: expected the Image feature of the "
        "datasets library with the pictures in the file (save it with embed_external_files=True)",
    )
    try:
        picture = Image.open(io.BytesIO(image["bytes"]))
    except Exception as error:  # each of Pillow's readers raises its own, and for bombs too
        raise ValueError(f"{where}: not a picture that Pillow knows ({error})") from None
    check_mode(picture, where)
    return image["bytes"]
