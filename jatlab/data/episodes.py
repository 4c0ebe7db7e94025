"""Episodes on disk: Parquet files with the columns of ``jat-project/jat-dataset``, so that recorded
and published data are one format.

In memory an episode is a dict of NumPy arrays over its T timesteps:

======================== =================
==================================================================== column                   array
what it is ======================== =================
==================================================================== continuous_observations  (T, n)
float32    MuJoCo, Meta-World discrete_observations    (T, n) int64      BabyAI: direction, then the
7 x 7 x 3 view text_observations        (T,) object       BabyAI: the mission, a ``str`` a timestep
image_observations       (T, 4, 84, 84)    Atari: uint8, four stacked grey frames (in the file: PNG,
frames as channels) continuous_actions       (T, m) float32 discrete_actions         (T,) int64
rewards                  (T,) float32      ``rewards[t]`` is what came *after* action t
======================== =================
====================================================================

The last observation, after the last action, is not stored. ``datasets.load_dataset("parquet",
data_files=...)`` reads the files as well.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jatlab.tasks import Task

Episode = dict[str, np.ndarray]

_OBSERVATIONS = {
    "continuous": ("continuous_observations",),
    "discrete": ("text_observations", "discrete_observations"),
    "image": ("image_observations",),
}
_ACTIONS = {"continuous": "continuous_actions", "discrete": "discrete_actions"}
_DTYPES = {
    "continuous_observations": np.float32,
    "discrete_observations": np.int64,
    "text_observations": object,
    "image_observations": np.uint8,
    "continuous_actions": np.float32,
    "discrete_actions": np.int64,
    "rewards": np.float32,
}
IMAGE_SHAPE = (4, 84, 84)
# the file's own notes (seeds, teacher …) are kept under this key of the Parquet metadata
_NOTES = b"jatlab"


def column_names(task: Task) -> tuple[str, ...]:
    """The columns of ``task``'s episodes, in the published order: observations, action, rewards."""
    return (*_OBSERVATIONS[task.observation], _ACTIONS[task.action], "rewards")


def column_shape(task: Task, column: str) -> tuple[int, ...]:
    """The shape of one timestep of ``column``: ``(n,)``, ``(4, 84, 84)``, or ``()`` for one value a
    timestep.
    """
    if column == "image_observations":
        return IMAGE_SHAPE
    if column in ("continuous_observations", "discrete_observations"):
        return (task.observation_size,)
    return (task.action_size,) if column == "continuous_actions" else ()


# --- checks
# ----------------------------------------------------------------------------------------------------------------------------------


def check_episode(episode: Episode, task: Task, index: int | None = None) -> None:
    """Raise ValueError, naming task, episode and column, unless ``episode`` can be trained on as it
    is.

    Checked: every column is there, all have the same length of at least 1, each timestep has the
    task's size, the types fit, all numbers are finite, discrete actions lie within the action
    space. ``index`` only names the episode in the message.
    """
    where = f"{task.name}, episode {'?' if index is None else index}"
    wanted = column_names(task)
    missing = [c for c in wanted if c not in episode]
    if missing:
        raise ValueError(
            f"{where}: column {missing[0]!r} is missing; expected {', '.join(wanted)}, got {', '.join(sorted(episode))}"
        )
    length = len(episode["rewards"])
    if length == 0:
        raise ValueError(f"{where}: the episode is empty; it needs at least one timestep")
    for column in wanted:
        _check_column(
            np.asarray(episode[column]),
            f"{where}, column {column!r}",
            length,
            column_shape(task, column),
            _DTYPES[column],
        )
    if task.action == "discrete":
        _check_actions(
            episode["discrete_actions"], f"{where}, column 'discrete_actions'", task.action_size
        )


def _check_column(
    values: np.ndarray, where: str, length: int, shape: tuple[int, ...], dtype: type
) -> None:
    if len(values) != length:
        raise ValueError(
            f"{where}: {len(values)} timesteps, but 'rewards' has {length}; all columns need the same length"
        )
    if values.shape[1:] != shape:
        raise ValueError(f"{where}: a timestep has shape {values.shape[1:]}, expected {shape}")
    if dtype is object:
        if not all(isinstance(text, str) for text in values):
            raise ValueError(f"{where}: expected text at every timestep")
        return
    if not np.can_cast(values.dtype, dtype, "same_kind"):
        raise ValueError(f"{where}: values of type {values.dtype}, expected {np.dtype(dtype)}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        t = int(np.argwhere(~np.isfinite(values))[0][0])
        raise ValueError(
            f"{where}: NaN or infinite value at timestep {t}; record the episode again or leave it out"
        )


def _check_actions(actions: np.ndarray, where: str, size: int) -> None:
    outside = (np.asarray(actions) < 0) | (np.asarray(actions) >= size)
    if outside.any():
        t = int(np.argmax(outside))
        raise ValueError(f"{where}: action {actions[t]} at timestep {t}, expected 0 to {size - 1}")


# --- writing
# ---------------------------------------------------------------------------------------------------------------------------------


def write_episodes(
    path: str | Path, episodes: list[Episode], task: Task, notes: dict | None = None
) -> Path:
    """Write ``episodes`` to one Parquet file: all or nothing. Return its path.

    The file is written beside the target under a name ending in ``.tmp`` and then renamed, so that
    a reader never meets half a file. ``notes`` (anything JSON) travels in the file's metadata;
    ``read_notes`` gives it back. The same episodes give the same bytes.

    Raises ValueError for an episode that ``check_episode`` refuses, OSError when the disk is full
    (nothing is left behind then).
    """
    if not episodes:
        raise ValueError(f"{task.name}: no episodes to write to {path}")
    for i, episode in enumerate(episodes):
        check_episode(episode, task, i)
    return write_table(
        path,
        _to_table(episodes, task),
        notes,
        _image_features() if task.observation == "image" else None,
    )


def write_table(
    path: str | Path, table, notes: dict | None = None, features: dict | None = None
) -> Path:
    """Write an Arrow table to one Parquet file, all or nothing, with ``notes`` and, for the
    datasets library, ``features`` in its metadata.
    """
    import pyarrow.parquet as pq

    path = Path(path)
    metadata = {_NOTES: json.dumps(notes or {}, sort_keys=True).encode()}
    if features:  # tells the datasets library to decode the PNGs
        metadata[b"huggingface"] = json.dumps({"info": {"features": features}}).encode()
    table = table.replace_schema_metadata(metadata)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            # Measured numbers rarely repeat: without a dictionary of them a file is a third
            # smaller, and written in a quarter of the time.
            pq.write_table(
                table,
                file,
                compression="zstd",
                use_dictionary="continuous_observations" not in table.column_names,
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise explain_full_disk(error, path) from error
    except BaseException:
        _remove(temporary)
        raise
    return path


def explain_full_disk(error: OSError, path: Path) -> OSError:
    """The same error, with words that help where it means that no space is left (or that a quota or
    file size limit is reached).
    """
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    return OSError(
        error.errno,
        f"the disk is full: {path} could not be written. Files finished before it are whole; "
        "free some space and run the same command again, it goes on from there",
    )


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass


def _to_table(episodes: list[Episode], task: Task):
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum([len(e["rewards"]) for e in episodes])]).astype(
        np.int32
    )
    columns = {}
    for column in column_names(task):
        steps = _encode(
            np.concatenate([np.asarray(e[column], dtype=_DTYPES[column]) for e in episodes]), column
        )
        columns[column] = pa.ListArray.from_arrays(offsets, steps)
    return pa.table(columns)


def _image_features() -> dict:
    def values(kind):
        return {"feature": kind, "_type": "List"}

    return {
        "image_observations": values({"_type": "Image"}),
        "discrete_actions": values({"dtype": "int64", "_type": "Value"}),
        "rewards": values({"dtype": "float32", "_type": "Value"}),
    }


def _encode(steps: np.ndarray, column: str):
    """(N, ...) values of all timesteps -> Arrow array of length N."""
    import pyarrow as pa

    if column == "image_observations":
        return pa.array(
            [{"bytes": _to_png(image), "path": None} for image in steps],
            pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        )
    if column == "text_observations":
        return pa.array(steps.tolist(), pa.string())
    values = pa.array(steps.reshape(-1))
    if steps.ndim == 1:
        return values
    return pa.ListArray.from_arrays(
        np.arange(0, steps.size + 1, steps.shape[1], dtype=np.int32), values
    )


def _to_png(image: np.ndarray) -> bytes:  # (4, 84, 84)
    from PIL import Image

    buffer = io.BytesIO()
    run_lengths = {
        "compress_level": 1,
        "compress_type": 3,
    }  # for a console's flat colours the fastest that Pillow has, and small
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(
        buffer, "PNG", **run_lengths
    )
    return buffer.getvalue()


# --- reading
# ---------------------------------------------------------------------------------------------------------------------------------


def episode_files(folder: str | Path) -> list[Path]:
    """The Parquet files of ``folder`` in order. FileNotFoundError, saying how to record, if there
    is none.
    """
    files = sorted(Path(folder).glob("*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"no episodes (*.parquet) in {folder}; record some with `jatlab record TASK --episodes N`, or get the published ones with `jatlab fetch TASK`"
        )
    return files


def read_episodes(path: str | Path, task: Task) -> list[Episode]:
    """The episodes of one Parquet file, or of all the files of a folder: dicts of arrays as in the
    module's table.

    Raises FileNotFoundError if there is nothing, ValueError naming file, episode and column for a
    file that is cut off or is not Parquet, for a missing column, wrong sizes, NaN and empty
    episodes.
    """
    path = Path(path)
    if path.is_dir():
        return [episode for file in episode_files(path) for episode in read_episodes(file, task)]
    table = _open(path, lambda file: file.read())
    missing = [c for c in column_names(task) if c not in table.column_names]
    if missing:
        raise ValueError(
            f"{path}: column {missing[0]!r} is missing for {task.name}; the file has {', '.join(table.column_names)}"
        )
    columns = {
        c: decode_column(table.column(c).combine_chunks(), c, f"{path}, column {c!r}")
        for c in column_names(task)
    }
    episodes = [{c: columns[c][i] for c in columns} for i in range(table.num_rows)]
    for i, episode in enumerate(episodes):
        try:
            check_episode(episode, task, i)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return episodes


def read_notes(path: str | Path) -> dict:
    """What ``write_episodes`` was given as ``notes``; {} for a file from elsewhere. Reads the
    file's end only.
    """
    return json.loads(
        (_open(Path(path), lambda file: file.schema_arrow.metadata) or {}).get(_NOTES, b"{}")
    )


def _open(path: Path, read: Callable):
    """``read(file)`` of the Parquet file at ``path``, with errors that say what to do."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise FileNotFoundError(
            f"no such file: {path}; record episodes with `jatlab record TASK --episodes N`"
        )
    try:
        with pq.ParquetFile(path) as file:
            return read(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"{path}: not a whole Parquet file ({error}); it was cut off or damaged. Delete it and record again: "
            "`jatlab record` only makes what is missing"
        ) from None


def decode_column(column, name: str, where: str) -> list[np.ndarray]:
    """An Arrow column of lists (one an episode) -> one array an episode. Raises ValueError,
    beginning with ``where``.
    """
    import pyarrow as pa

    if column.null_count or column.type.num_fields != 1:
        raise ValueError(
            f"{where}: expected a list of values for every episode, got type {column.type} with {column.null_count} empty entries"
        )
    if column.flatten().null_count:
        raise ValueError(
            f"{where}: expected a value at every timestep, {column.flatten().null_count} are empty"
        )
    try:
        steps = _decode_steps(column.flatten(), name)
    except (pa.ArrowInvalid, KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"{where}: cannot be read as {np.dtype(_DTYPES[name])} values ({error})"
        ) from None
    bounds = np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False))[:-1]
    return np.split(steps, bounds)


def _decode_steps(steps, name: str) -> np.ndarray:
    """An Arrow array of N timesteps -> (N, ...) array."""
    import pyarrow as pa

    if name == "image_observations":
        images = np.empty(
            (len(steps), *IMAGE_SHAPE), np.uint8
        )  # filled in place: an episode of Atari can have hundreds of megabytes
        for image, data in zip(images, steps.field("bytes")):
            image[:] = from_png(data.as_py())
        return images
    if name == "text_observations":
        return np.array(steps.to_pylist() + [None], dtype=object)[
            :-1
        ]  # the None keeps NumPy from guessing a string type
    if not pa.types.is_list(steps.type):
        return steps.to_numpy(zero_copy_only=False).astype(_DTYPES[name], copy=False)
    sizes = np.unique(steps.value_lengths().to_numpy(zero_copy_only=False))
    if len(sizes) > 1:
        raise ValueError(f"timesteps of different sizes: {', '.join(map(str, sizes))}")
    size = int(sizes[0]) if len(sizes) else 0
    if steps.flatten().null_count:
        raise ValueError(f"{steps.flatten().null_count} empty entries")
    return (
        steps.flatten()
        .to_numpy(zero_copy_only=False)
        .astype(_DTYPES[name], copy=False)
        .reshape(len(steps), size)
    )


def from_png(data: bytes) -> np.ndarray:
    """A stored stack of frames -> (4, 84, 84) uint8. Raises ValueError for a picture of another
    mode or size, or a damaged one.
    """
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data))
        if (image.mode, image.size) != ("RGBA", IMAGE_SHAPE[1:]):
            raise ValueError(
                f"a picture of mode {image.mode} and size {image.width} x {image.height}, expected RGBA (four frames), 84 x 84"
            )
        return np.asarray(image).transpose(2, 0, 1)
    except (OSError, SyntaxError, TypeError) as error:  # what PIL raises
        raise ValueError(f"a picture that cannot be read ({error})") from None
