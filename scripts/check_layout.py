"""Check the layout's limits, which no linter knows: `make lint` runs it.

The limits keep the tree easy to find one's way in. See CONTRIBUTING.md, section "Layout".
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOT_ENTRIES = 16  # of jatlab/, folders included
FOLDER_MODULES = 12  # `__init__.py` is not counted
MODULE_LINES = 350
FEWER_LINES = {"jatlab/model/jat.py": 250}  # it is read first, and as a whole
TEST_NAME_CHARACTERS = 60
MANY_MODULES = {"jatlab/lessons"}  # a module for each lesson
# not of one folder of the package
OTHER_TESTS = {"browser", "docs", "fuzz", "notebooks", "packaging", "scripts", "support"}


def root_entries(root: Path = ROOT) -> list[str]:
    """Complain if the package's root has more entries than a reader can take in."""
    uncounted = {"__pycache__", "py.typed"}  # the latter is an empty marker for type checkers
    entries = sorted(one.name for one in (root / "jatlab").iterdir() if one.name not in uncounted)
    if len(entries) <= ROOT_ENTRIES:
        return []
    return [
        f"jatlab/ has {len(entries)} entries, at most {ROOT_ENTRIES} are allowed: "
        f"move one into a folder ({', '.join(entries)})"
    ]


def folder_modules(root: Path = ROOT) -> list[str]:
    """Complain about each folder of the package that has too many modules."""
    complaints = []
    for init in sorted((root / "jatlab").rglob("__init__.py")):
        folder = init.parent.relative_to(root).as_posix()
        count = len(list(init.parent.glob("*.py"))) - 1
        if count > FOLDER_MODULES and folder not in MANY_MODULES:
            complaints.append(
                f"{folder}/ has {count} modules, at most {FOLDER_MODULES} are allowed: "
                "group some of them in a folder of their own"
            )
    return complaints


def module_lines(root: Path = ROOT) -> list[str]:
    """Complain about each module of the package, and each script, that is too long."""
    modules = [*(root / "jatlab").rglob("*.py"), *(root / "scripts").rglob("*.py")]
    complaints = []
    for path in sorted(modules):
        name, count = path.relative_to(root).as_posix(), len(path.read_text("utf-8").splitlines())
        most = FEWER_LINES.get(name, MODULE_LINES)
        if count > most:
            complaints.append(
                f"{name} has {count} lines, at most {most} are allowed: split it by subject"
            )
    return complaints


def long_test_names(root: Path = ROOT) -> list[str]:
    """Complain about each test whose name is a sentence of more than sixty characters."""
    complaints = []
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            if len(node.name) > TEST_NAME_CHARACTERS:
                complaints.append(
                    f"{path.relative_to(root).as_posix()}:{node.lineno}: {node.name} has "
                    f"{len(node.name)} characters, at most {TEST_NAME_CHARACTERS} are allowed"
                )
    return complaints


def mirrored_tests(root: Path = ROOT) -> list[str]:
    """Complain about each folder of tests that has no counterpart in the package."""
    complaints = []
    for init in sorted((root / "tests").rglob("__init__.py")):
        folder = init.parent.relative_to(root / "tests")
        if folder.parts and folder.parts[0] in OTHER_TESTS:
            continue
        if not (root / "jatlab" / folder).is_dir():
            complaints.append(
                f"tests/{folder.as_posix()}/ has no counterpart jatlab/{folder.as_posix()}/: "
                "put tests where the tested module is"
            )
    return complaints


CHECKS = (root_entries, folder_modules, module_lines, long_test_names, mirrored_tests)


def main() -> int:
    """Print all complaints. Returns 1 if there are any."""
    complaints = [complaint for check in CHECKS for complaint in check()]
    print("\n".join(complaints) or "layout: within its limits")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
