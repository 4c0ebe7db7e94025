"""Manifests: the size and hash of each file of a folder, so that no changed byte goes unnoticed.

``manifest.json`` lies in an agent's folder, in a training checkpoint, in each task's folder of a
recording, and in a report's. Whoever reads a file that it lists calls `check_file` first. A file
that is not listed is not checked: it may be newer than the manifest, or the user's own.

A writer of files calls `forget` before it changes one that is listed, and `seal` when all are
complete. So a kill in between leaves files that are not listed, and never a false alarm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from jatlab.utils.checks import require
from jatlab.utils.files import read_json, write_json

FILE = "manifest.json"
FORMAT = 1


class Entry(TypedDict):
    """What a manifest says about a file."""

    bytes: int
    sha256: str


def seal(folder: Path, names: Iterable[str]) -> None:
    """List files, as they are now, in the folder's manifest.

    Args:
        folder: gets or has the manifest.
        names: of the files, relative to the folder.

    Raises:
        OSError: when the disk is full.
    """
    entries = {name: describe(folder / name) for name in names}
    if entries:
        _write(folder, read_manifest(folder) | entries)


def forget(paths: Iterable[Path]) -> None:
    """Take files out of the manifests that list them, before they are changed or made anew."""
    changed: dict[Path, dict[str, Entry]] = {}
    for path in paths:
        for folder, name, _ in _listing(path):
            entries = changed.setdefault(folder, read_manifest(folder))
            entries.pop(name, None)
    for folder, entries in changed.items():
        _write(folder, entries)


def describe(path: Path) -> Entry:
    """Size and hash of a file as it is now."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def read_manifest(folder: Path) -> dict[str, Entry]:
    """What a folder's manifest lists, by file; {} without a manifest.

    Raises ValueError for one that is damaged, of a later format, or names files outside.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
        require(content["format"] == FORMAT, f"format {content['format']!r}, known is {FORMAT}")
        entries = {str(name): _entry(entry) for name, entry in content["files"].items()}
        outside = [name for name in entries if _is_outside(name)]
        require(not outside, f"{outside and outside[0]!r} lies outside of the folder")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no manifest ({error}): delete it, or write it anew with "
            f"`jatlab verify --accept {folder}`"
        ) from None
    return entries


def _entry(entry: dict) -> Entry:
    require(type(entry["bytes"]) is int, f"bytes is {entry['bytes']!r}: expected a whole number")
    return {"bytes": entry["bytes"], "sha256": str(entry["sha256"])}


def _is_outside(name: str) -> bool:
    path = Path(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts


def _write(folder: Path, entries: dict[str, Entry]) -> None:
    write_json(folder / FILE, {"format": FORMAT, "files": dict(sorted(entries.items()))})


def _listing(path: Path) -> Iterator[tuple[Path, str, Entry]]:
    """Each manifest that lists a file: its folder, the file's name there, what it says."""
    for folder in (path.parent, path.parent.parent):
        name = path.relative_to(folder).as_posix()
        entries = read_manifest(folder)
        if name in entries:
            yield folder, name, entries[name]


# --- checking ---


def problem(path: Path, entry: Entry) -> str | None:
    """What is wrong with a file, in words; None if it is as the manifest says."""
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != entry["bytes"]:
        return f"has {size:,} bytes instead of {entry['bytes']:,}"
    return None if describe(path) == entry else f"has {size:,} bytes, as it should, but other ones"


def check_file(path: Path) -> None:
    """Raise ValueError if a file is not what the manifest beside it, or one folder up, says."""
    for folder, _, entry in _listing(path):
        _explain(path, folder, problem(path, entry))


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Raise ValueError if one of these files is listed in the manifest, and missing or changed."""
    listed = read_manifest(folder)
    for name in names:
        if name in listed:
            _explain(folder / name, folder, problem(folder / name, listed[name]))


def is_whole(folder: Path, names: Iterable[str]) -> bool:
    """Whether all these files are listed in the folder's manifest, and are as it says."""
    listed = read_manifest(folder)
    return all(name in listed and problem(folder / name, listed[name]) is None for name in names)


def check_present(folder: Path) -> None:
    """Raise ValueError if a file of this folder that a manifest lists is missing."""
    for home in (folder, folder.parent):
        for name in read_manifest(home):
            path = home / name
            if path.parent == folder and not path.exists():
                _explain(path, home, "is missing")


def _explain(path: Path, folder: Path, wrong: str | None) -> None:
    require(
        wrong is None,
        f"{path} {wrong}: {folder / FILE} lists what was written. It was changed, damaged or not "
        "copied whole; get it or make it again. If the change is meant: "
        f"jatlab verify --accept {folder}",
    )


# --- a whole tree ---


def verify(root: Path) -> tuple[int, dict[Path, str]]:
    """Check every manifest in a folder and below.

    Returns:
        How many files were checked, and what is wrong, by path.

    Raises:
        FileNotFoundError: if there is no such folder, or no manifest in it.
    """
    checked, wrong = 0, {}
    for folder in manifests(root):
        for name, entry in read_manifest(folder).items():
            checked += 1
            if found := problem(folder / name, entry):
                wrong[folder / name] = found
    return checked, wrong


def accept(root: Path) -> int:
    """Write every manifest in a folder and below anew, for the files as they are; count them.

    A file that is missing is listed no more. Raises as `verify`.
    """
    count = 0
    for folder in manifests(root):
        try:
            names = [name for name in read_manifest(folder) if (folder / name).is_file()]
        except ValueError:  # the manifest itself is damaged
            names = _all_names(folder)
        _write(folder, {name: describe(folder / name) for name in names})
        count += len(names)
    return count


def _all_names(folder: Path) -> list[str]:
    """Every file of a folder that a manifest may list: no card, and no flat copies of data."""
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [
        name.as_posix()
        for name in names
        if name.name not in (FILE, "README.md") and name.parts[0] != "cache"
    ]


def manifests(root: Path) -> list[Path]:
    """The folders with a manifest, from ``root`` down. Raises FileNotFoundError without any."""
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {str(root)!r}: name one that jatlab wrote")
    found = sorted(path.parent for path in root.rglob(FILE) if path.is_file())
    if not found:
        raise FileNotFoundError(
            f"{root} has no {FILE}: jatlab writes one beside agents, checkpoints, recordings and "
            "reports; what comes from elsewhere, or from an older version, has none"
        )
    return found
