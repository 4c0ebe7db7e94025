"""Exact nearest neighbours in NumPy, fast enough for a hundred thousand stored timesteps.

`VectorSearch` compares vectors by their Euclidean distance, `GridSearch` grids by the number of
integers that differ, among the demonstrations of the same mission. Neighbours at the same distance
are ordered by their row, so the answer is the one that brute force gives.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jatlab.utils.checks import require

COMPONENTS = 16  # principal components in which far rows are ruled out
CHUNK = 16  # queries that are compared with all rows at once
MANY = 64  # queries from which on whole blocks of them are searched together
BLOCK = 2**21  # pairs of a query and a row in a block
AT_ONCE = 2**21  # float64 numbers of rows that are copied to get their true distances: 16 MB


class Neighbours(NamedTuple):
    """The nearest rows of n queries, nearest first.

    Attributes:
        rows: (n, k) int64, the numbers of the stored timesteps.
        distances: (n, k) float64.
    """

    rows: np.ndarray
    distances: np.ndarray


class VectorSearch:
    """Nearest vectors by Euclidean distance.

    One float32 matrix product compares a query with all rows in a few principal components, where
    no distance is longer than the true one. Only rows that could still be among the nearest get
    their true distance, in float64.

    Args:
        vectors: (N, d) finite numbers.

    Raises:
        ValueError: if there is no row, or a number is NaN or infinite.
    """

    def __init__(self, vectors: np.ndarray):
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        require(
            self.vectors.ndim == 2 and self.vectors.size > 0,
            f"vectors have shape {np.shape(vectors)}: expected (N, d) with at least one row",
        )
        require(
            np.isfinite(self.vectors).all(),
            "vectors hold NaN or infinity: leave these timesteps out of the index",
        )
        self.mean = self.vectors.mean(0, dtype=np.float64).astype(np.float32)
        self.axes = _principal_axes(self.vectors - self.mean)
        short = np.ascontiguousarray((self.vectors - self.mean) @ self.axes)  # (N, p)
        self.squares = np.square(short).sum(1)  # (N,)
        self.farthest = float(self.squares.max())
        self.doubled = -2 * short
        # float32 rounds each product: what a computed square may be off by
        self.slack = 4 * np.finfo(np.float32).eps * short.shape[1]

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(
        self, queries: np.ndarray, k: int = 1, skip: list[slice] | None = None
    ) -> Neighbours:
        """The ``k`` nearest rows of each query (n, d).

        Args:
            queries: (n, d).
            k: how many; at most as many as there are rows.
            skip: (n,) rows that each query leaves out.

        Raises:
            ValueError: for vectors of another size, and for more neighbours than there are rows.
        """
        queries = np.asarray(queries, np.float32)
        require(
            queries.ndim == 2 and queries.shape[1] == self.vectors.shape[1],
            f"queries have shape {queries.shape}: the stored vectors have "
            f"{self.vectors.shape[1]} values",
        )
        if len(queries) >= MANY:
            return self._in_blocks(queries, k, skip)
        found = []
        for start in range(0, len(queries), CHUNK):
            some = queries[start : start + CHUNK]
            lower, errors = self._lower_bounds(some)
            for number, query in enumerate(some):
                without = skip[start + number] if skip else slice(0, 0)
                lower[number, without] = np.inf
                found.append(self._refine(query, lower[number], errors[number], k))
        rows, distances = zip(*found, strict=True)
        return Neighbours(np.stack(rows), np.stack(distances))

    def _in_blocks(self, queries: np.ndarray, k: int, skip: list[slice] | None) -> Neighbours:
        """The same for many queries: their distances to all rows at once, in float64."""
        rows, wide = self.vectors.astype(np.float64), queries.astype(np.float64)
        squares, found = np.square(rows).sum(1), []
        size = max(1, BLOCK // len(rows))
        for start in range(0, len(wide), size):
            some = wide[start : start + size]
            own = np.square(some).sum(1)[:, None]
            apart = own + squares - 2 * some @ rows.T  # (b, N)
            for number, without in enumerate(skip[start : start + size] if skip else ()):
                apart[number, without] = np.inf
            there = int(np.isfinite(apart).sum(1).min())
            require(1 <= k <= there, f"k is {k}: there are {there} stored timesteps to choose from")
            # what rounding may have moved each square by
            error = 4 * np.finfo(np.float64).eps * rows.shape[1] * (own + squares.max())
            found.append(_true_nearest(rows, some, apart, error, k))
        return Neighbours(*map(np.concatenate, zip(*found, strict=True)))

    def distance(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The distances (m,) of some rows from one query (d,), in float64."""
        wide = np.asarray(query, np.float64)[None]
        return _distances(self.vectors, wide, np.asarray(rows)[None])[0]

    def _lower_bounds(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squares (n, N) of the distances in the components, and what each may be off by, (n,)."""
        short = (queries - self.mean) @ self.axes
        own = np.square(short).sum(1)
        squares = short @ self.doubled.T
        squares += self.squares
        squares += own[:, None]
        return squares, self.slack * (own + self.farthest)

    def _refine(
        self, query: np.ndarray, lower: np.ndarray, error: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The true nearest rows, from lower bounds (N,) of the squared distances."""
        there = int(np.isfinite(lower).sum()) if np.isinf(lower.max()) else len(lower)
        require(1 <= k <= there, f"k is {k}: there are {there} stored timesteps to choose from")
        first = np.argpartition(lower, k - 1)[:k] if k < len(lower) else np.arange(len(lower))
        worst = np.square(self.distance(query, first).max())
        candidates = np.flatnonzero(lower <= worst + error)  # in the order of the rows
        distances = self.distance(query, candidates)
        order = np.argsort(distances, kind="stable")[:k]
        return candidates[order], distances[order]


def _true_nearest(
    rows: np.ndarray, queries: np.ndarray, apart: np.ndarray, error: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest rows (b, k) and their distances, from squares (b, N) that rounding has moved."""
    near = np.argpartition(apart, k - 1)[:, :k]
    worst = np.take_along_axis(apart, near, 1).max(1, keepdims=True)
    width = int((apart <= worst + 2 * error).sum(1).max())  # rows that could be among the nearest
    if width > k:
        near = np.argpartition(apart, width - 1)[:, :width]
    near = np.sort(near, 1)  # of rows at one distance the first comes first
    distances = _distances(rows, queries, near)
    distances[np.isinf(np.take_along_axis(apart, near, 1))] = np.inf  # left out
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(near, order, 1), np.take_along_axis(distances, order, 1)


def _distances(rows: np.ndarray, queries: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The distances (b, m) of each query from its rows ``near`` (b, m), in float64.

    Of equal rows all may be near. They are copied in portions, so that these copies stay small.
    """
    found = np.empty(near.shape)
    width = max(1, AT_ONCE // queries.size)
    for start in range(0, near.shape[1], width):
        some = slice(start, start + width)
        apart = rows[near[:, some]] - queries[:, None]  # (b, width, d)
        found[:, some] = np.sqrt(np.square(apart, out=apart).sum(2))
    return found


def _principal_axes(centred: np.ndarray) -> np.ndarray:
    """(d, p) orthonormal axes along which the rows differ most; all d where they are few."""
    size = centred.shape[1]
    if size <= 2 * COMPONENTS:
        return np.eye(size, dtype=np.float32)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    return np.ascontiguousarray(axes[:, -COMPONENTS:], np.float32)


class GridSearch:
    """Nearest grids: the fewest integers that differ, among demonstrations of the same mission.

    The integers are names of things (a key, a ball), so their differences mean nothing. Where no
    demonstration has the mission, those are searched whose missions share the most words with it.

    Args:
        grids: (N, 148) integers of at least 0.
        missions: (N,) the number of each row's mission.
        texts: the missions.

    Raises:
        ValueError: if there is no row.
    """

    def __init__(self, grids: np.ndarray, missions: np.ndarray, texts: list[str]):
        require(len(grids) > 0, "there is no grid: record some demonstrations first")
        self.texts, self.words = texts, [frozenset(text.lower().split()) for text in texts]
        self.rows = [np.flatnonzero(missions == number) for number in range(len(texts))]
        self.largest, self.size = int(np.max(grids)), len(grids)
        # bytes where they suffice: they are compared fastest
        kind = np.min_scalar_type(self.largest)
        self.counts = np.min_scalar_type(grids.shape[1])  # of integers that differ
        # by column, so that a comparison runs along the rows
        columns = np.asarray(grids).astype(kind).T
        self.columns = [np.ascontiguousarray(columns[:, rows]) for rows in self.rows]

    def __len__(self) -> int:
        return self.size

    def nearest(
        self,
        queries: np.ndarray,
        missions: list[str],
        k: int = 1,
        skip: list[slice] | None = None,
    ) -> Neighbours:
        """The ``k`` nearest rows of each query (n, 148) with its mission.

        A distance is the square root of the number of integers that differ. Where the mission has
        too few rows, the missions next to it in words are searched as well, and come later.

        Raises:
            ValueError: for grids of another size, and for more neighbours than there are rows.
        """
        queries = np.asarray(queries)
        found = [
            self._nearest(query, mission, k, skip[number] if skip else slice(0, 0))
            for number, (query, mission) in enumerate(zip(queries, missions, strict=True))
        ]
        rows, distances = zip(*found, strict=True)
        return Neighbours(np.stack(rows), np.stack(distances))

    def _nearest(
        self, query: np.ndarray, mission: str, k: int, skip: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        rows, distances, left = [], [], k
        for group in self._by_words(mission):
            candidates = np.concatenate([self.rows[number] for number in group])
            differing = np.concatenate([self._differing(query, number) for number in group])
            if skip.stop > skip.start:
                kept = (candidates < skip.start) | (candidates >= skip.stop)
                candidates, differing = candidates[kept], differing[kept]
            if left < len(differing):  # sort only what can be among the nearest
                worst = np.partition(differing, left - 1)[left - 1]
                near = np.flatnonzero(differing <= worst)
                candidates, differing = candidates[near], differing[near]
            order = np.lexsort((candidates, differing))[:left]
            rows.append(candidates[order])
            distances.append(np.sqrt(differing[order].astype(np.float64)))
            left -= len(order)
            if left == 0:
                return np.concatenate(rows), np.concatenate(distances)
        raise ValueError(f"k is {k}: there are {k - left} stored timesteps to choose from")

    def _by_words(self, mission: str) -> list[list[int]]:
        """The numbers of the missions in groups, those nearest in words first."""
        words = frozenset(mission.lower().split())
        apart = np.array([len(words ^ other) for other in self.words])
        return [np.flatnonzero(apart == one).tolist() for one in np.unique(apart)]

    def _differing(self, query: np.ndarray, number: int) -> np.ndarray:
        """How many integers of each row of one mission differ from the query's."""
        columns, known = self.columns[number], (query >= 0) & (query <= self.largest)
        unequal = columns != query.astype(columns.dtype)[:, None]
        unequal[~known] = True  # what no stored grid holds may not fit into its type
        return np.add.reduce(unequal, 0, dtype=self.counts)
