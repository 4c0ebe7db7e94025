"""Links of the finished site, and of the pages that GitHub and a package index show."""

import re

import pytest

from scripts.docs import links
from scripts.docs.pages import ROOT

HTML = {
    "index.html": "<a href='a/b.html#here'>b</a><img src='x.png'><a href='#top'>t</a><p id='top'>",
    "a/b.html": "<h1 id='here'>b</h1><a href='../index.html'>i</a><a href='http://a.org'>e</a>",
}


@pytest.fixture
def site(tmp_path):
    for name, text in HTML.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "x.png").write_bytes(b"")
    links.read.cache_clear()
    return tmp_path


def test_a_whole_site_has_no_complaints(site):
    assert links.site_complaints(site) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<a href='gone.html'>g</a>", "gone.html: there is no such file"),
        ("<a href='a/b.html#gone'>g</a>", "a/b.html#gone: there is no such place in b.html"),
        ("<img src='gone.png'>", "gone.png: there is no such file"),
        (f"<a href='{links.SITE}gone.html'>g</a>", "there is no such file"),
        (f"<a href='{links.REPOSITORY}blob/main/gone.py'>g</a>", "the repository has no such file"),
    ],
)
def test_a_dead_link_is_named(site, text, complaint):
    (site / "index.html").write_text(text)
    (found,) = links.site_complaints(site)
    assert found.startswith("index.html: ") and found.endswith(complaint)


def test_markdown_links_are_looked_up(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        f"[a](other.md) ![b](gone.png)\n```\n[c](code.md)\n```\n[d]({links.RAW}main/README.md)"
    )
    (tmp_path / "other.md").write_text("")
    assert links.markdown_complaints(page) == ["page.md: gone.png: there is no such file"]


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_is_short():
    assert len(README.encode()) <= 9000


def test_readme_has_absolute_links_only():
    assert not [link for link in links.MARKDOWN_LINK.findall(README) if "://" not in link]
    assert links.markdown_complaints(ROOT / "README.md") == []


def test_readme_names_files_and_commands_that_exist():
    """The tree of the README, line by line: every folder and file that it names is there."""
    tree = re.search(r"```text\n(jatlab/\n.*?)```", README, re.DOTALL)[1]
    folder = ""
    for line in tree.splitlines()[1:]:
        if match := re.match(r"  (\w+)/ ", line):
            folder = match[1]
            assert (ROOT / "jatlab" / folder).is_dir(), folder
        for name in re.findall(r"\b(\w+\.py)\b", line):
            if name != "lessonNN.py":
                assert list((ROOT / "jatlab" / folder).rglob(name)), f"{folder}: {name}"
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
