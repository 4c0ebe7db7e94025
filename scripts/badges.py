"""Links to Binder and Colab, from one place: the homepage in pyproject.toml. `make badges` runs it;
run twice, it changes nothing the second time.

Stamped are each notebook's badge line (the line that ends in `<!-- badges -->`), the address in its
set-up cell, and the tables of lessons in notebooks/README.md (between `<!-- lessons:start -->` and
`<!-- lessons:end -->`). Outputs stay as they are.
"""

import json
import re
import tomllib
from pathlib import Path

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
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"][
        "Homepage"
    ].rstrip("/")


def repository(home: str) -> str:
    """ "owner/name" of a GitHub address. ValueError for another address: Binder's and Colab's links
    are made for GitHub.
    """
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", home)
    if not match:
        raise ValueError(
            f"Homepage in pyproject.toml is {home!r}; the links to Binder and Colab need https://github.com/OWNER/NAME"
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


def stamped(notebook: dict, name: str, home: str) -> dict:
    """The notebook (as JSON) with badges and set-up address of `home`; everything else as it was."""
    cells = [dict(cell) for cell in notebook["cells"]]
    for cell in cells:
        old = source(cell)
        if cell["cell_type"] == "markdown":
            # the mark comes last: a line that begins with it would be HTML, and its badges would
            # not be drawn
            new = re.sub(
                rf"^.*{re.escape(MARK)}$",
                lambda _: f"{links(name, home)} {MARK}",
                old,
                flags=re.MULTILINE,
            )
        else:
            new = re.sub(
                r'(%pip install .*"jatlab\[colab\] @ git\+)[^"]*(")',
                lambda match: f"{match[1]}{home}{match[2]}",
                old,
            )
        if new != old:
            cell["source"] = new.splitlines(keepends=True)
    return notebook | {"cells": cells}


def stamp(path: Path, home: str) -> bool:
    """Stamp one notebook's file; whether it changed."""
    before = path.read_text(encoding="utf-8")
    notebook = json.loads(before)
    after = stamped(notebook, path.name, home)
    if after == notebook:
        return False
    path.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return True


def table(every: list[Lesson], home: str, folder: str) -> str:
    """The lessons as a Markdown table, with badges; `folder` stands before their files, as seen
    from the page.
    """
    rows = ["| | lesson | you will be able to | minutes | |", "| --- | --- | --- | ---: | --- |"]
    for one in every:
        rows.append(
            f"| {one.number} | [{one.name}]({folder}{one.file}) | {one.objectives} | {one.time} | {links(one.file, home)} |"
        )
    return "\n".join(rows)


def details(every: list[Lesson]) -> str:
    """What each lesson needs, as a Markdown table."""
    rows = ["| | needs | hardware |", "| --- | --- | --- |"]
    return "\n".join(rows + [f"| {one.number} | {one.needs} | {one.hardware} |" for one in every])


def main() -> None:
    home = homepage()
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if stamp(path, home):
            print(f"stamped {path.relative_to(ROOT)}")
    insert("lessons", table(lessons(), home, ""), NOTEBOOKS / "README.md")
    insert("needs", details(lessons()), NOTEBOOKS / "README.md")


if __name__ == "__main__":
    main()
