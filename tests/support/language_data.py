"""Small data of text and pictures for tests, in the published layout."""

import io
from pathlib import Path

import numpy as np

from jatlab.data.recording.language import write_rows

SENTENCE = "the for statement is used to iterate over the elements of a sequence such as a string"
WORDS = SENTENCE.split()


def documents(count, seed=0, longest=60):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(count)]


def picture(seed=0, width=20, height=20, mode="RGB"):
    """A PIL picture of random blocks."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    blocks = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return blocks.convert(mode) if mode != "RGB" else blocks


def as_bytes(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write_texts(root, name, texts, split="train", file="00000"):
    return write_rows(Path(root) / name / split / f"{file}.parquet", {"text": texts})


def write_pictures(root, name, pictures, texts, split="train", file="00000"):
    images = [image if isinstance(image, bytes) else as_bytes(image) for image in pictures]
    return write_rows(
        Path(root) / name / split / f"{file}.parquet", {"images": images, "text": texts}
    )
