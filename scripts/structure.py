"""The picture of the package's structure, from the code itself: `python -m scripts.structure`.

Every folder of the package is a floor. The order of the floors is the one in pyproject.toml that
import-linter holds; what the picture shows is counted in the files: a dot stands where modules of
one floor import modules of another, deferred imports included, and its number says how many do.
An import that pointed up would be a dot below the line of the floor that it imports from.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "jatlab"
PICTURE = ROOT / "docs" / "design" / "structure.svg"
ABOUT = {
    "cli": "the commands, a module for each group",
    "lessons": "checks and solutions of the notebooks",
    "experiments": "recipes, ablations, baselines, benchmarks",
    "viz": "figures, videos, the player, the report",
    "training": "the training loop, its recipe and state",
    "evaluation": "seeded episodes, scores and intervals",
    "agents": "a model that remembers and acts",
    "data": "episodes, windows, batches; recording",
    "teachers": "who shows how a task is done",
    "tasks": "environments by name, and their scores",
    "model": "the network: read jat.py first",
    "utils": "checks, files, worker processes",
}
WIDTH, LEFT, TOP, ROW, COLUMN = 860, 20, 124, 44, 42
BOX = 320  # width of a floor's box
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
INK, MUTED, FILL, LINE, DOT = "#1f2933", "#5f6b7a", "#f3f6fa", "#c9d3df", "#2a6f97"


def floors() -> list[str]:
    """The package's folders from the top floor down, as import-linter holds them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "floors")
    return [layer.strip().removeprefix("jatlab.") for line in layers for layer in line.split("|")]


def modules() -> Counter:
    """How many modules each folder has, those without code left out."""
    return Counter(
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.glob("*/**/*.py")
        if path.read_text(encoding="utf-8").strip()
    )


def imports() -> Counter:
    """How many modules of one folder import from another: {(importing, imported): modules}."""
    found: Counter = Counter()
    for path in sorted(PACKAGE.glob("*/**/*.py")):
        importing = path.relative_to(PACKAGE).parts[0]
        for imported in _imported_folders(path) - {importing}:
            found[importing, imported] += 1
    return found


def _imported_folders(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("jatlab.")} & set(ABOUT)


def drawing() -> str:
    """The picture as an SVG: a row a floor, with the floors below that it imports from."""
    rows, counts, found = floors(), modules(), imports()
    height = TOP + ROW * len(rows) + 20
    columns = {name: LEFT + BOX + 44 + COLUMN * place for place, name in enumerate(rows[1:])}
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' role='img' {FONT}",
        f"     viewBox='0 0 {WIDTH} {height}'>",
        f"<title>{escape(_in_words(rows, found))}</title>",
        f"<rect width='{WIDTH}' height='{height}' rx='8' fill='#ffffff'/>",
        _text(LEFT, 30, "floors of jatlab/, modules", INK, 14, "600"),
        _text(LEFT + BOX + 26, 30, "imports from (number of importing modules)", INK, 14, "600"),
        *(_column(name, x, rows.index(name)) for name, x in columns.items()),
        *(_row(name, place, counts[name]) for place, name in enumerate(rows)),
        *(
            _dot(columns[imported], rows.index(importing), number, importing, imported)
            for (importing, imported), number in sorted(found.items())
            if imported in columns
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _in_words(rows: list[str], found: Counter) -> str:
    up = [
        f"{importing} imports {imported}"
        for importing, imported in found
        if rows.index(importing) > rows.index(imported)
    ]
    verdict = "No import points up." if not up else f"Imports that point up: {', '.join(up)}."
    return f"The floors of jatlab, from the top down: {', '.join(rows)}. {verdict}"


def _text(x: float, y: float, words: str, color: str, size: int, weight: str = "400") -> str:
    style = f"fill='{color}' font-size='{size}' font-weight='{weight}'"
    return f"<text x='{x}' y='{y}' {style}>{escape(words)}</text>"


def _row(name: str, place: int, count: int) -> str:
    y = TOP + ROW * place
    return "\n".join(
        [
            f"<rect x='{LEFT}' y='{y}' width='{BOX}' height='{ROW - 6}' rx='5' fill='{FILL}' "
            f"stroke='{LINE}'/>",
            _text(LEFT + 10, y + 16, name, INK, 13, "600"),
            _text(LEFT + 10, y + 31, ABOUT[name], MUTED, 11),
            f"<text x='{LEFT + BOX - 10}' y='{y + 16}' text-anchor='end' fill='{MUTED}' "
            f"font-size='11'>{count}</text>",
        ]
    )


def _column(name: str, x: float, last: int) -> str:
    """A column's name, and a line down to the floor that it stands for."""
    bottom = TOP + ROW * last + ROW / 2 - 3
    return "\n".join(
        [
            f"<line x1='{x}' y1='{TOP - 8}' x2='{x}' y2='{bottom}' stroke='{LINE}'/>",
            f"<text transform='translate({x + 4} {TOP - 14}) rotate(-35)' fill='{INK}' "
            f"font-size='12'>{name}</text>",
            f"<line x1='{LEFT + BOX}' y1='{bottom}' x2='{x}' y2='{bottom}' stroke='{LINE}'/>",
        ]
    )


def _dot(x: float, row: int, number: int, importing: str, imported: str) -> str:
    y = TOP + ROW * row + ROW / 2 - 3
    radius = 8 + min(number, 30) ** 0.5
    about = f"{number} modules of {importing} import from {imported}"
    return (
        f"<g><title>{about}</title><circle cx='{x}' cy='{y}' r='{radius:.1f}' fill='{DOT}'/>"
        f"<text x='{x}' y='{y + 4}' text-anchor='middle' fill='#ffffff' font-size='11' "
        f"font-weight='600'>{number}</text></g>"
    )


def main() -> None:
    """Write the picture where the design page shows it."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(drawing(), encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)}: {len(floors())} floors, {sum(modules().values())} modules")


if __name__ == "__main__":
    main()
