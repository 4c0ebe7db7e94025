"""What the kit takes along: `python -m scripts.gpu.wheels FOLDER`, where there is a network.

FOLDER/site.tar.xz holds packages for Python 3.12 on x86-64 Linux, installed and small enough to
travel in one go: nothing is drawn on that machine, so Meta-World's textures are replaced by one
pixel each, and pygame's manual, tests and examples stay behind. torch, numpy, pyarrow, accelerate,
safetensors, tokenizers, scipy and pytest are expected to be there already.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

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
LEFT_BEHIND = ("pygame/docs", "pygame/tests", "pygame/examples")


def install(folder: Path) -> None:
    """All packages for that machine, without what they depend on."""
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    python = ("--python-version", "3.12", "--implementation", "cp")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, *python, *platforms, "--target", str(folder), *PACKAGES], check=True)


def slim(folder: Path) -> None:
    """Leave out what only matters to somebody who looks."""
    for name in LEFT_BEHIND:
        shutil.rmtree(folder / name, ignore_errors=True)
    for picture in (folder / "metaworld").rglob("*.png"):
        with Image.open(picture) as found:
            small = found.convert("RGB").resize((1, 1))
        small.save(picture)


def main() -> None:
    """Install, slim and pack."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder))
        slim(Path(folder))
        with tarfile.open(target / "site.tar.xz", "w:xz") as archive:
            archive.add(folder, ".")
    print(f"{target / 'site.tar.xz'}: {(target / 'site.tar.xz').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
