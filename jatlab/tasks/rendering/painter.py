"""A small painter of MuJoCo scenes: NumPy and PIL instead of OpenGL.

MuJoCo lists what is to be drawn (`mjv_updateScene` needs no graphics library): visible geoms with
pose and colour, lights, camera. The painter

- turns geoms into triangles (`shapes`), finds the nearest one for each pixel (`raster`), and lights
  it by MuJoCo's formula (`bodies`);
- computes floors, whose checkerboard is a formula of the pixel (`planes`), and shadows (`shadows`);
- keeps what stands still for as long as the camera does;
- takes two by two samples a pixel, which smooths the edges.

It leaves out reflections, textures (bodies show their mean colour, floors a checkerboard of it),
height fields, and the shadows that moving bodies cast on each other.
"""

from collections.abc import Sequence

import mujoco
import numpy as np
from PIL import Image

from jatlab.tasks.rendering import shapes
from jatlab.tasks.rendering.bodies import SAMPLES, Body, Triangles, draw, lit, paint_of
from jatlab.tasks.rendering.planes import (
    blend,
    plane_coordinate,
    plane_nearness,
    square_wave,
    stripes_per_metre,
)
from jatlab.tasks.rendering.raster import Camera
from jatlab.tasks.rendering.shadows import cast_shadow
from jatlab.tasks.rendering.textures import fine_ramp, sky_colours, texture_cells

Lights = Sequence[mujoco.MjvLight]
Geoms = Sequence[mujoco.MjvGeom]


class Painter:
    """Draws one model in pictures of ``width`` x ``height`` pixels.

    It keeps shapes, colours and what stands still.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int):
        self.model, self.width, self.height = model, width, height
        self.shapes: dict[tuple[int, int, bytes], shapes.Shape | None] = {}
        self.still: tuple[bytes, np.ndarray, np.ndarray] | None = None  # key, picture, z-buffer
        self.sky: tuple[tuple[bytes, bytes, float], np.ndarray] | None = None  # key, picture
        self.cells = [texture_cells(model, number) for number in range(model.ntex)]
        self.sky_ramp = fine_ramp(sky_colours(model))

    def paint(self, scene: mujoco.MjvScene) -> np.ndarray:
        """The picture (height, width, 3), uint8, of an updated MuJoCo scene."""
        camera = scene_camera(scene, self.height * SAMPLES, self.width * SAMPLES)
        geoms = [geom for geom in scene.geoms[: scene.ngeom] if geom.rgba[3] > 0]
        lights = scene.lights[: scene.nlight]
        fixed = mujoco.mjtCatBit.mjCAT_STATIC
        still = [geom for geom in geoms if geom.category == fixed]
        moving = self._triangles([geom for geom in geoms if geom.category != fixed])
        picture, keys = self._standing(still, lights, camera)
        for light in lights:
            if light.castshadow and len(moving.points):
                cast_shadow(light, moving, camera, keys, picture)
        draw(moving, lights, camera, keys, picture)
        return np.array(Image.fromarray(picture).reduce(SAMPLES))

    def _standing(
        self, geoms: Geoms, lights: Lights, camera: Camera
    ) -> tuple[np.ndarray, np.ndarray]:
        """What stands still: a picture (h, w, 3) uint8 and its z-buffer (h * w,).

        Both are copies that may be painted over.
        """
        parts = [camera.eye, camera.forward, camera.down]
        parts += [part for geom in geoms for part in (geom.pos, geom.mat, geom.size, geom.rgba)]
        parts += [part for light in lights for part in (light.pos, light.dir)]
        key = b"".join(part.tobytes() for part in parts)
        if self.still is None or self.still[0] != key:
            self.still = (key, *self._paint_standing(geoms, lights, camera))
        _, picture, keys = self.still
        return picture.copy(), keys.copy()

    def _paint_standing(
        self, geoms: Geoms, lights: Lights, camera: Camera
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sky, floors and fixed bodies.

        Formulas make sky and floors smooth, so one sample a pixel is enough for them.
        """
        size, up = (self.height, self.width), -camera.down
        coarse = Camera(camera.eye, camera.forward, up, camera.focal / SAMPLES, *size)
        picture = self._background(coarse)
        nearness = np.zeros((camera.height, camera.width), np.float32)
        for geom in geoms:
            above = (coarse.eye - geom.pos) @ geom.mat[:, 2] > 0
            if geom.type == shapes.GEOM.mjGEOM_PLANE and above:
                cover = self._floor(geom, lights, coarse, picture)
                floor = plane_nearness(geom, camera) * enlarged(cover > 0.5)
                np.maximum(nearness, floor, out=nearness)
        picture = enlarged(picture)
        keys = nearness.reshape(-1).view(np.int32).astype(np.int64) << 32
        draw(self._triangles(geoms), lights, camera, keys, picture)
        return picture, keys & ~0xFFFFFFFF

    def _background(self, camera: Camera) -> np.ndarray:
        """The sky (h, w, 3) uint8: a gradient from the lowest to the highest direction.

        It is kept while the camera does not turn.
        """
        key = camera.forward.tobytes(), camera.down.tobytes(), camera.focal
        if self.sky is None or self.sky[0] != key:
            x, y, z = (camera.along(axis) for axis in np.eye(3))
            height = z / np.sqrt(x * x + y * y + z * z)
            self.sky = key, self.sky_ramp[(height * 127.5 + 127.5).astype(np.uint8)]
        return self.sky[1].copy()

    def _floor(
        self, geom: mujoco.MjvGeom, lights: Lights, camera: Camera, picture: np.ndarray
    ) -> np.ndarray:
        """Paint a plane with its checkerboard into a picture (h, w, 3).

        Returns how much of each pixel it covers (h, w), 0 to 1.
        """
        nearness = plane_nearness(geom, camera)
        cover = (nearness > 0).astype(np.float32)
        touched = np.flatnonzero(cover.any(axis=1))
        rows = slice(touched[0], touched[-1] + 1) if len(touched) else slice(0)
        stripes = np.ones((1, 1), np.float32)
        repeats = stripes_per_metre(self.model, geom)
        for axis, extent, repeat in zip(geom.mat.T[:2], geom.size[:2], repeats, strict=True):
            position, footprint = plane_coordinate(geom, camera, axis, nearness, rows)
            if extent > 0:
                cover[rows] *= ((extent - np.abs(position)) / footprint + 0.5).clip(0, 1)
            stripes = stripes * square_wave(position * repeat, footprint * repeat)
        paint = paint_of(geom, np.ones((1, 1, 3)))
        light = lit(geom.pos[None], geom.mat[None, :, 2], paint[None], lights, camera.forward)
        ramp = fine_ramp(self._texture(geom)[0] * light)
        floor = ramp.take((stripes * 127.5 + 127.5).astype(np.uint8), axis=0)
        blend(picture[rows], floor, cover[rows])
        return cover

    def _texture(self, geom: mujoco.MjvGeom) -> np.ndarray:
        """Mean colours (2, 2, 3) of the quarters of the geom's texture; white without one."""
        number = -1 if geom.matid < 0 else self.model.mat_texid[geom.matid].max()
        return np.ones((2, 2, 3)) if number < 0 else self.cells[number]

    def _triangles(self, geoms: Geoms) -> Triangles:
        """The triangles of all geoms but planes, in world coordinates."""
        bodies = []
        for geom in geoms:
            shape = self._shape(geom)
            if shape is not None:
                bodies.append(Body(geom, shape, paint_of(geom, self._texture(geom))))
        return Triangles(bodies)

    def _shape(self, geom: mujoco.MjvGeom) -> shapes.Shape | None:
        """The geom's triangles, made once for each kind, mesh and size."""
        key = geom.type, geom.dataid, geom.size.tobytes()
        if key not in self.shapes:
            self.shapes[key] = shapes.shape(self.model, geom.type, geom.dataid, geom.size)
        return self.shapes[key]


def scene_camera(scene: mujoco.MjvScene, height: int, width: int) -> Camera:
    """The camera of a MuJoCo scene, midway between its two eyes."""
    view = mujoco.mjv_averageCamera(*scene.camera)
    focal = height * view.frustum_near / (view.frustum_top - view.frustum_bottom)
    return Camera(view.pos, view.forward, view.up, focal, height, width)


def enlarged(array: np.ndarray) -> np.ndarray:
    """Each pixel of (h, w, ...) as SAMPLES x SAMPLES samples."""
    return array.repeat(SAMPLES, axis=1).repeat(SAMPLES, axis=0)
