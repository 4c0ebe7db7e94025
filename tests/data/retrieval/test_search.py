"""Neighbours are those that brute force finds, in its order."""

import tracemalloc

import numpy as np
import pytest

from jatlab.data.retrieval.search import MANY, GridSearch, VectorSearch


def brute_force(vectors, query, k):
    """The k nearest rows, computed one by one in float64."""
    distances = np.array([np.linalg.norm(row.astype(float) - query) for row in vectors])
    order = np.argsort(distances, kind="stable")[:k]
    return order, distances[order]


@pytest.mark.parametrize("size", [1, 5, 39, 100])
@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("count", [20, MANY])
def test_neighbours_equal_brute_force(size, shift, count):
    rng = np.random.default_rng(size)
    vectors = (shift + rng.normal(size=(500, size))).astype(np.float32)
    queries = (shift + rng.normal(size=(count, size))).astype(np.float32)
    found = VectorSearch(vectors).nearest(queries, 7)
    for number, query in enumerate(queries):
        rows, distances = brute_force(vectors, query.astype(float), 7)
        assert found.rows[number].tolist() == rows.tolist()
        np.testing.assert_allclose(found.distances[number], distances, rtol=1e-12)


def test_components_rule_out_no_neighbour():
    """Rows that differ mostly along a few axes, and a little along all others."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(800, 3)) @ rng.normal(size=(3, 120)) * 5
    vectors = (vectors + rng.normal(size=vectors.shape)).astype(np.float32)
    search = VectorSearch(vectors)
    assert search.axes.shape[1] < 120
    found = search.nearest(vectors[:30] + 0.5, 4)
    for number in range(30):
        query = (vectors[number] + np.float32(0.5)).astype(float)
        assert found.rows[number].tolist() == brute_force(vectors, query, 4)[0].tolist()


def test_equal_rows_come_in_order():
    vectors = np.zeros((50, 4), np.float32)
    found = VectorSearch(vectors).nearest(np.zeros((1, 4)), 3)
    assert found.rows.tolist() == [[0, 1, 2]] and (found.distances == 0).all()


def test_rows_can_be_left_out():
    vectors = np.arange(10, dtype=np.float32)[:, None]
    found = VectorSearch(vectors).nearest(np.array([[4.0], [4.0]]), 2, [slice(3, 6), slice(0, 0)])
    assert found.rows.tolist() == [[2, 6], [4, 3]]
    with pytest.raises(ValueError, match="k is 8: there are 7 stored timesteps"):
        VectorSearch(vectors).nearest(np.array([[4.0]]), 8, [slice(3, 6)])


def test_many_queries_are_answered_as_one_by_one():
    """Also where rows are equal, and where some are left out."""
    rng = np.random.default_rng(0)
    vectors = rng.integers(0, 3, (300, 3)).astype(np.float32)
    queries, skip = vectors[: 2 * MANY], [slice(i, i + 9) for i in range(2 * MANY)]
    search = VectorSearch(vectors)
    together = search.nearest(queries, 6, skip)
    for number in range(2 * MANY):
        alone = search.nearest(queries[number : number + 1], 6, [skip[number]])
        assert together.rows[number].tolist() == alone.rows[0].tolist()
        np.testing.assert_array_equal(together.distances[number], alone.distances[0])


@pytest.mark.parametrize("count", [1, MANY])
def test_equal_rows_take_little_memory(count):
    """All of them are near, so all get their true distance: 0.8 GB at once for many queries."""
    search = VectorSearch(np.full((6000, 256), 0.5, np.float32))
    queries = np.full((count, 256), 0.25, np.float32)
    tracemalloc.start()
    found = search.nearest(queries, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert found.rows.tolist() == [[0, 1, 2]] * count
    assert (found.distances == 4).all()  # the square root of 256 times 1/16


def test_wrong_vectors_are_named():
    with pytest.raises(ValueError, match="at least one row"):
        VectorSearch(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="NaN or infinity"):
        VectorSearch(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match=r"shape \(1, 2\): the stored vectors have 3 values"):
        VectorSearch(np.zeros((2, 3))).nearest(np.zeros((1, 2)))


# --- grids

TEXTS = ["go to the red ball", "go to the red key", "open a door"]


def grids(seed=0):
    """Sixty small grids, a third of each mission."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, (60, 10)), np.arange(60) % 3


def test_grids_equal_brute_force_within_a_mission():
    values, missions = grids()
    queries = np.random.default_rng(1).integers(0, 3, (8, 10))
    found = GridSearch(values, missions, TEXTS).nearest(queries, [TEXTS[1]] * 8, 5)
    mine = np.flatnonzero(missions == 1)
    for number, query in enumerate(queries):
        differing = (values[mine] != query).sum(1)
        order = np.lexsort((mine, differing))[:5]
        assert found.rows[number].tolist() == mine[order].tolist()
        np.testing.assert_allclose(found.distances[number] ** 2, differing[order])


def test_an_unknown_mission_takes_the_one_with_most_words():
    values, missions = grids()
    search = GridSearch(values, missions, TEXTS)
    found = search.nearest(values[:1], ["go to the blue key"], 20)
    assert set(missions[found.rows[0]]) == {1}
    more = search.nearest(values[:1], ["go to the blue key"], 25)
    assert missions[more.rows[0]].tolist() == [1] * 20 + [0] * 5
    with pytest.raises(ValueError, match="k is 61: there are 60"):
        search.nearest(values[:1], TEXTS[:1], 61)


def test_grids_can_be_left_out():
    values, missions = grids()
    found = GridSearch(values, missions, TEXTS).nearest(values[3:4], TEXTS[:1], 1, [slice(0, 30)])
    assert found.rows[0, 0] >= 30 and missions[found.rows[0, 0]] == 0


@pytest.mark.parametrize("values", [(0, 1, 255), (0, 255, 256, 257, 65_535)])
@pytest.mark.parametrize("size", [10, 300])
def test_large_integers_equal_brute_force(values, size):
    """What is stored may need one byte or two; what is asked about may be larger than both."""
    rng = np.random.default_rng(size)
    stored = rng.choice(values, (60, size)).astype(np.uint16)
    queries = rng.choice([*values, 254, 256, 511, 65_535, 65_536, 2**32], (12, size))
    missions = np.arange(60) % 3
    search = GridSearch(stored, missions, TEXTS)
    assert search.columns[0].dtype == (np.uint8 if max(values) == 255 else np.uint16)
    found = search.nearest(queries, [TEXTS[2]] * 12, 20)
    mine = np.flatnonzero(missions == 2)
    for number, query in enumerate(queries):
        differing = (stored[mine].astype(np.int64) != query).sum(1)
        order = np.lexsort((mine, differing))
        assert found.rows[number].tolist() == mine[order].tolist()
        np.testing.assert_allclose(found.distances[number] ** 2, differing[order])


def test_256_is_not_0():
    for shown, asked in (([256, 0], 0), ([0, 256], 256), ([255, 0], 256), ([0, 255], 511)):
        search = GridSearch(np.repeat(shown, 148).reshape(2, 148), np.zeros(2, int), ["go"])
        found = search.nearest(np.full((1, 148), asked), ["go"], 2)
        differing = [0 if value == asked else 148 for value in shown]
        assert found.rows[0].tolist() == np.argsort(differing, kind="stable").tolist()
        np.testing.assert_allclose(found.distances[0] ** 2, sorted(differing))
