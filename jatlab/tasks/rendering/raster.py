"""Triangles to pixels with NumPy: a pinhole camera, a z-buffer, and perspective-correct shading.

Letters: V vertices, F faces (triangles), F' faces that show their front, S spans (a face's run of
pixels in one row), h and w the picture's height and width in pixels. Homogeneous pixels are
(x * depth, y * depth, depth): x and y count from the upper left corner, depth along the view.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# told face numbers (n,) and pixel numbers (n,): which of them are drawn, (n,) bool
Keep = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Camera:
    """A pinhole camera for pictures of h x w pixels.

    Attributes:
        eye: Where it is (3,), in metres.
        forward: Where it looks (3,), a unit vector; ``right`` and ``down`` are those of the
            picture.
        focal: Its focal length in pixels.
    """

    def __init__(
        self,
        eye: ArrayLike,
        forward: ArrayLike,
        up: ArrayLike,
        focal: float,
        height: int,
        width: int,
    ):
        self.eye, self.forward = np.array(eye, np.float64), np.array(forward, np.float64)
        upwards = np.array(up, np.float64)
        self.right, self.down = np.cross(self.forward, upwards), -upwards
        self.focal, self.height, self.width = float(focal), height, width

    def axes(self) -> np.ndarray:
        """Offsets from the eye -> homogeneous pixels, as a product from the left: (3, 3)."""
        x = self.focal * self.right + self.width / 2 * self.forward
        y = self.focal * self.down + self.height / 2 * self.forward
        return np.stack([x, y, self.forward])

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (V, 3) in metres -> homogeneous pixels (3, V)."""
        return self.axes() @ (points - self.eye).T

    def along(self, vector: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        """The component along a vector (3,) of the ray of depth one of each pixel of some rows.

        Returns (rows, w) float32.
        """
        column, row = np.arange(self.width) + 0.5, np.arange(self.height)[rows] + 0.5
        x = (column - self.width / 2) / self.focal * (self.right @ vector)
        y = (row - self.height / 2) / self.focal * (self.down @ vector)
        return (y + self.forward @ vector).astype(np.float32)[:, None] + x.astype(np.float32)[None]


class Spans(NamedTuple):
    """Runs of pixels, each of one face in one row: four arrays (S,) int32."""

    face: np.ndarray
    row: np.ndarray
    column: np.ndarray  # the first one
    length: np.ndarray


def cross(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Cross products of vectors given as (3, n) arrays."""
    return np.stack(
        [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
    )


def edge_functions(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges of those faces (F, 3) that show their front.

    Edge i is a*x + b*y + c at the pixel (x, y): the weight of corner i over the depth, positive
    inside the triangle. So no clipping at the camera's plane is needed, and whatever is known at
    the corners interpolates in true perspective (Olano and Greer, Triangle scan conversion using 2D
    homogeneous coordinates, 1997).

    Returns:
        The edges (3 corners, 3 coefficients, F'), and the numbers of their faces (F',).
    """
    p, q, r = (points[:, faces[:, corner]] for corner in range(3))
    opposite = cross(r, q)  # y runs down the picture, so counter-clockwise faces come out clockwise
    area = (p * opposite).sum(axis=0)
    seen = np.flatnonzero((area > 1e-9) & (np.maximum(np.maximum(p[2], q[2]), r[2]) > 0))
    p, q, r = p[:, seen], q[:, seen], r[:, seen]
    return np.stack([opposite[:, seen], cross(p, r), cross(q, p)]) / area[seen], seen


def row_ranges(points: np.ndarray, faces: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last-plus-one row (F,) that each face can touch.

    A face that reaches behind the camera can touch every row.
    """
    front = points[2] > 1e-6
    y = np.where(front, points[1] / np.where(front, points[2], 1), np.nan)[faces].T
    top, bottom = np.minimum(np.minimum(*y[:2]), y[2]), np.maximum(np.maximum(*y[:2]), y[2])
    top, bottom = np.where(np.isnan(top), 0, top), np.where(np.isnan(bottom), height, bottom)
    return _first_pixel(top, height), _first_pixel(bottom, height)


def _first_pixel(edge: np.ndarray, size: int) -> np.ndarray:
    """The first pixel whose centre lies behind an edge, 0 to ``size``, int32."""
    return np.ceil(edge.clip(0, size) - 0.5).astype(np.int32)


def spans(edges: np.ndarray, top: np.ndarray, bottom: np.ndarray, width: int) -> Spans:
    """Runs of pixels whose centres lie inside the faces.

    Args:
        edges: See `edge_functions`, (3, 3, F').
        top: The first row that a face can touch (F',).
        bottom: The last row plus one (F',).
        width: The picture's width in pixels.
    """
    rows = bottom - top
    face = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    shift = np.repeat(np.cumsum(rows) - bottom, rows).astype(np.int32)
    row = np.arange(len(face), dtype=np.int32) - shift
    left, right = np.zeros(len(face)), np.full(len(face), float(width))
    for a, b, c in edges:
        steep = np.where(np.abs(a) < 1e-12, 1e-12, a)
        crossing = (-(c + 0.5 * b) / steep)[face] - (b / steep)[face] * row
        opens = (steep > 0)[face]
        np.copyto(left, np.maximum(left, crossing), where=opens)
        np.copyto(right, np.minimum(right, crossing), where=~opens)
    column = _first_pixel(left, width)
    length = _first_pixel(right, width) - column
    drawn = np.flatnonzero(length > 0)
    return Spans(face[drawn], row[drawn], column[drawn], length[drawn])


def fragments(
    edges: np.ndarray, runs: Spans, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels of all spans of a picture of this width.

    Returns:
        For each of n pixels its span (n,) int32, its number (n,) int32, and its nearness, one over
        depth, (n,) float32.
    """
    face, row, column, length = runs
    a, b, c = edges.sum(axis=0)  # one over depth is a*x + b*y + c
    start = (a[face] * (column + 0.5) + b[face] * (row + 0.5) + c[face]).astype(np.float32)
    span = np.repeat(np.arange(len(face), dtype=np.int32), length)
    step = np.arange(len(span), dtype=np.int32)
    step -= (np.cumsum(length, dtype=np.int32) - length)[span]
    nearness = a.astype(np.float32)[face][span] * step.astype(np.float32)
    nearness += start[span]
    step += (row * width + column)[span]
    return span, step, np.maximum(nearness, 0, out=nearness)


def rasterise(
    points: np.ndarray, faces: np.ndarray, keys: np.ndarray, width: int, keep: Keep | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw faces into a z-buffer.

    The z-buffer holds for each pixel the nearest surface's float32 nearness (one over depth, its
    bits) in the upper half, and the number of the face plus one (0: none) in the lower half.
    Positive floats sort as integers do, so the greater key is nearer.

    Args:
        points: Homogeneous pixels (3, V).
        faces: Numbers of the corners (F, 3).
        keys: The z-buffer (h * w,) int64; it changes. The faces that show are numbered from 1.
        width: The picture's width in pixels.
        keep: May drop pixels of see-through faces.

    Returns:
        The edges (3, 3, F') and the numbers (F',) of the faces that show.
    """
    edges, seen = edge_functions(points, faces)
    top, bottom = row_ranges(points, faces[seen], len(keys) // width)
    runs = spans(edges, top, bottom, width)
    span, pixel, nearness = fragments(edges, runs, width)
    key = nearness.view(np.int32).astype(np.int64)
    key <<= 32
    key |= (runs.face + 1)[span]
    if keep is not None:
        kept = keep(seen[runs.face][span], pixel)
        pixel, key = pixel[kept], key[kept]
    np.maximum.at(keys, pixel, key)
    return edges, seen


def interpolate(
    keys: np.ndarray, width: int, edges: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Carry values from the corners of faces to the pixels that show them.

    Args:
        keys: The z-buffer (h * w,) into which the faces were drawn, see `rasterise`.
        width: The picture's width in pixels.
        edges: The faces' edges (3, 3, F').
        values: What is known at their corners (3 corners, C, F').

    Returns:
        The pixels that show a face (n,), and their values (C, n) float32.
    """
    number = keys.astype(np.int32)
    pixel = np.flatnonzero(number != 0)
    face, nearness = number[pixel].astype(np.intp) - 1, nearness_of(keys[pixel])
    row = pixel // width
    x = (pixel - row * width).astype(np.float32) + np.float32(0.5)
    y = row.astype(np.float32) + np.float32(0.5)
    planes = np.einsum("ikf,icf->ckf", edges, values).astype(np.float32)
    return pixel, np.stack([(a[face] * x + b[face] * y + c[face]) / nearness for a, b, c in planes])


def nearness_of(keys: np.ndarray) -> np.ndarray:
    """One over depth, float32, of z-buffer entries; 0 where nothing was drawn."""
    return (keys >> 32).astype(np.int32).view(np.float32)
