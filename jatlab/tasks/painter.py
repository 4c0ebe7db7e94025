"""A small painter of MuJoCo scenes: NumPy and PIL instead of OpenGL.

MuJoCo lists what is to be drawn (`mjv_updateScene` needs no graphics library): visible geoms with pose and colour,
lights, camera. The painter turns every geom into triangles, finds for each pixel the nearest one (`rasterise`, a
z-buffer), and shades it with MuJoCo's own light formula. Floors are not triangles: their checkerboard is a formula
of the pixel. Two by two samples a pixel smooth the edges. Left out: cast shadows, reflections, textures (their mean
colour is used) and height fields.

Words: V vertices, F faces (triangles), S spans (a face's run of pixels in one row), h, w height and width in pixels.
Homogeneous pixels are (x*depth, y*depth, depth), x and y counted from the upper left corner, depth along the view.
"""

import mujoco
import numpy as np
from PIL import Image

from jatlab.tasks import shapes

SAMPLES = 2  # along each side of a pixel
STIPPLE = np.array([[0, 2], [3, 1]])  # the order in which the samples of a pixel fill up as opacity grows
SKY = np.array([[0.80, 0.80, 0.78], [0.93, 0.95, 0.97], [0.55, 0.67, 0.80]])  # below, horizon, above: for models without a sky


class Camera:
    """A pinhole camera taken from a MuJoCo scene (mjvGLCamera), for pictures of h x w pixels."""

    def __init__(self, view, height, width):
        self.height, self.width, self.eye = height, width, np.array(view.pos, np.float64)
        self.forward, up = np.array(view.forward, np.float64), np.array(view.up, np.float64)
        self.right, self.down = np.cross(self.forward, up), -up
        self.focal = height / 2 * view.frustum_near / view.frustum_top  # in pixels

    def project(self, points):
        """World points (V, 3) in metres -> homogeneous pixels (3, V), float32."""
        x = self.focal * self.right + self.width / 2 * self.forward
        y = self.focal * self.down + self.height / 2 * self.forward
        return (np.stack([x, y, self.forward]) @ (points - self.eye).T).astype(np.float32)

    def along(self, vector):
        """Component along `vector` of every pixel's ray of depth one, as a column (h, 1) and a row (1, w) to add."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal * (self.right @ vector)
        y = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal * (self.down @ vector)
        return (y + self.forward @ vector).astype(np.float32)[:, None], x.astype(np.float32)[None]


def cross(p, q):
    """Cross products of vectors given as (3, n) arrays."""
    return np.stack([p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]])


def edge_functions(points, faces):
    """The three edges of each face turned to the camera: (3 edges, 3 coefficients, F'), and which faces these are (F',).

    Edge i is a*x + b*y + c at the pixel (x, y): positive inside, and equal to the weight of corner i over the depth.
    No clipping at the camera's plane is needed, and whatever is known at the corners interpolates in true perspective
    (Olano and Greer, Triangle scan conversion using 2D homogeneous coordinates, 1997).
    """
    p, q, r = points[:, faces[:, 0]], points[:, faces[:, 1]], points[:, faces[:, 2]]
    first = cross(r, q)  # x to the right and y down: counter-clockwise faces come out clockwise
    area = (p * first).sum(axis=0)
    seen = np.flatnonzero((area > 1e-9) & (np.maximum(np.maximum(p[2], q[2]), r[2]) > 0))
    p, q, r = p[:, seen], q[:, seen], r[:, seen]
    return np.stack([first[:, seen], cross(p, r), cross(q, p)]) / area[seen], seen


def row_ranges(points, faces, height):
    """First and last-plus-one row (F,) that each face can touch; every row for one that reaches behind the camera."""
    y, depth = points[1][faces], points[2][faces]
    front = depth.min(axis=1) > 1e-6
    y /= np.where(front[:, None], depth, 1)
    top, bottom = np.where(front, y.min(axis=1), 0), np.where(front, y.max(axis=1), height)
    return [np.ceil(edge.clip(0, height) - 0.5).astype(np.int32) for edge in (top, bottom)]


def spans(edges, top, bottom, width):
    """Runs of pixels whose centres lie inside: face (S,), row (S,), first column (S,) and length (S,), all int32."""
    rows = bottom - top
    face = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    row = np.arange(len(face), dtype=np.int32) - np.repeat(np.cumsum(rows) - bottom, rows).astype(np.int32)
    left, right = np.zeros(len(face), np.float32), np.full(len(face), width, np.float32)
    for a, b, c in edges:
        steep = np.where(np.abs(a) < 1e-12, np.float32(1e-12), a)
        crossing = (-c / steep)[face] - (b / steep)[face] * (row + np.float32(0.5))
        opens = (steep > 0)[face]
        left = np.where(opens, np.maximum(left, crossing), left)
        right = np.where(opens, right, np.minimum(right, crossing))
    column = np.ceil(left.clip(0, width) - 0.5).astype(np.int32)
    length = np.ceil(right.clip(0, width) - 0.5).astype(np.int32) - column
    drawn = np.flatnonzero(length > 0)
    return face[drawn], row[drawn], column[drawn], length[drawn]


def rasterise(points, faces, keys, width, opacity=None):
    """Draw faces (F, 3) over points (3, V), homogeneous pixels, into a z-buffer.

    keys (h * w,) int64 holds, for each pixel, the nearest surface: the bits of float32 one over depth, then 32 bits with the
    number of the drawn face plus one (0: background); positive floats sort as integers do, so the greater key is nearer.
    opacity (F,), 0 to 4, draws only so many of each 2x2 samples. Returns the edge functions and numbers of the faces drawn.
    """
    edges, seen = edge_functions(points, faces)
    face, row, column, length = spans(edges, *row_ranges(points, faces[seen], len(keys) // width), width)
    a, b, c = edges.sum(axis=0)  # one over depth is a*x + b*y + c
    start = (a[face] * (column + 0.5) + b[face] * (row + 0.5) + c[face]).astype(np.float32)
    span = np.repeat(np.arange(len(face), dtype=np.int32), length)
    step = np.arange(len(span), dtype=np.int32) - np.repeat(np.cumsum(length, dtype=np.int32) - length, length)
    pixel = (row * width + column)[span] + step
    nearness = np.maximum(start[span] + a[face][span] * step.astype(np.float32), 0)
    key = (nearness.view(np.int32).astype(np.int64) << 32) | (face + 1)[span]
    if opacity is not None and (opacity < SAMPLES**2).any():
        keep = STIPPLE[pixel // width % 2, pixel % 2] < opacity[seen][face][span]
        pixel, key = pixel[keep], key[keep]
    np.maximum.at(keys, pixel, key)
    return edges, seen


def shade(keys, width, edges, values):
    """Interpolate values (3 corners, C, F) over the pixels that faces won: pixel numbers (n,) and values (C, n)."""
    number = keys.astype(np.uint32)
    pixel = np.flatnonzero(number)
    face, depth = number[pixel].astype(np.int32) - 1, 1 / (keys[pixel] >> 32).astype(np.int32).view(np.float32)
    x, y = (pixel % width + 0.5).astype(np.float32), (pixel // width + 0.5).astype(np.float32)
    planes = np.einsum("ikf,icf->kcf", edges, values)
    return pixel, [(a[face] * x + b[face] * y + c[face]) * depth for a, b, c in planes.transpose(1, 0, 2)]


def lit(points, normals, material, lights, eye):
    """Colours (V, 3) in 0 to 1 of points (V, 3) under MuJoCo's lights, the formula of OpenGL's fixed pipeline.

    material: (V, 6) red, green, blue, emission, specular, shininess.
    """
    diffuse, shine = material[:, 3:4].repeat(3, axis=1), np.zeros((len(points), 3), np.float32)
    view = eye - points
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    for light in lights:
        toward = np.broadcast_to(-light.dir, points.shape) if light.directional else light.pos - points
        toward = toward / np.linalg.norm(toward, axis=1, keepdims=True)
        facing = (normals * toward).sum(axis=1).clip(0)[:, None]
        half = toward + view
        gloss = (normals * half).sum(axis=1) / np.linalg.norm(half, axis=1)
        gloss = (facing[:, 0] > 0) * material[:, 4] * gloss.clip(1e-6) ** (128 * material[:, 5]).clip(1)
        diffuse = diffuse + light.ambient + light.diffuse * facing
        shine += light.specular * gloss[:, None]
    return (material[:, :3] * diffuse + shine).clip(0, 1)


def wave(position, footprint):
    """A square wave of period two, +1 on (0, 1) and -1 on (1, 2), softened over a pixel's footprint."""
    distance = np.abs((position - 0.5) % 2 - 1) * 2 - 1  # +1 in the middle of a stripe, -1 in the next, 0 at its edges
    return (-distance / (2 * footprint)).clip(-1, 1)


class Painter:
    """Draws one model: shapes and mean colours of textures are kept from frame to frame."""

    def __init__(self, model, width, height):
        self.model, self.height, self.width = model, height, width
        self.shapes = {}
        self.cells = [texture_cells(model, number) for number in range(model.ntex)]

    def paint(self, scene):
        """The picture (h, w, 3) uint8 of an updated MuJoCo scene."""
        small, large = (Camera(mujoco.mjv_averageCamera(scene.camera[0], scene.camera[1]), self.height * k, self.width * k) for k in (1, SAMPLES))
        geoms, lights = scene.geoms[: scene.ngeom], scene.lights[: scene.nlight]
        nearness = np.zeros((large.height, large.width), np.float32)
        picture = self.sky(small)
        for geom in geoms:
            if geom.type == shapes.GEOM.mjGEOM_PLANE:
                self.floor(geom, lights, small, large, picture, nearness)
        picture = picture.clip(0, 255).astype(np.uint8).repeat(SAMPLES, axis=0).repeat(SAMPLES, axis=1)
        self.bodies(geoms, lights, large, nearness, picture.reshape(-1, 3))
        return np.asarray(Image.fromarray(picture).reduce(SAMPLES))

    def bodies(self, geoms, lights, camera, nearness, picture):
        """Draw every geom but planes into picture (h * w, 3) where it is nearer than what is there."""
        points, normals, faces, material, opacity = self.gather(geoms)
        keys = nearness.reshape(-1).view(np.int32).astype(np.int64) << 32
        edges, seen = rasterise(camera.project(points), faces, keys, camera.width, opacity)
        colours = lit(points, normals, material, lights, camera.eye.astype(np.float32)) * 255
        pixel, values = shade(keys, camera.width, edges, colours[faces[seen]].transpose(1, 2, 0))
        picture[pixel] = np.stack(values, axis=1).clip(0, 255)

    def gather(self, geoms):
        """All triangles of a scene in world coordinates: points, normals (V, 3), faces (F, 3), material (V, 6), opacity (F,)."""
        points, normals, faces, material, opacity, count = [], [], [], [], [], 0
        for geom in geoms:
            shape = self.shape(geom)
            if shape is None or geom.rgba[3] == 0:
                continue
            turn = geom.mat.T
            points.append(shape[0] @ turn + geom.pos)
            normals.append(shape[1] @ turn)
            faces.append(shape[2] + count)
            count += len(shape[0])
            rgb = geom.rgba[:3] * self.mean_colour(geom.matid)
            material.append(np.tile(np.array([*rgb, geom.emission, geom.specular, geom.shininess], np.float32), (len(shape[0]), 1)))
            opacity.append(np.full(len(shape[2]), max(1, round(geom.rgba[3] * SAMPLES**2)), np.int8))
        return [np.concatenate(parts) for parts in (points, normals, faces, material, opacity)]

    def shape(self, geom):
        """The geom's triangles, made once for each kind, mesh and size."""
        key = geom.type, geom.dataid, geom.size.tobytes()
        if key not in self.shapes:
            self.shapes[key] = shapes.shape(self.model, geom.type, geom.dataid, geom.size)
        return self.shapes[key]

    def texture(self, material):
        """Number of the material's texture, or -1."""
        return -1 if material < 0 else max(self.model.mat_texid[material].tolist())

    def mean_colour(self, material):
        """Mean colour (3,) of the material's texture; white without one."""
        number = self.texture(material)
        return np.ones(3) if number < 0 else self.cells[number].mean(axis=(0, 1))

    def sky(self, camera):
        """Background (h, w, 3), 0 to 255: the vertical gradient of the model's sky box, or a plain one."""
        boxes = np.flatnonzero(self.model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX)
        ramp = sky_ramp(self.model, boxes[0]) if len(boxes) else SKY
        column, row = camera.along(np.array([0.0, 0.0, 1.0]))
        across = sum((column_ + row_) ** 2 for column_, row_ in (camera.along(axis) for axis in np.eye(3)[:2]))
        height = np.arctan2(column + row, np.sqrt(across)) / np.pi + 0.5
        knots = np.linspace(0, 1, len(ramp))
        return np.stack([np.interp(height, knots, ramp[:, channel] * 255) for channel in range(3)], axis=-1)

    def floor(self, geom, lights, small, large, picture, nearness):
        """Draw a plane with its checkerboard into picture (h, w, 3) and its depth into nearness (2h, 2w)."""
        u, v, normal = geom.mat.T
        above = float((small.eye - geom.pos) @ normal)
        if above <= 0:
            return
        down = [-sum(camera.along(normal)) / above for camera in (small, large)]  # one over depth
        depth = 1 / np.maximum(down[0], 1e-6)
        cover, wave_, cells = (down[0] > 0).astype(np.float32), 1, self.cells[self.texture(geom.matid)] if self.texture(geom.matid) >= 0 else np.ones((2, 2, 3))
        repeat = self.model.mat_texrepeat[geom.matid] if geom.matid >= 0 else (1, 1)
        for axis, extent, times in zip((u, v), geom.size, repeat):
            column, row = small.along(axis)
            at = (small.eye - geom.pos) @ axis + (column + row) * depth
            footprint = np.abs(np.gradient(at, axis=0)) + np.abs(np.gradient(at, axis=1))
            if extent > 0:
                cover *= ((extent - np.abs(at)) / footprint + 0.5).clip(0, 1)
            scale = times * 2 / (2 * extent or 1)
            wave_ = wave_ * wave(at * scale, footprint * scale)
        light = lit(geom.pos[None], normal[None], np.array([[*geom.rgba[:3], geom.emission, 0, 0]], np.float32), lights, small.eye.astype(np.float32))
        mean, half = cells.mean(axis=(0, 1)), (cells[0, 0] - cells[0, 1]) / 2
        colour = (mean + wave_[..., None] * half) * light * 255
        picture += cover[..., None] * (colour - picture)
        np.maximum(nearness, down[1] * (cover > 0.5).repeat(SAMPLES, axis=0).repeat(SAMPLES, axis=1), out=nearness)


def texture_cells(model, number):
    """Mean colours (2, 2, 3), 0 to 1, of the four quarters of a texture: all that a checkerboard needs."""
    height, width, channels = model.tex_height[number], model.tex_width[number], model.tex_nchannel[number]
    texels = model.tex_data[model.tex_adr[number] :][: height * width * channels].reshape(height, width, channels)[..., :3]
    halves = [[texels[rows, columns].mean(axis=(0, 1)) for columns in (slice(width // 2), slice(width // 2, None))] for rows in (slice(height // 2), slice(height // 2, None))]
    return np.array(halves) / 255


def sky_ramp(model, number):
    """Colours (n, 3), 0 to 1, of a sky box from straight down to straight up."""
    side = model.tex_width[number]
    box = model.tex_data[model.tex_adr[number] :][: 6 * side * side * 3].reshape(6, side, side, 3).mean(axis=2) / 255
    return box[4][::-1]
