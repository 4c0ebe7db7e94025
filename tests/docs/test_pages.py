"""Generated pages: the command line from its parser, tables between marks, the picture."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from jatlab.cli import build_parser
from scripts import readme, reference, structure
from scripts.docs import pages
from scripts.gpu import table


def test_every_command_and_option_is_described():
    text = pages.commands()
    for name, parser in pages.subcommands(build_parser()).items():
        section = text.split(f"## jatlab {name}\n")[1].split("\n## ")[0]
        for action in parser._actions:
            for option in action.option_strings:
                assert option in section or option in ("-h", "--help"), (name, option)


def test_defaults_are_shown_once():
    section = pages.commands().split("## jatlab record\n")[1].split("\n## ")[0]
    assert "`--episodes EPISODES`\n: Episodes of each task. Default: `100`." in section


def test_a_default_of_zero_is_shown(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    section = pages.commands().split("## jatlab record\n")[1].split("\n## ")[0]
    assert "Default: `0`." in section
    assert "[--episodes EPISODES] [--output" in section, "lines as long as in any other terminal"


@pytest.mark.slow
def test_results_are_tables():
    assert pages.ablations().count("## ") >= 10
    assert "| task | variant | score |" in pages.ablations()
    assert "192.7 M" in pages.cost() and pages.cost().startswith("## paper")


def test_an_unchanged_page_is_not_written_again(tmp_path):
    pages._write(tmp_path / "a" / "page.md", "text")
    before = (tmp_path / "a" / "page.md").stat().st_mtime_ns
    pages._write(tmp_path / "a" / "page.md", "text\n")
    assert (tmp_path / "a" / "page.md").stat().st_mtime_ns == before


@pytest.mark.parametrize("mark", sorted(readme.PAGES))
def test_the_pages_have_the_marks_of_the_scripts(mark):
    assert readme.inserted(mark).startswith(("|", "Means", "100", "`make", "27", "Imitated", "One"))


def test_the_gpus_tables_are_those_of_the_measurements():
    measured = json.loads((readme.RESULTS / "gpu.json").read_text(encoding="utf-8"))
    assert readme.inserted("gpu") == table.tables(measured)


def test_the_references_tables_are_those_of_the_measurements():
    assert readme.inserted("reference") == reference.tables()


def test_insert_replaces_what_stands_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x:start -->\nold\n<!-- x:end -->\nb\n", encoding="utf-8")
    readme.insert("x", "new\nlines", page)
    assert page.read_text() == "a\n<!-- x:start -->\nnew\nlines\n<!-- x:end -->\nb\n"
    assert readme.inserted("x", page) == "new\nlines"
    with pytest.raises(ValueError, match="y:start"):
        readme.inserted("y", page)


@pytest.mark.slow
def test_the_picture_shows_all_floors():
    drawn = structure.drawing()
    texts = [node.text for node in ElementTree.fromstring(drawn).iter() if node.text]
    folders = {path.parent.name for path in structure.PACKAGE.glob("*/__init__.py")}
    assert folders == set(structure.floors()) == set(structure.ABOUT)
    assert folders <= set(texts)
    assert "No import points up." in drawn


def test_the_committed_picture_has_these_floors():
    committed = structure.PICTURE.read_text(encoding="utf-8")
    assert all(f">{name}<" in committed for name in structure.floors())
