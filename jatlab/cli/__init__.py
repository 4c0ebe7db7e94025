"""The command line.

| commands                                     | module        |
| -------------------------------------------- | ------------- |
| `tasks`                                      | `tasks`       |
| `record`, `measure`, `relabel`, `fetch`      | `data`        |
| `convert`                                    | `convert`     |
| `teachers`, `teach`                          | `teachers`    |
| `train`                                      | `train`       |
| `evaluate`, `play`, `generate`, `export`     | `play`        |
| `push`                                       | `push`        |
| `demo`, `mini`, `ablate`, `bench`, `cost`    | `experiments` |
| `verify`, `info`, `completion`               | `info`        |

Each command is one function. It imports what it needs when it runs, so `jatlab --help` answers at
once.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from io import TextIOWrapper

from jatlab.cli.parser import build_parser
from jatlab.utils.bars import hidden
from jatlab.utils.console import ERRORS
from jatlab.utils.worker import import_own

NO_MEMORY = (
    "there was no memory left: try fewer workers, or a smaller batch or model. What is finished is "
    "kept; the same command goes on from there"
)
# arguments that are, or may be, files and folders
PATHS = {"agent", "config", "data", "folder", "image", "output", "path", "resume", "root", "source"}
PATHS |= {"demonstrations", "report", "start", "stream"}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        argv: the words after `jatlab`; those of this process if None.

    Returns:
        0: done. 1: done in part, or a check failed. 2: a mistake of the user, explained on standard
        error. 130: interrupted.
    """
    _print_in_any_encoding()
    arguments = vars(build_parser().parse_args(argv))
    command, quiet = arguments.pop("command"), arguments.pop("quiet", False)
    imports = arguments.pop("imports", [])
    for name in PATHS & arguments.keys():
        if isinstance(arguments[name], str):  # a shell leaves --output=~/x as it is
            arguments[name] = os.path.expanduser(arguments[name])
    try:
        import_own(imports)
        with hidden() if quiet else nullcontext():
            return command(**arguments) or 0
    except KeyboardInterrupt as interruption:
        print(f"\n{interruption or 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stderr.close()
        return 0
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _lacks_memory(error):
            raise
        print(f"error: {NO_MEMORY}", file=sys.stderr)
        return 2


def _lacks_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether there was no memory left; PyTorch says so in words alone."""
    said = str(error).lower()
    words = ("out of memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, MemoryError) or any(one in said for one in words)


def _print_in_any_encoding() -> None:
    """Replace characters that the terminal's encoding lacks, instead of stopping at them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors=ERRORS)
