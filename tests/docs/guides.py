"""The code of a page of the documentation, taken out of it so that it can be run.

Blocks marked ``python`` and ``sh`` are run, in their order, in one folder; blocks marked otherwise
are not, unless they are files. A comment before a block, which readers do not see, changes that:

    <!-- file: cart.py -->                       the block is written to this file, not run
    <!-- short: 1000 -> 20; slow -> quick -->    what is shortened, so that it takes seconds
    <!-- not run: it needs the network -->       the block is only parsed
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(python|sh|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!-- (file|short|not run): ((?:(?!-->).)*) -->\s*\Z", re.DOTALL)
DRIVER = """
import json, subprocess, sys
sys.path.insert(0, ".")
names = {"__name__": "guide"}
for kind, place, code in json.loads(sys.stdin.read()):
    print(f"--- {place}", flush=True)
    if kind == "sh":
        subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)
    else:
        exec(compile(code, place, "exec"), names)
"""


@dataclass(frozen=True)
class Block:
    """One block of code: its language, its first line on the page, and what is done with it."""

    kind: str  # "python" or "sh"; "yaml" for a file
    line: int
    code: str  # as it is run: shortened
    file: str = ""  # written there in place of being run
    not_run: str = ""  # why not


def blocks(page: str) -> list[Block]:
    """The blocks of a page's Markdown, in order.

    Raises:
        ValueError: for something to shorten that the block does not contain.
    """
    found = []
    for match in FENCE.finditer(page):
        notes = _comments(page[: match.start()])
        code = match[2]
        for before, after in _replacements(notes.get("short", "")):
            if before not in code:
                raise ValueError(f"nothing to shorten: {before!r} is not in\n{code}")
            code = code.replace(before, after)
        line = page.count("\n", 0, match.start()) + 2
        file, why_not = notes.get("file", ""), notes.get("not run", "")
        if match[1] == "yaml" and not file:  # shown only
            continue
        found.append(Block(match[1], line, code, file, why_not))
    return found


def _comments(before: str) -> dict[str, str]:
    """The comments that stand right before a block, by their kind."""
    found = {}
    while match := COMMENT.search(before):
        found[match[1]] = " ".join(match[2].split())
        before = before[: match.start()]
    return found


def _replacements(words: str) -> list[tuple[str, str]]:
    pairs = [part.split(" -> ") for part in words.split("; ") if part]
    return [(before.strip(), after.strip()) for before, after in pairs]


def run(path: Path, folder: Path, timeout: float = 300) -> str:
    """Run a page's blocks in ``folder``, in a process of their own; what they print.

    Raises:
        AssertionError: when a block fails, with all that was printed.
    """
    steps = []
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.file:
            (folder / block.file).write_text(block.code, encoding="utf-8")
        elif not block.not_run:
            steps.append((block.kind, f"{path.name}, line {block.line}", block.code))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(steps),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, f"{path.name} does not run:\n{printed[-5000:]}"
    return printed


def environment() -> dict[str, str]:
    """No network, one thread, no screen; the commands of this very environment first."""
    commands = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": os.pathsep.join([commands, os.environ.get("PATH", "")]),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }
