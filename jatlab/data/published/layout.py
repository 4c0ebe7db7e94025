"""The published data set: where its files are, and reading them row by row.

``jat-project/jat-dataset`` on the Hugging Face hub has a configuration for every task, called like
the task, with the splits ``train`` and ``test`` as Parquet files. A row is an episode, a document,
or a picture with its text. Another repository or a local folder of the same layout can stand in for
it:

    README.md                                        its YAML header lists the configurations, and the files of each split
    atari-pong/train-00000-of-00002.parquet …        without that list: one folder a task, files (or folders) called after their split

``jatlab.data.published.fetch`` copies rows into a folder of our own,
``jatlab.data.published.streams`` trains on them as they come.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from jatlab.data.episodes import check_episode, column_names, column_shape, decode_column, from_png
from jatlab.tasks import Task, get_task, language_tasks, task_names

PUBLISHED = "jat-project/jat-dataset"
SPLITS = ("train", "test")
OURS = (
    "python-docs",
    "minigrid-captions",
    "minigrid-questions",
)  # tasks of language that are recorded, not published
ROWS_AT_ONCE = {
    "image": 1,
    "text": 256,
}  # rows that are decompressed together: an Atari episode alone can have 50 MB
ROWS_AT_ONCE_DEFAULT = 16


def published_names() -> list[str]:
    """The names of all tasks in the published data set: 157 of control, two of text, two of
    pictures.
    """
    return [
        *(name for name in task_names() if get_task(name).published_env_id),
        *(name for name in language_tasks() if name not in OURS),
    ]


def columns_of(task: Task) -> tuple[str, ...]:
    """The columns of ``task``'s rows in the published data set."""
    return (
        column_names(task)
        if task.playable
        else {"text": ("text",), "picture": ("images", "text")}[task.observation]
    )


# --- where the files are
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """One split of one task in a data set: ``files`` are local paths or hub addresses (which name
    the revision), in their order.
    """

    task: Task
    source: str
    split: str
    files: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Changes when the files do: their addresses and, of local ones, sizes and times."""
        stats = [os.stat(file) for file in self.files if os.path.exists(file)]
        parts = [*map(_relative, self.files), *(f"{s.st_size} {s.st_mtime_ns}" for s in stats)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def rows(self, process: int = 0, processes: int = 1, order: np.ndarray | None = None):
        """A ``datasets.IterableDataset`` of the rows: dicts of ``row`` (an Arrow record batch of
        one row), ``file`` and ``number`` (in the file).

        Process p of P sees its share of them, DataLoader workers share that out again. ``order``
        permutes the files. Its ``state_dict`` is JSON.
        """
        from datasets import IterableDataset
        from datasets.distributed import split_dataset_by_node

        files = [self.files[i] for i in (range(len(self.files)) if order is None else order)]
        rows = IterableDataset.from_generator(
            _read_files, gen_kwargs={"files": files, "name": self.task.name, "source": self.source}
        )
        return split_dataset_by_node(rows, process, processes) if processes > 1 else rows


def find(name: str, source: str | Path = PUBLISHED, split: str = "train") -> Published:
    """The files of task ``name`` in ``source``: a repository on the Hugging Face hub, or a folder.

    Raises ValueError for an unknown task, FileNotFoundError for a data set, task or split that is
    not there, ConnectionError when the hub cannot be reached; the message says how to go on without
    it.
    """
    task, source = get_task(name), str(source)
    splits = _local_splits(task, source) if _is_folder(source) else _hub_splits(task, source)
    if not splits.get(split):
        raise FileNotFoundError(
            _absent(
                task,
                split,
                f"{source} has no split {split!r} of {name}; it has {', '.join(splits) or 'none'}",
            )
        )
    return Published(task, source, split, tuple(splits[split]))


def _is_folder(source: str) -> bool:
    """Folders are there, or look like a path; a hub repository is called OWNER/NAME."""
    return Path(source).is_dir() or source.count("/") != 1 or source.startswith((".", "~", "/"))


def _local_splits(task: Task, source: str) -> dict[str, list[str]]:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no such folder: {source}; give a folder with {task.name}/train-*.parquet, or a data set of the Hugging Face hub as OWNER/NAME"
        )
    if task.name in _declared(folder):
        return _split_files(str(folder), name=task.name)
    if not (folder / task.name).is_dir():
        raise FileNotFoundError(
            _absent(
                task,
                "train",
                f"{source} has no task {task.name}, neither in its README.md nor as a folder",
            )
        )
    found = {
        split: [
            *(folder / task.name).glob(f"{split}-*.parquet"),
            *(folder / task.name / split).glob("*.parquet"),
        ]
        for split in SPLITS
    }
    return {split: sorted(map(str, files)) for split, files in found.items() if files}


def _declared(folder: Path) -> list[str]:
    """The configurations that a folder's README.md lists in its header."""
    from huggingface_hub import DatasetCard

    if not (folder / "README.md").is_file():
        return []
    try:
        return [
            config["config_name"]
            for config in DatasetCard.load(folder / "README.md").data.to_dict().get("configs") or []
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / 'README.md'}: its header cannot be read as a list of configurations ({error!r})"
        ) from None


def _hub_splits(task: Task, source: str) -> dict[str, list[str]]:
    from datasets.exceptions import DatasetNotFoundError

    try:
        return _split_files(source, name=task.name) if task.name in _hub_names(source) else {}
    except DatasetNotFoundError:
        raise FileNotFoundError(
            _absent(
                task, "train", f"there is no public data set {source!r} on the Hugging Face hub"
            )
        ) from None
    except Exception as error:  # the library raises whatever its transport raises
        reason = f"{source} on the Hugging Face hub could not be reached ({type(error).__name__})"
        raise ConnectionError(_absent(task, "train", reason)) from error


@lru_cache(maxsize=8)
def _hub_names(source: str) -> list[str]:
    from datasets import get_dataset_config_names

    return get_dataset_config_names(source)


def _split_files(source: str, **options) -> dict[str, list[str]]:
    from datasets import load_dataset_builder

    files = load_dataset_builder(source, **options).config.data_files or {}
    return {str(split): [str(file) for file in listed] for split, listed in files.items()}


def _absent(task: Task, split: str, reason: str) -> str:
    own = (
        task.name
        if task.playable
        else {"text": "python-docs", "picture": "minigrid-captions"}[task.observation]
    )
    return (
        f"{reason}. Looked for the configuration {task.name!r}, split {split!r}. To put its files there by hand, save them as "
        f"FOLDER/{task.name}/{split}-00000-of-00001.parquet … and name FOLDER instead (--from FOLDER, --stream FOLDER); or make data of your own: `jatlab record {own} --episodes N`"
    )


def _relative(file: str) -> str:
    return file if "://" in file else "/".join(Path(file).parts[-2:])


# --- reading
# ---------------------------------------------------------------------------------------------------------------------------------


def _read_files(files: list[str], name: str, source: str) -> Iterator[dict]:
    """Row by row; of each file only a few rows, and of its columns only those of the task, are in
    memory at a time.
    """
    import fsspec
    import pyarrow.parquet as pq
    from pyarrow import ArrowInvalid

    task = get_task(name)
    for path in files:
        file = os.path.basename(path)
        try:
            with (
                fsspec.open(path, "rb") as stream,
                pq.ParquetFile(stream, buffer_size=1 << 20, pre_buffer=False) as parquet,
            ):
                _check_columns(parquet.schema_arrow.names, task, f"{source}, {file}")
                number = 0
                for batch in parquet.iter_batches(
                    ROWS_AT_ONCE.get(task.observation, ROWS_AT_ONCE_DEFAULT),
                    columns=list(columns_of(task)),
                    use_threads=False,
                ):
                    for i in range(len(batch)):
                        yield {"row": batch.slice(i, 1), "file": file, "number": number}
                        number += 1
        except ArrowInvalid as error:
            raise ValueError(
                f"{source}, {file}: not a whole Parquet file ({error}); it was cut off or damaged. Put it there again"
            ) from None
        except Exception as error:  # the network's errors are many
            if isinstance(error, ValueError) or "://" not in path:
                raise
            raise ConnectionError(
                f"{source}, {file}: reading stopped ({error!r}). The same command goes on from there: what has been written is whole"
            ) from error


def _check_columns(names: list[str], task: Task, where: str) -> None:
    missing = [column for column in columns_of(task) if column not in names]
    if missing:
        raise ValueError(
            f"{where}: column {missing[0]!r} is missing for {task.name}; expected {', '.join(columns_of(task))}, got {', '.join(names)}"
        )


def arrow_types(task: Task) -> dict:
    """The Arrow type of each column, as our own recordings have it."""
    import pyarrow as pa

    image, values = (
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        lambda kind: pa.list_(pa.list_(kind)),
    )
    kinds = {
        "continuous_observations": values(pa.float32()), "discrete_observations": values(pa.int64()), "text_observations": pa.list_(pa.string()),
        "image_observations": pa.list_(image), "continuous_actions": values(pa.float32()), "discrete_actions": pa.list_(pa.int64()),
        "rewards": pa.list_(pa.float32()), "images": image, "text": pa.string(),
    }  # fmt: skip
    return {column: kinds[column] for column in columns_of(task)}


def normalise(example: dict, task: Task, where: str):
    """A row as the files of our own have it: an Arrow record batch of one row; None for an episode
    of no timesteps or a text of no letters.

    Raises ValueError, beginning with ``where``, for a type that does not fit and for missing
    values.
    """
    import pyarrow as pa

    arrays = {}
    for column, kind in arrow_types(task).items():
        values = example["row"].column(column)
        if values.null_count:
            raise ValueError(f"{where}, column {column!r}: there is nothing (null)")
        try:
            arrays[column] = (
                values if values.type == kind else values.cast(kind, safe=not _is_float(column))
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(
                f"{where}, column {column!r}: type {values.type}, expected {kind} ({error})"
            ) from None
    row = pa.RecordBatch.from_pydict(arrays)
    return None if _is_empty(row, task) else row


def _is_float(column: str) -> bool:
    return column.startswith("continuous") or column == "rewards"


def _is_empty(row, task: Task) -> bool:
    if not task.playable:
        return not row.column("text")[0].as_py().strip()
    return not any(len(row.column(column)[0].values) for column in columns_of(task))


def place_of(example: dict, task: Task, source: str) -> str:
    """Where a row is, for error messages."""
    return f"{source}, {example['file']}: {task.name}, {'episode' if task.playable else 'row'} {example['number']}"


def to_arrays(row, task: Task, where: str) -> dict[str, np.ndarray]:
    """A normalised row of a control task -> its episode's arrays, checked; all but the images,
    which stay as they are stored (`pngs`).

    Raises ValueError, beginning with ``where`` and naming the column, for what
    `jatlab.data.episodes.check_episode` refuses.
    """
    names = [column for column in columns_of(task) if column != "image_observations"]
    episode = {c: decode_column(row.column(c), c, f"{where}, column {c!r}")[0] for c in names}
    checked = dict(episode)
    if "image_observations" in columns_of(
        task
    ):  # how many there are is checked here, each of them where it is decoded
        checked["image_observations"] = np.broadcast_to(
            np.uint8(0), (len(pngs(row)), *column_shape(task, "image_observations"))
        )
    lengths = {column: len(values) for column, values in checked.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"{where}: the columns differ in length: {', '.join(f'{column!r} {length}' for column, length in lengths.items())} timesteps"
        )
    try:
        check_episode(checked, task)
    except ValueError as error:
        raise ValueError(str(error).replace(f"{task.name}, episode ?", where, 1)) from None
    return episode


def pngs(row):
    """The stored pictures of a normalised row: an Arrow array of PNG bytes, one a timestep."""
    return row.column("image_observations").flatten().field("bytes")


def decode_png(data: bytes | None, where: str) -> np.ndarray:
    """A picture of `pngs` -> (4, 84, 84) uint8. Raises ValueError, beginning with ``where``, for
    another mode or size.
    """
    try:
        return from_png(data)
    except ValueError as error:
        raise ValueError(f"{where}, column 'image_observations': {error}") from None
