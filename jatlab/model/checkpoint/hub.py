"""From the name of an agent to a folder of its files: on disk, in the hub's cache, or on the hub.

Only the files in `FETCHED` are fetched; pickled weights are never read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from jatlab.model.checkpoint.shards import INDEX_SUFFIX, index_of, read_index
from jatlab.utils.files import expanded

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
FETCHED = [
    CONFIG,
    WEIGHTS,
    WEIGHTS + INDEX_SUFFIX,  # of weights in several files, which are fetched then
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "training.json",
    "agent.json",
    "manifest.json",
]
PICKLED = "pytorch_model.bin"
WHY_NO_PICKLE = (
    "loading a pickle runs whatever code it holds. Convert it to safetensors where that is safe, "
    "or ask the owner to"
)


def find_folder(name_or_folder: str | os.PathLike, **hub: Any) -> Path:
    """The folder with an agent's files.

    Args:
        name_or_folder: a folder, or a repository OWNER/NAME of the hub, which is fetched unless the
            cache has it.
        hub: options of `huggingface_hub.snapshot_download` (revision, token, cache_dir,
            force_download, local_files_only).

    Raises:
        FileNotFoundError: if there is no such agent; the message says what was looked for, and how
            to go on without it.
    """
    folder = expanded(name_or_folder)
    if not folder.is_dir():
        if not is_repository(name_or_folder):
            raise FileNotFoundError(
                f"no folder {str(folder)!r}; an agent on the hub is named OWNER/NAME, such as "
                "jat-project/jat"
            )
        folder = _fetch(str(name_or_folder), **hub)
    _check_files(folder, name_or_folder)
    return folder


def _check_files(folder: Path, name_or_folder: str | os.PathLike) -> None:
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(
            f"{name_or_folder} holds no {CONFIG}: an agent's folder has {CONFIG} and {WEIGHTS}"
        )
    has_weights = (folder / WEIGHTS).is_file() or index_of(folder / WEIGHTS).is_file()
    pickled = is_repository(name_or_folder) or bool(list(folder.glob("pytorch_model*.bin")))
    if pickled and not has_weights:
        raise FileNotFoundError(
            f"{name_or_folder} holds no {WEIGHTS}, and {PICKLED} is not read: {WHY_NO_PICKLE}"
        )


def is_repository(name: str | os.PathLike) -> bool:
    """Whether ``name`` can only mean a repository of the hub.

    That is OWNER/NAME, unless there is a folder OWNER: then it is a path.
    """
    return (
        isinstance(name, str)
        and bool(re.fullmatch(r"[\w.-]+/[\w.-]+", name))
        and not Path(name).parent.is_dir()
    )


def _fetch(name: str, **hub: Any) -> Path:
    folder = _download(name, FETCHED, hub)
    if shards := _missing_shards(folder):
        _download(name, shards, hub)
    return folder


def _download(name: str, files: list[str], hub: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=files, **hub))
    except Exception as error:  # the library raises whatever its transport raises
        raise FileNotFoundError(_not_found(name, _reason(error, hub))) from error


def _missing_shards(folder: Path) -> list[str]:
    """The files of weights that an index names and that are not in the folder."""
    index = index_of(folder / WEIGHTS)
    if not index.is_file() or (folder / WEIGHTS).is_file():
        return []
    return sorted({file.name for file in read_index(index).values() if not file.is_file()})


def _reason(error: Exception, hub: dict[str, Any]) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return (
            "the repository is gated: accept its terms on its page, then log in with "
            "`hf auth login`"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no such repository (or it is private, and you are not logged in)"
    if isinstance(error, errors.HFValidationError):
        return f"that is no repository's name ({error})"
    if isinstance(error, errors.LocalEntryNotFoundError):
        offline = constants.HF_HUB_OFFLINE or hub.get("local_files_only")
        why = "offline mode is on (HF_HUB_OFFLINE)" if offline else "the hub cannot be reached"
        return f"{why}, and no complete copy is in the cache"
    message = str(error).strip().splitlines() or ["no message"]
    return f"the hub did not give it ({type(error).__name__}: {message[0]})"


def _not_found(name: str, reason: str) -> str:
    from huggingface_hub import constants

    page, folder = f"https://huggingface.co/{name}", Path(name).absolute()
    return (
        f"no agent {name!r}: {reason}.\n"
        f"  looked for: a shipped agent of that name, the folder {folder}, the cache "
        f"{constants.HF_HUB_CACHE}, and {page}\n"
        f"  by hand: where there is network, get {CONFIG}, {WEIGHTS} and {TOKENIZER} from "
        f"{page}/tree/main and put them into {folder} (the same name then finds them), or into any "
        "folder, and give that folder instead of the name\n"
        "  meanwhile: the agent that ships with the package needs no network: "
        "jatlab.load_agent('jatlab-mini'), jatlab play jatlab-mini TASK"
    )
