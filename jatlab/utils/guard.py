"""Whether worker processes can be started from where this process is.

A spawned process imports the script that its parent runs. Without ``if __name__ == "__main__":`` it
would do the script's work again instead of ours.
"""

from __future__ import annotations

import ast
import multiprocessing
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType

GUARD = 'if __name__ == "__main__":'
GUARDS = {"__name__", "parent_process", "current_process"}  # what a guard asks for


def is_importing_main() -> bool:
    """Whether this is a worker process that is still importing its parent's script."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def why_not() -> str:
    """Why worker processes cannot be started from here; "" if they can."""
    if multiprocessing.current_process().daemon:
        return "this is a worker process itself"
    if _lacks_guard():
        return (
            f"{_main().__file__} has no `{GUARD}` around what it does, and every worker process "
            "would do it again"
        )
    return ""


def _main() -> ModuleType:
    return sys.modules["__main__"]


def _lacks_guard() -> bool:
    """Whether the script's own lines are being run, without a guard around or above them."""
    file = getattr(_main(), "__file__", None)
    line = _line_of_script(file) if file else None  # a notebook has no file
    if file is None or line is None or _is_never_imported():
        return False
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return not any(
        node.lineno <= line and isinstance(node, ast.If) and _is_guard(node.test)
        for node in tree.body
    )


def _is_never_imported() -> bool:
    """Whether this is ``python -m PACKAGE``, which spawned processes do not import."""
    spec = getattr(_main(), "__spec__", None)
    return spec is not None and spec.name.endswith(".__main__")


def _line_of_script(file: str) -> int | None:
    """The line of the script that is being run; None if it has ended, as after ``python -i``."""
    frame: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        code, is_main = frame.f_code, frame.f_globals is vars(_main())
        if is_main and code.co_name == "<module>":
            is_file = Path(code.co_filename).name == Path(file).name
            return frame.f_lineno if is_file else None
        frame = frame.f_back
    return None


def _is_guard(test: ast.expr) -> bool:
    nodes = ast.walk(test)
    return any(getattr(node, "id", getattr(node, "attr", None)) in GUARDS for node in nodes)


@contextmanager
def importable_main() -> Iterator[None]:
    """Inside, a script that comes from standard input is not one that processes try to import."""
    main, file = _main(), getattr(_main(), "__file__", None)
    if file is None or Path(file).exists():
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file
