"""Finding the numbers of Meta-World's teachers: a cross-entropy search per task.

    python -m jatlab.teachers.fitting.tune metaworld-hammer metaworld-sweep

Without names it tunes all 50 tasks, one to two minutes each. Each round draws parameters around the
best so far, plays every candidate on the same few seeds and moves on to the better quarter. Both
kinds of teacher are tried, the script with gains and (where we know how to begin) a funnel. The
best candidate is stored if it beats the stored one on seeds that no search has seen. The same seed
gives the same search.

The score is the mean return, plus a bonus for success: some rewards can be had without ever
finishing the task.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np

from jatlab.tasks import make_env, task_names
from jatlab.teachers.funnel import Funnel
from jatlab.teachers.metaworld import make_metaworld_teacher
from jatlab.teachers.tuned import Gains, store_parameters, tuned_parameters
from jatlab.utils.console import say

# recording, evaluation and measuring use other seeds
SEARCH_SEED, CHOICE_SEED, CHECK_SEED = 3_000_000, 3_100_000, 3_200_000
SUCCESS_BONUS = 200.0  # as much as twenty steps at the full reward
FLOOR = 0.08  # of the first spread; a narrower distribution has stopped searching

Parameters = TypeVar("Parameters", bound=Gains | Funnel)
Numbers = Mapping[str, float | tuple[float, ...]]  # by the names of fields

# the first spread of each searched field
GAINS_SPREAD: Numbers = {"speed": 2.0, "damping": 0.6, "shift": (0.3, 0.3, 0.3), "grip": 0.4}
FUNNEL_SPREAD: Numbers = {
    "contact": (0.02, 0.02, 0.02),
    "mouth": 0.01,
    "slope": 0.5,
    "height": 0.04,
    "radius": 0.012,
    "depth": 0.012,
    "closed": 0.15,
    "onward": (0.04, 0.04, 0.04),
    "lift_mouth": 0.01,
    "lift_slope": 0.4,
    "lift": 0.04,
    "open_grip": 0.5,
    "close_grip": 0.3,
    "gain": 20.0,
    "damping": 0.4,
}

# where the search for a funnel begins, for the tasks that have one
GAINS_START = Gains(speed=2.0, damping=0.7, grip=1.2)
PRESS = Funnel(deep=True, onward=(0, 0, -0.15))
POKE = Funnel(
    axis=(0, -1, 0), deep=True, contact=(0, -0.01, 0), onward=(0, 0.1, 0), close_grip=-1.0
)
PULL_UP = Funnel(
    axis=(0, 0, -1), contact=(0, 0, -0.02), height=0.05, onward=(0, 0, 0.1), open_grip=1.0
)
WINDOW = Funnel(axis=(0, -1, 0), height=0.05, radius=0.04, open_grip=1.0)
SLIDE = Funnel(carry=True)
SWEEP = replace(SLIDE, closed=0.9)
CARRY = Funnel(carry=True, closed=0.8, lift=0.12)
START = {
    "basketball": CARRY,
    "bin-picking": CARRY,
    "button-press": POKE,
    "button-press-wall": POKE,
    "coffee-button": POKE,
    "coffee-pull": SWEEP,
    "coffee-push": SWEEP,
    "dial-turn": Funnel(axis=(0, -1, 0), onward=(0.05, 0.05, 0)),
    "door-lock": replace(PRESS, onward=(0, 0, -0.1)),
    "door-unlock": Funnel(axis=(-1, 0, 0), deep=True, onward=(0.1, 0, 0)),
    "drawer-close": replace(POKE, open_grip=1.0, close_grip=1.0, height=0.05),
    "hammer": replace(CARRY, contact=(-0.04, 0, 0), onward=(-0.16, -0.03, 0), lift=0.05),
    "hand-insert": CARRY,
    "handle-press": PRESS,
    "handle-press-side": PRESS,
    "handle-pull": PULL_UP,
    "handle-pull-side": PULL_UP,
    "lever-pull": replace(PULL_UP, contact=(0, -0.03, -0.05)),
    "peg-insert-side": CARRY,
    "peg-unplug-side": Funnel(closed=0.8, onward=(0.1, 0, 0)),
    "pick-out-of-hole": CARRY,
    "pick-place": replace(CARRY, lift=0.0),
    "pick-place-wall": CARRY,
    "plate-slide": SLIDE,
    "plate-slide-back": SLIDE,
    "plate-slide-back-side": SLIDE,
    "plate-slide-side": SLIDE,
    "push": SWEEP,
    "push-back": SWEEP,
    "push-wall": replace(SWEEP, lift=0.05),
    "shelf-place": CARRY,
    "soccer": SLIDE,
    "stick-push": replace(CARRY, lift=0.03),
    "sweep": SWEEP,
    "sweep-into": SWEEP,
    "window-close": replace(WINDOW, contact=(0.02, 0, 0), onward=(-0.1, 0, 0)),
    "window-open": replace(WINDOW, contact=(-0.02, 0, 0), onward=(0.1, 0, 0)),
}


@dataclass(frozen=True)
class Effort:
    """How long a search lasts: rounds x candidates x episodes are played."""

    rounds: int = 7
    candidates: int = 24
    episodes: int = 3


STANDARD = Effort()


def mean_score(
    env: gym.Env, task_name: str, parameters: Gains | Funnel | None, seeds: Sequence[int]
) -> float:
    """The mean return, plus the bonus for success, of a task's teacher.

    Args:
        env: The environment of the task.
        task_name: The task.
        parameters: The teacher's; None for the stored ones.
        seeds: One episode each.
    """
    teacher, total = make_metaworld_teacher(task_name, parameters), 0.0
    for seed in seeds:
        observation, _ = env.reset(seed=int(seed))
        done = False
        while not done:
            observation, reward, terminated, truncated, info = env.step(teacher.act(observation))
            total += float(reward)
            done = terminated or truncated
        total += SUCCESS_BONUS * info["success"]
    return total / len(seeds)


def search(
    env: gym.Env,
    task_name: str,
    start: Parameters,
    effort: Effort = STANDARD,
    choose_from: int = 12,
    seed: int = 0,
) -> Parameters:
    """The best parameters found around ``start``.

    The cross-entropy method is followed by a choice among the finalists, on other seeds.

    Args:
        env: The environment of the task.
        task_name: The task.
        start: Where the search begins; it decides on the kind of teacher.
        effort: How long the search lasts.
        choose_from: Seeds of the final choice.
        seed: Of all that is drawn.
    """
    rng, width = np.random.default_rng(seed), to_vector(start, spread_of(start))
    mean, spread = to_vector(start, start), width.copy()
    finalists: list[np.ndarray] = []

    def score(point: np.ndarray, first: int, episodes: int) -> float:
        seeds = range(first, first + episodes)
        return mean_score(env, task_name, to_parameters(start, point), seeds)

    for number in range(effort.rounds):
        first = SEARCH_SEED + number * effort.episodes
        points = mean + spread * rng.normal(size=(effort.candidates, len(mean)))
        points[0] = mean
        scores = [score(point, first, effort.episodes) for point in points]
        elite = points[np.argsort(scores)[-effort.candidates // 4 :]]
        mean = 0.8 * elite.mean(axis=0) + 0.2 * mean
        spread = np.maximum(elite.std(axis=0), FLOOR * width)
        finalists.append(elite[-1])
    best = max((mean, *finalists[-5:]), key=lambda point: score(point, CHOICE_SEED, choose_from))
    return to_parameters(start, best)


def spread_of(parameters: Gains | Funnel) -> Numbers:
    """How widely each searched field is drawn; fields that are not here stay as they are."""
    return FUNNEL_SPREAD if isinstance(parameters, Funnel) else GAINS_SPREAD


def to_vector(like: Gains | Funnel, values: Gains | Funnel | Numbers) -> np.ndarray:
    """The searched fields of ``values`` in one row (k,), in the order of the fields of ``like``."""
    numbers = values if isinstance(values, Mapping) else vars(values)
    searched = [field.name for field in fields(like) if field.name in spread_of(like)]
    return np.concatenate([np.atleast_1d(np.array(numbers[name], float)) for name in searched])


def to_parameters(like: Parameters, row: np.ndarray) -> Parameters:
    """``like`` with its searched fields from a row (k,), rounded to three digits."""
    values: dict[str, Any] = {}
    at = 0
    for field in fields(like):
        if field.name not in spread_of(like):
            continue
        size = np.size(getattr(like, field.name))
        numbers = [round(float(x), 3) for x in row[at : at + size]]
        values[field.name] = tuple(numbers) if size > 1 else numbers[0]
        at += size
    return replace(like, **values)


def tune(
    names: Sequence[str],
    kinds: tuple[str, ...] = ("script", "funnel"),
    effort: Effort = STANDARD,
    episodes: int = 30,
) -> None:
    """Search for each task and store what is better than the stored parameters.

    Prints a line a task.

    Args:
        names: Meta-World tasks.
        kinds: The kinds of teacher that are tried.
        effort: How long each search lasts.
        episodes: Seeds of the comparison with the stored parameters.
    """
    for name in names:
        env, seeds = make_env(name, render_mode=None), range(CHECK_SEED, CHECK_SEED + episodes)
        best, stored = tuned_parameters(name), mean_score(env, name, None, seeds)
        report, best_score = [f"stored {stored:.1f}"], stored
        funnel = START.get(name.removeprefix("metaworld-"))
        for kind, start in (("script", GAINS_START), ("funnel", funnel)):
            if kind not in kinds or start is None:
                continue
            found: Gains | Funnel = search(env, name, start, effort)
            found_score = mean_score(env, name, found, seeds)
            report.append(f"{kind} {found_score:.1f}")
            if found_score > best_score:
                best, best_score = found, found_score
        env.close()
        if best_score > stored:
            store_parameters(name, best)
        say(f"{name}: {', '.join(report)}", flush=True)


if __name__ == "__main__":
    tune(sys.argv[1:] or task_names("metaworld"))
