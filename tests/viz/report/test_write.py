"""The page, the Markdown and the JSON of a report: complete, self-contained, well formed and
honest.
"""

import json
import re

import pytest

from jatlab.viz.report.tables import summary
from jatlab.viz.report.videos import save_task_video
from jatlab.viz.report.write import write_report
from tests.viz.report.samples import LOG, TASKS, Page, results, video

pytestmark = pytest.mark.usefixtures("measured")


@pytest.fixture(scope="module")
def written(tmp_path_factory, measured):
    """A report with videos and learning curves, and its page, parsed."""
    folder = tmp_path_factory.mktemp("report")
    for task in TASKS[:2]:
        save_task_video(video(), folder / "videos", task)
    write_report(results(), folder, log=LOG, videos=folder / "videos")
    return folder, Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_well_formed(written):
    _, parsed = written
    assert parsed.errors == [] and parsed.open == []
    assert parsed.all("html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_speaks_of_every_task(written):
    _, parsed = written
    for task in TASKS:
        assert parsed.text.count(task.partition("-")[2]) >= 2  # in its table and its chart
    assert "go to the <red> ball" in parsed.text
    assert "0.7" in parsed.text and "1,234 parameters" in parsed.text


def test_every_picture_has_words(written):
    _, parsed = written
    images, videos, charts = parsed.all("img"), parsed.all("video"), parsed.all("svg")
    assert len(images) == 2 and len(videos) == 2
    # two scales a domain, Bowling's human scale, two learning curves
    assert len(charts) == 2 * 2 + 1 + 2
    assert all(len(image["alt"]) > 20 for image in images)
    assert all(len(video["aria-label"]) > 20 for video in videos)
    assert all(chart["role"] == "img" and len(chart["aria-label"]) > 40 for chart in charts)
    assert "go-to-obj 0." in charts[0]["aria-label"]


def test_the_page_needs_no_network_and_no_script(written):
    folder, parsed = written
    assert parsed.all("script") == [] and parsed.all("link") == [] and parsed.all("iframe") == []
    sources = [
        attributes[key]
        for _, attributes in parsed.elements
        for key in ("src", "href", "poster", "xlink:href")
        if key in attributes
    ]
    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "@import" not in text and re.findall(r"url\((?!#)", text) == []


@pytest.mark.parametrize(
    "words",
    [
        "jatlab evaluate demo --tasks <these> & those",
        "1,000,000 to 1,000,005",
        "6 of each task",
        "percentile bootstrap",
        "2031-05-17",
        "torch",
        "f00d",
    ],
)
def test_the_page_says_how_it_was_made(written, words):
    _, parsed = written
    assert words in parsed.text


def test_what_cannot_be_normalised_is_left_out_in_plain_sight(written):
    folder, parsed = written
    card = (folder / "README.md").read_text(encoding="utf-8")
    why = "the published expert (20.4) is no better than the random policy (23.1)"
    for text in (parsed.text, card, summary(results())):
        assert "bowling (no measured teacher)" in text
        assert f"bowling ({why})" in text


def test_the_json_gives_back_the_results(written):
    folder, _ = written
    assert json.loads((folder / "report.json").read_text()) == results()


def test_a_report_is_written_again_from_its_json(written, tmp_path):
    folder, _ = written
    found = json.loads((folder / "report.json").read_text())
    write_report(found, tmp_path, videos=folder / "videos")
    for name in ("README.md", "report.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_markdown_holds_a_row_for_every_task(written):
    folder, _ = written
    text = (folder / "README.md").read_text(encoding="utf-8")
    tables = [table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)]
    assert len(tables) == 2 * 3
    assert all(len({row.count("|") for row in table}) == 1 for table in tables)
    rows = [row for table in tables for row in table]
    for task in TASKS:
        assert sum(row.startswith(f"| {task.partition('-')[2]} |") for row in rows) == 1
    pictures = re.findall(r"!\[[^\]]{10,}\]\((.*?)\)", text)
    assert len(pictures) == 3 and all((folder / picture).exists() for picture in pictures)


def test_nothing_half_written_is_left(written):
    folder, _ = written
    assert not [path for path in folder.rglob("*") if ".tmp" in path.name]


@pytest.mark.slow
def test_a_report_that_cannot_be_finished_keeps_the_old_page(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    write_report(results(TASKS[:1]), tmp_path)
    before = (tmp_path / "report.html").read_bytes()
    monkeypatch.setattr("jatlab.viz.report.page._task_table", full)
    with pytest.raises(OSError):
        write_report(results(TASKS[:1]), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before


def test_no_results_and_no_log_are_clear_errors(tmp_path):
    with pytest.raises(ValueError, match="nothing to report"):
        write_report({"tasks": {}}, tmp_path)
    with pytest.raises(FileNotFoundError, match="no log.jsonl in"):
        write_report(results(), tmp_path, log=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
