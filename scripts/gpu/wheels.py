"""Wheels that the kit takes along: `python -m scripts.gpu.wheels FOLDER`, where there is a network.

They are for Python 3.12 on x86-64 Linux. FOLDER/1, FOLDER/2 … get at most 15 MB each, a larger
wheel in parts, so that each folder can travel for itself. torch, numpy, pyarrow, accelerate,
safetensors, tokenizers, scipy and pytest are expected to be there already.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = (
    "gymnasium==1.4.0",
    "farama-notifications",
    "minigrid==3.2.0",
    "pygame-ce",
    "metaworld==3.1.1",
    "mujoco==3.3.0",
    "glfw",
    "ale-py==0.12.1",
)
PLATFORMS = [f"manylinux_2_{n}_x86_64" for n in (28, 27, 24, 17)] + ["manylinux2014_x86_64"]
MOST_BYTES = 15_000_000


def download(folder: Path) -> None:
    """All wheels, without what they depend on."""
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    python = ("--python-version", "3.12", "--implementation", "cp")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, *python, *platforms, "-d", str(folder), *PACKAGES], check=True)


def pieces(wheel: Path) -> list[tuple[str, bytes]]:
    """The wheel, or NAME.part0, NAME.part1 … of it: (file name, content)."""
    content = wheel.read_bytes()
    if len(content) <= MOST_BYTES:
        return [(wheel.name, content)]
    firsts = range(0, len(content), MOST_BYTES)
    return [
        (f"{wheel.name}.part{number}", content[first : first + MOST_BYTES])
        for number, first in enumerate(firsts)
    ]


def pack(files: list[tuple[str, bytes]]) -> list[list[tuple[str, bytes]]]:
    """The files in as few loads as the largest-first rule makes, none above ``MOST_BYTES``."""
    loads: list[list[tuple[str, bytes]]] = []
    for file in sorted(files, key=lambda file: -len(file[1])):
        fitting = (load for load in loads if size([*load, file]) <= MOST_BYTES)
        load = next(fitting, None)
        if load is None:
            loads.append(load := [])
        load.append(file)
    return loads


def size(load: list[tuple[str, bytes]]) -> int:
    """Bytes of a load."""
    return sum(len(content) for _, content in load)


def main() -> None:
    """Download, cut and pack."""
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        download(Path(folder))
        files = [piece for wheel in sorted(Path(folder).iterdir()) for piece in pieces(wheel)]
    for number, load in enumerate(pack(files), 1):
        (target / str(number)).mkdir(parents=True, exist_ok=True)
        for name, content in load:
            (target / str(number) / name).write_bytes(content)
        print(f"{target / str(number)}: {len(load)} files, {size(load) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
