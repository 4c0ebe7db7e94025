"""The small policy is its formula, and the normaliser merges exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jatlab.teachers.controller import load_controller
from jatlab.teachers.policy import Normaliser, Policy
from tests.teachers.tensors import policy_tensors


def test_a_policy_is_what_its_formula_says():
    tensors, rng = policy_tensors((3, 4, 2), limit=0.5), np.random.default_rng(1)
    observation = rng.normal(size=3)
    scaled = (observation - tensors["mean"]) * tensors["scale"]
    hidden = np.tanh(tensors["weight.0"] @ scaled + tensors["bias.0"])
    wanted = 0.5 * np.clip(tensors["weight.1"] @ hidden + tensors["bias.1"], -1, 1)
    assert np.allclose(Policy(tensors)(observation.astype(np.float32)), wanted, atol=1e-6)
    linear = policy_tensors((3, 2))
    many = rng.normal(size=(5, 3)).astype(np.float32)
    scaled = (many - linear["mean"]) * linear["scale"]
    wanted = scaled @ linear["weight.0"].T + linear["bias.0"]
    assert np.allclose(Policy(linear).mean_action(many), wanted, atol=1e-5)


@pytest.mark.parametrize("task", ["mujoco-halfcheetah", "mujoco-swimmer", "mujoco-pendulum"])
def test_acting_on_one_observation_is_exactly_the_formula(task):
    """It computes in arrays that it keeps, and what it returns is not one of them."""
    controller = load_controller(task)
    actions, wanted = [], []
    size = (50, len(controller.mean))
    observations = np.random.default_rng(0).normal(scale=0.05, size=size).astype(np.float32)
    for observation in observations:
        actions.append(controller(observation))
        wanted.append(controller.limit * np.clip(controller.mean_action(observation), -1, 1))
    assert np.array_equal(actions, wanted) and len(np.unique(np.array(actions), axis=0)) > 25
    two = controller(np.zeros((2, len(controller.mean)), np.float32))
    assert two.shape == (2, len(controller.limit))


SHAPES = st.tuples(st.integers(2, 30), st.just(3))
VALUES = arrays(np.float32, SHAPES, elements=st.floats(-100, 100, width=32))


@settings(max_examples=40)
@given(values=VALUES, data=st.data())
def test_the_normaliser_merges_portions_exactly(values, data):
    cut = data.draw(st.integers(1, len(values) - 1))
    normaliser, resumed = Normaliser(3), Normaliser(3)
    normaliser.add(values[:cut])
    resumed.restore(normaliser.state())
    resumed.add(values[cut:])
    deviation = values.astype(np.float64).std(axis=0)
    assert np.allclose(resumed.mean, values.astype(np.float64).mean(axis=0), atol=1e-9)
    spread = deviation > 1e-3
    assert np.allclose(resumed.scale[spread], 1 / deviation[spread], rtol=1e-5)
    assert (resumed.scale[deviation < 1e-7] == 0).all()
