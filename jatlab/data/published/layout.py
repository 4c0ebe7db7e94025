"""The published data set: which tasks it has, and where their files are.

``jat-project/jat-dataset`` on the Hugging Face hub has a configuration for every task, named like
the task, with the splits ``train`` and ``test`` as Parquet files. A row is an episode, a document,
or a picture with its text. Another repository, or a local folder of the same layout, can stand in
for it:

    README.md                                    its YAML header lists the configurations, and the
                                                 files of each split
    atari-pong/train-00000-of-00002.parquet …    without that list: a folder for each task, with
                                                 files (or folders) named after their split

`jatlab.data.published.fetch` copies rows into a folder of recordings,
`jatlab.data.published.streams` trains on them as they come.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jatlab.data.folders import check_parts, data_files
from jatlab.data.language.rows import RECORDED
from jatlab.data.published.reading import columns_of, read_files
from jatlab.tasks import Task, get_task, language_tasks, task_names

if TYPE_CHECKING:
    from datasets import IterableDataset

__all__ = ["PUBLISHED", "SPLITS", "Published", "columns_of", "find", "published_names"]

PUBLISHED = "jat-project/jat-dataset"
SPLITS = ("train", "test")
# for each kind of language task, one that can be recorded instead
_RECORDABLE = {"text": "python-docs", "picture": "minigrid-captions"}


def published_names() -> list[str]:
    """The tasks of the published data set: 157 of control, two of text, two of pictures."""
    return [
        *(name for name in task_names() if get_task(name).published_env_id),
        *(name for name in language_tasks() if name not in RECORDED),
    ]


@dataclass(frozen=True)
class Published:
    """One split of one task in a data set.

    Attributes:
        task: the task.
        source: the repository or folder.
        split: "train" or "test".
        files: local paths, or hub addresses (which name the revision), in order.
    """

    task: Task
    source: str
    split: str
    files: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Changes when the files do: their addresses and, of local files, sizes and times."""
        stats = [os.stat(file) for file in self.files if os.path.exists(file)]
        parts = [*map(_relative, self.files), *(f"{s.st_size} {s.st_mtime_ns}" for s in stats)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def rows(
        self, process: int = 0, processes: int = 1, order: Iterable[int] | None = None
    ) -> IterableDataset:
        """The rows, each a `jatlab.data.published.reading.Example`.

        The state of the data set (``state_dict``) is JSON.

        Args:
            process: the number of this process, which sees its share of the rows. DataLoader
                workers share that out again.
            processes: how many processes there are.
            order: a permutation of the files.
        """
        from datasets import IterableDataset
        from datasets.distributed import split_dataset_by_node

        files = self.files if order is None else [self.files[i] for i in order]
        arguments = {"files": list(files), "name": self.task.name, "source": self.source}
        rows = IterableDataset.from_generator(read_files, gen_kwargs=arguments)
        return split_dataset_by_node(rows, process, processes) if processes > 1 else rows


def find(name: str, source: str | Path = PUBLISHED, split: str = "train") -> Published:
    """The files of task ``name`` in ``source``.

    Args:
        name: the task.
        source: a repository on the Hugging Face hub, or a folder.
        split: "train" or "test".

    Raises:
        ValueError: for an unknown task.
        FileNotFoundError: for a data set, a task or a split that is not there.
        ConnectionError: when the hub cannot be reached; the message says how to go on without it.
    """
    task, source = get_task(name), str(source)
    splits = _local_splits(task, source) if _is_folder(source) else _hub_splits(task, source)
    if not splits.get(split):
        found = ", ".join(splits) or "none"
        reason = f"{source} has no split {split!r} of {name}; it has {found}"
        raise FileNotFoundError(_explain_absence(task, split, reason))
    return Published(task, source, split, tuple(splits[split]))


def _is_folder(source: str) -> bool:
    """Whether the folder exists, or the name looks like a path; repositories are OWNER/NAME."""
    return Path(source).is_dir() or source.count("/") != 1 or source.startswith((".", "~", "/"))


def _local_splits(task: Task, source: str) -> dict[str, list[str]]:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no such folder: {source}; give a folder with {task.name}/train-*.parquet, "
            "or a data set of the Hugging Face hub as OWNER/NAME"
        )
    if task.name in _declared(folder):
        declared = _split_files(str(folder), task.name)
        for listed in declared.values():
            check_parts([Path(file) for file in listed])
        return declared
    home = folder / task.name
    if not home.is_dir():
        reason = f"{source} has no task {task.name}, neither in its README.md nor as a folder"
        raise FileNotFoundError(_explain_absence(task, "train", reason))
    splits = {}
    for split in SPLITS:
        files = [*data_files(home, f"{split}-*.parquet"), *data_files(home / split)]
        if files:
            splits[split] = sorted(map(str, files))
    return splits


def _declared(folder: Path) -> list[str]:
    """The configurations that a folder's README.md lists in its header."""
    from huggingface_hub import DatasetCard

    card = folder / "README.md"
    if not card.is_file():
        return []
    try:
        configurations = DatasetCard.load(card).data.to_dict().get("configs") or []
        return [configuration["config_name"] for configuration in configurations]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{card}: its header cannot be read as a list of configurations ({error!r})"
        ) from None


def _hub_splits(task: Task, source: str) -> dict[str, list[str]]:
    from datasets.exceptions import DatasetNotFoundError

    try:
        return _split_files(source, task.name) if task.name in _hub_names(source) else {}
    except DatasetNotFoundError:
        reason = f"there is no public data set {source!r} on the Hugging Face hub"
        raise FileNotFoundError(_explain_absence(task, "train", reason)) from None
    except Exception as error:  # the library raises whatever its transport raises
        reason = f"{source} on the Hugging Face hub could not be reached ({type(error).__name__})"
        raise ConnectionError(_explain_absence(task, "train", reason)) from error


@lru_cache(maxsize=8)
def _hub_names(source: str) -> list[str]:
    from datasets import get_dataset_config_names

    return get_dataset_config_names(source)


def _split_files(source: str, name: str) -> dict[str, list[str]]:
    from datasets import load_dataset_builder

    files = load_dataset_builder(source, name=name).config.data_files or {}
    return {str(split): [str(file) for file in listed] for split, listed in files.items()}


def _explain_absence(task: Task, split: str, reason: str) -> str:
    recordable = task.name if task.playable else _RECORDABLE[task.observation]
    return (
        f"{reason}. Looked for the configuration {task.name!r}, split {split!r}. "
        "To put its files there by hand, save them as "
        f"FOLDER/{task.name}/{split}-00000-of-00001.parquet … and name FOLDER instead "
        "(--from FOLDER, --stream FOLDER); or make data of your own: "
        f"`jatlab record {recordable} --episodes N`"
    )


def _relative(file: str) -> str:
    return file if "://" in file else "/".join(Path(file).parts[-2:])
