"""Shadows that moving bodies cast on what stands still: a shadow map for each light."""

import mujoco
import numpy as np
from PIL import Image, ImageFilter

from jatlab.tasks.rendering.bodies import SAMPLES, Triangles
from jatlab.tasks.rendering.raster import Camera, nearness_of, rasterise

SHADOW = 0.45  # how dark a shadow is: 0 leaves the picture as it was, 1 is black
SHADOW_MAP = 320  # pixels along each side of the light's picture


def cast_shadow(
    light: mujoco.MjvLight,
    triangles: Triangles,
    camera: Camera,
    keys: np.ndarray,
    picture: np.ndarray,
) -> None:
    """Darken a picture where triangles hide the light.

    Args:
        light: The light.
        triangles: The bodies that cast the shadow.
        camera: The picture's camera.
        keys: The picture's z-buffer (h * w,), see `raster.rasterise`.
        picture: The picture (h, w, 3) uint8; it changes.
    """
    lamp = lamp_camera(light, triangles.points)
    lamp_keys = np.zeros(SHADOW_MAP**2, np.int64)
    rasterise(lamp.project(triangles.points), triangles.faces, lamp_keys, SHADOW_MAP)
    near = nearness_of(keys.reshape(camera.height, camera.width)[::SAMPLES, ::SAMPLES])
    coarse = Camera(camera.eye, camera.forward, -camera.down, camera.focal / SAMPLES, *near.shape)
    mask = np.zeros(near.size, np.uint8)
    mask[_hidden(lamp, lamp_keys, coarse, near)] = 255
    soft = Image.fromarray(mask.reshape(near.shape)).filter(ImageFilter.BoxBlur(1))
    darken(picture, np.asarray(soft))


def _hidden(lamp: Camera, lamp_keys: np.ndarray, camera: Camera, near: np.ndarray) -> np.ndarray:
    """The pixels (n,) of a picture that the lamp does not see.

    ``near`` (h, w) is one over the depth of the picture's pixels, ``lamp_keys`` the z-buffer of the
    lamp's picture.
    """
    offset = lamp.axes() @ (camera.eye - lamp.eye)
    # the pixels' homogeneous pixels in the lamp's picture, times near
    x, y, depth = (
        camera.along(axis) + near * np.float32(shift)
        for axis, shift in zip(lamp.axes(), offset, strict=True)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = x / depth, y / depth
    shown = (x > 0) & (x < SHADOW_MAP) & (y > 0) & (y < SHADOW_MAP)
    inside = np.flatnonzero((near > 0) & (depth > 0) & shown)
    x, y, near, depth = (values.reshape(-1)[inside] for values in (x, y, near, depth))
    nearest = nearness_of(lamp_keys)[y.astype(np.int32) * SHADOW_MAP + x.astype(np.int32)]
    return inside[nearest > near / depth]


def lamp_camera(light: mujoco.MjvLight, points: np.ndarray) -> Camera:
    """The light as a camera that sees all points (V, 3); parallel light comes from far away."""
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = np.linalg.norm(points - centre, axis=1).max()
    forward = light.dir if light.directional else centre - light.pos
    distance = 30 * radius if light.directional else max(np.linalg.norm(forward), 1.1 * radius)
    forward = forward / np.linalg.norm(forward)
    side = np.cross(forward, np.eye(3)[np.abs(forward).argmin()])
    up = side / np.linalg.norm(side)
    focal = SHADOW_MAP / 2 * np.sqrt(distance**2 - radius**2) / radius
    return Camera(centre - distance * forward, forward, up, focal, SHADOW_MAP, SHADOW_MAP)


def darken(picture: np.ndarray, mask: np.ndarray) -> None:
    """Darken a picture (h, w, 3) by a mask (h / SAMPLES, w / SAMPLES) uint8: 255 is full shadow."""
    row, column = np.nonzero(mask > 0)
    pixels = picture.reshape(mask.shape[0], SAMPLES, mask.shape[1], SAMPLES, 3)
    factor = 256 - (mask[row, column] * SHADOW).astype(np.uint16)
    pixels[row, :, column] = pixels[row, :, column] * factor[:, None, None, None] >> 8
