"""`MUJOCO_GL` may name a library that does not work: all is played, recorded and drawn anyway."""

import os
import subprocess
import sys

import pytest

from jatlab.utils import opengl

BROKEN = {
    "missing": {"MUJOCO_GL": "osmesa"},
    "unknown": {"MUJOCO_GL": "nonsense"},
    "no-device": {"MUJOCO_GL": "egl", "MUJOCO_EGL_DEVICE_ID": "9999"},
}
DOORS = {
    "play": """
import numpy as np
import jatlab
for name in ("mujoco-ant", "metaworld-reach"):
    env = jatlab.make_env(name, seed=0)
    env.reset()
    env.step(env.action_space.sample())
    print(env.render().shape)
""",
    "record": """
from jatlab.data.recording.record import record
for name in ("metaworld-reach", "mujoco-pendulum"):
    print(record(name, "data", 1, workers=1, progress=False)[name]["episodes"])
""",
    "teacher": """
from jatlab.teachers import get_teacher
print(get_teacher("metaworld-reach"), get_teacher("mujoco-ant"))
""",
    "fitting": "import jatlab.teachers.fitting.lqr, jatlab.teachers.fitting.simulation",
    "painter": "import jatlab.tasks.rendering.painter",
    "own": """
import gymnasium as gym
from jatlab.tasks import Task, make_env, register
task = Task("own-ant", "own", None, None, "continuous", 105, "continuous", 8)
register(task, lambda task, render_mode=None: gym.make("Ant-v5"))
make_env("own-ant").reset()
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("door", DOORS)
def test_broken_opengl_stops_nothing(door, how, tmp_path):
    check = f"""
import os, sys
assert {{name: os.environ[name] for name in {list(BROKEN[how])}}} == {BROKEN[how]}
assert "PYOPENGL_PLATFORM" not in os.environ
from jatlab.utils.opengl import import_mujoco
import_mujoco()
import mujoco
mujoco.MjModel.from_xml_string("<mujoco/>")
"""
    environment = {name: value for name, value in os.environ.items() if "GL" not in name}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DOORS[door] + check],
        env=environment | BROKEN[how] | {"JATLAB_RENDERER": ""},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_is_imported_where_nothing_is_named():
    code = "import sys, jatlab.utils.opengl as o; o.import_mujoco(); print('mujoco' in sys.modules)"
    for named, imported in (("", False), ("disable", True)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"MUJOCO_GL": named},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{imported}\n"


def test_without_mujoco_nothing_happens(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    for name in [name for name in sys.modules if name.split(".")[0] == "mujoco"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(opengl.importlib, "import_module", missing)
    opengl.import_mujoco()
    assert os.environ["MUJOCO_GL"] == "osmesa"


def missing(name):
    raise ModuleNotFoundError("No module named 'mujoco'", name="mujoco")
