"""A small painter of MuJoCo scenes: NumPy and PIL instead of OpenGL.

MuJoCo lists what is to be drawn (`mjv_updateScene` needs no graphics library): visible geoms with
pose and colour, lights, camera. The painter turns geoms into triangles (shapes.py), finds the
nearest one for each pixel (raster.py), and lights it by MuJoCo's own formula. Floors are not
triangles: their checkerboard is a formula of the pixel. What stands still is kept while the camera
does. Two by two samples a pixel smooth the edges. Left out: reflections, textures (bodies show
their mean colour, floors a checkerboard of it), height fields, and the shadows that moving bodies
cast on each other.
"""

from functools import partial

import mujoco
import numpy as np
from PIL import Image, ImageFilter

from jatlab.tasks.rendering import shapes
from jatlab.tasks.rendering.raster import Camera, interpolate, nearness_of, rasterise

SAMPLES = 2  # along each side of a pixel
STIPPLE = np.array(
    [[0, 2], [3, 1]]
)  # the order in which the samples of a pixel fill up as opacity grows
SKY = np.array(
    [[0.78, 0.79, 0.80], [0.95, 0.96, 0.97], [0.60, 0.70, 0.82]]
)  # down, horizon, up: for models without a sky
SHADOW, SHADOW_MAP = (
    0.45,
    320,
)  # how dark a shadow is; pixels along each side of the light's picture


class Painter:
    """Draws one model in pictures of `width` x `height` pixels; keeps shapes, colours and what
    stands still.
    """

    def __init__(self, model, width, height):
        self.model, self.width, self.height = model, width, height
        self.shapes, self.still_key, self.sky_key = {}, None, None
        self.cells = [texture_cells(model, number) for number in range(model.ntex)]
        boxes = np.flatnonzero(model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX)
        self.sky_ramp = fine_ramp(sky_colours(model, boxes[0]) if len(boxes) else SKY)

    def paint(self, scene):
        """The picture (height, width, 3), uint8, of an updated MuJoCo scene."""
        camera = scene_camera(scene, self.height * SAMPLES, self.width * SAMPLES)
        geoms = [geom for geom in scene.geoms[: scene.ngeom] if geom.rgba[3] > 0]
        lights = scene.lights[: scene.nlight]
        still = [geom for geom in geoms if geom.category == mujoco.mjtCatBit.mjCAT_STATIC]
        moving = self.gather(
            [geom for geom in geoms if geom.category != mujoco.mjtCatBit.mjCAT_STATIC]
        )
        picture, keys = self.standing(still, lights, camera)
        for light in lights:
            if light.castshadow and len(moving.points):
                cast_shadow(light, moving, camera, keys, picture)
        draw(moving, lights, camera, keys, picture)
        return np.array(Image.fromarray(picture).reduce(SAMPLES))

    def standing(self, geoms, lights, camera):
        """What stands still: a picture (h, w, 3) uint8 and its z-buffer (h * w,), copies that may
        be painted over.
        """
        key = [camera.eye, camera.forward, camera.down]
        key += [part for geom in geoms for part in (geom.pos, geom.mat, geom.size, geom.rgba)]
        key = b"".join(
            part.tobytes()
            for part in key + [part for light in lights for part in (light.pos, light.dir)]
        )
        if key != self.still_key:
            self.still_key, self.still = key, self.paint_standing(geoms, lights, camera)
        picture, keys = self.still
        return picture.copy(), keys.copy()

    def paint_standing(self, geoms, lights, camera):
        """Sky, floors and fixed bodies; sky and floors are smooth by their formula and need no
        further samples.
        """
        coarse = Camera(
            camera.eye,
            camera.forward,
            -camera.down,
            camera.focal / SAMPLES,
            self.height,
            self.width,
        )
        picture, nearness = (
            self.background(coarse),
            np.zeros((camera.height, camera.width), np.float32),
        )
        for geom in geoms:
            if (
                geom.type == shapes.GEOM.mjGEOM_PLANE
                and (coarse.eye - geom.pos) @ geom.mat[:, 2] > 0
            ):
                cover = self.floor(geom, lights, coarse, picture)
                np.maximum(
                    nearness, plane_nearness(geom, camera) * enlarged(cover > 0.5), out=nearness
                )
        picture = enlarged(picture)
        keys = nearness.reshape(-1).view(np.int32).astype(np.int64) << 32
        draw(self.gather(geoms), lights, camera, keys, picture)
        return picture, keys & ~0xFFFFFFFF

    def background(self, camera):
        """The sky (h, w, 3) uint8, a gradient from the lowest to the highest direction; kept while
        the camera does not turn.
        """
        key = camera.forward.tobytes(), camera.down.tobytes(), camera.focal
        if key != self.sky_key:
            x, y, z = (camera.along(axis) for axis in np.eye(3))
            height = z / np.sqrt(x * x + y * y + z * z)
            self.sky_key, self.sky = key, self.sky_ramp[(height * 127.5 + 127.5).astype(np.uint8)]
        return self.sky.copy()

    def floor(self, geom, lights, camera, picture):
        """Paint a plane with its checkerboard into picture (h, w, 3); returns how much of each
        pixel it covers (h, w).
        """
        nearness = plane_nearness(geom, camera)
        cover = (nearness > 0).astype(np.float32)
        rows = np.flatnonzero(cover.any(axis=1))
        rows = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0)
        stripes = np.float32(1)
        for axis, extent, repeat in zip(geom.mat.T, geom.size, self.stripes_per_metre(geom)):
            position, footprint = plane_coordinate(geom, camera, axis, nearness, rows)
            if extent > 0:
                cover[rows] *= ((extent - np.abs(position)) / footprint + 0.5).clip(0, 1)
            stripes = stripes * square_wave(position * repeat, footprint * repeat)
        light = lit(
            geom.pos[None],
            geom.mat[None, :, 2],
            paint_of(geom, np.ones((1, 1, 3)))[None],
            lights,
            camera.forward,
        )
        ramp = fine_ramp(self.texture(geom)[0] * light)
        blend(
            picture[rows],
            ramp.take((stripes * 127.5 + 127.5).astype(np.uint8), axis=0),
            cover[rows],
        )
        return cover

    def stripes_per_metre(self, geom):
        """How many cells of the checkerboard fit into a metre along the plane's two axes (2,): two
        a texture.
        """
        if geom.matid < 0:
            return 1.0, 1.0
        repeat, uniform = (
            self.model.mat_texrepeat[geom.matid],
            self.model.mat_texuniform[geom.matid],
        )
        return [
            float(times * 2 if uniform or not size else times / size)
            for times, size in zip(repeat, geom.size)
        ]

    def texture(self, geom):
        """Mean colours (2, 2, 3) of the quarters of the geom's texture; white without one."""
        number = -1 if geom.matid < 0 else self.model.mat_texid[geom.matid].max()
        return np.ones((2, 2, 3)) if number < 0 else self.cells[number]

    def gather(self, geoms):
        """The triangles of all geoms but planes, in world coordinates."""
        drawn = [(geom, self.shape(geom)) for geom in geoms]
        drawn = [
            (geom, shape, paint_of(geom, self.texture(geom)))
            for geom, shape in drawn
            if shape is not None
        ]
        return Bodies(drawn)

    def shape(self, geom):
        """The geom's triangles, made once for each kind, mesh and size."""
        key = geom.type, geom.dataid, geom.size.tobytes()
        if key not in self.shapes:
            self.shapes[key] = shapes.shape(self.model, geom.type, geom.dataid, geom.size)
        return self.shapes[key]


class Bodies:
    """Triangles ready to draw: points, normals (V, 3), paint (V, 6), faces (F, 3), and opacity
    (F,), in samples a pixel.
    """

    def __init__(self, drawn):
        sizes = [len(shape[0]) for _, shape, _ in drawn]
        first = np.cumsum([0, *sizes])
        self.points = joined([shape[0] @ geom.mat.T + geom.pos for geom, shape, _ in drawn], 3)
        self.normals = joined([shape[1] @ geom.mat.T for geom, shape, _ in drawn], 3)
        self.paint = np.repeat(joined([paint[None] for *_, paint in drawn], 6), sizes, axis=0)
        self.faces = joined(
            [shape[2] + start for (_, shape, _), start in zip(drawn, first)], 3
        ).astype(np.int32)
        levels = [max(1, round(float(geom.rgba[3]) * SAMPLES**2)) for geom, *_ in drawn]
        self.opacity = np.repeat(np.array(levels, int), [len(shape[2]) for _, shape, _ in drawn])


def joined(arrays, columns):
    """Arrays (n, columns) one below the other; (0, columns) when there are none."""
    return np.concatenate(arrays) if arrays else np.zeros((0, columns), np.float32)


def paint_of(geom, texture):
    """A geom's red, green, blue, emission, specular and shininess (6,), float32; its texture (2, 2,
    3) tints it.
    """
    return np.array(
        [
            *(geom.rgba[:3] * texture.mean(axis=(0, 1))),
            geom.emission,
            geom.specular,
            geom.shininess,
        ],
        np.float32,
    )


def scene_camera(scene, height, width):
    """The camera of a MuJoCo scene, midway between its two eyes."""
    view = mujoco.mjv_averageCamera(*scene.camera)
    focal = height * view.frustum_near / (view.frustum_top - view.frustum_bottom)
    return Camera(view.pos, view.forward, view.up, focal, height, width)


def draw(bodies, lights, camera, keys, picture):
    """Draw bodies into picture (h, w, 3) uint8 wherever they are nearer than what its z-buffer (h *
    w,) holds.
    """
    if not len(bodies.faces):
        return
    keep = (
        partial(sampled, bodies.opacity, camera.width)
        if (bodies.opacity < SAMPLES**2).any()
        else None
    )
    edges, seen = rasterise(camera.project(bodies.points), bodies.faces, keys, camera.width, keep)
    colours = lit(bodies.points, bodies.normals, bodies.paint, lights, camera.forward) * 255
    pixel, values = interpolate(
        keys, camera.width, edges, colours[bodies.faces[seen]].transpose(1, 2, 0)
    )
    picture.reshape(-1, 3)[pixel] = values.clip(0, 255).T


def sampled(opacity, width, face, pixel):
    """Whether a see-through face (n,) is drawn at this sample (n,) of the picture: at as many of
    each pixel as its opacity says.
    """
    return STIPPLE[pixel // width % SAMPLES, pixel % width % SAMPLES] < opacity[face]


def lit(points, normals, paint, lights, forward):
    """Colours (V, 3), from 0 to about 1, of points (V, 3): OpenGL's fixed pipeline with a far
    viewer, as MuJoCo uses it.

    normals (V, 3); paint (V, 6); forward (3,): the camera's direction. Highlights follow Schlick,
    who replaces the power c**n by c / (n - n*c + c) (An inexpensive BRDF model for physically-based
    rendering, 1994).
    """
    view, power = -forward.astype(np.float32), 128 * paint[:, 5] + np.float32(1e-3)
    diffuse, shine, upright = np.repeat(paint[:, 3:4], 3, axis=1), 0, normals @ view
    for light in lights:
        if light.directional:
            facing, aligned = normals @ -light.dir, float(-light.dir @ view)
        else:
            toward = light.pos - points
            toward /= np.sqrt(np.einsum("vi,vi->v", toward, toward))[:, None]
            facing, aligned = np.einsum("vi,vi->v", normals, toward), toward @ view
        gloss = np.where(facing > 0, (facing + upright) / np.sqrt(2 + 2 * aligned + 1e-6), 0).clip(
            0, 1
        )
        diffuse += light.ambient + facing.clip(0)[:, None] * light.diffuse
        shine = (
            shine
            + (paint[:, 4] * gloss / (power - power * gloss + gloss))[:, None] * light.specular
        )
    return paint[:, :3] * diffuse + shine


def cast_shadow(light, bodies, camera, keys, picture):
    """Darken picture (h, w, 3) where the light (mjvLight) is hidden by bodies; keys (h * w,) is the
    picture's z-buffer.
    """
    lamp = lamp_camera(light, bodies.points)
    lamp_keys = np.zeros(SHADOW_MAP**2, np.int64)
    rasterise(lamp.project(bodies.points), bodies.faces, lamp_keys, SHADOW_MAP)
    near = nearness_of(keys.reshape(camera.height, camera.width)[::SAMPLES, ::SAMPLES])
    coarse = Camera(camera.eye, camera.forward, -camera.down, camera.focal / SAMPLES, *near.shape)
    offset = lamp.axes() @ (camera.eye - lamp.eye)
    # times near
    x, y, depth = (
        coarse.along(axis) + near * np.float32(shift) for axis, shift in zip(lamp.axes(), offset)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = x / depth, y / depth
    inside = np.flatnonzero(
        (near > 0) & (depth > 0) & (x > 0) & (x < SHADOW_MAP) & (y > 0) & (y < SHADOW_MAP)
    )
    x, y, near, depth = (values.reshape(-1)[inside] for values in (x, y, near, depth))
    hidden = (
        nearness_of(lamp_keys)[y.astype(np.int32) * SHADOW_MAP + x.astype(np.int32)] > near / depth
    )
    mask = np.zeros(coarse.height * coarse.width, np.uint8)
    mask[inside[hidden]] = 255
    darken(
        picture,
        np.asarray(
            Image.fromarray(mask.reshape(coarse.height, coarse.width)).filter(
                ImageFilter.BoxBlur(1)
            )
        ),
    )


def lamp_camera(light, points):
    """The light as a camera that sees all points (V, 3); parallel light comes from very far away."""
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = np.linalg.norm(points - centre, axis=1).max()
    forward = light.dir if light.directional else centre - light.pos
    distance = 30 * radius if light.directional else max(np.linalg.norm(forward), 1.1 * radius)
    forward = forward / np.linalg.norm(forward)
    side = np.cross(forward, np.eye(3)[np.abs(forward).argmin()])
    focal = SHADOW_MAP / 2 * np.sqrt(distance**2 - radius**2) / radius
    return Camera(
        centre - distance * forward,
        forward,
        side / np.linalg.norm(side),
        focal,
        SHADOW_MAP,
        SHADOW_MAP,
    )


def darken(picture, mask):
    """Darken picture (h, w, 3) by a mask (h / SAMPLES, w / SAMPLES) uint8: 255 is full shadow."""
    row, column = np.nonzero(mask > 0)
    pixels = picture.reshape(mask.shape[0], SAMPLES, mask.shape[1], SAMPLES, 3)
    factor = 256 - (mask[row, column] * SHADOW).astype(np.uint16)
    pixels[row, :, column] = pixels[row, :, column] * factor[:, None, None, None] >> 8


def blend(below, above, cover):
    """Lay one picture (h, w, 3) uint8 over another, which changes, where it covers it (h, w), 0 to
    1.
    """
    edge = np.nonzero(cover < 1)
    part = cover[edge][:, None]
    mixed = part * above[edge] + (1 - part) * below[edge]
    below[:] = above
    below[edge] = mixed


def plane_nearness(geom, camera):
    """One over the depth (h, w) at which the pixels' rays meet a plane that faces the camera; 0
    where they do not.
    """
    height = (camera.eye - geom.pos) @ geom.mat[:, 2]
    return np.maximum(camera.along(geom.mat[:, 2] / -height), 0)


def plane_coordinate(geom, camera, axis, nearness, rows):
    """Where the rays of some rows meet the plane, along one of its axes, and how wide a pixel is
    there: in metres.
    """
    normal = geom.mat[:, 2] / ((camera.eye - geom.pos) @ geom.mat[:, 2])
    depth = 1 / np.maximum(nearness[rows], np.float32(1e-6))
    ahead = camera.along(axis, rows) * depth
    footprint = sum(
        np.abs(float(side @ axis) + float(side @ normal) * ahead)
        for side in (camera.right, camera.down)
    )
    return ahead + float((camera.eye - geom.pos) @ axis), footprint * depth / np.float32(
        camera.focal
    ) + np.float32(1e-9)


def square_wave(position, footprint):
    """Stripes of width one, +1 and -1 in turn, +1 from 0 to 1, softened over a pixel's footprint."""
    half = position * np.float32(0.5) - np.float32(0.25)
    inside = np.float32(0.5) - 2 * np.abs(
        half - np.rint(half)
    )  # distance to the nearest edge, negative in the -1 stripes
    return (inside / footprint).clip(-1, 1)


def enlarged(array):
    """Each pixel of (h, w, ...) as SAMPLES x SAMPLES samples."""
    return array.repeat(SAMPLES, axis=1).repeat(SAMPLES, axis=0)


def texels(model, number):
    """A texture's pixels (h, w, 3) uint8."""
    shape = model.tex_height[number], model.tex_width[number], model.tex_nchannel[number]
    return model.tex_data[model.tex_adr[number] :][: np.prod(shape)].reshape(shape)[..., :3]


def texture_cells(model, number):
    """Mean colours (2, 2, 3), 0 to 1, of the four quarters of a texture: all that a checkerboard
    needs.
    """
    rows = [half.mean(axis=0) for half in np.array_split(texels(model, number), 2)]
    return np.array([[half.mean(axis=0) for half in np.array_split(row, 2)] for row in rows]) / 255


def sky_colours(model, number):
    """Colours (n, 3), 0 to 1, of a sky box from straight down to straight up."""
    sides = texels(
        model, number
    )  # right, left, up, down, front and back one below the other, or one for all
    front = sides if sides.shape[0] == sides.shape[1] else np.array_split(sides, 6)[4]
    return front.mean(axis=1)[::-1] / 255


def fine_ramp(colours):
    """(n, 3) colours, 0 to 1, as 256 steps (256, 3) uint8."""
    knots = np.linspace(0, 1, len(colours))
    steps = np.stack(
        [np.interp(np.linspace(0, 1, 256), knots, channel) for channel in colours.T], axis=1
    )
    return (steps * 255).clip(0, 255).astype(np.uint8)
