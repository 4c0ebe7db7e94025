"""Our few lines against rliable, on the same numbers and on the same resampled episodes."""

import importlib.util
import sys
import types

import numpy as np
import pytest

from jatlab.evaluation.statistics import (
    bootstrap_interval,
    iqm,
    load_rliable,
    success_interval,
    task_mean,
    task_median,
)


@pytest.fixture
def rliable(monkeypatch):
    """rliable's metrics and library. Its dependency `arch` imports only its bootstrap here: the
    rest of it breaks with pandas 3.
    """
    arch = types.ModuleType("arch")
    arch.__path__ = list(importlib.util.find_spec("arch").submodule_search_locations)
    monkeypatch.setitem(sys.modules, "arch", arch)
    from rliable import library, metrics

    return library, metrics


def test_rliable_is_loaded_and_leaves_no_stand_in_behind(monkeypatch):
    before = sys.modules.get("arch")
    library, metrics = load_rliable()
    assert metrics.aggregate_iqm(np.arange(8.0)[None]) == 3.5 and library.get_interval_estimates
    assert sys.modules.get("arch") is before or hasattr(sys.modules["arch"], "arch_model")
    monkeypatch.setattr("jatlab.evaluation.statistics.find_spec", lambda name: None)
    assert load_rliable() is None


def scores(episodes=30, tasks=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.7, 0.5, size=(episodes, tasks)) + rng.exponential(0.4, size=tasks)


@pytest.mark.parametrize("shape", [(30, 8), (10, 57), (7, 1), (1, 5), (3, 3), (1, 1)])
def test_point_estimates_equal_rliable(rliable, shape):
    _, metrics = rliable
    x = scores(*shape)
    assert task_mean(x) == pytest.approx(metrics.aggregate_mean(x), rel=1e-12)
    assert task_median(x) == pytest.approx(metrics.aggregate_median(x), rel=1e-12)
    assert iqm(x) == pytest.approx(metrics.aggregate_iqm(x), rel=1e-12)


@pytest.mark.parametrize(
    "ours, theirs",
    [(task_mean, "aggregate_mean"), (task_median, "aggregate_median"), (iqm, "aggregate_iqm")],
)
@pytest.mark.parametrize("chunk", [4_000_000, 1_000])
def test_intervals_equal_rliable_on_the_same_draws(rliable, monkeypatch, ours, theirs, chunk):
    library, metrics = rliable
    monkeypatch.setattr("jatlab.evaluation.statistics._CHUNK", chunk)
    x = scores(12, 5)
    rng = np.random.default_rng(3)

    def choice(n, shape, replace):  # rliable draws from our generator
        return rng.integers(n, size=shape)

    monkeypatch.setattr(np.random, "choice", choice)
    statistic = getattr(metrics, theirs)
    _, found = library.get_interval_estimates(
        {"x": x}, lambda scores: np.array([statistic(scores)]), reps=400
    )
    expected = tuple(found["x"][:, 0])
    assert bootstrap_interval(x, ours, draws=400, seed=3) == pytest.approx(expected, rel=1e-12)


def test_the_interval_of_a_task_covers_its_mean_as_often_as_said():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        low, high = bootstrap_interval(rng.normal(2.0, 1.0, size=30), draws=500, seed=seed)
        hits += low <= 2.0 <= high
    # 95 % minus the percentile bootstrap's known shortfall at 30 episodes
    assert 0.88 <= hits / 200 <= 0.99


def test_interval_is_reproducible_and_shrinks_with_episodes():
    few, many = scores(10, 4), scores(400, 4)
    assert bootstrap_interval(few, iqm) == bootstrap_interval(few, iqm)
    width = [high - low for low, high in (bootstrap_interval(few), bootstrap_interval(many))]
    assert width[1] < width[0] / 3


def test_equal_episodes_give_an_interval_of_no_width():
    assert bootstrap_interval(np.full((5, 2), 0.25)) == (0.25, 0.25)


def test_success_interval_is_wilsons():
    """Newcombe 1998, method 3."""
    assert success_interval(30, 30) == pytest.approx((0.8865, 1.0), abs=1e-4)
    assert success_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert success_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@pytest.mark.parametrize("bad", [[], np.zeros((0, 3)), np.zeros((3, 0)), np.zeros((2, 2, 2))])
def test_no_scores_is_a_clear_error(bad):
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval(bad)


def test_nan_is_a_clear_error():
    with pytest.raises(ValueError, match="1 of 3 scores are NaN"):
        bootstrap_interval([0.1, float("nan"), 1.0])


@pytest.mark.parametrize("successes, episodes", [(-1, 3), (4, 3), (0, 0)])
def test_impossible_success_counts_are_refused(successes, episodes):
    with pytest.raises(ValueError, match="successes"):
        success_interval(successes, episodes)
