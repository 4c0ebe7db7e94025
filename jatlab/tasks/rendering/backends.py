"""Pictures of MuJoCo and Meta-World scenes on every machine, with or without OpenGL.

`make_renderer` takes the first backend that works. It tries MuJoCo's renderer through EGL, then
through OSMesa (each once, in a separate process, so that a broken driver does no harm). Otherwise
our painter draws, which needs no graphics library. Two environment variables change that:

    JATLAB_RENDERER=painter|egl|osmesa|glfw   use this backend; an ImportError if it does not work
    MUJOCO_GL=egl|osmesa|glfw|disable         MuJoCo's variable: the library to try first
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import importlib
import importlib.util
import os
import subprocess
import sys
import weakref
from abc import ABC, abstractmethod
from contextlib import suppress

import mujoco
import numpy as np

from jatlab.tasks.rendering.cameras import CameraChoice, make_camera
from jatlab.tasks.rendering.painter import Painter
from jatlab.utils.checks import require, whole_number

# any of these files must load, or there is nothing to try
LIBRARIES: dict[str, tuple[str | None, ...]] = {
    "egl": ("libEGL.so.1", "libEGL.so"),
    "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"),
    "glfw": (None,),
}
PROBE_SECONDS = 30.0
PROBE = """
import importlib, sys, mujoco
context = importlib.import_module("mujoco." + sys.argv[1]).GLContext(16, 16)
context.make_current()
model = mujoco.MjModel.from_xml_string("<mujoco/>")
mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value).free()
context.free()
"""


def make_renderer(
    model: mujoco.MjModel,
    width: int = 480,
    height: int = 480,
    camera: CameraChoice = None,
    backend: str | None = None,
) -> Renderer:
    """A renderer of one model: ``.frame(data)`` returns a picture, uint8 (height, width, 3).

    Args:
        model: The model; the pictures show its state in an ``MjData``.
        width: Width of the pictures in pixels, 1 to 8192.
        height: Height of the pictures in pixels, 1 to 8192.
        camera: None follows the robot, or shows the whole scene. Else the name of one of the
            model's cameras, or a dict with any of azimuth, elevation (degrees), distance (metres),
            lookat (3, metres) and trackbodyid (x and y of lookat then start at that body).
        backend: "painter", "egl", "osmesa" or "glfw"; None for the first that works.

    Raises:
        ValueError: For an unknown camera, size or JATLAB_RENDERER.
        ImportError: If JATLAB_RENDERER demands a backend that does not work.
    """
    width, height = whole_number(width, "width"), whole_number(height, "height")
    require(
        0 < width <= 8192 and 0 < height <= 8192,
        f"cannot draw a picture of {width} x {height} pixels: width and height must be 1 to 8192",
    )
    backend = backend or choose_backend()
    if backend == "painter":
        return PainterRenderer(model, width, height, camera)
    try:
        return OpenGLRenderer(model, width, height, camera, backend)
    except Exception as error:  # each library has errors of its own
        # it works in a separate process, but not in this one any more
        if os.environ.get("JATLAB_RENDERER"):
            raise ImportError(
                f"JATLAB_RENDERER demands {backend}, which fails in this process: {error}"
            ) from error
        return PainterRenderer(model, width, height, camera)


def choose_backend() -> str:
    """The backend of this process: what JATLAB_RENDERER demands, else the first that works."""
    demanded = os.environ.get("JATLAB_RENDERER", "").strip().lower()
    require(
        demanded in ("", "painter", *LIBRARIES),
        f"JATLAB_RENDERER is {demanded!r}, but must be one of painter, {', '.join(LIBRARIES)} "
        "(or unset it)",
    )
    if demanded in LIBRARIES and not works(demanded):
        raise ImportError(
            f"JATLAB_RENDERER demands {demanded}, which cannot draw on this machine; "
            "unset it to let jatlab choose, or set it to painter, which works everywhere"
        )
    return demanded or next((backend for backend in candidates() if works(backend)), "painter")


def candidates() -> list[str]:
    """The OpenGL backends to try, in order; MUJOCO_GL narrows them to one, or none."""
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted in ("", "enable", "enabled", "on", "true", "1"):
        return ["egl", "osmesa"]
    return [wanted] if wanted in LIBRARIES else []


@functools.cache
def works(backend: str) -> bool:
    """Whether MuJoCo can draw through this backend; asked once, in a separate process."""
    if not any(loads(name) for name in LIBRARIES[backend]):
        return False
    environment = {**os.environ, "MUJOCO_GL": backend}
    environment.pop("PYOPENGL_PLATFORM", None)
    command = [sys.executable, "-c", PROBE, backend]
    try:
        probe = subprocess.run(command, env=environment, capture_output=True, timeout=PROBE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def _import_triton() -> None:
    """Load Triton, which comes with PyTorch's CUDA builds, before OpenGL.

    Both it and Mesa bring LLVM. Training imports Triton, and after Mesa that ended the process
    (Triton of PyTorch 2.15, Python 3.13); the other order works.
    """
    if importlib.util.find_spec("triton") is not None:
        with suppress(ImportError, RuntimeError):  # a broken one is not ours to report
            importlib.import_module("triton")


def loads(library: str | None) -> bool:
    """Whether a shared library can be opened; None always can."""
    try:
        return bool(ctypes.CDLL(library))
    except OSError:
        return False


class Renderer(ABC):
    """What the backends share: the camera, and MuJoCo's list of what is to be drawn."""

    backend: str

    def __init__(self, model: mujoco.MjModel, width: int, height: int, camera: CameraChoice):
        self.model, self.width, self.height = model, width, height
        self.view, self.follow = make_camera(model, camera)
        self.scene = mujoco.MjvScene(model, maxgeom=2000 + 2 * model.ngeom)
        self.option = mujoco.MjvOption()

    def frame(self, data: mujoco.MjData) -> np.ndarray:
        """The picture of the state in ``data``, uint8 (height, width, 3)."""
        require(self.scene is not None, "this renderer is closed: make another with make_renderer")
        if self.follow is not None:
            body, offset = self.follow
            self.view.lookat[:] = offset + [*data.subtree_com[body][:2], 0]
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(
            self.model, data, self.option, None, self.view, everything, self.scene
        )
        return self.draw()

    @abstractmethod
    def draw(self) -> np.ndarray:
        """The updated scene as a picture, uint8 (height, width, 3)."""

    def close(self) -> None:
        """Free the renderer's memory; it cannot draw any more."""
        self.scene = None


class PainterRenderer(Renderer):
    """Draws with NumPy and PIL."""

    backend = "painter"

    def __init__(self, model: mujoco.MjModel, width: int, height: int, camera: CameraChoice):
        super().__init__(model, width, height, camera)
        self.painter = Painter(model, width, height)

    def draw(self) -> np.ndarray:
        """The updated scene as a picture."""
        return self.painter.paint(self.scene)


class OpenGLRenderer(Renderer):
    """Draws with MuJoCo's renderer, in a hidden OpenGL context."""

    def __init__(
        self, model: mujoco.MjModel, width: int, height: int, camera: CameraChoice, backend: str
    ):
        super().__init__(model, width, height, camera)
        self.backend = backend
        _import_triton()
        self.gl = importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
        self.gl.make_current()
        self.context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_resizeOffscreen(width, height, self.context)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self.context)
        # registered after the context was made, because EGL's exit handler must run after ours
        atexit.register(close_quietly, weakref.ref(self))

    def draw(self) -> np.ndarray:
        """The updated scene as a picture."""
        picture = np.empty((self.height, self.width, 3), np.uint8)
        area = mujoco.MjrRect(0, 0, self.width, self.height)
        self.gl.make_current()
        mujoco.mjr_render(area, self.scene, self.context)
        mujoco.mjr_readPixels(picture, None, area, self.context)
        return picture[::-1].copy()

    def close(self) -> None:
        """Free the OpenGL context too."""
        if self.scene is not None:
            self.gl.make_current()
            self.context.free()
            self.gl.free()
        super().close()

    def __del__(self) -> None:
        if hasattr(self, "context"):  # MuJoCo would delete textures in whichever context is current
            self.close()


def close_quietly(reference: weakref.ref[OpenGLRenderer]) -> None:
    """Close the renderer if it still lives.

    An OpenGL context that outlives the interpreter prints errors.
    """
    renderer = reference()
    if renderer is not None:
        renderer.close()
