"""Parquet files of episodes as other writers, older versions and damaged disks leave them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given
from hypothesis import strategies as st

from jatlab.data.episodes import read_episodes
from jatlab.data.parquet import encode_episodes
from jatlab.data.storage import EpisodeStore
from jatlab.tasks import get_task
from tests.support.fuzzing import fuzz, outcome
from tests.support.synthetic import make_episode

NAMES = ("metaworld-reach", "babyai-go-to", "atari-pong")
Change = Callable[[pa.Table, str], pa.Table]


@functools.cache
def table_of(name: str) -> tuple[list, pa.Table]:
    """Three episodes of a task, and their table."""
    task, random = get_task(name), np.random.default_rng(0)
    lengths = (1, 3, 2) if task.observation == "image" else (1, 12, 7)
    episodes = [make_episode(task, length, random) for length in lengths]
    return episodes, encode_episodes(episodes, task)


def replace(table: pa.Table, name: str, values: list, kind: pa.DataType | None = None) -> pa.Table:
    """The table with other values in a column."""
    index, kind = table.column_names.index(name), kind or table.field(name).type
    return table.set_column(index, name, pa.array(values, kind))


def edited(edit: Callable[[list], list]) -> Change:
    """A change of a column's values."""
    return lambda table, name: replace(table, name, edit(table.column(name).to_pylist()))


def with_first(value: object) -> Callable[[list], list]:
    """The same episodes, with another value at the first timestep, as deep as the lists go."""

    def inner(one: object) -> object:
        return [inner(one[0]), *one[1:]] if isinstance(one, list) and one else value

    return lambda episodes: [inner(episodes[0]), *episodes[1:]]


# what keeps the episodes as they are
SAME: dict[str, Change] = {
    "nothing": lambda table, name: table,
    "in chunks": lambda table, name: pa.concat_tables([table[:1], table[1:]]),
    "large lists": lambda table, name: table.set_column(
        table.column_names.index(name), name, table.column(name).cast(large(table.field(name).type))
    ),
    "another column": lambda table, name: table.append_column("more", pa.array([1] * len(table))),
    "in another order": lambda table, name: table.select(sorted(table.column_names)),
}
# what no reader can make episodes of
BROKEN: dict[str, Change] = {
    "missing": lambda table, name: table.drop_columns([name]),
    "no rows": lambda table, name: table[:0],
    "an empty episode": edited(lambda episodes: [[], *episodes[1:]]),
    "no episode": edited(lambda episodes: [None, *episodes[1:]]),
    "no value": edited(with_first(None)),
    "shorter": edited(lambda episodes: [episodes[0], episodes[1][:-1], *episodes[2:]]),
    "longer": edited(lambda episodes: [episodes[0] * 2, *episodes[1:]]),
    "text": lambda table, name: replace(table, name, ["x"] * len(table), pa.string()),
    "numbers": lambda table, name: replace(table, name, [1.5] * len(table), pa.float64()),
    "dates": lambda table, name: replace(table, name, [1] * len(table), pa.timestamp("s")),
    "twice": lambda table, name: table.append_column(name, table.column(name)),
}
# of columns of numbers
UNREAL = {"NaN": float("nan"), "infinity": float("inf"), "negative": -1}


def large(kind: pa.DataType) -> pa.DataType:
    """The same type with large lists."""
    return pa.large_list(large(kind.value_type)) if pa.types.is_list(kind) else kind


def is_number(table: pa.Table, name: str, real: bool) -> bool:
    """Whether a column holds real or, else, whole numbers."""
    kind = table.field(name).type
    while pa.types.is_list(kind):
        kind = kind.value_type
    return pa.types.is_floating(kind) if real else pa.types.is_integer(kind)


def read_both(path, task):
    """The episodes, by the reader and by the store that training uses."""
    episodes = read_episodes(path, task)
    store = EpisodeStore.open(task, path.parents[2])
    assert store.lengths.tolist() == [len(one["rewards"]) for one in episodes]
    return episodes


@fuzz(40)
@given(
    task=st.sampled_from(NAMES),
    how=st.sampled_from([*SAME, *BROKEN, *BROKEN, *UNREAL]),
    column=st.integers(0, 9),
    group=st.sampled_from([1, 2, 1000]),
    dictionary=st.booleans(),
    compression=st.sampled_from(["none", "zstd", "snappy"]),
)
def test_a_file_is_read_rightly_or_refused(
    tmp_path_factory, task, how, column, group, dictionary, compression
):
    episodes, table = table_of(task)
    name = table.column_names[column % len(table.column_names)]
    if how in UNREAL:
        if not is_number(table, name, real=how != "negative"):
            return
        table = edited(with_first(UNREAL[how]))(table, name)
    else:
        table = (SAME | BROKEN)[how](table, name)
    path = tmp_path_factory.mktemp("recording") / task / "train" / "00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(
        table, path, row_group_size=group, use_dictionary=dictionary, compression=compression
    )
    kind, found = outcome("recordings", read_both, path, get_task(task))
    assert (kind == "right") == (how in SAME), f"{how} of {name}: {kind} {found}"
    if kind == "right":
        for ours, theirs in zip(found, episodes, strict=True):
            for key, values in theirs.items():
                np.testing.assert_array_equal(ours[key], values)


@fuzz(20)
@given(
    task=st.sampled_from(NAMES),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    cut=st.booleans(),
)
@example(task="babyai-go-to", place=0.9296875, bit=1, cut=False)  # integers of no known width
def test_a_damaged_file_is_never_a_crash(tmp_path_factory, task, place, bit, cut):
    _, table = table_of(task)
    path = tmp_path_factory.mktemp("recording") / task / "train" / "00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    content = bytearray(path.read_bytes())
    position = int(place * len(content))
    content[position] ^= 1 << bit
    path.write_bytes(content[:position] if cut else content)
    kind, found = outcome("recordings", read_both, path, get_task(task))
    assert kind == "right" or path.name in found
    if kind == "right":
        numbers = [v for one in found for v in one.values() if v.dtype.kind in "iuf"]
        assert all(np.isfinite(values).all() for values in numbers)
