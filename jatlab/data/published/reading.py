"""Reading the published data set row by row, and checking that it can be trained on.

A row stays an Arrow record batch of one row, so that what is copied to disk is otherwise untouched.
`normalise` gives it the types of recorded files, `to_arrays` makes an episode of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from jatlab.data.columns import COLUMN_TYPES, Episode, check_episode, column_names, column_shape
from jatlab.data.parquet import decode_column, frames_from_png, plain_lists, require_numbers
from jatlab.tasks import Task, get_task
from jatlab.utils.checks import require

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# rows that are decompressed together, by observation: one Atari episode can have 50 MB
ROWS_AT_ONCE = {"image": 1, "text": 256}
ROWS_AT_ONCE_DEFAULT = 16
READ_BUFFER = 1 << 20  # bytes
_LANGUAGE_COLUMNS = {"text": ("text",), "picture": ("images", "text")}


class Example(TypedDict):
    """A row as it is read: a record batch of one row, its file, and its number in the file."""

    row: pa.RecordBatch
    file: str
    number: int


def columns_of(task: Task) -> tuple[str, ...]:
    """The columns of ``task``'s rows in the published data set."""
    return column_names(task) if task.playable else _LANGUAGE_COLUMNS[task.observation]


# --- files ---


def read_files(files: list[str], name: str, source: str) -> Iterator[Example]:
    """The rows of these files, one by one.

    Only a few rows of a file are in memory at a time, and only the task's columns.

    Args:
        files: local paths or addresses.
        name: the task.
        source: the repository or folder, for error messages.

    Raises:
        ValueError: for a damaged file, or one without a column of the task.
        ConnectionError: when reading over the network fails.
    """
    import fsspec
    import pyarrow.parquet as pq

    task = get_task(name)
    for path in files:
        file = os.path.basename(path)
        try:
            with (
                fsspec.open(path, "rb") as stream,
                pq.ParquetFile(stream, buffer_size=READ_BUFFER, pre_buffer=False) as parquet,
            ):
                _check_columns(parquet.schema_arrow.names, task, f"{source}, {file}")
                for number, row in enumerate(_rows(parquet, task)):
                    yield {"row": row, "file": file, "number": number}
        except Exception as error:  # the network's errors are many
            if _is_damage(error, path):
                raise ValueError(
                    f"{source}, {file}: not a complete Parquet file ({error}); "
                    "it was cut off or damaged. Put it there again"
                ) from None
            if isinstance(error, ValueError) or "://" not in path:
                raise
            raise ConnectionError(
                f"{source}, {file}: reading stopped ({error!r}). The same command goes on from "
                "there: the files that have been written are complete"
            ) from error


def _is_damage(error: Exception, path: str) -> bool:
    """Whether an error is Arrow's about the content of a file, and not the network's."""
    from pyarrow import ArrowException

    if isinstance(error, OSError):  # the system's have a number, those of Arrow have none
        return "://" not in path and error.errno is None
    return isinstance(error, ArrowException | UnicodeDecodeError)


def _rows(parquet: pq.ParquetFile, task: Task) -> Iterator[pa.RecordBatch]:
    count = ROWS_AT_ONCE.get(task.observation, ROWS_AT_ONCE_DEFAULT)
    columns = list(columns_of(task))
    for batch in parquet.iter_batches(count, columns=columns, use_threads=False):
        for i in range(len(batch)):
            yield batch.slice(i, 1)


def _check_columns(names: list[str], task: Task, where: str) -> None:
    for column in columns_of(task):
        require(
            column in names,
            f"{where}: column {column!r} is missing for {task.name}; "
            f"expected {', '.join(columns_of(task))}, got {', '.join(names)}",
        )


def place_of(example: Example, task: Task, source: str) -> str:
    """Where a row is, for error messages."""
    kind = "episode" if task.playable else "row"
    return f"{source}, {example['file']}: {task.name}, {kind} {example['number']}"


# --- rows ---


def arrow_types(task: Task) -> dict[str, pa.DataType]:
    """The Arrow type of each column, as recordings have it."""
    import pyarrow as pa

    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    floats, integers = pa.list_(pa.float32()), pa.list_(pa.int64())
    kinds = {
        "continuous_observations": pa.list_(floats),
        "discrete_observations": pa.list_(integers),
        "text_observations": pa.list_(pa.string()),
        "image_observations": pa.list_(image),
        "continuous_actions": pa.list_(floats),
        "discrete_actions": integers,
        "rewards": floats,
        "images": image,
        "text": pa.string(),
    }
    return {column: kinds[column] for column in columns_of(task)}


def normalise(example: Example, task: Task, where: str) -> pa.RecordBatch | None:
    """A row with the types of recorded files; None for one without timesteps or letters.

    Raises ValueError, whose message begins with ``where``, for a type that does not fit and for
    missing values.
    """
    import pyarrow as pa

    arrays = {}
    for column, kind in arrow_types(task).items():
        values = example["row"].column(column)
        require(not values.null_count, f"{where}, column {column!r}: there is nothing (null)")
        try:
            if COLUMN_TYPES.get(column, object) is not object and "image" not in column:
                require_numbers(values.type)
            if values.type != kind:
                values = plain_lists(values).cast(kind, safe=not _is_float(column))
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(
                f"{where}, column {column!r}: type {values.type}, expected {kind} ({error})"
            ) from None
        arrays[column] = values
    row = pa.RecordBatch.from_pydict(arrays)
    return None if _is_empty(row, task) else row


def _is_float(column: str) -> bool:
    return column.startswith("continuous") or column == "rewards"


def _is_empty(row: pa.RecordBatch, task: Task) -> bool:
    if not task.playable:
        return not text_of(row).strip()
    return not any(len(row.column(column)[0].values) for column in columns_of(task))


def text_of(row: pa.RecordBatch) -> str:
    """The text of a normalised row of a language task."""
    return row.column("text")[0].as_py()


def count_timesteps(row: pa.RecordBatch) -> int:
    """The timesteps of a normalised row of a control task."""
    return len(row.column("rewards")[0].values)


def to_arrays(row: pa.RecordBatch, task: Task, where: str) -> Episode:
    """A normalised row of a control task -> its episode, checked.

    Image observations are left out: they stay as they are stored, see `stored_frames`. Raises
    ValueError, whose message begins with ``where``, for what `check_episode` refuses.
    """
    names = [column for column in columns_of(task) if column != "image_observations"]
    episode = {c: decode_column(row.column(c), c, f"{where}, column {c!r}")[0] for c in names}
    checked = dict(episode)
    if "image_observations" in columns_of(task):
        # their number is checked here, and each of them where it is decoded
        shape = column_shape(task, "image_observations")
        count = len(stored_frames(row))
        checked["image_observations"] = np.broadcast_to(np.uint8(0), (count, *shape))
    lengths = {column: len(values) for column, values in checked.items()}
    told = ", ".join(f"{column!r} {length}" for column, length in lengths.items())
    require(
        len(set(lengths.values())) == 1,
        f"{where}: the columns differ in length: {told} timesteps",
    )
    try:
        check_episode(checked, task)
    except ValueError as error:
        raise ValueError(str(error).replace(f"{task.name}, episode ?", where, 1)) from None
    return episode


def stored_frames(row: pa.RecordBatch) -> pa.Array:
    """The image observations of a normalised row: an Arrow array of PNG bytes, one a timestep."""
    return row.column("image_observations").flatten().field("bytes")


def decode_frames(data: bytes | None, where: str) -> np.ndarray:
    """One of `stored_frames` -> uint8 (4, 84, 84).

    Raises ValueError, whose message begins with ``where``, for another mode or size, or no picture.
    """
    try:
        return frames_from_png(data)
    except ValueError as error:
        raise ValueError(f"{where}, column 'image_observations': {error}") from None
