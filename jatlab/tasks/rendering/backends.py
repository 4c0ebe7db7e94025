"""Pictures of MuJoCo and Meta-World scenes on every machine, with or without OpenGL.

`make_renderer` takes the first backend that works: MuJoCo's own renderer through EGL, then through
OSMesa (each tried once, in a process of its own, so that a broken driver harms nobody), else our
painter, which needs no graphics library.

    JATLAB_RENDERER=painter|egl|osmesa|glfw   this backend and no other: an ImportError where it does not work
    MUJOCO_GL=egl|osmesa|glfw|disable         MuJoCo's own variable: which library to try before the painter
"""

import atexit
import ctypes
import functools
import importlib
import os
import subprocess
import sys
import weakref

import mujoco
import numpy as np

from jatlab.tasks.rendering.painter import Painter

LIBRARIES = {  # any of these files must load, or there is nothing to try
    "egl": ("libEGL.so.1", "libEGL.so"),
    "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"),
    "glfw": (None,),
}
PROBE_SECONDS = 30
PROBE = """
import importlib, sys, mujoco
context = importlib.import_module("mujoco." + sys.argv[1]).GLContext(16, 16)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100.value).free()
context.free()
"""
CAMERAS = {  # by the model's name; lengths in metres, angles in degrees
    "reacher": {"lookat": (0, 0, 0), "distance": 0.85, "azimuth": 90, "elevation": -80},
    "swimmer": {
        "lookat": (0, 0, 0),
        "distance": 4.2,
        "azimuth": 90,
        "elevation": -65,
        "trackbodyid": 1,
    },
    "arm3d": {"lookat": (0.3, -0.35, -0.2), "distance": 1.9, "azimuth": 120, "elevation": -50},
    "inverted pendulum": {"lookat": (0, 0, 0.2), "distance": 2.6, "azimuth": 90, "elevation": -10},
    "cartpole": {"lookat": (0, 0, 0.4), "distance": 3.4, "azimuth": 90, "elevation": -10},
}
METAWORLD = {"lookat": (0.03, 0.62, 0.15), "distance": 1.5, "azimuth": 130, "elevation": -28}


def make_renderer(
    model: mujoco.MjModel,
    width: int = 480,
    height: int = 480,
    camera: str | dict | None = None,
    backend: str | None = None,
) -> "Renderer":
    """A renderer of one model, with `.frame(data) -> (height, width, 3) uint8`, `.close()` and
    `.backend`, its name.

    camera: None (follows the robot, or shows the whole scene), the name of one of the model's
    cameras, or a dict with any of azimuth, elevation (degrees), distance (metres), lookat (3,
    metres) and trackbodyid (x and y of lookat then start at that body). backend: which one, if not
    the first that works. Raises ValueError for an unknown camera, size or JATLAB_RENDERER,
    ImportError for a demanded backend that does not work.
    """
    if not (0 < width <= 8192 and 0 < height <= 8192):
        raise ValueError(
            f"cannot draw a picture of {width} x {height} pixels: width and height must be 1 to 8192"
        )
    backend = backend or choose_backend()
    if backend == "painter":
        return PainterRenderer(model, width, height, camera)
    try:
        return OpenGLRenderer(model, width, height, camera, backend)
    except (
        ImportError,
        RuntimeError,
        mujoco.FatalError,
    ) as error:  # works elsewhere, but not in this process any more
        if os.environ.get("JATLAB_RENDERER"):
            raise ImportError(
                f"JATLAB_RENDERER demands {backend}, which fails in this process: {error}"
            ) from error
        return PainterRenderer(model, width, height, camera)


def choose_backend():
    """The backend of this process: what JATLAB_RENDERER demands, else the first that works."""
    demanded = os.environ.get("JATLAB_RENDERER", "").strip().lower()
    if demanded not in ("", "painter", *LIBRARIES):
        raise ValueError(
            f"JATLAB_RENDERER is {demanded!r}, but must be one of painter, {', '.join(LIBRARIES)} (or unset it)"
        )
    if demanded in LIBRARIES and not works(demanded):
        raise ImportError(
            f"JATLAB_RENDERER demands {demanded}, which cannot draw on this machine; "
            "unset it to let jatlab choose, or set it to painter, which works everywhere"
        )
    return demanded or next((backend for backend in candidates() if works(backend)), "painter")


def candidates():
    """The OpenGL backends to try, in order; MUJOCO_GL narrows them to one, or none."""
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted in ("", "enable", "enabled", "on", "true", "1"):
        return ["egl", "osmesa"]
    return [wanted] if wanted in LIBRARIES else []


@functools.cache
def works(backend):
    """Whether MuJoCo can draw through this backend: asked in a process of its own, once."""
    if not any(loads(name) for name in LIBRARIES[backend]):
        return False
    environment = {**os.environ, "MUJOCO_GL": backend}
    environment.pop("PYOPENGL_PLATFORM", None)
    try:
        probe = subprocess.run(
            [sys.executable, "-c", PROBE, backend],
            env=environment,
            capture_output=True,
            timeout=PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def loads(library):
    """Whether a shared library can be opened; None always can."""
    try:
        return bool(ctypes.CDLL(library))
    except OSError:
        return False


class Renderer:
    """What the backends share: the camera, and MuJoCo's list of what is to be drawn."""

    def __init__(self, model, width, height, camera):
        self.model, self.width, self.height = model, width, height
        self.view, self.follow = make_camera(model, camera)
        self.scene, self.option = (
            mujoco.MjvScene(model, maxgeom=2000 + 2 * model.ngeom),
            mujoco.MjvOption(),
        )

    def frame(self, data):
        """The picture (height, width, 3), uint8, of the state in `data`."""
        if self.scene is None:
            raise ValueError("this renderer is closed: make another with make_renderer")
        if self.follow is not None:
            body, offset = self.follow
            self.view.lookat[:] = offset + [*data.subtree_com[body][:2], 0]
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(
            self.model, data, self.option, None, self.view, everything, self.scene
        )
        return self.draw()

    def close(self):
        """Give back what the renderer holds; it cannot draw any more."""
        self.scene = None


class PainterRenderer(Renderer):
    """Draws with NumPy and PIL."""

    backend = "painter"

    def __init__(self, model, width, height, camera):
        super().__init__(model, width, height, camera)
        self.painter = Painter(model, width, height)

    def draw(self):
        """The updated scene as a picture."""
        return self.painter.paint(self.scene)


class OpenGLRenderer(Renderer):
    """Draws with MuJoCo's own renderer, in a hidden OpenGL context."""

    def __init__(self, model, width, height, camera, backend):
        super().__init__(model, width, height, camera)
        self.backend = backend
        self.gl = importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
        self.gl.make_current()
        self.context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_resizeOffscreen(width, height, self.context)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self.context)
        atexit.register(
            close_quietly, weakref.ref(self)
        )  # now: EGL's own exit handler must come after ours

    def draw(self):
        """The updated scene as a picture."""
        picture, area = (
            np.empty((self.height, self.width, 3), np.uint8),
            mujoco.MjrRect(0, 0, self.width, self.height),
        )
        self.gl.make_current()
        mujoco.mjr_render(area, self.scene, self.context)
        mujoco.mjr_readPixels(picture, None, area, self.context)
        return picture[::-1].copy()

    def close(self):
        """Give back the OpenGL context."""
        if self.scene is not None:
            self.gl.make_current()
            self.context.free()
            self.gl.free()
        super().close()

    def __del__(self):
        if hasattr(self, "context"):  # MuJoCo would delete textures in whichever context is current
            self.close()


def close_quietly(reference):
    """Close the renderer if it still lives: an OpenGL context that outlives the interpreter prints
    errors.
    """
    renderer = reference()
    if renderer is not None:
        renderer.close()


def make_camera(model, camera):
    """MuJoCo's view (mjvCamera) for `camera`, and what to follow: (body, offset (3,)) or None."""
    view = mujoco.MjvCamera()
    if isinstance(camera, str):
        view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, camera_number(model, camera)
        return view, None
    free = default_camera(model) if camera is None else camera
    check_camera(model, free)
    mujoco.mjv_defaultFreeCamera(model, view)
    for name in ("azimuth", "elevation", "distance"):
        setattr(view, name, free.get(name, getattr(view, name)))
    view.lookat[:] = free.get("lookat", view.lookat)
    body = free.get("trackbodyid", -1)
    return view, (body, np.array(view.lookat)) if body > 0 else None


def check_camera(model, camera):
    """Raise a ValueError unless this is a dict that describes a free camera."""
    known = ("azimuth", "elevation", "distance", "lookat", "trackbodyid")
    if not isinstance(camera, dict) or set(camera) - set(known):
        raise ValueError(
            f"camera is {camera!r}, but must be None, a camera's name, or a dict with some of {', '.join(known)}"
        )
    if not camera.get("distance", 1) > 0 or np.shape(camera.get("lookat", (0, 0, 0))) != (3,):
        raise ValueError(
            f"camera is {camera!r}, but distance must be more than 0 metres, and lookat three numbers"
        )
    if not -1 <= camera.get("trackbodyid", -1) < model.nbody:
        raise ValueError(
            f"camera cannot follow body {camera['trackbodyid']}: this model has bodies 0 to {model.nbody - 1}"
        )


def camera_number(model, name):
    """Index of the named camera."""
    names = [model.camera(number).name for number in range(model.ncam)]
    if name not in names:
        raise ValueError(
            f"this model has no camera {name!r}; it has {', '.join(map(repr, names)) or 'none'} (or give a dict, or None)"
        )
    return names.index(name)


def default_camera(model):
    """A view from which a person sees at once what happens: a dict as `make_renderer` takes it."""
    name = model.names.split(b"\0")[0].decode()
    if name in CAMERAS:
        return CAMERAS[name]
    if "corner2" in [model.camera(number).name for number in range(model.ncam)]:
        return METAWORLD  # Meta-World's own corner cameras stand on their heads
    return follow_camera(model)


def follow_camera(model):
    """A camera at the side, as far away as the moving bodies are large, that follows the robot
    where it can leave.
    """
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    moving = model.geom_bodyid > 0
    if not moving.any():
        return {}
    middle = data.subtree_com[1]
    radius = (np.linalg.norm(data.geom_xpos - middle, axis=1) + model.geom_rbound)[moving].max()
    leaves = (
        model.njnt > 0
        and model.jnt_type[0] in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_SLIDE)
        and not model.jnt_limited[0]
    )
    if leaves:
        return {
            "trackbodyid": 1,
            "lookat": (0, 0, middle[2]),
            "distance": 2.6 * radius,
            "azimuth": 90,
            "elevation": -15,
        }
    return {"lookat": middle, "distance": 2.8 * radius, "azimuth": 90, "elevation": -45}
