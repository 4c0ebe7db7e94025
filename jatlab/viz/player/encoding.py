"""Pictures as JPEGs, small enough for a notebook's server."""

from __future__ import annotations

import io

import numpy as np

from jatlab.viz.video import pillow

BYTES = 30_000  # of a frame while playing: a notebook server lets a megabyte a second through
STILL = 92  # quality of a picture that stays
FINEST, COARSEST = 85, 40  # qualities while playing; a step below the coarsest is the last


class Encoder:
    """Encodes pictures, more coarsely while playing where they are large.

    Attributes:
        quality: Of the next picture while playing.
    """

    def __init__(self) -> None:
        self.quality = FINEST

    def jpeg(self, picture: np.ndarray, playing: bool) -> bytes:
        """A picture, uint8 (h, w, 3), as JPEG; while playing its size decides the next quality."""
        buffer = io.BytesIO()
        quality = self.quality if playing else STILL
        pillow().Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        if playing:
            size = buffer.tell()
            if size > BYTES and self.quality > COARSEST:
                self.quality -= 10
            elif size < BYTES / 2 and self.quality < FINEST:
                self.quality += 5
        return buffer.getvalue()
