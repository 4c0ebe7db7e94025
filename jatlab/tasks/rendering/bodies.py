"""Bodies of a scene as lit triangles, drawn into a picture with a z-buffer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import mujoco
import numpy as np

from jatlab.tasks.rendering.raster import Camera, interpolate, rasterise
from jatlab.tasks.rendering.shapes import Shape

SAMPLES = 2  # along each side of a pixel
# the order in which the samples of a pixel fill up as opacity grows
STIPPLE = np.array([[0, 2], [3, 1]])


class Body(NamedTuple):
    """A geom of the scene with its triangles and its paint (6,), see `paint_of`."""

    geom: mujoco.MjvGeom
    shape: Shape
    paint: np.ndarray


class Triangles:
    """The triangles of all bodies, in world coordinates.

    Attributes:
        points: Corners (V, 3), in metres.
        normals: Unit normals (V, 3).
        paint: Red, green, blue, emission, specular and shininess (V, 6).
        faces: Corners' numbers (F, 3).
        opacity: Samples a pixel that show the face (F,).
    """

    def __init__(self, bodies: Sequence[Body]):
        corners = [len(body.shape.points) for body in bodies]
        first = np.cumsum([0, *corners])[:-1]
        turned = [(body.geom.mat.T, body) for body in bodies]
        self.points = _joined([b.shape.points @ turn + b.geom.pos for turn, b in turned], 3)
        self.normals = _joined([b.shape.normals @ turn for turn, b in turned], 3)
        self.paint = np.repeat(_joined([body.paint[None] for body in bodies], 6), corners, axis=0)
        numbered = zip(bodies, first, strict=True)
        faces = _joined([body.shape.faces + start for body, start in numbered], 3)
        self.faces = faces.astype(np.int32)
        levels = [max(1, round(float(body.geom.rgba[3]) * SAMPLES**2)) for body in bodies]
        self.opacity = np.repeat(np.array(levels, int), [len(body.shape.faces) for body in bodies])


def _joined(arrays: list[np.ndarray], columns: int) -> np.ndarray:
    """Arrays (n, columns) one below the other; (0, columns) when there are none."""
    return np.concatenate(arrays) if arrays else np.zeros((0, columns), np.float32)


def paint_of(geom: mujoco.MjvGeom, texture: np.ndarray) -> np.ndarray:
    """A geom's red, green, blue, emission, specular and shininess (6,) float32.

    Its texture, quarters (2, 2, 3), tints it.
    """
    colour = geom.rgba[:3] * texture.mean(axis=(0, 1))
    return np.array([*colour, geom.emission, geom.specular, geom.shininess], np.float32)


def draw(
    triangles: Triangles,
    lights: Sequence[mujoco.MjvLight],
    camera: Camera,
    keys: np.ndarray,
    picture: np.ndarray,
) -> None:
    """Draw triangles into a picture wherever they are nearer than what its z-buffer holds.

    Args:
        triangles: What is drawn.
        lights: The lights of the scene.
        camera: The picture's camera.
        keys: The z-buffer (h * w,), see `raster.rasterise`; it changes.
        picture: The picture (h, w, 3) uint8; it changes.
    """
    if not len(triangles.faces):
        return
    see_through = (triangles.opacity < SAMPLES**2).any()
    keep = partial(_sampled, triangles.opacity, camera.width) if see_through else None
    points = camera.project(triangles.points)
    edges, seen = rasterise(points, triangles.faces, keys, camera.width, keep)
    colours = 255 * lit(
        triangles.points, triangles.normals, triangles.paint, lights, camera.forward
    )
    corners = colours[triangles.faces[seen]].transpose(1, 2, 0)  # (3 corners, 3 colours, F)
    pixel, values = interpolate(keys, camera.width, edges, corners)
    picture.reshape(-1, 3)[pixel] = values.clip(0, 255).T


def _sampled(opacity: np.ndarray, width: int, face: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """Whether a see-through face is drawn at a sample, (n,) bool.

    It is drawn at as many samples of each pixel as its opacity says.
    """
    return STIPPLE[pixel // width % SAMPLES, pixel % width % SAMPLES] < opacity[face]


def lit(
    points: np.ndarray,
    normals: np.ndarray,
    paint: np.ndarray,
    lights: Sequence[mujoco.MjvLight],
    forward: np.ndarray,
) -> np.ndarray:
    """Colours of points: OpenGL's fixed pipeline with a far viewer, as MuJoCo uses it.

    Highlights follow Schlick (An inexpensive BRDF model for physically-based rendering, 1994), who
    replaces the power c**n by c / (n - n*c + c).

    Args:
        points: (V, 3), in metres.
        normals: Unit normals (V, 3).
        paint: (V, 6), see `paint_of`.
        lights: The lights of the scene.
        forward: The camera's direction, a unit vector (3,).

    Returns:
        Colours (V, 3), from 0 to about 1.
    """
    view, power = -forward.astype(np.float32), 128 * paint[:, 5] + np.float32(1e-3)
    diffuse, upright = np.repeat(paint[:, 3:4], 3, axis=1), normals @ view
    shine: np.ndarray | float = 0.0
    for light in lights:
        facing, aligned = _facing(light, points, normals, view)
        halfway = (facing + upright) / np.sqrt(2 + 2 * aligned + 1e-6)
        gloss = np.where(facing > 0, halfway, 0).clip(0, 1)
        diffuse += light.ambient + facing.clip(0)[:, None] * light.diffuse
        highlight = paint[:, 4] * gloss / (power - power * gloss + gloss)
        shine = shine + highlight[:, None] * light.specular
    return paint[:, :3] * diffuse + shine


def _facing(
    light: mujoco.MjvLight, points: np.ndarray, normals: np.ndarray, view: np.ndarray
) -> tuple[np.ndarray, np.ndarray | float]:
    """Cosines of the direction to the light with the normals (V,), and with ``view``."""
    if light.directional:
        return normals @ -light.dir, float(-light.dir @ view)
    toward = light.pos - points
    toward /= np.sqrt(np.einsum("vi,vi->v", toward, toward))[:, None]
    return np.einsum("vi,vi->v", normals, toward), toward @ view
