"""The few statistics that a score needs, as rliable defines them (arXiv 2108.13264).

Scores are a matrix (episodes, tasks) of normalised returns: 0 is the random policy, 1 the
reference. The intervals are percentile bootstraps, stratified: episodes are drawn with replacement
within each task, so every draw has the same tasks. The tests compare each function with rliable's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from statistics import NormalDist
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike

DRAWS = 5_000
_CHUNK = 4_000_000  # resampled scores in memory at once: 32 MB


def task_mean(scores: np.ndarray) -> np.ndarray:
    """Mean over tasks of each task's mean score: (..., episodes, tasks) -> (...)."""
    return np.asarray(scores).mean(axis=-2).mean(axis=-1)


def task_median(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of each task's mean score: (..., episodes, tasks) -> (...)."""
    return np.median(np.asarray(scores).mean(axis=-2), axis=-1)


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean over all episodes of all tasks: (..., episodes, tasks) -> (...).

    The lowest and the highest quarter of the pooled scores are left out.
    """
    scores = np.asarray(scores)
    pooled = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = pooled.shape[-1] // 4
    return pooled[..., cut : pooled.shape[-1] - cut].mean(axis=-1)


def bootstrap_interval(
    scores: ArrayLike,
    statistic: Callable[[np.ndarray], np.ndarray] = task_mean,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """The stratified bootstrap interval of a statistic.

    Args:
        scores: (episodes, tasks), or (episodes,) for one task.
        statistic: (draws, episodes, tasks) -> (draws,).
        level: the share of draws that the interval holds.
        draws: how often episodes are drawn again.
        seed: of the draws.

    Returns:
        The lower and the upper bound.

    Raises:
        ValueError: there is no score, or one that is not finite.
    """
    scores = _score_matrix(scores)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // scores.size)
    values = [
        _resample(scores, min(chunk, draws - done), statistic, generator)
        for done in range(0, draws, chunk)
    ]
    low, high = np.percentile(np.concatenate(values), [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def success_interval(successes: int, episodes: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a success rate, lower and upper bound.

    Unlike the bootstrap it keeps a width when every episode went the same way. Raises `ValueError`
    unless 0 <= successes <= episodes and episodes >= 1.
    """
    if not 0 <= successes <= episodes or episodes < 1:
        raise ValueError(
            f"{successes} successes in {episodes} episodes: expected 0 <= successes <= episodes, "
            "and at least one episode"
        )
    z = NormalDist().inv_cdf(0.5 + level / 2)
    rate, share = successes / episodes, z * z / episodes
    middle = (rate + share / 2) / (1 + share)
    half = np.sqrt(share * rate * (1 - rate) + share * share / 4) / (1 + share)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def load_rliable() -> tuple[ModuleType, ModuleType] | None:
    """The modules `library` and `metrics` of rliable; None where it is not installed.

    With pandas 3 its dependency `arch` fails on import, except for the bootstrap. rliable needs
    nothing else of it, so only that part is imported then.
    """
    found = find_spec("arch")
    if find_spec("rliable") is None or found is None:
        return None
    try:
        import_module("arch")
    except (ImportError, TypeError):
        arch = ModuleType("arch")
        arch.__path__ = list(found.submodule_search_locations or ())
        sys.modules["arch"] = arch
        try:
            return import_module("rliable.library"), import_module("rliable.metrics")
        except ImportError:
            return None
        finally:
            del sys.modules["arch"]
    return import_module("rliable.library"), import_module("rliable.metrics")


def _score_matrix(scores: ArrayLike) -> np.ndarray:
    """Scores as float64 (episodes, tasks). Raises `ValueError` when there is none, or no number."""
    scores = np.asarray(scores, dtype=np.float64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(
            f"scores of shape {scores.shape}: expected (episodes, tasks), with at least one of each"
        )
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise ValueError(
            f"{bad} of {scores.size} scores are NaN or infinite: "
            "look at the returns that they come from"
        )
    return scores


def _resample(
    scores: np.ndarray,
    draws: int,
    statistic: Callable[[np.ndarray], np.ndarray],
    generator: np.random.Generator,
) -> np.ndarray:
    """The statistic of `draws` resampled matrices: (episodes, tasks) -> (draws,)."""
    rows = generator.integers(len(scores), size=(draws, *scores.shape))  # (draws, episodes, tasks)
    return statistic(scores[rows, np.arange(scores.shape[1])])
