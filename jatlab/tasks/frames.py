"""What an environment's ``render()`` returned, as a picture: RGB, uint8 (h, w, 3).

Environments of your own may render in other forms that gymnasium knows or tolerates: grey, with
transparency, as floats, as a list of frames. Those are converted; text and nothing are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jatlab.utils.checks import require


def draw(render: Callable[[], Any]) -> np.ndarray:
    """The picture that ``render`` draws now, uint8 (h, w, 3); a copy.

    Raises ValueError where there is no ``render()``, or it returned no picture.
    """
    try:
        return as_rgb(render())
    except NotImplementedError:
        raise ValueError("the environment has no render()") from None


def as_rgb(picture: Any) -> np.ndarray:
    """A rendered picture as uint8 (h, w, 3); a copy.

    Args:
        picture: (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), whose transparency is ignored. Integers
            from 0 to 255, floats from 0 to 1 or to 255, or truth values. Of a list of pictures, the
            last.

    Raises:
        ValueError: For anything else; the message says what was returned.
    """
    if isinstance(picture, list | tuple) and picture and isinstance(picture[-1], np.ndarray):
        picture = picture[-1]
    is_text = isinstance(picture, str | bytes)
    values = np.asarray(None if is_text else picture)
    if values.dtype.kind not in "biuf":
        found = "text" if is_text else "None" if picture is None else type(picture).__name__
        raise ValueError(
            f"render() returned {found}, expected a picture: make the environment with "
            "render_mode='rgb_array'"
        )
    shape = values.shape
    is_picture = values.size and (values.ndim == 2 or (values.ndim == 3 and shape[2] in (1, 3, 4)))
    require(
        is_picture,
        f"render() returned an array of shape {shape}, expected a picture (h, w, 3)",
    )
    values = _as_bytes(values)
    return np.array(np.broadcast_to(_colours(values), (*shape[:2], 3)))


def _colours(values: np.ndarray) -> np.ndarray:
    """(h, w, 1) or (h, w, 3), without transparency."""
    return values[:, :, None] if values.ndim == 2 else values[:, :, :3]


def _as_bytes(values: np.ndarray) -> np.ndarray:
    """Numbers of any kind as uint8."""
    if values.dtype == np.uint8:
        return values
    low, high = values.min(), values.max()
    require(
        low >= 0 and high <= 255,  # also false for NaN
        f"render() returned values from {low} to {high}, expected 0 to 255 (or 0 to 1)",
    )
    fractions = values.dtype.kind in "bf" and high <= 1
    return np.rint(values * 255.0 if fractions else values).astype(np.uint8)


def fitted(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture (h, w, 3) at another size, (height, width, 3); pixels are repeated or left out."""
    if frame.shape[:2] == (height, width):
        return frame
    rows = np.arange(height) * frame.shape[0] // height
    columns = np.arange(width) * frame.shape[1] // width
    return frame[rows[:, None], columns]
