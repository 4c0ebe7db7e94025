import mujoco
import pytest

from tests.tasks.rendering.scenes import WORLD


@pytest.fixture(autouse=True)
def no_choice(monkeypatch):
    monkeypatch.delenv("JATLAB_RENDERER", raising=False)
    monkeypatch.delenv("MUJOCO_GL", raising=False)


@pytest.fixture
def world():
    model = mujoco.MjModel.from_xml_string(WORLD)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data
