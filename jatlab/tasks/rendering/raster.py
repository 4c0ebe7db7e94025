"""Triangles to pixels with NumPy: a pinhole camera, a z-buffer, and perspective-correct shading.

Words: V vertices, F faces (triangles), S spans (a face's run of pixels in one row), h, w height and
width in pixels. Homogeneous pixels are (x * depth, y * depth, depth): x and y count from the upper
left corner, depth along the view.
"""

import numpy as np


class Camera:
    """A pinhole camera for pictures of h x w pixels.

    eye (3,): where it is, in metres; forward, up (3,): unit vectors; focal: its focal length in
    pixels.
    """

    def __init__(self, eye, forward, up, focal, height, width):
        self.eye, self.forward, up = (np.array(vector, np.float64) for vector in (eye, forward, up))
        self.right, self.down = np.cross(self.forward, up), -up
        self.focal, self.height, self.width = float(focal), height, width

    def axes(self):
        """(3, 3): offsets from the eye -> homogeneous pixels, as a product from the left."""
        x = self.focal * self.right + self.width / 2 * self.forward
        y = self.focal * self.down + self.height / 2 * self.forward
        return np.stack([x, y, self.forward])

    def project(self, points):
        """World points (V, 3) in metres -> homogeneous pixels (3, V)."""
        return self.axes() @ (points - self.eye).T

    def along(self, vector, rows=slice(None)):
        """The component along `vector` of each pixel's ray of depth one, for some rows: (h, w)
        float32.
        """
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal * (self.right @ vector)
        y = (
            (np.arange(self.height)[rows] + 0.5 - self.height / 2)
            / self.focal
            * (self.down @ vector)
        )
        return (y + self.forward @ vector).astype(np.float32)[:, None] + x.astype(np.float32)[None]


def cross(p, q):
    """Cross products of vectors given as (3, n) arrays."""
    return np.stack(
        [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
    )


def edge_functions(points, faces):
    """The edges (3 corners, 3 coefficients, F') of those faces that show their front, and their
    numbers (F',).

    Edge i is a*x + b*y + c at the pixel (x, y): the weight of corner i over the depth, positive
    inside the triangle. So no clipping at the camera's plane is needed, and whatever is known at
    the corners interpolates in true perspective (Olano and Greer, Triangle scan conversion using 2D
    homogeneous coordinates, 1997).
    """
    p, q, r = (points[:, faces[:, corner]] for corner in range(3))
    opposite = cross(r, q)  # y runs down the picture, so counter-clockwise faces come out clockwise
    area = (p * opposite).sum(axis=0)
    seen = np.flatnonzero((area > 1e-9) & (np.maximum(np.maximum(p[2], q[2]), r[2]) > 0))
    p, q, r = p[:, seen], q[:, seen], r[:, seen]
    return np.stack([opposite[:, seen], cross(p, r), cross(q, p)]) / area[seen], seen


def row_ranges(points, faces, height):
    """First and last-plus-one row (F,) that each face can touch; every row for a face that reaches
    behind the camera.
    """
    front = points[2] > 1e-6
    y = np.where(front, points[1] / np.where(front, points[2], 1), np.nan)[faces].T
    top, bottom = np.minimum(np.minimum(*y[:2]), y[2]), np.maximum(np.maximum(*y[:2]), y[2])
    top, bottom = np.where(np.isnan(top), 0, top), np.where(np.isnan(bottom), height, bottom)
    return [np.ceil(edge.clip(0, height) - 0.5).astype(np.int32) for edge in (top, bottom)]


def spans(edges, top, bottom, width):
    """Runs of pixels whose centres lie inside: face (S,), row (S,), first column (S,) and length
    (S,), all int32.
    """
    rows = bottom - top
    face = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    row = np.arange(len(face), dtype=np.int32) - np.repeat(np.cumsum(rows) - bottom, rows).astype(
        np.int32
    )
    left, right = np.zeros(len(face)), np.full(len(face), float(width))
    for a, b, c in edges:
        steep = np.where(np.abs(a) < 1e-12, 1e-12, a)
        crossing = (-(c + 0.5 * b) / steep)[face] - (b / steep)[face] * row
        opens = (steep > 0)[face]
        np.copyto(left, np.maximum(left, crossing), where=opens)
        np.copyto(right, np.minimum(right, crossing), where=~opens)
    column = np.ceil(left.clip(0, width) - 0.5).astype(np.int32)
    length = np.ceil(right.clip(0, width) - 0.5).astype(np.int32) - column
    drawn = np.flatnonzero(length > 0)
    return face[drawn], row[drawn], column[drawn], length[drawn]


def fragments(edges, face, row, column, length, width):
    """The pixels of all spans: span (n,), pixel number (n,) int32, and nearness, one over depth
    (n,) float32.
    """
    a, b, c = edges.sum(axis=0)  # one over depth is a*x + b*y + c
    start = (a[face] * (column + 0.5) + b[face] * (row + 0.5) + c[face]).astype(np.float32)
    span = np.repeat(np.arange(len(face), dtype=np.int32), length)
    step = np.arange(len(span), dtype=np.int32)
    step -= (np.cumsum(length, dtype=np.int32) - length)[span]
    nearness = a.astype(np.float32)[face][span] * step.astype(np.float32)
    nearness += start[span]
    step += (row * width + column)[span]
    return span, step, np.maximum(nearness, 0, out=nearness)


def rasterise(points, faces, keys, width, keep=None):
    """Draw faces (F, 3) over points (3, V), homogeneous pixels, into a z-buffer.

    keys (h * w,) int64: for each pixel the nearest surface's float32 nearness (one over depth, its
    bits) in the upper half, and in the lower half the number of the face plus one (0: none);
    positive floats sort as integers do, so the greater key is nearer. keep(face numbers, pixels) ->
    bool may drop pixels of see-through faces. Returns the edges and numbers of the faces that show.
    """
    edges, seen = edge_functions(points, faces)
    face, row, column, length = spans(
        edges, *row_ranges(points, faces[seen], len(keys) // width), width
    )
    span, pixel, nearness = fragments(edges, face, row, column, length, width)
    key = nearness.view(np.int32).astype(np.int64)
    key <<= 32
    key |= (face + 1)[span]
    if keep is not None:
        kept = keep(seen[face][span], pixel)
        pixel, key = pixel[kept], key[kept]
    np.maximum.at(keys, pixel, key)
    return edges, seen


def interpolate(keys, width, edges, values):
    """Values (3 corners, C, F') carried from the corners to the pixels that faces won: pixels (n,),
    values (C, n) float32.
    """
    number = keys.astype(np.int32)
    pixel = np.flatnonzero(number != 0)
    face, nearness = number[pixel].astype(np.intp) - 1, nearness_of(keys[pixel])
    row = pixel // width
    x, y = (
        (pixel - row * width).astype(np.float32) + np.float32(0.5),
        row.astype(np.float32) + np.float32(0.5),
    )
    planes = np.einsum("ikf,icf->ckf", edges, values).astype(np.float32)
    return pixel, np.stack([(a[face] * x + b[face] * y + c[face]) / nearness for a, b, c in planes])


def nearness_of(keys):
    """One over depth, float32, of z-buffer entries; 0 where nothing was drawn."""
    return (keys >> 32).astype(np.int32).view(np.float32)
