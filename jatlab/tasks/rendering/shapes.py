"""Triangles for MuJoCo's geom types: what the painter draws."""

import functools
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import ArrayLike

GEOM = mujoco.mjtGeom
AROUND, DOWN = 24, 12  # segments around and from pole to pole: 0.9 % of the radius is lost at most
# larger meshes are simplified on a grid of this many cells along their longest side
MESH_CELLS = 28
MESH_FACES = 1500  # smaller meshes are drawn as they are


class Shape(NamedTuple):
    """Triangles in the geom's frame; corners are counter-clockwise, seen from outside."""

    points: np.ndarray  # (V, 3) float32, in metres
    normals: np.ndarray  # (V, 3) float32, unit vectors
    faces: np.ndarray  # (F, 3) int32, numbers of points


def shape(model: mujoco.MjModel, kind: int, dataid: int, size: ArrayLike) -> Shape | None:
    """The shape of one geom of a MuJoCo scene (`mjvGeom`).

    Args:
        model: The model, which holds the meshes.
        kind: The geom's mjtGeom.
        dataid: The scene's mesh number (2 * mesh, + 1 for its hull); -1 without a mesh.
        size: Half sizes (3,) in metres.

    Returns:
        The shape, or None for a kind that the painter does not draw.
    """
    size = np.asarray(size, np.float32)
    if kind in (GEOM.mjGEOM_SPHERE, GEOM.mjGEOM_ELLIPSOID):
        return scaled(ball(), size)
    if kind == GEOM.mjGEOM_CAPSULE:
        return capsule(size[0], size[2])
    if kind == GEOM.mjGEOM_CYLINDER:
        return scaled(cylinder(), size)
    if kind == GEOM.mjGEOM_BOX:
        return scaled(box(), size)
    if kind == GEOM.mjGEOM_MESH:
        return mesh(model, dataid // 2)
    return None


def scaled(unit: Shape, size: np.ndarray) -> Shape:
    """A shape stretched by size (3,) along its axes; normals shrink where points stretch."""
    stretched = unit.normals / size
    normals = stretched / np.linalg.norm(stretched, axis=1, keepdims=True)
    return Shape(unit.points * size, normals, unit.faces)


def grid_faces(rows: int, around: int) -> np.ndarray:
    """Faces (F, 3) of a tube of ``rows`` rings of ``around`` points each.

    The points are listed ring by ring from the top down.
    """
    ring, step = np.meshgrid(np.arange(rows - 1), np.arange(around), indexing="ij")
    a, b = ring * around + step, ring * around + (step + 1) % around
    quads = np.stack([a, a + around, b + around, a, b + around, b], axis=-1)
    return quads.reshape(-1, 3).astype(np.int32)


def circle(around: int = AROUND) -> np.ndarray:
    """Points (around, 2) of the unit circle, counter-clockwise."""
    angle = np.arange(around) * 2 * np.pi / around
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@functools.cache
def ball() -> Shape:
    """The unit sphere; its equator is there twice, so that a capsule is a ball pulled apart."""
    polar = np.linspace(0, np.pi, DOWN + 1)
    polar = np.concatenate([polar[: DOWN // 2 + 1], polar[DOWN // 2 :]])
    rings = [np.column_stack([circle() * np.sin(a), np.full(AROUND, np.cos(a))]) for a in polar]
    points = np.concatenate(rings).astype(np.float32)
    return Shape(points, points, grid_faces(len(polar), AROUND))


def capsule(radius: float, half: float) -> Shape:
    """A capsule along z; ``half`` is half the length of its straight part, both in metres."""
    points, normals, faces = ball()
    upper = np.arange(len(points)) < len(points) // 2
    shift = np.zeros_like(points)
    shift[:, 2] = np.where(upper, half, -half)
    return Shape(points * radius + shift, normals, faces)


@functools.cache
def cylinder() -> Shape:
    """The unit cylinder: radius 1, from z = -1 to 1."""
    rings = [np.column_stack([circle(), np.full(AROUND, z)]) for z in (1, -1)]
    side = np.concatenate(rings).astype(np.float32)
    corners = np.arange(1, AROUND - 1)
    fan = np.column_stack([np.zeros(AROUND - 2), corners, corners + 1]).astype(np.int32)
    faces = [grid_faces(2, AROUND), fan + 2 * AROUND, fan[:, ::-1] + 3 * AROUND]
    flat = np.repeat(np.array([[0, 0, 1], [0, 0, -1]], np.float32), AROUND, axis=0)
    normals = np.concatenate([side * [1, 1, 0], flat]).astype(np.float32)
    return Shape(np.concatenate([side, side]), normals, np.concatenate(faces))


@functools.cache
def box() -> Shape:
    """The cube from -1 to 1; no two sides share a corner, so that edges stay sharp."""
    square = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    points, normals = [], []
    for axis in range(3):
        for sign in (1, -1):
            side = np.full((4, 3), float(sign))
            side[:, (axis + 1) % 3], side[:, (axis + 2) % 3] = square.T
            points.append(side[::sign])
            normals.append(np.tile(sign * np.eye(3)[axis], (4, 1)))
    faces = np.array([[0, 1, 2], [0, 2, 3]]) + 4 * np.arange(6)[:, None, None]
    return Shape(
        np.concatenate(points).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
        faces.reshape(-1, 3).astype(np.int32),
    )


def mesh(model: mujoco.MjModel, number: int) -> Shape:
    """A mesh of the model, simplified when it is large."""
    first, count = model.mesh_faceadr[number], model.mesh_facenum[number]
    where = slice(first, first + count)
    points = model.mesh_vert[model.mesh_vertadr[number] :][: model.mesh_vertnum[number]]
    normals = model.mesh_normal[model.mesh_normaladr[number] :][: model.mesh_normalnum[number]]
    corners, toward = points[model.mesh_face[where]], normals[model.mesh_facenormal[where]]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(flat, axis=1)[:, None, None] + 1e-12
    flat = np.repeat(flat[:, None] / length, 3, axis=1)
    # MuJoCo averages normals over a box's edges too: there the face's normal is the better one
    sharp = (flat * toward).sum(axis=2, keepdims=True) < 0.8
    fine = len(corners) <= MESH_FACES
    cell = np.ptp(points, axis=0).max() / (1e5 if fine else MESH_CELLS)
    return merged(corners, np.where(sharp, flat, toward), cell)


def merged(corners: np.ndarray, normals: np.ndarray, cell: float) -> Shape:
    """Merge the corners that share a cell of a grid; faces that collapse or repeat are dropped.

    The corners of a cell move to their mean, so nothing tears. For shading they stay apart where
    their normals point to different octants, so sharp edges stay sharp.

    Args:
        corners: The faces' corners (F, 3, 3), in metres.
        normals: Their unit normals (F, 3, 3).
        cell: The size of the grid's cells, in metres.
    """
    points, toward = corners.reshape(-1, 3), normals.reshape(-1, 3)
    keys = np.floor((points - points.min(axis=0)) / cell + 0.5).astype(np.int64)
    place = numbered(keys @ np.array([1, 1 << 20, 1 << 40]))[1]
    octant = ((toward > 1e-2) * 2 + (toward < -1e-2)) @ np.array([1, 3, 9])
    first, corner = numbered(place * 27 + octant)
    shading = grouped_mean(toward, corner)
    shading /= np.linalg.norm(shading, axis=1, keepdims=True) + 1e-9
    faces = corner.reshape(-1, 3)[_distinct_faces(place.reshape(-1, 3))]
    return Shape(
        grouped_mean(points, place)[place[first]].astype(np.float32),
        shading.astype(np.float32),
        faces.astype(np.int32),
    )


def _distinct_faces(places: np.ndarray) -> np.ndarray:
    """Of faces given by their corners' places (F, 3), those that have an area, each once."""
    start = places.argmin(axis=1)[:, None]
    turned = np.take_along_axis(places, (start + np.arange(3)) % 3, axis=1).astype(np.int64)
    distinct = numbered(turned @ np.array([1, 1 << 20, 1 << 40]))[0]
    return distinct[(np.diff(np.sort(places[distinct], axis=1), axis=1) > 0).all(axis=1)]


def numbered(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct keys (n,).

    Returns the index of the first occurrence of each, and the number of each entry (n,).
    """
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return first, number.ravel()


def grouped_mean(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Mean (groups, 3) of the rows of values (n, 3) that have the same group number (n,)."""
    sums = np.stack([np.bincount(group, values[:, axis]) for axis in range(3)], axis=1)
    return sums / np.bincount(group)[:, None]
