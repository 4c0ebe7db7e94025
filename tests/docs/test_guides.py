"""The code of every page that shows how to do something is run, with smaller numbers."""

import subprocess
import sys

import pytest

from tests.docs import guides
from tests.support import ROOT

DOCS = ROOT / "docs"
PAGES = [*sorted((DOCS / "guides").glob("*.md")), DOCS / "start" / "first-steps.md"]
PAGES = [page for page in PAGES if page.name != "index.md"]
needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="the pages' commands are for bash")


@pytest.mark.slow
@needs_bash
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs(page, tmp_path):
    guides.run(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_has_code_and_it_parses(page):
    found = guides.blocks(page.read_text(encoding="utf-8"))
    assert any(not block.not_run and not block.file for block in found)
    for block in found:
        if block.kind == "python":
            compile(block.code, page.name, "exec")
        elif block.kind == "sh" and sys.platform != "win32":
            subprocess.run(["bash", "-n", "-c", block.code], check=True)


def test_blocks_are_taken_as_their_comments_say():
    page = (
        "<!-- file: a.py -->\n```python\nx = 1\n```\n\n"
        "Text.\n\n<!-- short: 100 -> 2; slow -> quick -->\n```sh\nrun slow 100\n```\n"
        "<!-- not run: no network -->\n```sh\nget it\n```\n```text\nshown\n```\n"
    )
    first, second, third = guides.blocks(page)
    assert (first.file, first.code) == ("a.py", "x = 1\n")
    assert (second.kind, second.code, second.file) == ("sh", "run quick 2\n", "")
    assert third.not_run == "no network" and third.line == 14


def test_what_is_to_be_shortened_must_be_there():
    with pytest.raises(ValueError, match="nothing to shorten: '100'"):
        guides.blocks("<!-- short: 100 -> 2 -->\n```sh\nrun 1000000\n```\n".replace("1000000", "7"))


def test_a_block_that_fails_is_named(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 1\n```\n\n```python\nassert x == 2, 'not two'\n```\n")
    with pytest.raises(AssertionError, match="line 6(?s:.)*not two"):
        guides.run(page, tmp_path)
