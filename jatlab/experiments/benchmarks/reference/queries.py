"""How long it takes to find the nearest of 100,000 stored timesteps (`jatlab bench --reference`).

Vectors are drawn from a few hidden numbers with a little noise, as states of an arm or a body move
in few directions. Grids are changed copies of some rooms. A query is a stored timestep, changed a
little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from jatlab.data.retrieval.search import GridSearch, VectorSearch
from jatlab.experiments.benchmarks.reference.actors import in_turn
from jatlab.experiments.benchmarks.tables import table

STORED = 100_000  # timesteps
NEIGHBOURS = (5, 20)
TOGETHER = 16  # environments in lockstep, for vectors
SIZES = {39: "39 numbers (Meta-World)", 256: "256 (features of frames)", 376: "376 (a humanoid)"}
HIDDEN, NOISE = 12, 0.01  # numbers that a vector is made of, and what is added
CELLS, ROOMS, CHANGED, MISSIONS = 148, 500, 0.1, (18, 1)
TIMES = 20
Found = dict[str, dict[str, float]]


def queries(stored: int = STORED) -> Found:
    """Milliseconds of a query on one thread.

    Args:
        stored: timesteps.

    Returns:
        {observation: {"5": of one query for five neighbours, "5 together": of each of sixteen
        queries at once, "20", "20 together"}}; grids are asked one by one.
    """
    torch.set_num_threads(1)
    found = {name: _vectors(size, stored) for size, name in SIZES.items()}
    for missions in MISSIONS:
        name = f"a grid, {missions} mission{'s' * (missions > 1)}"
        found[name] = _grids(missions, stored)
    return found


def _vectors(size: int, stored: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(stored, HIDDEN)) @ rng.normal(size=(HIDDEN, size))
    rows = (rows + NOISE * rng.normal(size=rows.shape)).astype(np.float32)
    search = VectorSearch(rows)
    asked = rows[rng.integers(0, stored, TOGETHER)]
    asked = asked + 0.1 * rng.normal(size=asked.shape).astype(np.float32)
    calls: dict[str, Any] = {}
    for k in NEIGHBOURS:
        calls[f"{k}"] = lambda k=k: search.nearest(asked[:1], k)
        calls[f"{k} together"] = lambda k=k: search.nearest(asked, k)
    times = in_turn(calls, TIMES, 1e3)
    return {name: ms / (TOGETHER if "together" in name else 1) for name, ms in times.items()}


def _grids(missions: int, stored: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    rooms = rng.integers(0, 8, (ROOMS, CELLS))
    rows = rooms[rng.integers(0, ROOMS, stored)]
    rows = np.where(rng.random(rows.shape) < CHANGED, rng.integers(0, 8, rows.shape), rows)
    texts = [f"go to thing {number}" for number in range(missions)]
    search = GridSearch(rows, rng.integers(0, missions, stored), texts)
    calls: dict[str, Any] = {
        f"{k}": lambda k=k: search.nearest(rooms[:1], texts[:1], k) for k in NEIGHBOURS
    }
    return in_turn(calls, TIMES, 1e3)


def as_table(found: Found) -> str:
    """The table in Markdown."""
    columns = [f"{k}{how}" for k in NEIGHBOURS for how in ("", " together")]
    head = [f"a query, ms, {STORED:,} timesteps"]
    head += [
        f"{k} neighbours{how}" for k in NEIGHBOURS for how in ("", f", each of {TOGETHER} at once")
    ]
    rows = [
        [name, *(f"{times[one]:.1f}" if one in times else "–" for one in columns)]
        for name, times in found.items()
    ]
    return table(head, rows)
