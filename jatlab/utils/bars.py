"""Progress bars, the same everywhere: hidden on request, and readable in a log file.

On a terminal and in a notebook a bar redraws itself. In a file it would leave thousands of copies,
so there it prints a line every ten seconds. ``TQDM_DISABLE=1`` and `hidden` show none.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from tqdm import tqdm

EVERY = 10.0  # seconds between two lines in a file
NO = ("", "0", "false", "no", "off")  # values of TQDM_DISABLE that show bars

_hidden = False


@contextmanager
def hidden() -> Iterator[None]:
    """Within the block, no bar is shown."""
    global _hidden
    before, _hidden = _hidden, True
    try:
        yield
    finally:
        _hidden = before


def progress_bar(show: bool = True, **options: Any) -> tqdm:
    """A bar of tqdm.

    Args:
        show: whether to show it, where bars are not hidden.
        **options: of tqdm, such as `total` and `unit`.
    """
    asked = os.environ.get("TQDM_DISABLE", "").lower() in NO
    kind = tqdm if sys.stderr.isatty() else _kind_without_terminal()
    return kind(disable=not (show and asked) or _hidden, dynamic_ncols=True, **options)


def _kind_without_terminal() -> type[tqdm]:
    """A notebook's bar in a notebook, lines elsewhere."""
    from tqdm.auto import notebook_tqdm  # in place of tqdm.autonotebook's, which warns

    return Lines if notebook_tqdm is tqdm else notebook_tqdm


class Lines(tqdm):
    """A bar for files: it prints a line every ten seconds, and one at its end."""

    def __init__(self, *args: Any, **options: Any):
        self._shown = time.monotonic()
        if not options.get("disable"):
            options["file"] = _WholeLines(options.get("file") or sys.stderr)
        super().__init__(*args, **options)

    def refresh(self, *args: Any, **options: Any) -> bool | None:
        """Print a line, if the last one is ten seconds old."""
        if time.monotonic() - self._shown < EVERY:
            return None
        self._shown = time.monotonic()
        return super().refresh(*args, **options)


class _WholeLines:
    """A file that gets what a bar draws as whole lines, without what moves the cursor."""

    def __init__(self, file: TextIO):
        self._file = file

    def write(self, text: str) -> None:
        """Write what can be seen of ``text``, if anything."""
        if seen := text.replace("\x1b[A", "").strip():
            self._file.write(seen + "\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
