"""Parquet files with notes, written atomically; and how the columns of an episode look in them.

A file's *notes* are JSON in its metadata: the seeds and the teacher of a recording, for example.
In Arrow, a column of episodes is a list per episode, with one entry per timestep: a number, a list
of numbers, a text, or an image as the datasets library stores it (PNG bytes and a path).
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jatlab.data.columns import COLUMN_TYPES, IMAGE_SHAPE, Episode, column_names
from jatlab.utils.checks import require
from jatlab.utils.files import expanded, explain_full_disk
from jatlab.utils.manifest import forget

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from jatlab.tasks import Task

T = TypeVar("T")
Notes = dict[str, Any]  # anything that JSON can hold
_NOTES_KEY = b"jatlab"  # of the notes in the file's metadata
# Pillow's fastest compression, which is also small for the flat colours of a console
_FRAME_PNG = {"compress_level": 1, "compress_type": 3}


# --- files ---


def write_table(
    path: str | Path,
    table: pa.Table,
    notes: Notes | None = None,
    features: dict[str, Any] | None = None,
) -> Path:
    """Write an Arrow table to one Parquet file, atomically; return its path.

    The data goes to a temporary file beside the target, which is then renamed. So a reader never
    meets half a file, and `jatlab.utils.files.remove_leftovers` clears what a kill leaves behind.
    The same table and notes give the same bytes.

    Args:
        path: the file; missing folders are made.
        table: the columns.
        notes: JSON that travels in the file's metadata, see `read_notes`.
        features: the columns as the datasets library describes them, so that it decodes images.

    Raises:
        OSError: when the disk is full; nothing is left behind then.
    """
    import pyarrow.parquet as pq

    path = expanded(path)
    metadata = {_NOTES_KEY: json.dumps(notes or {}, sort_keys=True).encode()}
    if features:
        metadata[b"huggingface"] = json.dumps({"info": {"features": features}}).encode()
    # Measured numbers rarely repeat. Without a dictionary of them, the file is a third smaller and
    # is written in a quarter of the time.
    dictionary = "continuous_observations" not in table.column_names
    table = table.replace_schema_metadata(metadata)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        forget([path])
        with open(temporary, "wb") as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=dictionary)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise explain_full_disk(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def read_parquet(path: Path, read: Callable[[pq.ParquetFile], T]) -> T:
    """``read(file)`` of the Parquet file at ``path``.

    Raises FileNotFoundError if it is absent, ValueError for a file that is cut off or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise FileNotFoundError(
            f"no such file: {path}; record episodes with `jatlab record TASK --episodes N`"
        )
    try:
        with pq.ParquetFile(path.absolute()) as file:  # Arrow would expand a folder called ~
            return read(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path}: not a complete Parquet file ({error}); it was cut off or damaged. "
        "Delete it and record again: `jatlab record` only makes what is missing"
    )


def read_notes(path: str | Path) -> Notes:
    """The notes that `write_table` put into the file; {} for a file from elsewhere.

    Only the end of the file is read. Raises as `read_parquet` does.
    """
    path = expanded(path)
    return notes_of(read_parquet(path, lambda file: file.schema_arrow), path)


def notes_of(schema: pa.Schema, path: Path) -> Notes:
    """The notes in the metadata of the table at ``path``; ValueError if they are damaged."""
    try:
        return json.loads((schema.metadata or {}).get(_NOTES_KEY, b"{}"))
    except ValueError as error:
        raise _damaged(path, error) from None


# --- columns of episodes ---


def encode_episodes(episodes: list[Episode], task: Task) -> pa.Table:
    """The episodes as an Arrow table: one row an episode, the columns in the published order."""
    import pyarrow as pa

    bounds = np.cumsum([0, *(len(episode["rewards"]) for episode in episodes)]).astype(np.int32)
    columns = {}
    for column in column_names(task):
        dtype = COLUMN_TYPES[column]
        steps = np.concatenate([np.asarray(episode[column], dtype) for episode in episodes])
        columns[column] = pa.ListArray.from_arrays(bounds, _encode_steps(steps, column))
    return pa.table(columns)


def _encode_steps(steps: np.ndarray, column: str) -> pa.Array:
    """Values of all N timesteps, (N, ...) -> an Arrow array of length N."""
    import pyarrow as pa

    if column == "image_observations":
        images = [{"bytes": frames_to_png(frames), "path": None} for frames in steps]
        return pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    if column == "text_observations":
        return pa.array(steps.tolist(), pa.string())
    values = pa.array(steps.reshape(-1))
    if steps.ndim == 1:
        return values
    bounds = np.arange(0, steps.size + 1, steps.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(bounds, values)


def decode_column(column: pa.Array, name: str, where: str) -> list[np.ndarray]:
    """An Arrow column of lists, one an episode -> one array (T, ...) an episode.

    Raises ValueError, whose message begins with ``where``, for missing or unequal values and for
    types that cannot be read as the column's.
    """
    import pyarrow as pa

    if column.null_count or not is_list(column.type):
        raise ValueError(
            f"{where}: expected a list of values for every episode, got type {column.type} "
            f"with {column.null_count} empty entries"
        )
    column = plain_lists(column)
    values = column.flatten()
    if values.null_count:
        raise ValueError(
            f"{where}: expected a value at every timestep, {values.null_count} are empty"
        )
    try:
        steps = _decode_steps(values, name)
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        dtype = np.dtype(COLUMN_TYPES[name])
        raise ValueError(f"{where}: cannot be read as {dtype} values ({error})") from None
    bounds = np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False))[:-1]
    return np.split(steps, bounds)


def _decode_steps(steps: pa.Array, name: str) -> np.ndarray:
    """An Arrow array of N timesteps -> an array (N, ...)."""
    if name == "image_observations":
        # filled in place: an Atari episode can take hundreds of megabytes
        images = np.empty((len(steps), *IMAGE_SHAPE), np.uint8)
        for image, data in zip(images, steps.field("bytes"), strict=True):
            image[:] = frames_from_png(data.as_py())
        return images
    if name == "text_observations":
        # the None keeps NumPy from guessing a string type
        return np.array([*steps.to_pylist(), None], dtype=object)[:-1]
    if not is_list(steps.type):
        return _to_numpy(steps, name)
    sizes = np.unique(steps.value_lengths().to_numpy(zero_copy_only=False))
    require(
        len(sizes) <= 1, f"timesteps of different sizes: {', '.join(str(size) for size in sizes)}"
    )
    values = steps.flatten()
    require(not values.null_count, f"{values.null_count} empty entries")
    return _to_numpy(values, name).reshape(len(steps), int(sizes[0]) if len(sizes) else 0)


def _to_numpy(values: pa.Array, name: str) -> np.ndarray:
    import pyarrow as pa

    require_numbers(values.type)
    dtype = np.dtype(COLUMN_TYPES[name])
    # safe: no integer is made of a fraction
    values = values.cast(pa.from_numpy_dtype(dtype), safe=dtype.kind != "f")
    return values.to_numpy(zero_copy_only=False)


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's lists: plain, large, of fixed size, or a view."""
    import pyarrow as pa

    types = pa.types
    kinds = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    views = (types.is_list_view, types.is_large_list_view)
    return any(is_kind(kind) for is_kind in (*kinds, *views))


def plain_lists(values: pa.Array) -> pa.Array:
    """The same values in plain lists, whichever of Arrow's lists they are in, at every level.

    Other writers choose other lists. (Arrow's own cast loses values of a list view.)
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not is_list(values.type):
        return values
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    bounds = pa.array(np.cumsum([0, *lengths]), pa.int32())
    inner = plain_lists(values.flatten())
    mask = values.is_null() if values.null_count else None
    return pa.ListArray.from_arrays(bounds, inner, mask=mask)


def require_numbers(kind: pa.DataType) -> None:
    """Raise ValueError for a type whose values, in lists or not, are no numbers.

    Arrow would make numbers of text in silence.
    """
    import pyarrow as pa

    while is_list(kind):
        kind = kind.value_type
    types = pa.types
    kinds = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    is_number = any(is_kind(kind) for is_kind in (*kinds, types.is_null))  # null: of no values
    require(is_number, f"values of type {kind}, expected numbers")


# --- stacks of frames as PNG: the four frames are its four channels ---


def frames_to_png(frames: np.ndarray) -> bytes:
    """A stack of frames, uint8 (4, 84, 84) -> the bytes of an RGBA picture."""
    from PIL import Image

    buffer = io.BytesIO()
    pixels = np.ascontiguousarray(frames.transpose(1, 2, 0))
    Image.fromarray(pixels).save(buffer, "PNG", **_FRAME_PNG)
    return buffer.getvalue()


def frames_from_png(data: bytes | None) -> np.ndarray:
    """The bytes of a stored picture -> a stack of frames, uint8 (4, 84, 84).

    Raises ValueError for a picture of another mode or size, a damaged one, or none.
    """
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data or b""))
        require(
            (image.mode, image.size) == ("RGBA", IMAGE_SHAPE[1:]),
            f"a picture of mode {image.mode} and size {image.width} x {image.height}, "
            "expected RGBA (four frames), 84 x 84",
        )
        return np.asarray(image).transpose(2, 0, 1)
    except (OSError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise ValueError(f"a picture that cannot be read ({error})") from None
