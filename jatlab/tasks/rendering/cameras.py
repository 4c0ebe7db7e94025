"""Cameras for MuJoCo scenes: named ones, free ones, and a default view of every task."""

from __future__ import annotations

from typing import Any, TypeAlias

import mujoco
import numpy as np

from jatlab.utils.checks import require

# A free camera by its numbers: azimuth, elevation (degrees), distance (metres), lookat (3, metres),
# trackbodyid (x and y of lookat then start at that body); what is left out gets a default.
FreeCamera: TypeAlias = dict[str, Any]
# None follows the robot, or shows the whole scene; a str is the name of one of the model's cameras
CameraChoice: TypeAlias = str | FreeCamera | None
# what a camera follows: a body, and the offset (3,) from its x and y in metres
Follow: TypeAlias = tuple[int, np.ndarray]

CAMERAS: dict[str, FreeCamera] = {  # by the model's name
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
METAWORLD: FreeCamera = {
    "lookat": (0.03, 0.62, 0.15),
    "distance": 1.5,
    "azimuth": 130,
    "elevation": -28,
}


def make_camera(
    model: mujoco.MjModel, camera: CameraChoice
) -> tuple[mujoco.MjvCamera, Follow | None]:
    """MuJoCo's view for a chosen camera, and what it follows.

    Raises ValueError for a name that no camera of the model has, and for numbers that describe no
    free camera.
    """
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


def check_camera(model: mujoco.MjModel, camera: FreeCamera) -> None:
    """Raise ValueError unless this is a dict that describes a free camera."""
    known = ("azimuth", "elevation", "distance", "lookat", "trackbodyid")
    require(
        isinstance(camera, dict) and not set(camera) - set(known),
        f"camera is {camera!r}, but must be None, a camera's name, or a dict with some of "
        f"{', '.join(known)}",
    )
    require(
        camera.get("distance", 1) > 0 and np.shape(camera.get("lookat", (0, 0, 0))) == (3,),
        f"camera is {camera!r}, but distance must be more than 0 metres, and lookat three numbers",
    )
    body = camera.get("trackbodyid", -1)
    require(
        -1 <= body < model.nbody,
        f"camera cannot follow body {body}: this model has bodies 0 to {model.nbody - 1}",
    )


def camera_number(model: mujoco.MjModel, name: str) -> int:
    """Index of the model's camera with that name."""
    names = [model.camera(number).name for number in range(model.ncam)]
    require(
        name in names,
        f"this model has no camera {name!r}; it has {', '.join(map(repr, names)) or 'none'} "
        "(or give a dict, or None)",
    )
    return names.index(name)


def default_camera(model: mujoco.MjModel) -> FreeCamera:
    """A view from which a person sees at once what happens."""
    name = model.names.split(b"\0")[0].decode()
    if name in CAMERAS:
        return CAMERAS[name]
    if "corner2" in [model.camera(number).name for number in range(model.ncam)]:
        return METAWORLD  # Meta-World's corner cameras are upside down
    return follow_camera(model)


def follow_camera(model: mujoco.MjModel) -> FreeCamera:
    """A camera at a distance that fits the moving bodies, which follows a robot that can leave."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    moving = model.geom_bodyid > 0
    if not moving.any():
        return {}
    middle = data.subtree_com[1]
    radius = (np.linalg.norm(data.geom_xpos - middle, axis=1) + model.geom_rbound)[moving].max()
    if not _can_leave(model):
        return {"lookat": middle, "distance": 2.8 * radius, "azimuth": 90, "elevation": -45}
    return {
        "trackbodyid": 1,
        "lookat": (0, 0, middle[2]),
        "distance": 2.6 * radius,
        "azimuth": 90,
        "elevation": -15,
    }


def _can_leave(model: mujoco.MjModel) -> bool:
    """Whether the first joint lets the robot move away without limit."""
    free = (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_SLIDE)
    return model.njnt > 0 and model.jnt_type[0] in free and not model.jnt_limited[0]
