"""A task's episodes laid out flat, so that training reads from disk only what a batch needs.

Parquet stores an episode as compressed lists, but a batch needs a few timesteps of many episodes.
So the first use of a task writes one plain file a column, all timesteps of all episodes one after
another, and later uses map these files into memory. The operating system then keeps what is being
read in memory, and nothing else.

    <root>/<task>/cache/<split>/<fingerprint>/index.json, rewards.bin, …

The fingerprint stands for the Parquet files (their names, sizes and times). Recording more episodes
makes a new cache, and the old one is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.data.columns import Episode, check_episode, column_names
from jatlab.data.episodes import episode_files, read_episodes
from jatlab.data.folders import cache_home
from jatlab.utils.checks import require
from jatlab.utils.files import expanded, explain_full_disk

if TYPE_CHECKING:
    from jatlab.tasks import Task

LAYOUT = 2  # raise it when the files change their meaning: old caches are then written anew
STORED_TYPES: dict[str, np.dtype] = {
    "continuous_observations": np.dtype(np.float32),
    "discrete_observations": np.dtype(np.uint16),  # ids of a vocabulary below 65,536
    "text_observations": np.dtype(np.int32),  # indices into the task's distinct texts
    "image_observations": np.dtype(np.uint8),
    "continuous_actions": np.dtype(np.float32),
    "discrete_actions": np.dtype(np.uint16),
    "rewards": np.dtype(np.float32),  # shifted: the one received on arriving at the timestep
}
IDS = ("discrete_observations", "discrete_actions")  # columns of ids
ABANDONED_AFTER = 86_400  # seconds: a temporary folder of this age is a killed process's


@dataclass
class EpisodeStore:
    """All episodes of one task, flat: timestep t of episode e is row ``offsets[e] + t``.

    Attributes:
        task: the task of the episodes.
        columns: arrays of N rows (all timesteps) by column name, of the types in ``STORED_TYPES``.
            ``rewards`` is shifted, see `arriving_rewards`; ``text_observations`` holds indices into
            ``texts``. What can be indexed by rows as an array can stand in for an array.
        offsets: (E + 1,) int64, the first row of each episode, and N.
        texts: the distinct texts.
        fingerprint: changes when the episodes do.
        largest: the maximum of each column of ids.
    """

    task: Task
    columns: dict[str, np.ndarray]
    offsets: np.ndarray
    texts: list[str]
    fingerprint: str
    largest: dict[str, int]

    @property
    def lengths(self) -> np.ndarray:
        """(E,) timesteps of each episode."""
        return np.diff(self.offsets)

    def rows(self, episodes: np.ndarray) -> np.ndarray:
        """The rows of some episodes, by their numbers, one episode after another."""
        starts, lengths = self.offsets[episodes], self.lengths[episodes]
        return np.concatenate(
            [start + np.arange(n) for start, n in zip(starts, lengths, strict=True)]
        )

    def part(self, episodes: np.ndarray) -> EpisodeStore:
        """A store of some of the episodes, by their numbers, in this order.

        Frames stay where they are, which may be on disk; the other columns are copied.
        """
        rows = self.rows(episodes)
        columns: dict[str, np.ndarray] = {}
        for name, values in self.columns.items():
            part: Any = SomeRows(values, rows)  # stands in for an array
            columns[name] = part if name == "image_observations" else part[:]
        fingerprint = _digest(self.fingerprint.encode(), np.asarray(episodes, np.int64).tobytes())
        offsets = np.cumsum([0, *self.lengths[episodes]])
        return replace(self, columns=columns, offsets=offsets, fingerprint=fingerprint)

    @classmethod
    def of_episodes(cls, task: Task, episodes: Iterable[Episode]) -> EpisodeStore:
        """The store of these episodes, in memory.

        Raises ValueError for no episodes, or one that `check_episode` refuses.
        """
        texts: dict[str, int] = {}
        flat = []
        for index, episode in enumerate(episodes):
            check_episode(episode, task, index)
            flat.append(flatten(episode, texts, f"{task.name}, episode {index}"))
        require(len(flat) > 0, f"{task.name}: no episodes")
        columns, offsets = join_episodes(flat)
        contents = [column.tobytes() for column in columns.values()]
        fingerprint = _digest(*contents, offsets.tobytes())
        return cls(task, columns, offsets, list(texts), fingerprint, largest_ids(columns))

    @classmethod
    def open(
        cls, task: Task, root: str | Path, split: str = "train", cache: str | Path | None = None
    ) -> EpisodeStore:
        """The episodes under ``root/<task>/<split>``, mapped into memory.

        They are written flat first, where that has not been done.

        Args:
            task: the task.
            root: the folder of the data.
            split: "train" or "test".
            cache: another folder for the flat files, for data that lies where nothing can be
                written.

        Raises:
            FileNotFoundError: without episodes.
            ValueError: for episodes that cannot be trained on; names the file, episode and column.
            OSError: when the disk is full, or ``root`` cannot be written to.
        """
        files = episode_files(expanded(root) / task.name / split)
        home = cache_home(root, task.name, split, cache)
        folder = home / fingerprint_files(files, LAYOUT, task.name)
        if not _is_complete(folder):
            write_cache(folder, lambda temporary: _write(task, files, temporary), _is_complete)
        return _map(task, folder)


class SomeRows:
    """Some rows of a column, copied when they are asked for.

    Args:
        values: the column (N, ...).
        rows: (n,) the rows of it that count.
    """

    def __init__(self, values: np.ndarray, rows: np.ndarray):
        self.values, self.rows = values, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        return self.values[self.rows[rows]]


def flatten(episode: Episode, texts: dict[str, int], where: str = "episode") -> Episode:
    """The columns of an episode as they are stored.

    Args:
        episode: the arrays, by column.
        texts: the index of each text; texts that it does not have are added.
        where: the beginning of the error message.

    Raises:
        ValueError: for ids that are negative or above 65,535.
    """
    columns = dict(episode)
    columns["rewards"] = arriving_rewards(np.asarray(episode["rewards"]))
    if "text_observations" in columns:
        indices = [texts.setdefault(text, len(texts)) for text in columns["text_observations"]]
        columns["text_observations"] = np.array(indices)
    return {
        name: _convert(np.asarray(values), STORED_TYPES[name], f"{where}, column {name!r}")
        for name, values in columns.items()
        if name in STORED_TYPES
    }


def arriving_rewards(rewards: np.ndarray) -> np.ndarray:
    """Rewards (T,) that came *after* an action -> those received on *arriving*; the first is 0."""
    return np.concatenate([np.zeros(1, rewards.dtype), rewards[:-1]])


def join_episodes(flat: list[Episode]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Flat episodes one after another: the columns, and the offsets (E + 1,) of the episodes."""
    columns = {name: np.concatenate([episode[name] for episode in flat]) for name in flat[0]}
    return columns, np.cumsum([0, *(len(episode["rewards"]) for episode in flat)])


def largest_ids(columns: dict[str, np.ndarray]) -> dict[str, int]:
    """The maximum of each column of ids."""
    return {name: int(columns[name].max()) for name in IDS if name in columns}


def _convert(values: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    if dtype == np.uint16 and values.size:
        low, high = values.min(), values.max()
        if low < 0 or high >= 65_536:
            raise ValueError(f"{where}: values from {low} to {high}; expected 0 to 65535")
    return values.astype(dtype, copy=False)


# --- the files of a store ---


def _write(task: Task, files: list[Path], folder: Path) -> None:
    texts: dict[str, int] = {}
    lengths: list[int] = []
    shapes: dict[str, list[int]] = {}
    largest: dict[str, int] = {}
    with ExitStack() as stack:
        outputs = {
            name: stack.enter_context(open(folder / f"{name}.bin", "wb"))
            for name in column_names(task)
        }
        for episode, where in _read_all(files, task):
            for name, values in flatten(episode, texts, where).items():
                # unlike `ndarray.tofile`, `write` says when the disk is full
                outputs[name].write(np.ascontiguousarray(values).data)
                shapes[name] = list(values.shape[1:])
                if name in IDS:
                    largest[name] = max(largest.get(name, 0), int(values.max()))
            lengths.append(len(episode["rewards"]))
    require(lengths, f"{files[0].parent}: the files of {task.name} hold no episode")
    index = {
        "task": task.name,
        "lengths": lengths,
        "shapes": shapes,
        "texts": list(texts),
        "largest": largest,
    }
    (folder / "index.json").write_text(json.dumps(index))


def _read_all(files: list[Path], task: Task) -> Iterable[tuple[Episode, str]]:
    """Every episode, checked, and where it comes from."""
    for file in files:
        for number, episode in enumerate(read_episodes(file, task)):
            yield episode, f"{file}, episode {number}"


def _is_complete(folder: Path) -> bool:
    """Whether every file is there in its full size.

    A machine that loses power may keep the name of a file and lose its content.
    """
    try:
        index = json.loads((folder / "index.json").read_text())
        rows = sum(index["lengths"])
        return all(
            (folder / f"{name}.bin").stat().st_size
            == rows * STORED_TYPES[name].itemsize * int(np.prod(shape))
            for name, shape in index["shapes"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def _map(task: Task, folder: Path) -> EpisodeStore:
    index = json.loads((folder / "index.json").read_text())
    offsets = np.cumsum([0, *index["lengths"]])
    columns: dict[str, np.ndarray] = {}
    for name, shape in index["shapes"].items():
        shape = (int(offsets[-1]), *shape)
        columns[name] = np.memmap(folder / f"{name}.bin", STORED_TYPES[name], "r", shape=shape)
    return EpisodeStore(task, columns, offsets, index["texts"], folder.name, index["largest"])


# --- caches: folders named by a fingerprint, complete or absent ---


def fingerprint_files(files: list[Path], *facts: int | str) -> str:
    """Sixteen hexadecimal digits for these files as they are now, and for how they are read."""
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return _digest(json.dumps([*facts, stats]).encode())


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def write_cache(
    folder: Path, write: Callable[[Path], None], is_complete: Callable[[Path], bool]
) -> None:
    """Let ``write`` fill a temporary folder, then rename it to ``folder``.

    The folders beside ``folder`` are caches of earlier data; they are removed. A process that has
    one of them open keeps reading it.

    Args:
        folder: the cache; an incomplete one is replaced.
        write: writes the files into the folder that it is given.
        is_complete: whether a folder holds all the files that ``write`` makes.

    Raises:
        PermissionError: where nothing can be written beside ``folder``.
        OSError: when the disk is full; nothing is left behind then.
    """
    temporary = _temporary_folder(folder)
    try:
        write(temporary)
        _publish(temporary, folder, is_complete)
    except OSError as error:
        raise explain_full_disk(error, folder.parent) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _remove_others(folder)


def _temporary_folder(folder: Path) -> Path:
    home = folder.parent
    try:
        home.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=home))
    except PermissionError as error:
        raise PermissionError(
            f"{home} cannot be written to; "
            "name a folder of your own for the flat copy of the data with cache="
        ) from error


def _publish(temporary: Path, folder: Path, is_complete: Callable[[Path], bool]) -> None:
    if folder.exists() and not is_complete(folder):
        shutil.rmtree(folder)
    try:
        os.rename(temporary, folder)
    except OSError:
        if not is_complete(folder):  # else another process was faster, with the same files
            raise


def _remove_others(folder: Path) -> None:
    for other in folder.parent.iterdir():
        if other.name != folder.name and not _is_being_written(other):
            shutil.rmtree(other, ignore_errors=True)


def _is_being_written(folder: Path) -> bool:
    return folder.name.endswith(".tmp") and time.time() - folder.stat().st_mtime < ABANDONED_AFTER
