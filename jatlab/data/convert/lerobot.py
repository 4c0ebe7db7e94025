"""LeRobot's data set format, version 3.0, written and read without the lerobot package.

    <folder>/meta/info.json                                 features, sizes, where the files are
    <folder>/meta/tasks.parquet                             instructions in words, by number
    <folder>/meta/episodes/chunk-000/file-000.parquet       where each episode begins and ends
    <folder>/meta/stats.json                                mean, std, min, max of each feature
    <folder>/data/chunk-000/file-000.parquet …              a row a timestep

| ours                      | LeRobot's                        |
| ------------------------- | -------------------------------- |
| `continuous_observations` | `observation.state`              |
| `discrete_observations`   | `observation.environment_state`  |
| `image_observations`      | `observation.image`, RGBA as PNG |
| `text_observations`       | the task (instruction) of a row  |
| `…_actions`               | `action`                         |
| `rewards`                 | `next.reward`                    |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.data.columns import COLUMN_TYPES, Episode, check_episode, column_names, column_shape
from jatlab.data.parquet import frames_from_png, frames_to_png, read_parquet, write_table
from jatlab.utils.checks import checked, require, shortened
from jatlab.utils.files import atomic_folder, read_json, remove_leftovers, write_json

if TYPE_CHECKING:
    import pyarrow as pa

    from jatlab.tasks import Task

VERSION = "v3.0"
FPS = 30  # tasks have no clock: a timestep counts as a frame of a video
CHUNK = 1000  # files in a folder
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
NAMES = {
    "continuous_observations": "observation.state",
    "discrete_observations": "observation.environment_state",
    "image_observations": "observation.image",
    "continuous_actions": "action",
    "discrete_actions": "action",
    "rewards": "next.reward",
}
COUNTERS = ("frame_index", "episode_index", "index", "task_index")


# --- write ---


def write_lerobot(task: Task, files: Iterable[list[Episode]], folder: Path) -> int:
    """Write a task's episodes as a LeRobot data set.

    Args:
        task: whose episodes they are.
        files: the episodes of each file, as they shall lie in LeRobot's.
        folder: of the data set; it must not exist.

    Returns:
        How many episodes were written.

    Raises:
        FileExistsError: the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists: choose another folder, or delete it")
    remove_leftovers(folder.parent)
    with atomic_folder(folder) as temporary:
        return _write(task, files, temporary)


def _write(task: Task, files: Iterable[list[Episode]], folder: Path) -> int:
    texts: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    stats = {name: Statistics() for name in features(task) if name not in COUNTERS}
    for number, episodes in enumerate(files):
        place = {"chunk_index": number // CHUNK, "file_index": number % CHUNK}
        begin = rows[-1]["dataset_to_index"] if rows else 0
        steps, more = _file(task, episodes, texts, begin, len(rows))
        rows += [row | {f"data/{key}": value for key, value in place.items()} for row in more]
        for name, one in stats.items():
            one.add(steps[name])
        table = _table(steps, features(task))
        write_table(folder / DATA.format(**place), table, None, _hf_features(features(task)))
    _write_meta(task, folder, rows, texts, stats)
    return len(rows)


def features(task: Task) -> dict[str, dict[str, Any]]:
    """The features of a task's data set, as ``info.json`` describes them."""
    found: dict[str, dict[str, Any]] = {}
    for column in column_names(task):
        if column in NAMES:
            found[NAMES[column]] = _feature(task, column)
    found["next.done"] = {"dtype": "bool", "shape": [1], "names": None}
    found["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    counter = {"dtype": "int64", "shape": [1], "names": None}
    return found | {name: dict(counter) for name in COUNTERS}


def _feature(task: Task, column: str) -> dict[str, Any]:
    if column == "image_observations":
        names = ["height", "width", "channels"]
        return {"dtype": "image", "shape": [84, 84, 4], "names": names}
    shape = list(column_shape(task, column)) or [1]
    return {"dtype": np.dtype(COLUMN_TYPES[column]).name, "shape": shape, "names": None}


def _file(
    task: Task, episodes: list[Episode], texts: dict[str, int], begin: int, first: int
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """The timesteps of a file, by feature, and what is known about each of its episodes."""
    parts: list[dict[str, np.ndarray]] = []
    rows: list[dict[str, Any]] = []
    for number, episode in enumerate(episodes, first):
        length = len(episode["rewards"])
        words = episode.get("text_observations", [task.name] * length)
        place = np.arange(length)
        numbers = np.array([texts.setdefault(str(text), len(texts)) for text in words])
        values = {NAMES[name]: episode[name] for name in column_names(task) if name in NAMES}
        parts.append(
            values
            | {
                "next.done": place == length - 1,
                "timestamp": (place / FPS).astype(np.float32),
                "frame_index": place,
                "episode_index": np.full(length, number),
                "index": begin + place,
                "task_index": numbers,
            }
        )
        rows.append(
            {
                "episode_index": number,
                "tasks": list(dict.fromkeys(map(str, words))),
                "length": length,
                "dataset_from_index": begin,
                "dataset_to_index": begin + length,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
        )
        begin += length
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, rows


def _table(steps: dict[str, np.ndarray], described: dict[str, dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    columns = {}
    for name, feature in described.items():
        values = steps[name]
        if feature["dtype"] == "image":
            pictures = [{"bytes": frames_to_png(one), "path": None} for one in values]
            kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
            columns[name] = pa.array(pictures, kind)
        elif feature["shape"] == [1]:
            columns[name] = pa.array(values.reshape(-1).astype(feature["dtype"]))
        else:
            flat = pa.array(values.astype(feature["dtype"]).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, feature["shape"][0])
    return pa.table(columns)


def _hf_features(described: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The features as the datasets library knows them, which lerobot reads with."""
    found: dict[str, Any] = {}
    for name, feature in described.items():
        value: dict[str, Any] = {"dtype": feature["dtype"], "_type": "Value"}
        if feature["dtype"] == "image":
            value = {"_type": "Image"}
        elif feature["shape"] != [1]:
            value = {"feature": value, "length": feature["shape"][0], "_type": "List"}
        found[name] = value
    return found


class Statistics:
    """Mean, standard deviation, minimum and maximum of a feature, file by file."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        """Take in the timesteps (N, …) of a file; of pictures (N, 4, 84, 84) the channels."""
        if values.ndim == 4:
            values = values.transpose(0, 2, 3, 1).reshape(-1, values.shape[1]) / 255
        flat = values.reshape(len(values), -1).astype(np.float64)
        new = [flat.sum(0), np.square(flat).sum(0), flat.min(0), flat.max(0)]
        if self.sums:
            joins = (np.add, np.add, np.minimum, np.maximum)
            new = [join(old, one) for join, old, one in zip(joins, self.sums, new, strict=True)]
        self.sums, self.count = new, self.count + len(flat)

    def result(self, picture: bool) -> dict[str, Any]:
        """As ``stats.json`` has it; those of a picture have the shape (channels, 1, 1)."""
        total, squares, low, high = self.sums
        mean = total / self.count
        std = np.sqrt(np.maximum(squares / self.count - mean**2, 0))
        found = {"min": low, "max": high, "mean": mean, "std": std}
        shape = (-1, 1, 1) if picture else (-1,)
        lists: dict[str, Any] = {key: one.reshape(shape).tolist() for key, one in found.items()}
        return lists | {"count": [self.count]}


def _write_meta(
    task: Task,
    folder: Path,
    rows: list[dict[str, Any]],
    texts: dict[str, int],
    stats: dict[str, Statistics],
) -> None:
    import pandas as pd
    import pyarrow as pa

    described = features(task)
    instructions = pd.DataFrame(
        {"task_index": list(texts.values())}, index=pd.Index(list(texts), name="task")
    )
    write_table(folder / EPISODES, pa.Table.from_pylist(rows))
    instructions.to_parquet(folder / "meta/tasks.parquet")
    pictures = {name: described[name]["dtype"] == "image" for name in stats}
    write_json(
        folder / "meta/stats.json",
        {name: one.result(pictures[name]) for name, one in stats.items()},
    )
    write_json(folder / "meta/info.json", _info(task, rows, texts, described))


def _info(
    task: Task, rows: list[dict[str, Any]], texts: dict[str, int], described: dict[str, Any]
) -> dict[str, Any]:
    return {
        "codebase_version": VERSION,
        "robot_type": task.name,
        "total_episodes": len(rows),
        "total_frames": rows[-1]["dataset_to_index"],
        "total_tasks": len(texts),
        "chunks_size": CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": FPS,
        "splits": {"train": f"0:{len(rows)}"},
        "data_path": DATA,
        "video_path": None,
        "features": described,
    }


# --- read ---


def read_lerobot(folder: Path, task: Task) -> Iterator[list[Episode]]:
    """The episodes of a LeRobot data set as ``task``'s, a list for each of its files.

    Raises:
        ValueError: for another version of the format, a description without features, a feature or
            a column that is missing, a feature of another size, and pictures that are videos.
    """
    where = folder / "meta/info.json"
    info = read_json(where)
    version = str(info.get("codebase_version"))
    require(
        version.startswith("v3"),
        f"{folder} is a LeRobot data set of version {version}, not v3: convert it with lerobot",
    )
    described = checked(info.get("features"), dict[str, dict[str, Any]], f"{where}: features")
    for column in column_names(task):
        _check_feature(task, column, described, folder)
    texts = _instructions(folder / "meta/tasks.parquet")
    index = 0
    for file in sorted(folder.glob("data/*/*.parquet")):
        episodes = list(_episodes(file, task, texts))
        for episode in episodes:
            check_episode(episode, task, index)
            index += 1
        yield episodes


def _check_feature(task: Task, column: str, described: dict[str, Any], folder: Path) -> None:
    name = NAMES.get(column)
    if name is None or name == "next.reward":  # text is in the tasks; rewards may be missing
        return
    wanted, found = _feature(task, column), described.get(name)
    require(
        found is not None and found.get("shape") == wanted["shape"],
        f"{folder}: {task.name} needs {name} of the shape {wanted['shape']}, the data set has "
        f"{ {key: one.get('shape') for key, one in described.items()} }",
    )


def _instructions(path: Path) -> dict[int, str]:
    """Number -> words."""
    import pandas as pd

    table = pd.read_parquet(path).reset_index()
    _check_columns(path, ["task_index"], list(map(str, table.columns)))
    words = table["task"] if "task" in table else table.iloc[:, 0]
    return dict(zip(table["task_index"].tolist(), words.tolist(), strict=True))


def _check_columns(file: Path, wanted: list[str], found: list[str]) -> None:
    missing = [name for name in wanted if name not in found]
    require(
        not missing,
        f"{file}: column {missing and missing[0]!r} is missing; the file has {', '.join(found)}: "
        "get it again, or write the data set again with lerobot",
    )


def _episodes(file: Path, task: Task, texts: dict[int, str]) -> Iterator[Episode]:
    table = read_parquet(file, lambda one: one.read())
    needed = [NAMES.get(name, "task_index") for name in column_names(task) if name != "rewards"]
    _check_columns(file, ["episode_index", *needed], table.column_names)
    numbers = table.column("episode_index").to_numpy()
    columns = {name: _column(table, name, task, texts) for name in column_names(task)}
    begins = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
    for begin, end in zip(begins[:-1], begins[1:], strict=True):
        yield {name: values[begin:end] for name, values in columns.items()}


def _column(table: pa.Table, column: str, task: Task, texts: dict[int, str]) -> np.ndarray:
    """A column of ours, of all rows of a file."""
    if column == "text_observations":
        numbers = table.column("task_index").to_pylist()
        unknown = [number for number in numbers if number not in texts]
        require(
            not unknown,
            f"task_index {unknown and unknown[0]} stands for no instruction: meta/tasks.parquet "
            f"has {shortened(list(texts))}",
        )
        return np.array([texts[number] for number in numbers], object)
    name, kind = NAMES[column], COLUMN_TYPES[column]
    if column == "rewards" and name not in table.column_names:
        return np.zeros(len(table), kind)
    values = table.column(name)
    if column == "image_observations":
        return np.stack([frames_from_png(one["bytes"]) for one in values.to_pylist()])
    array: np.ndarray = np.asarray(values.to_pylist(), kind)
    return array.reshape(len(table), *column_shape(task, column))
