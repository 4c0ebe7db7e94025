"""Links to Binder and Colab, all from the homepage in pyproject.toml. `make badges` runs it.

It writes each notebook's badge line (the line that ends in `<!-- badges -->`), the address in its
set-up cell, what its page says about exercises (`scripts/exercises.py`), what each section needs
(`scripts/sections.py`), and the tables of lessons in notebooks/README.md (between
`<!-- lessons:start -->` and `<!-- lessons:end -->`). Outputs stay as they are. A second run changes
nothing.
"""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts import exercises, sections
from scripts.lessons import Lesson, lessons, source
from scripts.readme import insert

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
BRANCH = "main"
MARK = "<!-- badges -->"
SETUP = """\
try:
    import jatlab
except ImportError:  # on Colab: installs beside the torch and gymnasium that are there
    %pip install --quiet "jatlab[colab] @ git+{homepage}"
    import jatlab"""


def homepage() -> str:
    """The project's address, without a slash at its end."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["urls"]["Homepage"].rstrip("/")


def repository(home: str) -> str:
    """The "owner/name" of a GitHub address.

    Raises ValueError for another address, because Binder and Colab read from GitHub.
    """
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", home)
    if not match:
        raise ValueError(
            f"Homepage in pyproject.toml is {home!r}; "
            "the links to Binder and Colab need https://github.com/OWNER/NAME"
        )
    return match[1]


def links(name: str, home: str) -> str:
    """Markdown of the two badges of one notebook, such as "00_meet_the_agent.ipynb"."""
    at = repository(home)
    binder = f"https://mybinder.org/v2/gh/{at}/{BRANCH}?labpath=notebooks%2F{name}"
    colab = f"https://colab.research.google.com/github/{at}/blob/{BRANCH}/notebooks/{name}"
    return (
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder}) "
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})"
    )


# The mark comes last: a line that begins with it would be HTML, and its badges would not be drawn.
BADGE_LINE = re.compile(rf"^.*{re.escape(MARK)}$", re.MULTILINE)
INSTALLATION = re.compile(r'(%pip install .*"jatlab\[colab\] @ git\+)[^"]*(?=")')


def stamped(notebook: dict[str, Any], name: str, home: str) -> dict[str, Any]:
    """A notebook (as JSON) with badges and set-up address of `home`; everything else is kept."""
    number = name[:2]
    needed = sections.needs(notebook, number)
    notebook = _changed(notebook, lambda text: sections.stamped(text, needed), lambda code: code)
    return _changed(  # with the lines above, whose words count among the minutes
        notebook,
        lambda text: exercises.stamped(
            BADGE_LINE.sub(lambda _: f"{links(name, home)} {MARK}", text), notebook, number
        ),
        lambda code: INSTALLATION.sub(lambda match: f"{match[1]}{home}", code),
    )


def _changed(
    notebook: dict[str, Any], text: Callable[[str], str], code: Callable[[str], str]
) -> dict[str, Any]:
    """A notebook whose cells of text and of code have become what the functions make of them."""
    cells = [dict(cell) for cell in notebook["cells"]]
    for cell in cells:
        old = source(cell)
        new = (text if cell["cell_type"] == "markdown" else code)(old)
        if new != old:
            cell["source"] = new.splitlines(keepends=True)
    return notebook | {"cells": cells}


def stamp(path: Path, home: str) -> bool:
    """Stamp one notebook's file, and return whether it changed."""
    before = path.read_text(encoding="utf-8")
    notebook = json.loads(before)
    after = stamped(notebook, path.name, home)
    if after == notebook:
        return False
    path.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return True


def table(every: list[Lesson], home: str, folder: str) -> str:
    """The lessons as a Markdown table with badges, for a page that sees them in `folder`."""
    rows = ["| | lesson | you will be able to | minutes | |", "| --- | --- | --- | ---: | --- |"]
    for one in every:
        link, badges = f"[{one.name}]({folder}{one.file})", links(one.file, home)
        rows.append(f"| {one.number} | {link} | {one.objectives} | {one.time} | {badges} |")
    return "\n".join(rows)


def details(every: list[Lesson]) -> str:
    """What each lesson needs, as a Markdown table."""
    rows = [f"| {one.number} | {one.needs} | {one.hardware} |" for one in every]
    return "\n".join(["| | needs | hardware |", "| --- | --- | --- |", *rows])


def main() -> None:
    home = homepage()
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if stamp(path, home):
            print(f"stamped {path.relative_to(ROOT)}")
    insert("lessons", table(lessons(), home, ""), NOTEBOOKS / "README.md")
    insert("needs", details(lessons()), NOTEBOOKS / "README.md")


if __name__ == "__main__":
    main()
