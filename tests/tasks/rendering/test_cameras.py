"""Choosing a camera: by name, by numbers, and the default view of each task."""

from contextlib import nullcontext

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from jatlab.tasks import get_task, task_names
from jatlab.tasks.rendering import backends
from jatlab.tasks.rendering.painter import scene_camera
from tests.tasks.rendering.scenes import where


@pytest.fixture(autouse=True)
def painter_only(monkeypatch):
    monkeypatch.setenv("JATLAB_RENDERER", "painter")


def test_bad_cameras_and_sizes(world):
    with pytest.raises(ValueError, match="no camera 'behind'.*'above'"):
        backends.make_renderer(world[0], camera="behind")
    for wrong in ({"zoom": 2}, 3):
        with pytest.raises(ValueError, match="must be None, a camera's name, or a dict"):
            backends.make_renderer(world[0], camera=wrong)
    for wrong in ({"distance": 0}, {"lookat": 1}):
        with pytest.raises(ValueError, match="distance must be more than 0"):
            backends.make_renderer(world[0], camera=wrong)
    with pytest.raises(ValueError, match="bodies 0 to 1"):
        backends.make_renderer(world[0], camera={"trackbodyid": 7})
    with pytest.raises(ValueError, match="0 x 480"):
        backends.make_renderer(world[0], width=0)


def test_named_camera(world):
    renderer = backends.make_renderer(world[0], 100, 100, "above")
    renderer.frame(world[1])
    camera = scene_camera(renderer.scene, 100, 100)
    np.testing.assert_allclose(camera.eye, [0, 0, 4], atol=1e-5)
    np.testing.assert_allclose(camera.forward, [0, 0, -1], atol=1e-5)


def test_default_camera_follows_a_robot_that_walks_away(world):
    model, data = world
    model.geom_size[0, :2] = 0  # an endless floor
    renderer = backends.make_renderer(model, 200, 200)
    before, many = where(renderer.frame(data), 0)
    data.qpos[0] += 30
    mujoco.mj_forward(model, data)
    after, as_many = where(renderer.frame(data), 0)
    np.testing.assert_allclose(before, after, atol=1)
    assert many > 1000 and as_many == pytest.approx(many, rel=0.05)


def test_default_camera_shows_every_mujoco_task_whole():
    for name in [get_task(task).env_id for task in task_names("mujoco")]:
        with pytest.warns(DeprecationWarning) if name.endswith("v4") else nullcontext():
            env = gym.make(name).unwrapped
        env.reset(seed=0)
        renderer = backends.make_renderer(env.model, 100, 100)
        renderer.frame(env.data)
        moving = env.data.geom_xpos[env.model.geom_bodyid > 0]
        x, y, depth = scene_camera(renderer.scene, 100, 100).project(moving)
        places = np.stack([x, y]) / depth
        assert ((places > 0) & (places < 100)).all(), name
        assert np.ptp(places, axis=1).max() > 12, name
