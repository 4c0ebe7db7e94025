"""Importing MuJoCo where the OpenGL library that ``MUJOCO_GL`` names does not work.

``import mujoco`` loads that library and fails without it, even where nothing is drawn. Our pictures
need none: see `jatlab.tasks.rendering.backends`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = ("MUJOCO_GL", "PYOPENGL_PLATFORM")  # MuJoCo sets the second itself


def import_mujoco() -> None:
    """Import MuJoCo, without its OpenGL if that is broken; call this before others import it.

    Nothing happens where ``MUJOCO_GL`` is not set, or MuJoCo is imported already or not installed.
    """
    if not os.environ.get("MUJOCO_GL") or "mujoco" in sys.modules:
        return
    known = set(sys.modules)
    with _same_environment():
        try:
            importlib.import_module("mujoco")
        except Exception as error:  # each library has errors of its own
            if isinstance(error, ModuleNotFoundError) and error.name == "mujoco":
                return
            for name in [name for name in sys.modules if name.split(".")[0] == "OpenGL"]:
                if name not in known:
                    del sys.modules[name]
            os.environ["MUJOCO_GL"] = "disable"
            importlib.import_module("mujoco")


@contextmanager
def _same_environment() -> Iterator[None]:
    """The two variables are afterwards as they were."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
