"""Badges and links follow from the homepage in pyproject.toml, and stamping disturbs nothing else.
"""

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


def notebook():
    setup = badges.SETUP.format(homepage="https://github.com/old/home")
    return {
        "cells": [
            {
                "cell_type": "markdown",
                "id": "a",
                "metadata": {},
                "source": ["# 00 · Title\n", "\n", "<!-- badges -->\n", "\n", "**You will be able to** see.\n"],
            },
            {"cell_type": "code", "id": "b", "metadata": {"k": 1}, "source": setup, "execution_count": 3, "outputs": [{"text": ["<!-- badges -->"]}]},
            {"cell_type": "markdown", "id": "c", "metadata": {}, "source": "no badges here"},
        ],
        "metadata": {"kernelspec": {"name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def test_badges_and_address_are_stamped():
    after = badges.stamped(notebook(), "00_a.ipynb", HOME)
    text = lessons.source(after["cells"][0])
    assert "(https://mybinder.org/v2/gh/somebody/something/main?labpath=notebooks%2F00_a.ipynb)" in text
    assert "(https://colab.research.google.com/github/somebody/something/blob/main/notebooks/00_a.ipynb)" in text
    assert text.startswith("# 00 · Title\n\n[![Open in Binder]") and "<!-- badges -->\n\n**You will" in text
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
    text = "# 07 · Evaluation\n\n**You will be able to**\n\n- count,\n- compare.\n\n**You need** lesson 00.\n\n**Minutes, hardware**: 20–30 minutes with exercises, two cores.\n\nMore."
    one = lessons.lesson({"cells": [{"cell_type": "markdown", "source": text}]}, "07_evaluation.ipynb")
    assert (one.number, one.name, one.objectives, one.needs) == ("07", "Evaluation", "- count, - compare.", "lesson 00.")
    assert (one.time, one.hardware) == ("20–30", "Two cores.")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stamped_with_the_present_address(path):
    before = json.loads(path.read_text(encoding="utf-8"))
    assert badges.stamped(before, path.name, badges.homepage()) == before, f"run `make badges`: {path.name} has other links"


def test_the_table_of_lessons_is_up_to_date():
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    wanted = badges.table(lessons.lessons(), badges.homepage(), "")
    assert re.search(r"<!-- lessons:start -->\n(.*?)\n<!-- lessons:end -->", text, re.DOTALL)[1] == wanted, "run `make badges`"


def test_the_same_address_everywhere():
    home = badges.homepage()
    assert home == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Homepage"]
    for page in (ROOT / "README.md", ROOT / "notebooks" / "README.md"):
        for address in re.findall(r"git\+(https://[^\s\"`)]+)", page.read_text()):
            assert address == home


def test_the_script_runs_from_anywhere(tmp_path):
    """Importing scripts/badges.py finds its neighbours; nothing is stamped here."""
    code = "from scripts import badges; print(badges.homepage())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == badges.homepage()
