"""Check what a release uploads, in `dist/`: `make dist` runs it after the build.

The sdist has every file that git tracks; the wheel has the package and nothing else. Both say how
large they are.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
WHEEL_MEGABYTES = 26


def tracked(root: Path = ROOT) -> set[str]:
    """Return the paths of all files that git tracks, relative to the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True
    )
    return {path for path in listing.stdout.split("\0") if path and (root / path).exists()}


def sdist_files(sdist: Path) -> set[str]:
    """Return the paths of an sdist's files, without its top folder."""
    with tarfile.open(sdist) as archive:
        return {one.name.split("/", 1)[1] for one in archive.getmembers() if one.isfile()}


def wheel_files(wheel: Path) -> set[str]:
    """Return the paths of a wheel's files, without those that describe the wheel itself."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def missing_from_sdist(sdist: set[str], files: set[str]) -> list[str]:
    """Complain about each tracked file that the sdist lacks."""
    return [f"the sdist lacks {name}: name it in MANIFEST.in" for name in sorted(files - sdist)]


def wheel_differences(wheel: set[str], files: set[str]) -> list[str]:
    """Complain about each file of the package that the wheel lacks, and about all others."""
    package = {name for name in files if name.startswith("jatlab/")}
    lacking = [
        f"the wheel lacks {name}: name it in pyproject.toml, [tool.setuptools.package-data]"
        for name in sorted(package - wheel)
    ]
    return lacking + [f"the wheel should not have {name}" for name in sorted(wheel - package)]


def too_large(wheel: Path, limit: float = WHEEL_MEGABYTES) -> list[str]:
    """Complain if the wheel has more megabytes than `limit`."""
    size = wheel.stat().st_size / 1e6
    return [f"{wheel.name} has {size:.1f} MB, at most {limit} are allowed"] if size > limit else []


def only(pattern: str, folder: Path) -> Path:
    """Return the one file of a folder that matches. Raises ValueError if there is none, or more."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"{folder} has {len(found)} files {pattern}, one is needed: run make dist")
    return found[0]


def main() -> int:
    """Print sizes and complaints. Returns 1 if there are complaints."""
    sdist, wheel, files = only("*.tar.gz", DIST), only("*.whl", DIST), tracked()
    for path in (sdist, wheel):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    complaints = missing_from_sdist(sdist_files(sdist), files)
    complaints += wheel_differences(wheel_files(wheel), files) + too_large(wheel)
    print("\n".join(complaints) or "sdist and wheel have what they should")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
