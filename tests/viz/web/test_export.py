"""The page as a file, and as what a notebook's cell shows."""

import html
import json
import re
from html.parser import HTMLParser

import pytest

from jatlab.viz import export_html
from tests.support.little_tasks import GRID, PUSH

NASTY = "</script><script>alert(\"hi\")</script> & 'so' on <!--"


class Elements(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, page):
        super().__init__()
        self.found, self.scripts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.found and self.found[-1][0] == "script":
            self.scripts[-1] += data


def data_of(page):
    return json.loads(Elements(page).scripts[0])


def test_one_file_that_asks_for_nothing(played, agent, tmp_path):
    page = export_html(played(GRID), tmp_path / "a.html", agent=agent, task=GRID, seed=7)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text == page.html and len(text.encode()) < 100_000
    assert not re.search(r"https?://|@import|url\(", text)
    for _, attributes in Elements(text).found:
        assert not {"href", "action"} & set(attributes)
        assert attributes.get("src") is None  # pictures come from the data


def test_the_page_says_who_played_what(played, agent):
    page = export_html(played(GRID), agent=agent, task=GRID, seed=7)
    assert page.title == "app-grid · tiny · seed 7"
    data = data_of(page.html)
    assert (data["task"], data["about"]) == (GRID, "tiny · seed 7")
    assert data["attention"]["kinds"] == ["global", "local"]
    assert repr(page) == f"<app-grid · tiny · seed 7: a page of {len(page.html.encode()):,} bytes>"


def test_the_task_is_the_one_played_last_unless_given(played, agent):
    episode = played(PUSH)
    assert data_of(export_html(episode, agent=agent).html)["task"] == PUSH
    assert data_of(export_html(episode).html)["task"] == "an episode"


def test_missions_tasks_and_names_cannot_become_html(played):
    episode = played(GRID)
    episode["text_observations"] = [NASTY] * 12
    page = export_html(episode, agent=NASTY, names=[NASTY])
    elements = Elements(page.html)
    assert [tag for tag, _ in elements.found].count("script") == 2
    data = json.loads(elements.scripts[0])
    assert data["mission"] == NASTY and data["about"] == NASTY
    assert data["actions"]["names"][0] == NASTY
    assert html.escape(NASTY) in page.html.split("</title>")[0]
    assert "innerHTML" not in elements.scripts[1]  # all of it is put in as text


def test_a_cell_shows_a_frame_that_holds_the_page(played):
    page = export_html(played(GRID), agent=NASTY, height=500)
    shown = Elements(page._repr_html_()).found
    assert [tag for tag, _ in shown] == ["div", "p", "iframe"]
    frame = shown[-1][1]
    assert frame["srcdoc"] == page.html  # the parser takes the escapes away, as a browser does
    assert frame["sandbox"] == "allow-scripts" and frame["title"] == page.title
    assert "height: 500px" in frame["style"]


def test_a_page_loses_detail_until_it_fits(played, agent):
    episode = played(GRID)
    whole = len(export_html(episode, agent=agent).html.encode())
    smaller = export_html(episode, agent=agent, limit=whole - 1).html
    assert len(smaller.encode()) < whole
    with pytest.raises(ValueError, match="bytes, and the limit is 9,000: allow more, or play"):
        export_html(episode, agent=agent, limit=9_000)


def test_wrong_names_and_episodes_are_clear_errors(played, tmp_path):
    episode = played(GRID, render=False)
    with pytest.raises(ValueError, match=r"rollout\(agent, env, render=True\)"):
        export_html(episode)
    with pytest.raises(ValueError, match="ends in .html, not '.htm'"):
        export_html(episode, tmp_path / "a.htm")
    with pytest.raises(ValueError, match="ends in .html, not 'in no suffix'"):
        export_html(episode, tmp_path / "a")
    with pytest.raises(ValueError, match="unknown task"):
        export_html(played(GRID), task="app-gird")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_json_lacks_do_not_stop_the_page(played):
    episode = played(PUSH)
    episode["continuous_observations"][3, 0] = float("nan")
    assert data_of(export_html(episode).html)["observed"]["seen"][3][0] == 0


def test_the_package_offers_the_page_and_names_what_it_lacks():
    from jatlab import viz

    assert "export_html" in dir(viz)
    with pytest.raises(AttributeError, match="no attribute 'export_htm'; it offers Page"):
        _ = viz.export_htm
