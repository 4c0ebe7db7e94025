"""Badges and links follow from the homepage in pyproject.toml; stamping changes nothing else."""

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

from scripts import badges, lessons
from tests.support import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HOME = "https://github.com/somebody/something"


HEADER = "# 00 · Title\n\n<!-- badges -->\n\n**You will be able to** see.\n"


def text(name, source):
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def notebook():
    setup = {
        "cell_type": "code",
        "id": "b",
        "metadata": {"k": 1},
        "source": badges.SETUP.format(homepage="https://github.com/old/home"),
        "execution_count": 3,
        "outputs": [{"text": ["<!-- badges -->"]}],
    }
    header = text("a", HEADER.splitlines(keepends=True))
    return {
        "cells": [header, setup, text("c", "no badges here")],
        "metadata": {"kernelspec": {"name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def test_badges_and_address_are_stamped():
    after = badges.stamped(notebook(), "00_a.ipynb", HOME)
    header = lessons.source(after["cells"][0])
    binder = "mybinder.org/v2/gh/somebody/something/main?labpath=notebooks%2F00_a.ipynb"
    colab = "colab.research.google.com/github/somebody/something/blob/main/notebooks/00_a.ipynb"
    assert f"(https://{binder})" in header and f"(https://{colab})" in header
    assert header.startswith("# 00 · Title\n\n[![Open in Binder]")
    assert "<!-- badges -->\n\n**You will" in header
    assert lessons.source(after["cells"][1]) == badges.SETUP.format(homepage=HOME)


def test_the_rest_stays_as_it_was():
    before, after = notebook(), badges.stamped(notebook(), "00_a.ipynb", HOME)
    assert after["cells"][2] == before["cells"][2] and after["metadata"] == before["metadata"]
    assert {**after["cells"][1], "source": 0} == {**before["cells"][1], "source": 0}


def test_stamping_again_changes_nothing(tmp_path):
    file = tmp_path / "00_a.ipynb"
    file.write_text(json.dumps(notebook()))
    assert badges.stamp(file, HOME)
    once = file.read_bytes()
    assert not badges.stamp(file, HOME) and file.read_bytes() == once
    assert badges.stamp(file, "https://github.com/somebody/elsewhere")
    assert "something" not in file.read_text()


def test_other_hosts_are_refused():
    with pytest.raises(ValueError, match="https://github.com/OWNER/NAME"):
        badges.repository("https://example.org/somebody/something")


def test_a_lesson_is_read_from_its_header():
    paragraphs = (
        "# 07 · Evaluation",
        "**You will be able to**",
        "- count,\n- compare.",
        "**You need** lesson 00.",
        "**Minutes, hardware**: 20–30 minutes with exercises, two cores.",
        "More.",
    )
    notebook = {"cells": [{"cell_type": "markdown", "source": "\n\n".join(paragraphs)}]}
    one = lessons.lesson(notebook, "07_evaluation.ipynb")
    assert (one.number, one.name) == ("07", "Evaluation")
    assert (one.objectives, one.needs) == ("count; compare.", "lesson 00.")
    assert (one.time, one.hardware) == ("20–30", "Two cores.")


def test_the_minutes_in_brackets_are_not_the_hardware():
    minutes = "**Minutes, hardware**: 60 minutes (30 to read, 30 for the exercises). Two CPU cores."
    notebook = {"cells": [{"cell_type": "markdown", "source": f"# 00 · A\n\n{minutes}"}]}
    one = lessons.lesson(notebook, "00_a.ipynb")
    assert (one.time, one.hardware) == ("60", "Two CPU cores.")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stamped_with_the_present_address(path):
    before = json.loads(path.read_text(encoding="utf-8"))
    after = badges.stamped(before, path.name, badges.homepage())
    assert after == before, f"run `make badges`: {path.name} has other links"


def test_the_table_of_lessons_is_up_to_date():
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    wanted = badges.table(lessons.lessons(), badges.homepage(), "")
    found = re.search(r"<!-- lessons:start -->\n(.*?)\n<!-- lessons:end -->", text, re.DOTALL)
    assert found[1] == wanted, "run `make badges`"


def test_the_same_address_everywhere():
    home, project = badges.homepage(), tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert home == project["project"]["urls"]["Homepage"]
    for page in (ROOT / "README.md", ROOT / "notebooks" / "README.md"):
        for address in re.findall(r"git\+(https://[^\s\"`)]+)", page.read_text()):
            assert address == home


@pytest.mark.slow
def test_the_script_runs_from_anywhere(tmp_path):
    """Importing scripts/badges.py finds its neighbours; nothing is stamped here."""
    code = "from scripts import badges; print(badges.homepage())"
    environment, command = os.environ | {"PYTHONPATH": str(ROOT)}, [sys.executable, "-c", code]
    said = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)
    assert said.strip() == badges.homepage()
