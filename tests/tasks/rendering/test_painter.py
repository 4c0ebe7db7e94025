"""The painter against geometry: where things must be in pictures of a few geoms, by hand."""

import mujoco
import numpy as np
import pytest

from jatlab.tasks.rendering import backends, raster, shapes
from jatlab.tasks.rendering.bodies import SAMPLES
from jatlab.tasks.rendering.cameras import make_camera
from jatlab.tasks.rendering.painter import Painter, scene_camera

SIZE = 200
# at y = -4, looking along +y, x to the right
FRONT = {"azimuth": 90, "elevation": 0, "distance": 4, "lookat": (0, 0, 0)}
FOCAL = SIZE / 2 / np.tan(np.radians(45 / 2))  # 45 degrees: MuJoCo's default


@pytest.fixture(autouse=True)
def painter_only(monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")


def scene(bodies, assets="", light=""):
    """Model and data of a scene with the given MJCF bodies."""
    model = mujoco.MjModel.from_xml_string(
        f"<mujoco><asset>{assets}</asset><worldbody>{light}{bodies}</worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def picture(bodies, camera=FRONT, **more):
    """The painter's frame of a scene."""
    model, data = scene(bodies, **more)
    return backends.make_renderer(model, SIZE, SIZE, camera).frame(data)


def coverage(frame, empty=None):
    """How much of each pixel (h, w) a pure red body covers, told from the green channel."""
    empty = picture("") if empty is None else empty
    return 1 - frame[..., 1] / empty[..., 1]


def updated_scene(model, data, camera):
    """MuJoCo's list of what a camera sees."""
    view, _ = make_camera(model, camera)
    drawn = mujoco.MjvScene(model, 10)
    everything = mujoco.mjtCatBit.mjCAT_ALL.value
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, view, everything, drawn)
    return drawn


def red(kind, size, place="0 0 0", more=""):
    return f'<geom type="{kind}" size="{size}" pos="{place}" rgba="1 0 0 1" {more}/>'


MATTE = '<material name="matte" specular="0"/>'


@pytest.mark.parametrize(
    "azimuth, elevation, fovy", [(90, -45, 45), (10, 20, 45), (200, -80, 60), (-70, 5, 30)]
)
def test_projection_is_mujocos_camera(azimuth, elevation, fovy):
    model, data = scene(red("sphere", 1))
    model.vis.global_.fovy = fovy
    lookat, distance = np.array([0.3, -0.2, 0.5]), 3.0
    free = {"azimuth": azimuth, "elevation": elevation, "distance": distance, "lookat": lookat}
    drawn = updated_scene(model, data, free)
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    x, y, depth = scene_camera(drawn, 300, 400).project(points)
    a, e = np.radians(azimuth), np.radians(elevation)
    forward = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([np.sin(a), -np.cos(a), 0])
    offset, focal = points - (lookat - distance * forward), 150 / np.tan(np.radians(fovy / 2))
    ahead, aside, above = (offset @ axis for axis in (forward, right, np.cross(right, forward)))
    np.testing.assert_allclose(depth, ahead, atol=1e-5)
    np.testing.assert_allclose(x / depth, 200 + focal * aside / ahead, atol=1e-2)
    np.testing.assert_allclose(y / depth, 150 - focal * above / ahead, atol=1e-2)


@pytest.mark.parametrize("radius", [0.1, 0.5, 1.2])
def test_sphere_has_the_right_silhouette(radius):
    covered = coverage(picture(red("sphere", radius, more='material="matte"'), assets=MATTE))
    expected = FOCAL * radius / np.sqrt(4**2 - radius**2)
    assert np.sqrt(covered.sum() / np.pi) == pytest.approx(expected, abs=1)
    for pixels in np.nonzero(covered > 0.5):  # rows, then columns
        assert np.ptp(pixels) + 1 == pytest.approx(2 * expected, abs=2)
        assert pixels.mean() + 0.5 == pytest.approx(SIZE / 2, abs=0.5)


# silhouettes from the front, in square pixels; side surfaces are edge-on or beyond the rim
AREAS = {
    "sphere": (".5", np.pi * 0.5**2 / (1 - 0.5**2 / 16)),
    "ellipsoid": (".6 .01 .3", np.pi * 0.6 * 0.3),
    "cylinder": (".1 .7", 0.2 * 1.4),
    "capsule": (".1 .5", 0.2 * 1.0 + np.pi * 0.1**2),
    "box": (".5 .001 .25", 1.0 * 0.5),
}


@pytest.mark.parametrize("kind", AREAS)
def test_geoms_cover_what_they_should(kind):
    size, metres = AREAS[kind]
    covered = coverage(picture(red(kind, size, more='material="matte"'), assets=MATTE)).clip(0)
    assert covered.sum() == pytest.approx(metres * (FOCAL / 4) ** 2, rel=0.03)


TETRAHEDRON = '<mesh name="tetra" vertex="-1 0 -1  1 0 -1  0 0 1  0 2 0"/>' + MATTE


def test_meshes_are_drawn_from_their_faces():
    body = '<geom type="mesh" mesh="tetra" rgba="1 0 0 1" material="matte"/>'
    covered = coverage(picture(body, assets=TETRAHEDRON)).clip(0)
    assert covered.sum() > 0.5 * 2 * (FOCAL / 4.5) ** 2
    rows, columns = np.nonzero(covered > 0.5)
    tip = columns[rows < np.quantile(rows, 0.1)]
    assert tip.mean() == pytest.approx(SIZE / 2, abs=1)  # above the middle


def test_closed_bodies_have_no_holes():
    for seed, kind in enumerate(["ellipsoid", "box", "cylinder", "capsule"]):
        turn = " ".join(map(str, np.random.default_rng(seed).normal(size=4)))
        model, data = scene(f'<geom type="{kind}" size=".7 .9 .5" quat="{turn}" rgba="1 0 0 1"/>')
        size = [0.7, 0.9, 0.5] if kind != "capsule" else [0.7, 0.7, 0.9]
        points, _, faces = shapes.shape(model, model.geom_type[0], -1, size)
        camera = raster.Camera((0, -4, 0), (0, 1, 0), (0, 0, 1), FOCAL, SIZE, SIZE)
        keys = np.zeros(SIZE * SIZE, np.int64)
        turned = points @ data.geom_xmat[0].reshape(3, 3).T
        raster.rasterise(camera.project(turned), faces, keys, SIZE)
        for row in (keys > 0).reshape(SIZE, SIZE):
            inside = np.flatnonzero(row)
            assert len(inside) == 0 or inside[-1] - inside[0] + 1 == len(inside)


def test_nearer_hides_farther_in_any_order():
    near = red("box", ".3 .1 .3", "0 -1 0", 'material="matte"')
    far = '<geom type="box" size=".8 .1 .8" pos="0 1 0" rgba="0 0 1 1" material="matte"/>'
    for bodies in (near + far, far + near):
        frame = picture(bodies, assets=MATTE).astype(int)
        middle, beside = frame[SIZE // 2, SIZE // 2], frame[SIZE // 2, SIZE // 2 + 28]
        assert middle[0] > 50 > middle[2] and beside[2] > 50 > beside[0]


def test_intersecting_bodies_meet_where_they_should():
    slab = '<geom type="box" size="3 .01 3" pos="0 -.3 0" rgba="0 0 1 1"/>'
    frame = picture(red("sphere", ".8") + slab).astype(int)
    radius = FOCAL * np.sqrt(0.8**2 - 0.31**2) / (4 - 0.31)
    assert np.sqrt((frame[..., 0] > frame[..., 2]).sum() / np.pi) == pytest.approx(radius, abs=1)


def test_bodies_reaching_behind_the_camera_are_drawn():
    frame = picture('<geom type="box" size=".5 50 .1" pos="0 0 -.5" rgba="1 0 0 1"/>').astype(int)
    # right below the camera, where some corners lie behind it
    assert frame[-1, SIZE // 2, 0] > 2 * frame[-1, SIZE // 2, 1]
    assert (frame[: SIZE // 2 - 20, :, 1] > 100).all()  # and none of it above the horizon


def test_checkerboard_is_where_its_texture_says():
    assets = (
        '<texture name="t" type="2d" builtin="checker" rgb1="1 1 1" rgb2="0 0 0" '
        'width="64" height="64"/>'
        '<material name="m" texture="t" texrepeat="5 5" texuniform="false" specular="0"/>'
    )
    camera = {"azimuth": 90, "elevation": -50, "distance": 4, "lookat": (0, 0, 0)}
    model, data = scene('<geom type="plane" size="2.5 2.5 .1" material="m"/>', assets)
    frame = backends.make_renderer(model, SIZE, SIZE, camera).frame(data)
    drawn = updated_scene(model, data, camera)
    # a texture is a metre: cells of 0.5 m
    cells = np.array([(i + 0.5, j + 0.5) for i in range(-3, 3) for j in range(-3, 3)]) / 2
    centres = np.column_stack([cells, np.zeros(len(cells))])
    x, y, depth = scene_camera(drawn, SIZE, SIZE).project(centres)
    shown = frame[(y / depth).astype(int), (x / depth).astype(int), 0] > 60
    parity = np.floor(cells * 2).sum(axis=1) % 2 == 0
    assert (shown == parity).all() or (shown == ~parity).all()


def test_floor_ends_at_its_edge():
    top = {"azimuth": 90, "elevation": -90, "distance": 4, "lookat": (0, 0, 0)}
    floor = '<geom type="plane" size=".5 .25 .1" rgba="1 0 0 1" material="matte"/>'
    covered = coverage(picture(floor, top, assets=MATTE), picture("", top)).clip(0)
    assert covered.sum() == pytest.approx(0.5 * (FOCAL / 4) ** 2, rel=0.03)


def test_hidden_groups_and_transparent_geoms_are_left_out():
    empty = picture("")
    np.testing.assert_array_equal(picture(red("sphere", 1, more='group="3"')), empty)
    np.testing.assert_array_equal(picture('<geom type="sphere" size="1" rgba="1 0 0 0"/>'), empty)
    half = picture('<geom type="sphere" size="1" rgba="1 0 0 0.5" material="matte"/>', assets=MATTE)
    solid = picture(red("sphere", 1, more='material="matte"'), assets=MATTE)
    mixture = (empty.astype(int) + solid) / 2
    assert np.abs(half - mixture)[80:120, 80:120].max() <= 2


def test_sites_and_colours_of_materials_show():
    frame = picture('<site type="sphere" size=".5" rgba="0 1 0 1"/>').astype(int)
    assert frame[100, 100, 1] > 2 * frame[100, 100, 0]
    blue = '<material name="blue" rgba="0 0 1 1" specular="0"/>'
    frame = picture('<geom type="sphere" size=".5" material="blue"/>', assets=blue)
    assert frame[100, 100, 2] > 50 and frame[100, 100, :2].max() == 0


def test_lambert_light():
    lamp = (
        '<light directional="true" dir="1 0 0" diffuse="1 1 1" specular="0 0 0" ambient="0 0 0" '
        'castshadow="false"/>'
    )
    ball = '<geom type="sphere" size="1" rgba=".4 .4 .4 1" material="matte"/>'
    frame = picture(ball, assets=MATTE, light=lamp).astype(int)
    slope = 39.5 / FOCAL  # of the rays through the pixels 60 and 139
    depth = (4 - np.sqrt(16 - 15 * (1 + slope**2))) / (1 + slope**2)
    difference = frame[100, 60].mean() - frame[100, 139].mean()
    cosine = slope * depth  # of the lamp, whose light comes from the left
    assert difference == pytest.approx(0.4 * 255 * cosine, rel=0.04)


def test_sky_of_the_model():
    colours = 'rgb1="1 0 0" rgb2="0 0 1"'  # red above, blue below
    box = f'<texture type="skybox" builtin="gradient" {colours} width="32" height="192"/>'
    sky = picture("", {**FRONT, "elevation": -20}, assets=box).astype(int)
    assert (np.diff(sky[:, 100, 0]) <= 0).all()
    assert sky[0, 100, 0] > sky[-1, 100, 0] + 30
    single = '<texture type="skybox" builtin="flat" rgb1="0 1 0" width="32" height="32"/>'
    np.testing.assert_array_equal(picture("", assets=single)[0, 0], [0, 255, 0])


BALL = '<geom type="sphere" size=".3" rgba="1 0 0 1"/>'
FALLING = f'<body name="ball" pos="0 0 1"><freejoint/>{BALL}</body>'
FLOOR = '<geom type="plane" size="3 3 .1" rgba=".8 .8 .8 1"/>'
LAMP = '<light directional="true" dir="0 0 -1"/>'
ABOVE = {"azimuth": 90, "elevation": -40, "distance": 5, "lookat": (0, 0, 0.5)}


def test_shadow_lies_under_the_body():
    model, data = scene(FLOOR + FALLING, light=LAMP)
    renderer = backends.make_renderer(model, SIZE, SIZE, ABOVE)
    with_body = renderer.frame(data).astype(int)
    data.qpos[:3] = 100, 0, 1
    mujoco.mj_forward(model, data)
    change = renderer.frame(data).astype(int) - with_body
    camera = scene_camera(renderer.scene, SIZE, SIZE)
    x, y, depth = camera.project(np.array([[0.0, 0, 0], [0.6, 0, 0]]))
    column, row = (x / depth).astype(int), (y / depth).astype(int)
    assert change[row[0], column[0]].min() > 40 and abs(change[row[1], column[1]]).max() == 0


def test_frames_follow_the_state_and_nothing_else():
    model, data = scene(FLOOR + FALLING, light=LAMP)
    renderer = backends.make_renderer(model, SIZE, SIZE, ABOVE)
    first = renderer.frame(data)
    assert first.shape == (SIZE, SIZE, 3) and first.dtype == np.uint8 and first.flags.writeable
    data.qpos[:3] = 0.5, 0, 0.6
    mujoco.mj_forward(model, data)
    second = renderer.frame(data)
    assert (first != second).any(axis=2).mean() > 0.02
    fresh = backends.make_renderer(model, SIZE, SIZE, ABOVE)
    np.testing.assert_array_equal(second, fresh.frame(data))
    data.qpos[:3] = 0, 0, 1
    mujoco.mj_forward(model, data)
    np.testing.assert_array_equal(renderer.frame(data), first)


def test_fixed_geoms_that_are_changed_are_drawn_anew():
    model, data = scene(red("sphere", 0.3))
    renderer = backends.make_renderer(model, SIZE, SIZE, FRONT)
    first = renderer.frame(data)
    model.geom_rgba[0] = 0, 1, 0, 1
    assert renderer.frame(data)[100, 100, 1] > first[100, 100, 1]


def test_pictures_of_any_size():
    model, data = scene(FLOOR + FALLING, light=LAMP)
    for width, height in ((1, 1), (64, 48), (33, 97)):
        assert backends.make_renderer(model, width, height).frame(data).shape == (height, width, 3)
    assert SAMPLES == 2 and isinstance(backends.make_renderer(model).painter, Painter)
