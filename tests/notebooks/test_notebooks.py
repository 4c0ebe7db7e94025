"""Every notebook is what a lesson must be, as tests/support/guards.py says, without running it.

`make notebooks` runs them.
"""

import json

import nbformat
import pytest

from scripts.badges import homepage
from tests.support import ROOT, guards

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MARKDOWN = [
    ROOT / "README.md",
    *sorted((ROOT / "notebooks").glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
GUARDS = {
    "header": lambda notebook, path: guards.title_and_header(notebook, path.name),
    "set-up cell": lambda notebook, path: guards.setup_cell(notebook, homepage()),
    "recap and references": lambda notebook, path: guards.ending(notebook),
    "exercises": lambda notebook, path: guards.exercises_complete(notebook, path.name[:2]),
    "a deep exercise": lambda notebook, path: guards.deep_exercise(path.name[:2]),
    "a diagram": lambda notebook, path: guards.diagram(notebook),
    "open projects": lambda notebook, path: guards.open_projects(notebook),
    "stubs": lambda notebook, path: guards.stubs_untouched(notebook),
    "run from top to bottom": lambda notebook, path: guards.was_run(notebook),
    "checked cells": lambda notebook, path: guards.checked_cells(notebook),
    "nothing of a machine in outputs": lambda notebook, path: guards.machine_in_outputs(notebook),
    "alt texts": lambda notebook, path: guards.alt_texts(notebook),
    "solutions": lambda notebook, path: guards.solutions_run_here(notebook),
    "names of solutions": lambda notebook, path: guards.solutions_are_named_as_asked(notebook),
    "what GitHub leaves": lambda notebook, path: guards.left_without_scripts(notebook),
    "widget state": lambda notebook, path: guards.widget_state(notebook),
    "size": lambda notebook, path: guards.size(path),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("guard", GUARDS)
def test_lesson(path, guard):
    complaints = GUARDS[guard](json.loads(path.read_text(encoding="utf-8")), path)
    complain(f"notebooks/{path.name}, {guard}", complaints)


def complain(about: str, complaints: list[str]) -> None:
    if complaints:
        pytest.fail(f"{about}:\n- " + "\n- ".join(complaints), pytrace=False)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_format(path):
    nbformat.validate(nbformat.read(path, as_version=nbformat.NO_CONVERT))


def test_fourteen_lessons():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(14)]


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [*MARKDOWN, *NOTEBOOKS], ids=name_of)
def test_links_lead_somewhere(page):
    complain("dead links", guards.dead_links(guards.prose(page), page))


@pytest.mark.parametrize("page", MARKDOWN, ids=name_of)
def test_pictures_have_alt_texts(page):
    complain(page.name, guards.without_alt(page.read_text(encoding="utf-8")))
