"""Choosing a backend and a camera. None of these tests needs OpenGL; those that compare with it
skip where there is none.
"""

import os
import subprocess
import sys

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from jatlab.tasks.rendering import backends as rendering
from jatlab.tasks.rendering.painter import scene_camera

WORLD = """<mujoco><asset><material name="matte" specular="0"/></asset><worldbody>
  <light directional="true" dir="0 0 -1" castshadow="false"/><camera name="above" pos="0 0 4"/>
  <geom type="plane" size="2 2 .1" rgba=".3 .3 .8 1" material="matte"/>
  <body name="walker" pos="0 0 .5"><freejoint/><geom type="capsule" size=".2 .4" euler="0 70 0" rgba=".9 .2 .1 1" material="matte"/>
    <geom type="box" size=".2 .1 .15" pos="0 .5 .1" rgba=".1 .9 .1 1" material="matte"/></body>
</worldbody></mujoco>"""


@pytest.fixture(autouse=True)
def no_choice(monkeypatch):
    monkeypatch.delenv("JATLAB_RENDERER", raising=False)
    monkeypatch.delenv("MUJOCO_GL", raising=False)


@pytest.fixture
def fresh_probe(monkeypatch):
    """A `works` that remembers nothing yet, and forgets afterwards what it saw here."""
    rendering.works.cache_clear()
    yield monkeypatch
    rendering.works.cache_clear()


@pytest.fixture
def world():
    model = mujoco.MjModel.from_xml_string(WORLD)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_some_backend_always_draws(world):
    model, data = world
    renderer = rendering.make_renderer(model, 120, 90)
    frame = renderer.frame(data)
    assert renderer.backend in ("egl", "osmesa", "painter")
    assert frame.shape == (90, 120, 3) and frame.dtype == np.uint8 and frame.std() > 10
    renderer.close()
    renderer.close()
    with pytest.raises(ValueError, match="closed"):
        renderer.frame(data)


def test_without_libraries_the_painter_draws_and_nothing_is_started(world, fresh_probe):
    fresh_probe.setattr(rendering, "loads", lambda library: False)
    fresh_probe.setattr(
        subprocess, "run", lambda *_, **__: pytest.fail("there was nothing to probe")
    )
    assert rendering.make_renderer(world[0]).backend == "painter"


def test_broken_driver_harms_nobody(world, fresh_probe):
    fresh_probe.setattr(rendering, "loads", lambda library: True)
    fresh_probe.setattr(rendering, "PROBE", "import os; os.abort()")
    before, modules = dict(os.environ), {name for name in sys.modules if name.startswith("OpenGL")}
    assert rendering.make_renderer(world[0]).backend == "painter"
    assert (
        dict(os.environ) == before
        and {name for name in sys.modules if name.startswith("OpenGL")} == modules
    )


def test_hanging_driver_is_given_up(fresh_probe):
    fresh_probe.setattr(rendering, "loads", lambda library: True)
    fresh_probe.setattr(rendering, "PROBE", "import time; time.sleep(60)")
    fresh_probe.setattr(rendering, "PROBE_SECONDS", 0.2)
    assert rendering.choose_backend() == "painter"


def test_each_backend_is_probed_once(fresh_probe):
    asked = []
    fresh_probe.setattr(rendering, "loads", lambda library: True)

    def run(command, **_):
        asked.append(command[-1])
        return subprocess.CompletedProcess(command, 0 if command[-1] == "osmesa" else 1)

    fresh_probe.setattr(subprocess, "run", run)
    assert [rendering.choose_backend() for _ in range(3)] == ["osmesa"] * 3
    assert asked == ["egl", "osmesa"]


def test_demanded_backend_that_does_not_work(world, fresh_probe):
    fresh_probe.setenv("JATLAB_RENDERER", "egl")
    fresh_probe.setattr(rendering, "loads", lambda library: False)
    with pytest.raises(ImportError, match="egl.*cannot draw.*painter"):
        rendering.make_renderer(world[0])


def test_unknown_backend(world, monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "vulkan")
    with pytest.raises(ValueError, match="'vulkan'.*painter, egl, osmesa"):
        rendering.make_renderer(world[0])


@pytest.mark.parametrize(
    "value, tried",
    [
        ("", ["egl", "osmesa"]),
        ("egl", ["egl"]),
        ("OSMesa", ["osmesa"]),
        ("glfw", ["glfw"]),
        ("disable", []),
        ("0", []),
    ],
)
def test_mujocos_own_variable_is_honoured(monkeypatch, value, tried):
    monkeypatch.setenv("MUJOCO_GL", value)
    assert rendering.candidates() == tried


def test_bad_cameras_and_sizes(world, monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")
    with pytest.raises(ValueError, match="no camera 'behind'.*'above'"):
        rendering.make_renderer(world[0], camera="behind")
    for wrong in ({"zoom": 2}, 3):
        with pytest.raises(ValueError, match="must be None, a camera's name, or a dict"):
            rendering.make_renderer(world[0], camera=wrong)
    for wrong in ({"distance": 0}, {"lookat": 1}):
        with pytest.raises(ValueError, match="distance must be more than 0"):
            rendering.make_renderer(world[0], camera=wrong)
    with pytest.raises(ValueError, match="bodies 0 to 1"):
        rendering.make_renderer(world[0], camera={"trackbodyid": 7})
    with pytest.raises(ValueError, match="0 x 480"):
        rendering.make_renderer(world[0], width=0)


def test_named_camera(world, monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")
    renderer = rendering.make_renderer(world[0], 100, 100, "above")
    renderer.frame(world[1])
    camera = scene_camera(renderer.scene, 100, 100)
    np.testing.assert_allclose(camera.eye, [0, 0, 4], atol=1e-5)
    np.testing.assert_allclose(camera.forward, [0, 0, -1], atol=1e-5)


def where(frame, channel):
    """Centre (column, row) of the pixels in which one colour stands out."""
    rest = np.delete(frame.astype(int), channel, axis=2).max(axis=2)
    rows, columns = np.nonzero(frame[..., channel] > rest + 60)
    return np.array([columns.mean(), rows.mean()]), len(rows)


def test_default_camera_follows_a_robot_that_walks_away(world, monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")
    model, data = world
    model.geom_size[0, :2] = 0  # an endless floor
    renderer = rendering.make_renderer(model, 200, 200)
    before, many = where(renderer.frame(data), 0)
    data.qpos[0] += 30
    mujoco.mj_forward(model, data)
    after, as_many = where(renderer.frame(data), 0)
    np.testing.assert_allclose(before, after, atol=1)
    assert many > 1000 and as_many == pytest.approx(many, rel=0.05)


def test_default_camera_shows_every_mujoco_task_whole(monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")
    names = "Ant HalfCheetah Hopper Humanoid HumanoidStandup Swimmer Walker2d Reacher InvertedPendulum InvertedDoublePendulum"
    for name in [f"{name}-v4" for name in names.split()] + ["Pusher-v5"]:
        with pytest.warns(DeprecationWarning) if name.endswith("v4") else monkeypatch.context():
            env = gym.make(name).unwrapped
        env.reset(seed=0)
        renderer = rendering.make_renderer(env.model, 100, 100)
        renderer.frame(env.data)
        moving = env.data.geom_xpos[env.model.geom_bodyid > 0]
        x, y, depth = scene_camera(renderer.scene, 100, 100).project(moving)
        assert ((x / depth > 0) & (x / depth < 100) & (y / depth > 0) & (y / depth < 100)).all(), (
            name
        )
        assert max(np.ptp(x / depth), np.ptp(y / depth)) > 12, name


CAMERA = {"elevation": -30, "distance": 4, "lookat": (0, 0, 0.3)}
TWO_RENDERERS = """
import sys, mujoco, numpy
from jatlab.tasks.rendering.backends import make_renderer
model = mujoco.MjModel.from_xml_string(sys.argv[1])
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
first, second = (make_renderer(model, 240, 240, eval(sys.argv[2])) for _ in range(2))
frames = [first.frame(data)]
first.close()  # must leave the other alone
numpy.save(sys.argv[3], [*frames, second.frame(data)])
"""


@pytest.mark.parametrize("backend", ["egl", "osmesa"])
def test_painter_agrees_with_mujocos_renderer(world, backend, monkeypatch, tmp_path):
    if not rendering.works(backend):
        pytest.skip(f"{backend} does not work on this machine")
    command = [
        sys.executable,
        "-c",
        TWO_RENDERERS,
        WORLD,
        repr(CAMERA),
        str(tmp_path / "frames.npy"),
    ]  # a process holds one library only
    environment = {
        key: value for key, value in os.environ.items() if key != "PYOPENGL_PLATFORM"
    } | {"JATLAB_RENDERER": backend}
    subprocess.run(command, env=environment, check=True, timeout=120)
    truth, again = np.load(tmp_path / "frames.npy")
    np.testing.assert_array_equal(truth, again)
    monkeypatch.setenv("JATLAB_RENDERER", "painter")
    frame = rendering.make_renderer(world[0], 240, 240, CAMERA).frame(world[1])
    for channel in (0, 1):
        (here, size), (there, true_size) = where(frame, channel), where(truth, channel)
        np.testing.assert_allclose(here, there, atol=0.7)
        assert size == pytest.approx(true_size, rel=0.03)
    assert (
        np.abs(frame[150:].astype(int) - truth[150:]).mean() < 8
    )  # the floor and what stands on it


def test_programs_end_quietly_with_open_renderers():
    program = (
        "import mujoco; from jatlab.tasks.rendering.backends import make_renderer\n"
        "model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size=\"1\"/></worldbody></mujoco>')\n"
        "data = mujoco.MjData(model); mujoco.mj_forward(model, data)\n"
        "keep = [make_renderer(model, 32, 32) for _ in range(2)]; print(keep[0].frame(data).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (
        done.stdout.strip() == "(32, 32, 3)"
        and "Error" not in done.stderr
        and "Exception" not in done.stderr
    )
