"""The funnel controller, step by step."""

import numpy as np
import pytest

from jatlab.teachers.funnel import Funnel, FunnelTeacher


def observe(fingertips, thing, opening=1.0, goal=(0, 0, 0)):
    """An observation with the hand at rest."""
    values = np.zeros(39, np.float32)
    values[:3] = values[18:21] = np.array(fingertips) + [0, 0, 0.045]
    values[3], values[4:7], values[36:39] = opening, thing, goal
    return {"continuous_observation": values}


def test_the_funnel_comes_from_above_then_down_then_carries():
    teacher = FunnelTeacher(Funnel(carry=True, closed=0.8, gain=10, damping=0))
    thing, goal = (0, 0.6, 0.02), (0.1, 0.6, 0.02)
    # 20 cm aside, 3 cm above: sideways and up to 10 cm
    far = teacher.act(observe((0.2, 0.6, 0.05), thing, goal=goal))
    assert np.allclose(far, [-1, 0, 10 * (0.02 + 0.1 - 0.05), -1], atol=1e-5)
    # inside the mouth: straight down
    near = teacher.act(observe((0.01, 0.6, 0.08), thing, goal=goal))
    assert np.allclose(near, [-0.1, 0, -0.6, -1], atol=1e-5)
    # there, still open: close and wait
    grasping = teacher.act(observe((0, 0.6, 0.02), thing, goal=goal))
    assert np.allclose(grasping, [0, 0, 0, 1], atol=1e-5)
    carrying = teacher.act(observe((0, 0.6, 0.02), thing, opening=0.5, goal=goal))
    assert np.allclose(carrying, [1, 0, 0, 1], atol=1e-5)


def test_a_deep_funnel_keeps_pushing_past_the_contact_point():
    funnel = Funnel(axis=(0, -1, 0), deep=True, onward=(0, 0.1, 0), gain=5, damping=0)
    teacher, thing = FunnelTeacher(funnel), (0, 0.7, 0.1)
    past, before = teacher.act(observe((0, 0.75, 0.1), thing)), observe((0, 0.6, 0.1), thing)
    assert np.allclose(past, [0, 0.25, 0, 1], atol=1e-5)
    assert np.allclose(teacher.act(before), [0, 0.5, 0, -1], atol=1e-5)


def test_damping_brakes_a_moving_hand():
    observation = observe((0, 0.6, 0.02), (0, 0.6, 0.02))
    observation["continuous_observation"][18] -= 0.005  # half a centimetre to the left one step ago
    assert FunnelTeacher(Funnel(damping=0.8)).act(observation)[0] == pytest.approx(-0.4, abs=1e-4)
