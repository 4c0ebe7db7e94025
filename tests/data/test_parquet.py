"""Columns that other writers stored: every kind of list is read, and no number is made up."""

import io
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jatlab.data.episodes import read_episodes, write_episodes
from jatlab.data.parquet import plain_lists
from jatlab.data.published.reading import arrow_types, normalise, to_arrays
from jatlab.data.storage import EpisodeStore
from jatlab.tasks import get_task

TASKS = {name: get_task(name) for name in ("metaworld-reach", "babyai-go-to", "atari-pong")}


def episodes_of(task, lengths=(2, 3, 2)):
    rng = np.random.default_rng(0)
    found = []
    for n in lengths:
        observed = {
            "continuous": {"continuous_observations": rng.normal(size=(n, 39)).astype(np.float32)},
            "discrete": {
                "text_observations": np.array(["go"] * n, object),
                "discrete_observations": rng.integers(0, 8, (n, 148)),
            },
            "image": {"image_observations": rng.integers(0, 255, (n, 4, 84, 84)).astype(np.uint8)},
        }[task.observation]
        acted = {
            "continuous": {"continuous_actions": rng.normal(size=(n, 4)).astype(np.float32)},
            "discrete": {"discrete_actions": rng.integers(0, 6, n)},
        }[task.action]
        found.append(observed | acted | {"rewards": rng.normal(size=n).astype(np.float32)})
    return found


def large(kind):
    """The same type with large lists."""
    return pa.large_list(large(kind.value_type)) if pa.types.is_list(kind) else kind


def inner(kind, make):
    """The same type, its innermost list made by `make`."""
    if pa.types.is_list(kind) and pa.types.is_list(kind.value_type):
        return pa.list_(inner(kind.value_type, make))
    return make(kind.value_type) if pa.types.is_list(kind) else kind


def leaf(kind, other):
    return pa.list_(leaf(kind.value_type, other)) if pa.types.is_list(kind) else other


NUMBERS = {
    pa.float32(): (pa.float64(),),
    pa.int64(): (pa.int32(), pa.uint8(), pa.float64(), pa.decimal128(12, 2)),
}


def writable(kind):
    """Whether this version of Arrow writes such a column: older ones write no list views."""
    try:
        pq.write_table(pa.table({"a": pa.array([], kind)}), io.BytesIO())
    except pa.ArrowNotImplementedError:
        return False
    return True


def other_types(kind, column):
    """Types that other writers give a column which we store as `kind`."""
    yield large(kind)
    nested = pa.types.is_list(kind.value_type)
    if nested:  # all timesteps have one size
        size = {"continuous_observations": 39, "continuous_actions": 4}.get(column, 148)
        yield inner(kind, lambda value: pa.list_(value, size))
        yield pa.large_list(pa.list_(kind.value_type.value_type, size))
    if writable(pa.list_view(kind.value_type)):
        yield pa.list_view(kind.value_type)
    deep = kind.value_type.value_type if nested else kind.value_type
    yield from (leaf(kind, other) for other in NUMBERS.get(deep, ()))
    if pa.types.is_string(deep):
        yield leaf(kind, pa.large_string())
        yield leaf(kind, pa.dictionary(pa.int32(), pa.string()))


def rewritten(task, column, other, tmp_path, lengths=(2, 3, 2)):
    """Our file and a copy in which a column has another type; the episodes."""
    episodes = episodes_of(task, lengths)
    path = write_episodes(tmp_path / task.name / "train" / "00000.parquet", episodes, task)
    table = pq.read_table(path)
    index = table.column_names.index(column)
    values = pa.array(table.column(column).to_pylist(), other)
    pq.write_table(table.set_column(index, column, values), path)
    return path, episodes


def same(read, written):
    for ours, theirs in zip(read, written, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], name)


CASES = [
    pytest.param(task, column, other, id=f"{column}-{other}")
    for task in TASKS.values()
    for column, kind in arrow_types(task).items()
    for other in other_types(kind, column)
]


@pytest.mark.parametrize(("task", "column", "other"), CASES)
def test_columns_of_other_writers_are_read(task, column, other, tmp_path):
    path, episodes = rewritten(task, column, other, tmp_path)
    same(read_episodes(path, task), episodes)
    store = EpisodeStore.open(task, tmp_path)
    assert store.lengths.tolist() == [2, 3, 2]
    batch = pq.read_table(path).to_batches()[0]
    for number, episode in enumerate(episodes):
        row = {"row": batch.slice(number, 1), "file": "x", "number": number}
        found = to_arrays(normalise(row, task, "x"), task, "x")
        same([found], [{name: episode[name] for name in found}])


def test_lists_of_one_size_an_episode_are_read(tmp_path):
    task = TASKS["babyai-go-to"]
    for column, kind in arrow_types(task).items():
        other = pa.list_(kind.value_type, 2)
        path, episodes = rewritten(task, column, other, tmp_path / column, lengths=(2, 2))
        same(read_episodes(path, task), episodes)


@pytest.mark.parametrize("make", [pa.list_, pa.large_list, pa.list_view, pa.large_list_view])
def test_plain_lists_keep_values_and_nulls(make):
    values = [[[1, 2], [3]], [], None, [[], None, [4]]]
    for start in range(3):  # slices too
        array = pa.array(values, make(make(pa.int64())))[start:]
        assert plain_lists(array).to_pylist() == values[start:]
        assert plain_lists(array).type == pa.list_(pa.list_(pa.int64()))


WRONG = {
    "a fraction": (pa.float64(), 2.9),
    "not a number": (pa.float64(), float("nan")),
    "infinity": (pa.float64(), float("inf")),
    "too large": (pa.float64(), 1e30),
    "an unsigned giant": (pa.uint64(), 2**64 - 1),
    "text of a number": (pa.string(), "2"),
    "a fraction of decimals": (pa.decimal128(4, 1), 2.5),
}


@pytest.mark.parametrize("column", ["discrete_observations", "discrete_actions"])
@pytest.mark.parametrize("what", WRONG)
def test_integers_are_never_made_up(column, what, tmp_path):
    kind, wrong = WRONG[what]
    wrong = Decimal("2.5") if "decimals" in what else wrong
    task = TASKS["babyai-go-to"]
    path = write_episodes(tmp_path / task.name / "train/0.parquet", episodes_of(task, (2,)), task)
    table = pq.read_table(path)
    values = table.column(column).to_pylist()
    if column == "discrete_actions":
        values[0][1] = wrong
        values[0][0] = type(wrong)(values[0][0])
    else:
        values[0] = [[type(wrong)(value) for value in step] for step in values[0]]
        values[0][1][7] = wrong
    stored = pa.array(values, leaf(arrow_types(task)[column], kind))
    table = table.set_column(table.column_names.index(column), column, stored)
    pq.write_table(table, path)
    message = f"column '{column}'.*: cannot be read as int64 values"
    with pytest.raises(ValueError, match=message):
        read_episodes(path, task)
    with pytest.raises(ValueError, match=message):
        EpisodeStore.open(task, tmp_path)
    row = {"row": table.to_batches()[0], "file": "x", "number": 0}
    with pytest.raises(ValueError, match=f"column '{column}': type .*, expected"):
        normalise(row, task, "x")


def test_text_is_no_number(tmp_path):
    task = TASKS["metaworld-reach"]
    path = write_episodes(tmp_path / "0.parquet", episodes_of(task, (2,)), task)
    table = pq.read_table(path)
    rewards = pa.array([["1.5", "2"]])
    table = table.set_column(table.column_names.index("rewards"), "rewards", rewards)
    pq.write_table(table, path)
    with pytest.raises(ValueError, match="float32 values .values of type string, expected numbers"):
        read_episodes(path, task)
    row = {"row": table.to_batches()[0], "file": "x", "number": 0}
    with pytest.raises(ValueError, match="values of type string, expected numbers"):
        normalise(row, task, "x")
