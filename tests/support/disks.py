"""Disks that are small, or that cannot be written to: a tmpfs, seen by one command alone."""

from __future__ import annotations

import subprocess
from pathlib import Path


def on_disk(folder: Path, options: str, script: str, *words: str) -> list[str] | None:
    """A command that runs a script of the shell with a tmpfs on ``folder``, which is its $0.

    Root may mount one, and who may map itself to root. None where neither is allowed.

    Args:
        folder: exists.
        options: of the mount, such as "size=300k" or "ro".
        script: what runs; ``words`` are its $1, $2 and so on.
        *words: the script's.
    """
    mount = f'mount -t tmpfs -o {options} tmpfs "$0"'
    for rights in ([], ["--user", "--map-root-user"]):
        unshare = ["unshare", *rights, "--mount", "sh", "-c"]
        try:
            tried = subprocess.run([*unshare, mount, str(folder)], stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            return None
        if tried.returncode == 0:
            return [*unshare, f"{mount} && {script}", str(folder), *words]
    return None
