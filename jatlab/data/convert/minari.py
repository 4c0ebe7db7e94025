"""Minari's format, through its own package: `minari.load_dataset` reads what is written here.

Minari keeps the observation after the last action, which recordings do not have: the last one is
repeated there, and left out on the way back. It also says why an episode ended; recordings do not
know, so the last timestep counts as the end.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.data.columns import COLUMN_TYPES, IMAGE_SHAPE, Episode, check_episode, column_names
from jatlab.tasks.env import gym_name
from jatlab.utils.checks import require
from jatlab.utils.files import atomic_folder, remove_leftovers

if TYPE_CHECKING:
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    from jatlab.tasks import Task

HOME = "MINARI_DATASETS_PATH"  # the environment variable that says where Minari's data sets are
CHARACTERS = frozenset(map(chr, range(32, 127)))
LARGEST = 8 * 10**9  # bytes of one array of an episode
LONGEST = 1000  # characters of a mission


def dataset_id(task: Task) -> str:
    """Minari's name for a task's data set, such as ``jatlab/metaworld-reach-v0``."""
    return f"jatlab/{task.name}-v0"


def write_minari(task: Task, files: Iterable[list[Episode]], root: Path) -> int:
    """Write a task's episodes as Minari's data set ``jatlab/TASK-v0``.

    Args:
        task: whose episodes they are.
        files: the episodes, in portions.
        root: folder of Minari's data sets, for its ``MINARI_DATASETS_PATH``.

    Returns:
        How many episodes were written.

    Raises:
        FileExistsError: the data set exists.
    """
    if (root / dataset_id(task)).exists():
        raise FileExistsError(f"{root / dataset_id(task)} exists: choose another, or delete it")
    remove_leftovers((root / dataset_id(task)).parent)
    with atomic_folder(root / dataset_id(task)) as temporary:
        count = _create(task, files, temporary)
        for part in (temporary / dataset_id(task)).iterdir():  # Minari makes folders of its own
            part.rename(temporary / part.name)
        shutil.rmtree(temporary / Path(dataset_id(task)).parts[0])
    return count


def _create(task: Task, files: Iterable[list[Episode]], root: Path) -> int:
    import minari

    buffers = (_buffer(task, episode) for episodes in files for episode in episodes)
    first = next(buffers)
    observations, actions = _spaces(task)
    with _home(root), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an author's address and other facts are missing
        written = minari.create_dataset_from_buffers(
            dataset_id(task),
            [first],
            env=_env(task),
            observation_space=observations,
            action_space=actions,
            algorithm_name="a recording of jatlab",
            description=f"Episodes of {task.name}, recorded with jatlab.",
            code_permalink="https://github.com/jatlab/jatlab",
            jpeg_encoding=False,  # it would change the frames
        )
        written.storage.update_episodes(buffers)
    return int(written.storage.total_episodes)


def _env(task: Task) -> str | None:
    """The task's name in gymnasium, so that Minari can make it again; None where it cannot now."""
    import gymnasium

    from jatlab.tasks.gym import register_tasks

    register_tasks()
    try:
        gymnasium.make(gym_name(task.name)).close()
    except Exception:  # its packages are missing here; the data does not depend on them
        return None
    return gym_name(task.name)


def _spaces(task: Task) -> tuple[spaces.Space, spaces.Space]:
    """Minari's observation and action space."""
    from gymnasium import spaces

    def vector(size: int) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, (size,), np.float32)

    seen: dict[str, spaces.Space] = {
        "continuous_observations": vector(task.observation_size),
        "discrete_observations": spaces.Box(0, 2**31 - 1, (task.observation_size,), np.int64),
        "text_observations": spaces.Text(LONGEST, min_length=0, charset=CHARACTERS),
        "image_observations": spaces.Box(0, 255, IMAGE_SHAPE, np.uint8),
    }
    names = _observed(task)
    discrete = task.action == "discrete"
    action = spaces.Discrete(task.action_size) if discrete else vector(task.action_size)
    if len(names) == 1:
        return seen[names[0]], action
    return spaces.Dict({name.removesuffix("s"): seen[name] for name in names}), action


def _observed(task: Task) -> list[str]:
    """The columns of observations."""
    return [name for name in column_names(task) if name.endswith("_observations")]


def _buffer(task: Task, episode: Episode) -> EpisodeBuffer:
    from minari.data_collector import EpisodeBuffer

    names, length = _observed(task), len(episode["rewards"])
    seen = {
        name.removesuffix("s"): [*episode[name], episode[name][-1]]  # see the module
        for name in names
    }
    return EpisodeBuffer(
        observations=seen if len(names) > 1 else next(iter(seen.values())),
        actions=list(episode[f"{task.action}_actions"]),
        rewards=episode["rewards"].tolist(),
        terminations=[step == length - 1 for step in range(length)],
        truncations=[False] * length,
    )


def read_minari(folder: Path, task: Task) -> Iterator[list[Episode]]:
    """The episodes of a Minari data set as ``task``'s, in portions.

    Args:
        folder: of the data set: the one that holds ``data/metadata.json``.
        task: of the episodes.

    Raises:
        ValueError: for observations or actions that are not the task's, and for arrays that are too
            large to be unpacked.
    """
    import minari

    check_sizes(folder / "data")
    for number, one in enumerate(minari.MinariDataset(folder / "data")):
        episode = _episode(task, one, folder)
        check_episode(episode, task, number)
        yield [episode]


def check_sizes(folder: Path) -> None:
    """Raise ValueError for an array above `LARGEST`: kilobytes may unpack to terabytes."""
    import h5py

    def check(name: str, part: Any) -> None:
        size = part.nbytes if isinstance(part, h5py.Dataset) else 0
        require(
            size <= LARGEST,
            f"{file}: {name} has {size / 1e9:.1f} GB, expected at most {LARGEST / 1e9:.0f}",
        )

    for file in sorted(folder.glob("*.hdf5")):
        with h5py.File(file) as stored:
            stored.visititems(check)


def _episode(task: Task, one: Any, folder: Path) -> Episode:
    names, length = _observed(task), len(one.rewards)
    seen = one.observations
    if len(names) == 1 and not isinstance(seen, dict):
        seen = {names[0].removesuffix("s"): seen}
    missing = [name for name in names if name.removesuffix("s") not in seen]
    require(
        isinstance(seen, dict) and not missing,
        f"{folder}: {task.name} observes {', '.join(names)}; the data set has {list(seen)}",
    )
    columns = {name: seen[name.removesuffix("s")][:length] for name in names}
    columns |= {f"{task.action}_actions": one.actions, "rewards": one.rewards}
    return {name: np.asarray(columns[name], COLUMN_TYPES[name]) for name in column_names(task)}


@contextmanager
def _home(root: Path) -> Iterator[None]:
    """Let Minari write below ``root``."""
    before = os.environ.get(HOME)
    os.environ[HOME] = str(root)
    try:
        yield
    finally:
        os.environ.pop(HOME)
        if before is not None:
            os.environ[HOME] = before
