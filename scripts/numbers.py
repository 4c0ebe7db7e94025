"""The tree in numbers: `python -m scripts.numbers` fills the table of docs/design/numbers.md.

Everything is read from the files, so that it can be counted for any commit: `--root FOLDER` prints
the numbers of another checkout.
"""

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jatlab.experiments.benchmarks.tables import table
from scripts.readme import ROOT, insert

COLUMNS = 100
# what the commit before the new layout had: `git worktree add OLD 279eee8~1`, `--root OLD`
BEFORE = ROOT / "docs" / "design" / "numbers-before.txt"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def numbers(root: Path) -> dict[str, str]:
    """What is counted, by name."""
    package, tests = python(root, "jatlab"), python(root, "tests")
    entries = [
        one for one in (root / "jatlab").iterdir() if one.name not in ("__pycache__", "py.typed")
    ]
    lengths = [length(one) for one in functions(package)]
    long, longest = lines_over(package + tests)
    typed, public = annotated(package)
    return {
        "entries in the package's root": f"{len(entries)}",
        "modules, lines": f"{len(package)}, {sum(map(lines, package)):,}",
        "longest module, lines": f"{max(map(lines, package))}",
        "functions: median, 95 %, longest, in lines": "{:.0f}, {:.0f}, {:.0f}".format(
            *np.percentile(lengths, [50, 95, 100])
        ),
        "public functions with all types": f"{100 * typed / public:.0f} % of {public:,}",
        f"lines over {COLUMNS} characters, longest": f"{long:,}, {longest}",
        "pages of documentation, without the generated": f"{pages(root)}",
        "README, KB": f"{(root / 'README.md').stat().st_size / 1000:.1f}",
        "test functions": f"{len(list(tests_in(tests))):,}",
        "assertions in tests": f"{sum(map(assertions, tests)):,}",
    }


def python(root: Path, folder: str) -> list[Path]:
    """The Python files of a folder."""
    return sorted((root / folder).rglob("*.py"))


def lines(path: Path) -> int:
    """How many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(paths: list[Path]) -> Iterator[Function]:
    """Every function and method."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                yield node


def length(function: Function) -> int:
    """Lines without the docstring."""
    whole = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return whole
    text = function.body[0]
    return whole - ((text.end_lineno or text.lineno) - text.lineno + 1)


def annotated(paths: list[Path]) -> tuple[int, int]:
    """Public functions whose result and arguments all have types, and all public functions."""
    public = [one for one in functions(paths) if not one.name.startswith("_")]
    return sum(map(has_types, public)), len(public)


def has_types(function: Function) -> bool:
    """Whether the result and all arguments but `self` and `cls` have types."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    named = [one for one in every if one is not None and one.arg not in ("self", "cls")]
    return function.returns is not None and all(one.annotation is not None for one in named)


def lines_over(paths: list[Path]) -> tuple[int, int]:
    """How many lines are too long, and the longest."""
    found = [len(line) for path in paths for line in path.read_text("utf-8").splitlines()]
    return sum(one > COLUMNS for one in found), max(found)


def pages(root: Path) -> int:
    """Pages of the site that somebody wrote, the lessons included."""
    return len([*(root / "docs").rglob("*.md"), *(root / "notebooks").glob("*.ipynb")])


def tests_in(paths: list[Path]) -> Iterator[Function]:
    """Functions that pytest runs; one may stand for many cases."""
    return (one for one in functions(paths) if one.name.startswith("test_"))


def assertions(path: Path) -> int:
    """`assert`, and blocks that expect an error or a warning."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = (item for node in ast.walk(tree) if isinstance(node, ast.With) for item in node.items)
    expected = sum("pytest." in ast.unparse(one) for one in blocks)
    return expected + sum(isinstance(node, ast.Assert) for node in ast.walk(tree))


def cases(root: Path = ROOT) -> str:
    """Cases that `make test` and `make fast` run, as pytest collects them."""
    found = []
    for marks in ("not release", "not slow"):
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", marks]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        found.append(re.findall(r"^(\d+)(?:/\d+)? tests? ", done.stdout, re.MULTILINE)[-1])
    return ", ".join(f"{int(one):,}" for one in found)


def main() -> None:
    """Fill the page's table, or print another checkout's numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="another checkout")
    root = parser.parse_args().root
    if root is not None:
        print("\n".join(f"{name}\t{value}" for name, value in numbers(root).items()))
        return
    before = dict(line.split("\t") for line in BEFORE.read_text("utf-8").splitlines())
    now = numbers(ROOT) | {"cases of make test, of make fast": cases()}
    rows = [[name, before.get(name, "–"), value] for name, value in now.items()]
    insert("numbers", table(["", "before the new layout", "now"], rows))


if __name__ == "__main__":
    main()
