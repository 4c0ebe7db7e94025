"""Choosing a backend.

None of these tests needs OpenGL; those that compare with it skip where there is none.
"""

import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from jatlab.tasks.rendering import backends
from tests.tasks.rendering.scenes import WORLD, where


@pytest.fixture
def fresh_probe(monkeypatch):
    """A `works` that remembers nothing yet, and forgets afterwards what it saw here."""
    backends.works.cache_clear()
    yield monkeypatch
    backends.works.cache_clear()


def test_some_backend_always_draws(world):
    model, data = world
    renderer = backends.make_renderer(model, 120, 90)
    frame = renderer.frame(data)
    assert renderer.backend in ("egl", "osmesa", "painter")
    assert frame.shape == (90, 120, 3) and frame.dtype == np.uint8 and frame.std() > 10
    renderer.close()
    renderer.close()
    with pytest.raises(ValueError, match="closed"):
        renderer.frame(data)


def test_without_libraries_the_painter_draws_unprobed(world, fresh_probe):
    fresh_probe.setattr(backends, "loads", lambda library: False)

    def run(*_, **__):
        pytest.fail("there was nothing to probe")

    fresh_probe.setattr(subprocess, "run", run)
    assert backends.make_renderer(world[0]).backend == "painter"


def opengl_modules():
    return {name for name in sys.modules if name.startswith("OpenGL")}


def test_broken_driver_does_no_harm(world, fresh_probe):
    fresh_probe.setattr(backends, "loads", lambda library: True)
    fresh_probe.setattr(backends, "PROBE", "import os; os.abort()")
    environment, modules = dict(os.environ), opengl_modules()
    assert backends.make_renderer(world[0]).backend == "painter"
    assert dict(os.environ) == environment and opengl_modules() == modules


def test_hanging_driver_is_given_up(fresh_probe):
    fresh_probe.setattr(backends, "loads", lambda library: True)
    fresh_probe.setattr(backends, "PROBE", "import time; time.sleep(60)")
    fresh_probe.setattr(backends, "PROBE_SECONDS", 0.2)
    assert backends.choose_backend() == "painter"


def test_each_backend_is_probed_once(fresh_probe):
    asked = []
    fresh_probe.setattr(backends, "loads", lambda library: True)

    def run(command, **_):
        asked.append(command[-1])
        return subprocess.CompletedProcess(command, 0 if command[-1] == "osmesa" else 1)

    fresh_probe.setattr(subprocess, "run", run)
    assert [backends.choose_backend() for _ in range(3)] == ["osmesa"] * 3
    assert asked == ["egl", "osmesa"]


def test_demanded_backend_that_does_not_work(world, fresh_probe):
    fresh_probe.setenv("JATLAB_RENDERER", "egl")
    fresh_probe.setattr(backends, "loads", lambda library: False)
    with pytest.raises(ImportError, match="egl.*cannot draw.*painter"):
        backends.make_renderer(world[0])


def test_unknown_backend(world, monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "vulkan")
    with pytest.raises(ValueError, match="'vulkan'.*painter, egl, osmesa"):
        backends.make_renderer(world[0])


MUJOCO_GL = {
    "": ["egl", "osmesa"],
    "egl": ["egl"],
    "OSMesa": ["osmesa"],
    "glfw": ["glfw"],
    "disable": [],
    "0": [],
}


@pytest.mark.parametrize(("value", "tried"), MUJOCO_GL.items())
def test_mujocos_variable_is_honoured(monkeypatch, value, tried):
    monkeypatch.setenv("MUJOCO_GL", value)
    assert backends.candidates() == tried


CAMERA = {"elevation": -30, "distance": 4, "lookat": (0, 0, 0.3)}
TWO_RENDERERS = """
import sys, mujoco, numpy
from jatlab.tasks.rendering.backends import make_renderer
model = mujoco.MjModel.from_xml_string(sys.argv[1])
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
first, second = (make_renderer(model, 240, 240, eval(sys.argv[2])) for _ in range(2))
frames = [first.frame(data)]
first.close()  # must not disturb the other
numpy.save(sys.argv[3], [*frames, second.frame(data)])
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["egl", "osmesa"])
def test_painter_agrees_with_mujocos_renderer(world, backend, monkeypatch, tmp_path):
    if not backends.works(backend):
        pytest.skip(f"{backend} does not work on this machine")
    file = str(tmp_path / "frames.npy")
    command = [sys.executable, "-c", TWO_RENDERERS, WORLD, repr(CAMERA), file]
    environment = os.environ | {"JATLAB_RENDERER": backend}
    environment.pop("PYOPENGL_PLATFORM", None)
    # in a separate process, because a process holds only one library
    subprocess.run(command, env=environment, check=True, timeout=120)
    truth, again = np.load(file)
    np.testing.assert_array_equal(truth, again)
    monkeypatch.setenv("JATLAB_RENDERER", "painter")
    frame = backends.make_renderer(world[0], 240, 240, CAMERA).frame(world[1])
    for channel in (0, 1):
        (here, size), (there, true_size) = where(frame, channel), where(truth, channel)
        np.testing.assert_allclose(here, there, atol=0.7)
        assert size == pytest.approx(true_size, rel=0.03)
    # the floor and what stands on it
    assert np.abs(frame[150:].astype(int) - truth[150:]).mean() < 8


OPEN_RENDERERS = """
import mujoco
from jatlab.tasks.rendering.backends import make_renderer
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
keep = [make_renderer(model, 32, 32) for _ in range(2)]
print(keep[0].frame(data).shape)
"""


@pytest.mark.slow
def test_programs_end_quietly_with_open_renderers():
    command = [sys.executable, "-c", OPEN_RENDERERS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "(32, 32, 3)"
    assert "Error" not in done.stderr and "Exception" not in done.stderr


def test_triton_is_loaded_before_opengl(monkeypatch):
    """The other way round, PyTorch's CUDA builds end the process at the first training."""
    loaded = []

    def load(name):
        loaded.append(name)
        if name != "triton":
            raise ImportError("far enough")

    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(backends.importlib, "import_module", load)
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    with pytest.raises(ImportError, match="far enough"):
        backends.OpenGLRenderer(model, 16, 16, None, "egl")
    assert loaded == ["triton", "mujoco.egl"]
