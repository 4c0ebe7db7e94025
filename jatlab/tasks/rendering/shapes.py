"""Triangles for MuJoCo's geom types: what the painter draws.

A shape is (points, normals, faces): (V, 3) float32 in the geom's own frame, (V, 3) float32 unit
normals, (F, 3) int32 with counter-clockwise corners seen from outside.
"""

import functools

import mujoco
import numpy as np

GEOM = mujoco.mjtGeom
AROUND, DOWN = 24, 12  # segments around and from pole to pole: 0.9 % of the radius is lost at most
# larger meshes are simplified on a grid of this many cells along their longest side
MESH_CELLS = 28
MESH_FACES = 1500  # smaller meshes are drawn as they are


def shape(model, kind, dataid, size):
    """The shape of one geom of a MuJoCo scene (`mjvGeom`), or None for a kind that the painter does
    not draw.

    kind: mjtGeom; dataid: the scene's mesh number (2 * mesh, + 1 for its hull); size (3,): half
    sizes in metres.
    """
    size = np.asarray(size, np.float32)
    if kind in (GEOM.mjGEOM_SPHERE, GEOM.mjGEOM_ELLIPSOID):
        return scaled(*ball(), size)
    if kind == GEOM.mjGEOM_CAPSULE:
        return capsule(size[0], size[2])
    if kind == GEOM.mjGEOM_CYLINDER:
        return scaled(*cylinder(), size)
    if kind == GEOM.mjGEOM_BOX:
        return scaled(*box(), size)
    if kind == GEOM.mjGEOM_MESH:
        return mesh(model, dataid // 2)
    return None


def scaled(points, normals, faces, size):
    """The shape stretched by size (3,) along its axes; normals shrink where points stretch."""
    stretched = normals / size
    return points * size, stretched / np.linalg.norm(stretched, axis=1, keepdims=True), faces


def grid_faces(rows, around):
    """Faces of a tube of `rows` rings of `around` points each, listed ring by ring from the top
    down.
    """
    ring, step = np.meshgrid(np.arange(rows - 1), np.arange(around), indexing="ij")
    a, b = ring * around + step, ring * around + (step + 1) % around
    quads = np.stack([a, a + around, b + around, a, b + around, b], axis=-1)
    return quads.reshape(-1, 3).astype(np.int32)


def circle(around=AROUND):
    """(around, 2) points of the unit circle, counter-clockwise."""
    angle = np.arange(around) * 2 * np.pi / around
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@functools.cache
def ball():
    """The unit sphere; its equator is there twice, so that a capsule is a ball pulled apart."""
    polar = np.linspace(0, np.pi, DOWN + 1)
    polar = np.concatenate([polar[: DOWN // 2 + 1], polar[DOWN // 2 :]])
    points = [np.column_stack([circle() * np.sin(a), np.full(AROUND, np.cos(a))]) for a in polar]
    points = np.concatenate(points).astype(np.float32)
    return points, points, grid_faces(len(polar), AROUND)


def capsule(radius, half):
    """A capsule along z: half the length of its straight part, in metres."""
    points, normals, faces = ball()
    upper = np.arange(len(points)) < len(points) // 2
    shift = np.zeros_like(points)
    shift[:, 2] = np.where(upper, half, -half)
    return points * radius + shift, normals, faces


@functools.cache
def cylinder():
    """The unit cylinder: radius 1, from z = -1 to 1."""
    side = [np.column_stack([circle(), np.full(AROUND, z)]) for z in (1, -1)]
    side = np.concatenate(side).astype(np.float32)
    fan = np.column_stack(
        [np.zeros(AROUND - 2), np.arange(1, AROUND - 1), np.arange(2, AROUND)]
    ).astype(np.int32)
    faces = [grid_faces(2, AROUND), fan + 2 * AROUND, fan[:, ::-1] + 3 * AROUND]
    flat = np.repeat(np.array([[0, 0, 1], [0, 0, -1]], np.float32), AROUND, axis=0)
    return (
        np.concatenate([side, side]),
        np.concatenate([side * [1, 1, 0], flat]).astype(np.float32),
        np.concatenate(faces),
    )


@functools.cache
def box():
    """The cube from -1 to 1, each side with corners of its own."""
    square, points, normals = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]), [], []
    for axis in range(3):
        for sign in (1, -1):
            side = np.full((4, 3), float(sign))
            side[:, (axis + 1) % 3], side[:, (axis + 2) % 3] = square.T
            points.append(side[::sign])
            normals.append(np.tile(sign * np.eye(3)[axis], (4, 1)))
    faces = np.array([[0, 1, 2], [0, 2, 3]]) + 4 * np.arange(6)[:, None, None]
    points, normals = (np.concatenate(parts).astype(np.float32) for parts in (points, normals))
    return points, normals, faces.reshape(-1, 3).astype(np.int32)


def mesh(model, number):
    """A mesh of the model, simplified when it is large."""
    where = slice(
        model.mesh_faceadr[number], model.mesh_faceadr[number] + model.mesh_facenum[number]
    )
    points = model.mesh_vert[model.mesh_vertadr[number] :][: model.mesh_vertnum[number]]
    normals = model.mesh_normal[model.mesh_normaladr[number] :][: model.mesh_normalnum[number]]
    corners, toward = points[model.mesh_face[where]], normals[model.mesh_facenormal[where]]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = np.repeat(
        flat[:, None] / (np.linalg.norm(flat, axis=1)[:, None, None] + 1e-12), 3, axis=1
    )
    sharp = (flat * toward).sum(
        axis=2, keepdims=True
    ) < 0.8  # MuJoCo averages normals over a box's edges, too
    fine = len(corners) <= MESH_FACES
    return merged(
        corners,
        np.where(sharp, flat, toward),
        np.ptp(points, axis=0).max() / (1e5 if fine else MESH_CELLS),
    )


def merged(corners, normals, cell):
    """Merge the corners (F, 3, 3) that share a grid cell of this size; faces that collapse or
    repeat go.

    A cell's corners move to their mean, so nothing tears; they stay apart for shading where their
    normals (F, 3, 3) point to different octants, so sharp edges stay sharp.
    """
    points, toward = corners.reshape(-1, 3), normals.reshape(-1, 3)
    keys = np.floor((points - points.min(axis=0)) / cell + 0.5).astype(np.int64)
    place = numbered(keys @ np.array([1, 1 << 20, 1 << 40]))[1]
    octant = ((toward > 1e-2) * 2 + (toward < -1e-2)) @ np.array([1, 3, 9])
    first, corner = numbered(place * 27 + octant)
    shading = grouped_mean(toward, corner)
    shading /= np.linalg.norm(shading, axis=1, keepdims=True) + 1e-9
    at, faces = place.reshape(-1, 3), corner.reshape(-1, 3)
    turned = np.take_along_axis(at, (at.argmin(axis=1)[:, None] + np.arange(3)) % 3, axis=1).astype(
        np.int64
    )
    distinct = numbered(turned @ np.array([1, 1 << 20, 1 << 40]))[0]
    distinct = distinct[(np.diff(np.sort(at[distinct], axis=1), axis=1) > 0).all(axis=1)]
    return (
        grouped_mean(points, place)[place[first]].astype(np.float32),
        shading.astype(np.float32),
        faces[distinct].astype(np.int32),
    )


def numbered(keys):
    """Number the distinct keys: the index of each one's first occurrence, and the number of each
    entry.
    """
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return first, number.ravel()


def grouped_mean(values, group):
    """Mean (groups, 3) of the rows of values (n, 3) that carry the same group number (n,)."""
    sums = np.stack([np.bincount(group, values[:, axis]) for axis in range(3)], axis=1)
    return sums / np.bincount(group)[:, None]
