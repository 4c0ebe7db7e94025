"""The search for the numbers of Meta-World's teachers."""

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
from jatlab.teachers.funnel import Funnel
from jatlab.teachers.tuned import Gains, store_parameters, tuned_parameters


def test_parameters_travel_through_a_vector_and_a_file(tmp_path, monkeypatch):
    funnel = Funnel(axis=(0, -1, 0), deep=True, contact=(0.01, -0.02, 0.03), gain=33.0)
    row = to_vector(funnel, funnel)
    assert row.shape == to_vector(funnel, tune.FUNNEL_SPREAD).shape == (19,)
    assert to_parameters(funnel, row) == funnel
    assert to_vector(Gains(), GAINS_SPREAD).shape == (6,)
    monkeypatch.setattr(tuned, "TUNED_FILE", tmp_path / "metaworld.json")
    tuned._tuned.cache_clear()
    assert tuned_parameters("metaworld-hammer") == Gains()
    store_parameters("metaworld-hammer", funnel)
    store_parameters("metaworld-sweep", Gains(speed=2.5, shift=(0.1, 0.0, -0.1)))
    assert tuned_parameters("metaworld-hammer") == funnel
    assert tuned_parameters("metaworld-sweep").shift == (0.1, 0.0, -0.1)
    tuned._tuned.cache_clear()


def test_what_is_stored_is_about_known_tasks():
    known = set(task_names("metaworld"))
    assert set(tuned._tuned()) <= known and {f"metaworld-{name}" for name in START} <= known
    assert describe("metaworld-button-press").startswith("Funnel(")
    assert describe("metaworld-reach").startswith("Gains(")


@pytest.mark.slow
def test_a_search_is_reproducible_and_improves():
    name, effort = "metaworld-drawer-close", Effort(rounds=2, candidates=8, episodes=1)
    env = make_env(name, render_mode=None)
    start = START["drawer-close"]
    found = search(env, name, start, effort, choose_from=2)
    assert found == search(env, name, start, effort, choose_from=2) != start
    seeds = range(tune.CHECK_SEED, tune.CHECK_SEED + 3)
    assert mean_score(env, name, found, seeds) > mean_score(env, name, Gains(), seeds)
