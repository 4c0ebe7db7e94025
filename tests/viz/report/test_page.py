"""Pages of odd results: names to escape, many tasks, text and pictures."""

import pytest

from jatlab.tasks import task_names
from jatlab.viz.report.page import page
from jatlab.viz.report.tables import summary
from jatlab.viz.report.videos import save_grid, save_task_video
from tests.viz.report.samples import TASKS, Page, results, video

pytestmark = pytest.mark.usefixtures("measured")


def test_names_are_escaped():
    parsed = Page(page(results(TASKS[:1], name="<b>bold & brave</b>"), [], None))
    assert "<b>bold & brave</b>" in parsed.text and parsed.errors == []


@pytest.mark.slow
def test_many_tasks_are_folded_away_below_the_averages(tmp_path):
    names = task_names("babyai")[:20]
    for name in names[:3]:
        save_task_video(video(), tmp_path / "videos", name)
    found = results(names)
    found["failed"] = {"babyai-boss-level": "ImportError: <no> minigrid"}
    assert save_grid(found, tmp_path / "videos").stat().st_size < 8_000_000
    parsed = Page(page(found, [], tmp_path / "videos"))
    assert parsed.errors == []
    assert [len(parsed.all(tag)) for tag in ("details", "summary", "video")] == [3, 3, 4]
    kinds = [name for name, _ in parsed.elements]
    # averages, then the grid, then the tasks
    assert kinds.index("section") < kinds.index("video") < kinds.index("details")
    grid, *others = parsed.all("video")
    assert "autoplay" in grid and all("autoplay" not in other for other in others)
    assert "babyai-boss-level could not be played: ImportError: <no> minigrid" in parsed.text
    for reported in ("0.853", "0.99", "0.96"):
        assert reported in parsed.text


def test_text_and_picture_scores_stand_beside_their_baselines():
    found = results(TASKS[:1])
    answers = {
        "exact_match": 0.75,
        "interval": [0.7, 0.8],
        "majority": 0.31,
        "questions": 400,
        "perplexity": 3.5,
        "unigram": 9.0,
        "tokens": 99,
        "documents": 3,
    }
    found["language"] = {"minigrid-questions": answers}
    parsed = Page(page(found, [], None))
    for words in ("minigrid-questions", "75 % [70 %–80 %]", "majority 31 %", "unigram 9.00"):
        assert words in parsed.text
    assert "75 %" in summary(found)


def test_a_page_about_language_alone_does_not_speak_of_episodes():
    found = results(TASKS[:1]) | {"tasks": {}, "domains": {}}
    found["language"] = {
        "python-docs": {
            "perplexity": 3.5,
            "interval": [3.0, 4.0],
            "unigram": 9.0,
            "tokens": 99,
            "documents": 3,
        }
    }
    text = Page(page(found, [], None)).text
    assert "held out of 1 data set of text and pictures" in text
    assert "seeded episode" not in text.split("How well")[1].split("perplexity")[0]
