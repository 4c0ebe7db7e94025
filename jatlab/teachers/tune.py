"""Finding the gains of Meta-World's scripted policies: a small cross-entropy search per task, the same for the same seed.

    python -m jatlab.teachers.tune metaworld-hammer metaworld-sweep     (no names: all 50; about a minute a task)

Each round draws gains around the best so far, plays every candidate on the same few seeds and moves on to the better quarter. A winner is kept only
if it beats what is stored on seeds that the search has not seen.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import numpy as np

from jatlab.tasks import make_env, task_names
from jatlab.teachers.metaworld import GAINS_FILE, Gains, ScriptedTeacher, task_gains

SEARCH_SEED, CHECK_SEED = 900_000, 950_000  # far from those recorded first, and from evaluation (1,000,000 upward)
CENTRE = np.array([1.0, 0.7, 0.0, 0.0, 0.0, 0.3])  # log2 speed, damping, shift x, y, z, log2 grip
SPREAD = np.array([1.2, 0.6, 0.3, 0.3, 0.3, 0.4])
FLOOR = 0.1 * SPREAD  # a distribution narrower than this has stopped searching


def to_gains(point: np.ndarray) -> Gains:
    """A point of the search space (6,) as gains, rounded to what can be told apart."""
    return Gains(speed=round(float(2 ** point[0]), 2), damping=round(float(max(point[1], 0.0)), 2),
                 shift=tuple(round(float(x), 2) for x in point[2:5]), grip=round(float(2 ** point[5]), 2))


def mean_return(task_name: str, env, gains: Gains | None, seeds) -> float:
    """The mean return of the scripted policy with ``gains`` over one episode a seed."""
    teacher, total = ScriptedTeacher(task_name, gains), 0.0
    for seed in seeds:
        observation, _ = env.reset(seed=int(seed))
        teacher.reset(env)
        done = False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(teacher.act(observation))
            total += reward
            done = terminated or truncated
    return total / len(seeds)


def search(task_name: str, rounds: int = 7, candidates: int = 24, episodes: int = 4, seed: int = 0) -> Gains:
    """The best gains found for a task: cross-entropy search over speed, damping, shift and grip."""
    env, rng = make_env(task_name, render_mode=None), np.random.default_rng(seed)
    mean, spread = CENTRE.copy(), SPREAD.copy()
    for round_index in range(rounds):
        seeds = range(SEARCH_SEED + round_index * episodes, SEARCH_SEED + (round_index + 1) * episodes)
        points = mean + spread * rng.normal(size=(candidates, len(mean)))
        points[0] = mean
        returns = [mean_return(task_name, env, to_gains(point), seeds) for point in points]
        elite = points[np.argsort(returns)[-candidates // 4:]]
        mean, spread = elite.mean(axis=0), np.maximum(elite.std(axis=0), FLOOR)
    env.close()
    return to_gains(mean)


def better(task_name: str, gains: Gains, episodes: int = 30) -> tuple[bool, float, float]:
    """Whether ``gains`` beat the stored ones on fresh seeds, and both mean returns (new, stored)."""
    env = make_env(task_name, render_mode=None)
    seeds = range(CHECK_SEED, CHECK_SEED + episodes)
    new, stored = (mean_return(task_name, env, candidate, seeds) for candidate in (gains, task_gains(task_name)))
    env.close()
    return new > stored, new, stored


def tune(names: list[str]) -> None:
    """Search gains for each task and store those that are better than what is there."""
    for name in names:
        gains = search(name)
        improved, new, stored = better(name, gains)
        print(f"{name}: stored {stored:.1f}, found {new:.1f} {gains if improved else '(kept the stored ones)'}", flush=True)
        if improved:
            store(name, gains)


def store(name: str, gains: Gains) -> None:
    """Add a task's gains to ``gains.json``."""
    known = json.loads(GAINS_FILE.read_text()) if GAINS_FILE.exists() else {}
    known[name] = asdict(gains)
    lines = [f"{json.dumps(task)}: {json.dumps(known[task])}" for task in sorted(known)]
    GAINS_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    tune(sys.argv[1:] or task_names("metaworld"))
