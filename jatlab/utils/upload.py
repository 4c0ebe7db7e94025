"""Sending files to the Hugging Face hub: what would go, and sending it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jatlab.utils.checks import require

NAME = re.compile(r"[\w.-]+/[\w.-]+")
PAGES = {"model": "", "dataset": "datasets/"}


def page(repo_id: str, kind: str) -> str:
    """The address of a repository's page; ``kind`` is "model" or "dataset".

    Raises ValueError for another name than OWNER/NAME.
    """
    require(
        NAME.fullmatch(repo_id),
        f"a repository of the hub is named OWNER/NAME, such as you/my-agent, not {repo_id!r}",
    )
    return f"https://huggingface.co/{PAGES[kind]}{repo_id}"


def upload(
    folder: Path,
    files: Sequence[str],
    repo_id: str,
    kind: str,
    private: bool = False,
    token: str | None = None,
) -> str:
    """Send files to a repository, which is made if need be, in one commit.

    Args:
        folder: where the files are.
        files: paths in it; nothing else is sent.
        repo_id: OWNER/NAME.
        kind: "model" or "dataset".
        private: whether only its owner sees a repository that is made now.
        token: of the hub; None: the one of `hf auth login`.

    Returns:
        The address of the repository's page.

    Raises:
        ValueError: for another name than OWNER/NAME.
        OSError: when the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi

    address, api = page(repo_id, kind), HfApi(token=token)
    api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True)
    api.upload_folder(
        repo_id=repo_id,
        repo_type=kind,
        folder_path=folder,
        allow_patterns=[_literally(file) for file in files],
        commit_message="Upload with jatlab",
    )
    return address


def _literally(path: str) -> str:
    """A pattern that matches this path only."""
    return re.sub(r"([*?[])", r"[\1]", path)


def listing(folder: Path, files: Sequence[str]) -> str:
    """The files with their sizes, a line each, and the sum."""
    sizes = [(folder / file).stat().st_size for file in files]
    lines = [f"{size / 1e6:10.2f} MB  {file}" for file, size in zip(files, sizes, strict=True)]
    return "\n".join([*lines, f"{sum(sizes) / 1e6:10.2f} MB  in {len(files)} files"])
