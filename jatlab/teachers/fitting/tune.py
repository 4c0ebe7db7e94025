"""Finding the numbers of Meta-World's teachers: a cross-entropy search per task, the same for the
same seed.

    python -m jatlab.teachers.fitting.tune metaworld-hammer metaworld-sweep     (no names: all 50; one to two minutes a task)

Each round draws parameters around the best so far, plays every candidate on the same few seeds and
moves on to the better quarter. Both kinds of teacher are tried, the script with gains and (where we
know how to begin) a funnel. The best candidate is stored if it beats what is there on seeds that no
search has seen. What counts is the mean return, plus a bonus for success: some rewards can be had
without ever finishing the task.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace

import numpy as np

from jatlab.tasks import make_env, task_names
from jatlab.teachers.funnel import Funnel
from jatlab.teachers.metaworld import make_teacher
from jatlab.teachers.tuned import Gains, store_parameters, tuned_parameters

SEARCH_SEED, CHOICE_SEED, CHECK_SEED = (
    3_000_000,
    3_100_000,
    3_200_000,
)  # apart from recording, evaluation and measuring
SUCCESS_BONUS = 200.0  # as much as twenty steps at the full reward
FLOOR = 0.08  # of the first spread; a narrower distribution has stopped searching

GAINS_SPREAD = {"speed": 2.0, "damping": 0.6, "shift": (0.3, 0.3, 0.3), "grip": 0.4}
FUNNEL_SPREAD = {
    "contact": (0.02, 0.02, 0.02), "mouth": 0.01, "slope": 0.5, "height": 0.04, "radius": 0.012, "depth": 0.012, "closed": 0.15, "onward": (0.04, 0.04, 0.04),
    "lift_mouth": 0.01, "lift_slope": 0.4, "lift": 0.04, "open_grip": 0.5, "close_grip": 0.3, "gain": 20.0, "damping": 0.4,
}  # fmt: skip

PRESS = Funnel(deep=True, onward=(0, 0, -0.15))
POKE = Funnel(
    axis=(0, -1, 0), deep=True, contact=(0, -0.01, 0), onward=(0, 0.1, 0), close_grip=-1.0
)
PULL_UP = Funnel(
    axis=(0, 0, -1), contact=(0, 0, -0.02), height=0.05, onward=(0, 0, 0.1), open_grip=1.0
)
SLIDE = Funnel(carry=True)
CARRY = Funnel(carry=True, closed=0.8, lift=0.12)
START = {
    "button-press": POKE, "button-press-wall": POKE, "coffee-button": POKE, "drawer-close": replace(POKE, open_grip=1.0, close_grip=1.0, height=0.05),
    "handle-press": PRESS, "handle-press-side": PRESS, "door-lock": replace(PRESS, onward=(0, 0, -0.1)),
    "door-unlock": Funnel(axis=(-1, 0, 0), deep=True, onward=(0.1, 0, 0)), "dial-turn": Funnel(axis=(0, -1, 0), onward=(0.05, 0.05, 0)),
    "handle-pull": PULL_UP, "handle-pull-side": PULL_UP, "lever-pull": replace(PULL_UP, contact=(0, -0.03, -0.05)),
    "window-open": Funnel(axis=(0, -1, 0), contact=(-0.02, 0, 0), onward=(0.1, 0, 0), height=0.05, radius=0.04, open_grip=1.0),
    "window-close": Funnel(axis=(0, -1, 0), contact=(0.02, 0, 0), onward=(-0.1, 0, 0), height=0.05, radius=0.04, open_grip=1.0),
    "plate-slide": SLIDE, "plate-slide-back": SLIDE, "plate-slide-side": SLIDE, "plate-slide-back-side": SLIDE, "soccer": SLIDE,
    "sweep": replace(SLIDE, closed=0.9), "sweep-into": replace(SLIDE, closed=0.9), "push": replace(SLIDE, closed=0.9), "push-back": replace(SLIDE, closed=0.9),
    "push-wall": replace(SLIDE, closed=0.9, lift=0.05), "coffee-push": replace(SLIDE, closed=0.9), "coffee-pull": replace(SLIDE, closed=0.9),
    "basketball": CARRY, "bin-picking": CARRY, "pick-out-of-hole": CARRY, "pick-place": replace(CARRY, lift=0.0), "pick-place-wall": CARRY, "shelf-place": CARRY,
    "hand-insert": CARRY, "peg-insert-side": CARRY, "peg-unplug-side": Funnel(closed=0.8, onward=(0.1, 0, 0)),
    "hammer": replace(CARRY, contact=(-0.04, 0, 0), onward=(-0.16, -0.03, 0), lift=0.05), "stick-push": replace(CARRY, lift=0.03),
}  # fmt: skip


@dataclass(frozen=True)
class Effort:
    """How long a search lasts: rounds x candidates x episodes are played."""

    rounds: int = 7
    candidates: int = 24
    episodes: int = 3


def mean_score(env, task_name: str, parameters: Gains | Funnel | None, seeds) -> float:
    """The mean return, plus the bonus for success, of a task's teacher with ``parameters`` over one
    episode a seed.
    """
    teacher, total = make_teacher(task_name, parameters), 0.0
    for seed in seeds:
        observation, _ = env.reset(seed=int(seed))
        done = False
        while not done:
            observation, reward, terminated, truncated, info = env.step(teacher.act(observation))
            total += reward
            done = terminated or truncated
        total += SUCCESS_BONUS * info["success"]
    return total / len(seeds)


def search(
    env,
    task_name: str,
    start: Gains | Funnel,
    effort: Effort = Effort(),
    choose_from: int = 12,
    seed: int = 0,
) -> Gains | Funnel:
    """The best parameters found around ``start``: the cross-entropy method, then a choice among the
    finalists on ``choose_from`` other seeds.
    """
    rng, width = np.random.default_rng(seed), to_vector(start, spread_of(start))
    mean, spread, finalists = to_vector(start, start), width.copy(), []
    for number in range(effort.rounds):
        first = SEARCH_SEED + number * effort.episodes
        points = mean + spread * rng.normal(size=(effort.candidates, len(mean)))
        points[0] = mean
        scores = [
            mean_score(
                env, task_name, to_parameters(start, point), range(first, first + effort.episodes)
            )
            for point in points
        ]
        elite = points[np.argsort(scores)[-effort.candidates // 4 :]]
        mean, spread = (
            0.8 * elite.mean(axis=0) + 0.2 * mean,
            np.maximum(elite.std(axis=0), FLOOR * width),
        )
        finalists.append(elite[-1])
    found = [to_parameters(start, point) for point in (mean, *finalists[-5:])]
    return max(
        found,
        key=lambda parameters: mean_score(
            env, task_name, parameters, range(CHOICE_SEED, CHOICE_SEED + choose_from)
        ),
    )


def spread_of(parameters: Gains | Funnel) -> dict:
    """How widely each searched field is drawn; fields that are not here stay as they are."""
    return FUNNEL_SPREAD if isinstance(parameters, Funnel) else GAINS_SPREAD


def to_vector(like: Gains | Funnel, values) -> np.ndarray:
    """The searched fields of ``values`` (parameters, or a dict) in one row."""
    get = values.get if isinstance(values, dict) else lambda name: getattr(values, name)
    return np.concatenate(
        [
            np.atleast_1d(np.array(get(field.name), dtype=np.float64))
            for field in fields(like)
            if field.name in spread_of(like)
        ]
    )


def to_parameters(like: Gains | Funnel, row: np.ndarray) -> Gains | Funnel:
    """The reverse: ``like`` with its searched fields from ``row``, rounded to what can be told
    apart.
    """
    values, at = {}, 0
    for field in fields(like):
        if field.name not in spread_of(like):
            continue
        size = np.size(getattr(like, field.name))
        numbers = [round(float(x), 3) for x in row[at : at + size]]
        values[field.name] = tuple(numbers) if size > 1 else numbers[0]
        at += size
    return replace(like, **values)


def tune(
    names: list[str],
    kinds: tuple[str, ...] = ("script", "funnel"),
    effort: Effort = Effort(),
    episodes: int = 30,
) -> None:
    """Search for each task and store what is better, over ``episodes`` seeds, than what is there.
    Prints a line a task.
    """
    for name in names:
        env, seeds = make_env(name, render_mode=None), range(CHECK_SEED, CHECK_SEED + episodes)
        best, stored = tuned_parameters(name), mean_score(env, name, None, seeds)
        report, best_score = [f"stored {stored:.1f}"], stored
        for kind, start in (
            ("script", Gains(speed=2.0, damping=0.7, grip=1.2)),
            ("funnel", START.get(name.removeprefix("metaworld-"))),
        ):
            if kind not in kinds or start is None:
                continue
            found = search(env, name, start, effort)
            found_score = mean_score(env, name, found, seeds)
            report.append(f"{kind} {found_score:.1f}")
            if found_score > best_score:
                best, best_score = found, found_score
        env.close()
        if best_score > stored:
            store_parameters(name, best)
        print(f"{name}: {', '.join(report)}", flush=True)


if __name__ == "__main__":
    tune(sys.argv[1:] or task_names("metaworld"))
