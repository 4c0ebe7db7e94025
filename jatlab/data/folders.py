"""Where the files of a task lie, which Parquet files are its data, and whether each is there once.

Folders collect other files: what macOS and editors hide there, a download's second copy, half of a
data set in parts. Read in silence, they would double episodes or leave some out.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from jatlab.utils.checks import require
from jatlab.utils.files import expanded
from jatlab.utils.manifest import check_present

SUFFIX = ".parquet"
FILES = f"*{SUFFIX}"
# what browsers, file managers and synchronisers add to a name: "00000 (1)", "00000 copy 2" …
COPY_MARK = re.compile(
    r"^Copy of |( ?\([^)]*\)| - Copy( \(\d+\))?| copy( \d+)?| \d+|\.sync-conflict-.*)$"
)
PART = re.compile(r"(?P<prefix>.*?)-?(?P<number>\d+)-of-(?P<total>\d+)")
RECORDED = re.compile(r"(\d{5}|relabelled-\d{6})(?=[^0-9A-Za-z])")  # then anything that was added


def data_files(folder: str | Path, pattern: str = FILES) -> list[Path]:
    """The Parquet files of a folder, in order, without hidden ones, such as ``._00000.parquet``.

    Args:
        folder: where they are; it need not exist.
        pattern: of their names.

    Raises:
        ValueError: for a file that is a copy of another, a set of parts ("-00000-of-00003") that is
            not complete, and a file that the task's manifest lists and that is missing.
    """
    check_present(expanded(folder))
    found = expanded(folder).glob(pattern)
    files = sorted(file for file in found if file.is_file() and not file.name.startswith("."))
    _check_copies(files)
    check_parts(files)
    return files


def _check_copies(files: list[Path]) -> None:
    stems = {file.stem: file for file in files}
    for file in files:
        original = next((stems[stem] for stem in _originals(file.stem) if stem in stems), None)
        require(
            original is None,
            f"{file} looks like a copy of {original and original.name}, and its episodes would "
            "count twice: delete it, or give it a name of its own if it is none",
        )
    for first, second in _of_equal_size(files):
        require(
            not filecmp.cmp(first, second, shallow=False),
            f"{second} is the same as {first.name}, byte for byte, and its episodes would count "
            "twice: delete one of them",
        )


def _originals(stem: str) -> Iterable[str]:
    """The names that this one may be a copy's of."""
    unmarked = COPY_MARK.sub("", stem)
    recorded = RECORDED.match(stem)
    return {unmarked, recorded[1] if recorded else unmarked} - {stem}


def _of_equal_size(files: list[Path]) -> Iterable[tuple[Path, Path]]:
    by_size: dict[int, list[Path]] = {}
    for file in files:
        by_size.setdefault(file.stat().st_size, []).append(file)
    return (pair for same in by_size.values() for pair in combinations(same, 2))


def check_parts(files: list[Path]) -> None:
    """Raise ValueError for a set of parts ("-00000-of-00003") that is not complete."""
    sets: dict[str, dict[int, set[int]]] = {}
    for file in files:
        if part := PART.fullmatch(file.stem):
            totals = sets.setdefault(part["prefix"], {})
            totals.setdefault(int(part["total"]), set()).add(int(part["number"]))
    for prefix, totals in sets.items():
        where = f"{files[0].parent}: the parts {prefix or 'NUMBER'}-…-of-"
        counts = ", ".join(f"{total:05d}" for total in totals)
        require(
            len(totals) == 1,
            f"{where}{counts} are sets of different sizes: keep one of them",
        )
        [(total, numbers)] = totals.items()
        missing = sorted(set(range(total)) - numbers)
        require(
            len(numbers) == total,
            f"{where}{total:05d} are not complete: {len(numbers)} of {total} are there, the first "
            f"that is missing is number {missing[0] if missing else total}. Get the others; or, to "
            "use these alone, take '-of-' out of their names",
        )


def cache_home(root: str | Path, name: str, split: str, cache: str | Path | None) -> Path:
    """Where the flat files of a split go: beside the data, or under ``cache``."""
    return expanded(cache or root) / name / "cache" / split
