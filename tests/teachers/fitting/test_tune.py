"""The funnel controller and the search for its numbers."""

import numpy as np
import pytest

from jatlab.tasks import make_env, task_names
from jatlab.teachers import describe, tuned
from jatlab.teachers.fitting import tune
from jatlab.teachers.fitting.tune import (
    GAINS_SPREAD,
    START,
    Effort,
    mean_score,
    search,
    to_parameters,
    to_vector,
)
from jatlab.teachers.funnel import Funnel, FunnelTeacher
from jatlab.teachers.tuned import Gains, store_parameters, tuned_parameters


def observe(fingertips, thing, opening=1.0, goal=(0, 0, 0)):
    """An observation with the hand at rest."""
    values = np.zeros(39, np.float32)
    values[:3] = values[18:21] = np.array(fingertips) + [0, 0, 0.045]
    values[3], values[4:7], values[36:39] = opening, thing, goal
    return {"continuous_observation": values}


def test_the_funnel_comes_from_above_then_down_then_carries():
    teacher = FunnelTeacher(Funnel(carry=True, closed=0.8, gain=10, damping=0))
    thing, goal = (0, 0.6, 0.02), (0.1, 0.6, 0.02)
    far = teacher.act(
        observe((0.2, 0.6, 0.05), thing, goal=goal)
    )  # 20 cm aside, 3 cm above: sideways and up to 10 cm
    assert np.allclose(far, [-1, 0, 10 * (0.02 + 0.1 - 0.05), -1], atol=1e-5)
    near = teacher.act(
        observe((0.01, 0.6, 0.08), thing, goal=goal)
    )  # inside the mouth: straight down
    assert np.allclose(near, [-0.1, 0, -0.6, -1], atol=1e-5)
    grasping = teacher.act(
        observe((0, 0.6, 0.02), thing, goal=goal)
    )  # there, still open: close and wait
    assert np.allclose(grasping, [0, 0, 0, 1], atol=1e-5)
    carrying = teacher.act(observe((0, 0.6, 0.02), thing, opening=0.5, goal=goal))
    assert np.allclose(carrying, [1, 0, 0, 1], atol=1e-5)


def test_a_deep_funnel_keeps_pushing_past_the_contact_point():
    teacher = FunnelTeacher(
        Funnel(axis=(0, -1, 0), deep=True, onward=(0, 0.1, 0), gain=5, damping=0)
    )
    assert np.allclose(
        teacher.act(observe((0, 0.75, 0.1), (0, 0.7, 0.1))), [0, 0.25, 0, 1], atol=1e-5
    )
    assert np.allclose(
        teacher.act(observe((0, 0.6, 0.1), (0, 0.7, 0.1))), [0, 0.5, 0, -1], atol=1e-5
    )


def test_damping_brakes_a_moving_hand():
    observation = observe((0, 0.6, 0.02), (0, 0.6, 0.02))
    observation["continuous_observation"][18] -= 0.005  # half a centimetre to the left one step ago
    assert FunnelTeacher(Funnel(damping=0.8)).act(observation)[0] == pytest.approx(-0.4, abs=1e-4)


def test_parameters_travel_through_a_vector_and_a_file(tmp_path, monkeypatch):
    funnel = Funnel(axis=(0, -1, 0), deep=True, contact=(0.01, -0.02, 0.03), gain=33.0)
    row = to_vector(funnel, funnel)
    assert (
        row.shape == to_vector(funnel, tune.FUNNEL_SPREAD).shape == (19,)
        and to_parameters(funnel, row) == funnel
    )
    assert to_vector(Gains(), GAINS_SPREAD).shape == (6,)
    monkeypatch.setattr(tuned, "TUNED_FILE", tmp_path / "metaworld.json")
    tuned._tuned.cache_clear()
    assert tuned_parameters("metaworld-hammer") == Gains()
    store_parameters("metaworld-hammer", funnel)
    store_parameters("metaworld-sweep", Gains(speed=2.5, shift=(0.1, 0.0, -0.1)))
    assert tuned_parameters("metaworld-hammer") == funnel and tuned_parameters(
        "metaworld-sweep"
    ).shift == (0.1, 0.0, -0.1)
    tuned._tuned.cache_clear()


def test_what_is_stored_is_about_known_tasks():
    known = set(task_names("metaworld"))
    assert set(tuned._tuned()) <= known and {f"metaworld-{name}" for name in START} <= known
    assert describe("metaworld-button-press").startswith("Funnel(") and describe(
        "metaworld-reach"
    ).startswith("Gains(")


def test_a_search_is_reproducible_and_improves():
    name, effort = "metaworld-drawer-close", Effort(rounds=2, candidates=8, episodes=1)
    env = make_env(name, render_mode=None)
    start = START["drawer-close"]
    found = search(env, name, start, effort, choose_from=2)
    assert found == search(env, name, start, effort, choose_from=2) != start
    seeds = range(tune.CHECK_SEED, tune.CHECK_SEED + 3)
    assert mean_score(env, name, found, seeds) > mean_score(env, name, Gains(), seeds)
