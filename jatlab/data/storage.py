"""A task's episodes laid out flat, so that training reads them from disk without ever loading them
whole.

Parquet stores an episode as compressed lists; a batch needs a few timesteps from many episodes. So
the first use of a task writes one plain file a column beside the Parquet
(``<root>/<task>/cache/<fingerprint>/``), all timesteps of all episodes behind each other, and later
uses map these files into memory. The operating system then keeps in memory what is being read, and
nothing else. The fingerprint stands for the Parquet files (names, sizes, times): recording more
episodes makes a new cache, and the old one is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jatlab.tasks import Task

LAYOUT = 2  # raise it when the files change their meaning: old caches are then written anew
DTYPES = {
    "continuous_observations": np.dtype(np.float32),
    "discrete_observations": np.dtype(np.uint16),  # ids of a vocabulary below 65,536
    "text_observations": np.dtype(np.int32),  # which of the task's distinct texts
    "image_observations": np.dtype(np.uint8),
    "continuous_actions": np.dtype(np.float32),
    "discrete_actions": np.dtype(np.uint16),
    "rewards": np.dtype(
        np.float32
    ),  # already shifted: the one received on arriving at the timestep
}
IDS = ("discrete_observations", "discrete_actions")  # columns of ids


@dataclass
class EpisodeStore:
    """All episodes of one task, flat: timestep t of episode e is row ``offsets[e] + t`` of every
    column.

    ``columns`` maps the published column names to arrays of N rows (all timesteps), of the types in
    ``DTYPES``; ``rewards`` is shifted, and ``text_observations`` holds indices into ``texts``, the
    distinct texts. ``offsets`` is (E + 1,) int64. ``fingerprint`` changes when the episodes do, and
    ``largest`` has the maximum of each integer column.
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

    @classmethod
    def of_episodes(cls, task: Task, episodes: Iterable[dict]) -> EpisodeStore:
        """The same, in memory, from episode dicts (``jatlab.data.episodes``). Raises ValueError for
        an episode that cannot be trained on.
        """
        from jatlab.data.episodes import check_episode

        texts: dict[str, int] = {}
        flat = []
        for index, episode in enumerate(episodes):
            check_episode(episode, task, index)
            flat.append(flatten(episode, texts, f"{task.name}, episode {index}"))
        if not flat:
            raise ValueError(f"{task.name}: no episodes")
        columns = {name: np.concatenate([f[name] for f in flat]) for name in flat[0]}
        offsets = np.cumsum([0, *(len(f["rewards"]) for f in flat)])
        fingerprint = _digest(*(c.tobytes() for c in columns.values()), offsets.tobytes())
        return cls(
            task,
            columns,
            offsets,
            list(texts),
            fingerprint,
            {name: int(columns[name].max()) for name in IDS if name in columns},
        )

    @classmethod
    def open(
        cls, task: Task, root: str | Path, split: str = "train", cache: str | Path | None = None
    ) -> EpisodeStore:
        """The episodes under ``root/<task>/<split>``, mapped into memory; written flat first where
        that has not been done.

        ``cache`` is another folder for the flat files, for data in a place that cannot be written
        to. Raises FileNotFoundError without episodes, ValueError for episodes that cannot be
        trained on (naming file, episode, column), OSError when the disk is full.
        """
        from jatlab.data.episodes import episode_files

        files = episode_files(Path(root) / task.name / split)
        home = (Path(cache) / task.name if cache else Path(root) / task.name) / "cache"
        fingerprint = _fingerprint(task, files)
        if not _is_whole(home / fingerprint):
            _write(task, files, home, fingerprint)
        return _map(task, home / fingerprint)


def flatten(episode: dict, texts: dict[str, int], where: str = "episode") -> dict[str, np.ndarray]:
    """An episode's columns as they are stored. Texts are replaced by their number in ``texts``,
    which grows by those it did not know.

    Raises ValueError, beginning with ``where``, for integers that are negative or above 65,535.
    """
    columns = dict(episode)
    columns["rewards"] = arriving_rewards(np.asarray(episode["rewards"]))
    if "text_observations" in columns:
        columns["text_observations"] = [
            texts.setdefault(text, len(texts)) for text in columns["text_observations"]
        ]
    return {
        name: _convert(np.asarray(values), DTYPES[name], f"{where}, column {name!r}")
        for name, values in columns.items()
        if name in DTYPES
    }


def arriving_rewards(rewards: np.ndarray) -> np.ndarray:
    """(T,) rewards that came *after* each action -> (T,) rewards received on *arriving* at each
    observation; the first is 0.
    """
    return np.concatenate([np.zeros(1, rewards.dtype), rewards[:-1]])


def _convert(values: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    if dtype == np.uint16 and values.size and not (0 <= values.min() and values.max() < 65_536):
        raise ValueError(
            f"{where}: values from {values.min()} to {values.max()}; expected 0 to 65535"
        )
    return values.astype(dtype, copy=False)


# --- the files
# -------------------------------------------------------------------------------------------------------------------------------


def _fingerprint(task: Task, files: list[Path]) -> str:
    """Sixteen hexadecimal digits that stand for these files as they are now."""
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return _digest(json.dumps([LAYOUT, task.name, stats]).encode())


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _write(task: Task, files: list[Path], home: Path, fingerprint: str) -> None:
    """Write the flat files into a temporary folder and rename it: there is a whole cache or none."""
    from jatlab.data.episodes import explain_full_disk

    temporary = _temporary_folder(home, fingerprint)
    try:
        _write_columns(task, files, temporary)
        _publish(temporary, home / fingerprint)
    except OSError as error:
        raise explain_full_disk(error, home) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _remove_others(home, fingerprint)


def _temporary_folder(home: Path, fingerprint: str) -> Path:
    try:
        home.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{fingerprint}.", suffix=".tmp", dir=home))
    except PermissionError as error:
        raise PermissionError(
            f"{home} cannot be written to; name a folder of your own for the flat copy of the data with cache="
        ) from error


def _write_columns(task: Task, files: list[Path], folder: Path) -> None:
    from jatlab.data.episodes import column_names, read_episodes

    texts: dict[str, int] = {}
    lengths: list[int] = []
    shapes: dict[str, list[int]] = {}
    largest: dict[str, int] = {}
    outputs = {name: open(folder / f"{name}.bin", "wb") for name in column_names(task)}
    try:
        for file in files:
            for number, episode in enumerate(
                read_episodes(file, task)
            ):  # checks them: NaN, sizes, empty
                for name, values in flatten(episode, texts, f"{file}, episode {number}").items():
                    outputs[name].write(
                        np.ascontiguousarray(values)
                    )  # unlike tofile, says when the disk is full
                    shapes[name] = list(values.shape[1:])
                    if name in IDS:
                        largest[name] = max(largest.get(name, 0), int(values.max()))
                lengths.append(len(episode["rewards"]))
    finally:
        for output in outputs.values():
            output.close()
    index = {
        "task": task.name,
        "lengths": lengths,
        "shapes": shapes,
        "texts": list(texts),
        "largest": largest,
    }
    (folder / "index.json").write_text(json.dumps(index))


def _publish(temporary: Path, target: Path, whole: Callable[[Path], bool] | None = None) -> None:
    whole = whole or _is_whole
    if target.exists() and not whole(target):
        shutil.rmtree(target)
    try:
        os.rename(temporary, target)
    except OSError:
        if not whole(target):  # else another process was faster, with the same files
            raise


def _remove_others(home: Path, fingerprint: str) -> None:
    """Remove caches of earlier episodes (who has one open keeps reading it), and what a kill while
    writing has left a day ago or longer.
    """
    for folder in home.iterdir():
        being_written = (
            folder.name.endswith(".tmp") and time.time() - folder.stat().st_mtime < 86_400
        )
        if folder.name != fingerprint and not being_written:
            shutil.rmtree(folder, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Whether every file is there in its full size (a machine that loses power may keep the name
    and lose the content).
    """
    try:
        index = json.loads((folder / "index.json").read_text())
        rows = sum(index["lengths"])
        sizes = {
            name: rows * DTYPES[name].itemsize * int(np.prod(shape))
            for name, shape in index["shapes"].items()
        }
        return all((folder / f"{name}.bin").stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _map(task: Task, folder: Path) -> EpisodeStore:
    index = json.loads((folder / "index.json").read_text())
    offsets = np.cumsum([0, *index["lengths"]])
    columns = {
        name: np.memmap(folder / f"{name}.bin", DTYPES[name], "r", shape=(int(offsets[-1]), *shape))
        for name, shape in index["shapes"].items()
    }  # fmt: skip
    return EpisodeStore(task, columns, offsets, index["texts"], folder.name, index["largest"])
