"""Floors: planes with a checkerboard, each pixel by a formula instead of triangles."""

import mujoco
import numpy as np

from jatlab.tasks.rendering.raster import Camera


def plane_nearness(geom: mujoco.MjvGeom, camera: Camera) -> np.ndarray:
    """One over the depth (h, w) at which the pixels' rays meet a plane; 0 where they do not.

    The plane faces the camera.
    """
    height = (camera.eye - geom.pos) @ geom.mat[:, 2]
    return np.maximum(camera.along(geom.mat[:, 2] / -height), 0)


def plane_coordinate(
    geom: mujoco.MjvGeom, camera: Camera, axis: np.ndarray, nearness: np.ndarray, rows: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Where the rays of some rows of pixels meet a plane, along one of its axes.

    Args:
        geom: The plane.
        camera: The camera, of h x w pixels.
        axis: The unit vector (3,).
        nearness: One over depth (h, w), see `plane_nearness`.
        rows: The rows of pixels.

    Returns:
        The coordinate of the meeting point and the width of a pixel there, both (rows, w) in
        metres.
    """
    normal = geom.mat[:, 2] / ((camera.eye - geom.pos) @ geom.mat[:, 2])
    depth = 1 / np.maximum(nearness[rows], np.float32(1e-6))
    ahead = camera.along(axis, rows) * depth
    right, down = (
        np.abs(float(side @ axis) + float(side @ normal) * ahead)
        for side in (camera.right, camera.down)
    )
    footprint = (right + down) * depth / np.float32(camera.focal) + np.float32(1e-9)
    return ahead + float((camera.eye - geom.pos) @ axis), footprint


def square_wave(position: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Stripes of width one, +1 and -1 in turn, +1 from 0 to 1, softened over a pixel's footprint.

    Both arguments have the same shape, and the stripes' width as unit.
    """
    half = position * np.float32(0.5) - np.float32(0.25)
    # distance to the nearest edge, negative in the -1 stripes
    inside = np.float32(0.5) - 2 * np.abs(half - np.rint(half))
    return (inside / footprint).clip(-1, 1)


def stripes_per_metre(model: mujoco.MjModel, geom: mujoco.MjvGeom) -> list[float]:
    """How many cells of the checkerboard fit into a metre, along the plane's two axes.

    A texture has two cells along each side. Without a material, a cell is a metre wide.
    """
    if geom.matid < 0:
        return [1.0, 1.0]
    uniform = model.mat_texuniform[geom.matid]
    sizes = zip(model.mat_texrepeat[geom.matid], geom.size[:2], strict=True)
    return [float(times * 2 if uniform or not size else times / size) for times, size in sizes]


def blend(below: np.ndarray, above: np.ndarray, cover: np.ndarray) -> None:
    """Lay one picture (h, w, 3) uint8 over another, in place, where it covers it (h, w), 0 to 1."""
    edge = np.nonzero(cover < 1)
    part = cover[edge][:, None]
    mixed = part * above[edge] + (1 - part) * below[edge]
    below[:] = above
    below[edge] = mixed
