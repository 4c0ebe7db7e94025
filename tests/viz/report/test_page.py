"""The page, the Markdown and the JSON of an evaluation: complete, self-contained, well formed, and
honest.
"""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from jatlab.evaluation.evaluate import EpisodeVideo, evaluate
from jatlab.evaluation.results import assemble
from jatlab.tasks import Task, register, scores
from jatlab.viz.report.page import (
    evaluate_and_report,
    page,
    save_grid,
    save_task_video,
    write_report,
)
from jatlab.viz.report.tables import comparison, interval, number, plural, summary

TASKS = ("babyai-go-to-obj", "babyai-go-to-local", "metaworld-reach", "atari-bowling")
VOID = {"meta", "img", "br", "path", "use", "input", "link", "hr"}


class Page(HTMLParser):
    """Every element of a page, and whether each that opens is closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text, self.errors = [], [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.errors.append(f"</{tag}> closes something else")

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", autouse=True)
def measured(tmp_path_factory):
    """Measured scores of our own choosing."""
    folder = tmp_path_factory.mktemp("scores")
    (folder / "published_scores.json").write_bytes(
        (scores.FOLDER / "published_scores.json").read_bytes()
    )
    entries = {
        name: {"random": {"mean": 0.1}, "teacher": {"mean": 0.9, "episodes": 50}}
        for name in TASKS[:3]
    }
    (folder / "measured_scores.json").write_text(json.dumps(entries))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "FOLDER", folder)
        yield


def results(tasks=TASKS, name="demo", mean=0.7, **settings):
    rng = np.random.default_rng(0)
    settings = {
        "episodes": 6,
        "seed": 1_000_000,
        "envs": 4,
        "greedy": False,
        "temperature": 1.0,
        "max_steps": None,
        **settings,
    }
    agent = {"name": name, "parameters": 1234, "fingerprint": "f00d"}
    records = {}
    for task in tasks:
        totals = rng.normal(mean, 0.1, 6)
        words = "go to the <red> ball" if task.startswith("babyai") else ""
        episodes = [
            {
                "seed": 1_000_000 + i,
                "total": float(total),
                "length": 5 + i,
                "success": True,
                "cut": False,
                "mission": words,
            }
            for i, total in enumerate(totals)
        ]
        records[task] = {"task": task, "agent": agent, "settings": settings, "episodes": episodes}
    return assemble(
        records,
        {
            "command": "jatlab evaluate demo --tasks <these> & those",
            "date": "2031-05-17T10:00:00+00:00",
            "seconds": 90.0,
        },
    )


def video(length=12):
    made = EpisodeVideo()
    for step in range(length):
        made.add(
            lambda step=step: np.full((48, 64, 3), 15 * step, np.uint8),
            {"step": step, "total": 0.1 * step, "mission": "go"},
            last=step == length - 1,
        )
    return made


LOG = [
    {"step": i, "timesteps": 1000 * i, "loss": {task: 1.0 / i for task in TASKS[:3]}}
    for i in range(1, 20)
] + [{"step": 20, "timesteps": 20_000, "loss": {}}]


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
    assert [attributes for attributes in parsed.all("html")] == [{"lang": "en"}]
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
    assert (
        len(images) == 2 and len(videos) == 2 and len(charts) == 2 * 2 + 1 + 2
    )  # two scales a domain, Bowling's human scale, two learning curves
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


def test_the_page_says_how_it_was_made(written):
    _, parsed = written
    for words in (
        "jatlab evaluate demo --tasks <these> & those",
        "1,000,000 to 1,000,005",
        "6 of each task",
        "percentile bootstrap",
        "2031-05-17",
        "torch",
        "f00d",
    ):
        assert words in parsed.text


def test_what_cannot_be_normalised_is_left_out_in_plain_sight(written):
    folder, parsed = written
    for text in (
        parsed.text,
        (folder / "README.md").read_text(encoding="utf-8"),
        summary(results(), {}),
    ):
        assert "bowling (no measured teacher)" in text
        assert (
            "bowling (the published expert (20.4) is no better than the random policy (23.1))"
            in text
        )


def test_the_json_gives_back_the_results(written):
    folder, _ = written
    assert json.loads((folder / "report.json").read_text()) == results()


def test_the_markdown_holds_a_row_for_every_task(written):
    folder, _ = written
    text = (folder / "README.md").read_text(encoding="utf-8")
    tables = [table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)]
    assert len(tables) == 2 * 3 and all(
        len({row.count("|") for row in table}) == 1 for table in tables
    )
    rows = [row for table in tables for row in table]
    for task in TASKS:
        assert sum(row.startswith(f"| {task.partition('-')[2]} |") for row in rows) == 1
    pictures = re.findall(r"!\[[^\]]{10,}\]\((.*?)\)", text)
    assert len(pictures) == 3 and all((folder / picture).exists() for picture in pictures)


def test_nothing_half_written_is_left(written):
    folder, _ = written
    assert not [path for path in folder.rglob("*") if ".tmp" in path.name]


def test_a_report_that_cannot_be_finished_keeps_the_old_page(tmp_path, monkeypatch):
    write_report(results(), tmp_path)
    before = (tmp_path / "report.html").read_bytes()
    monkeypatch.setattr(
        "jatlab.viz.report.page._table",
        lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(OSError):
        write_report(results(), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before


def test_large_videos_stay_beside_the_page(tmp_path, monkeypatch):
    save_task_video(video(), tmp_path / "videos", TASKS[0])
    monkeypatch.setattr("jatlab.viz.report.videos.EMBED", 10)
    parsed = Page(page(results(TASKS[:1]), [], tmp_path / "videos"))
    [element], [image] = parsed.all("video"), parsed.all("img")
    assert element["src"] == f"videos/{TASKS[0]}.mp4" and element["preload"] == "none"
    assert image["src"] == f"videos/{TASKS[0]}-strip.webp" and image["loading"] == "lazy"


def test_without_an_encoder_the_film_is_a_gif(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ImportError("no imageio-ffmpeg")

    monkeypatch.setattr("jatlab.viz.video._write_mp4", missing)
    assert save_task_video(video(), tmp_path, TASKS[0]).suffix == ".gif"
    images = Page(page(results(TASKS[:1]), [], tmp_path)).all("img")
    assert [image["src"][:14] for image in images] == ["data:image/gif", "data:image/web"]


def test_names_are_escaped():
    parsed = Page(page(results(TASKS[:1], name="<b>bold & brave</b>"), [], None))
    assert "<b>bold & brave</b>" in parsed.text and parsed.errors == []


def test_only_the_published_experts_scale_meets_the_published_jat():
    found = results(TASKS[:2], mean=1.2)
    tasks = found["tasks"]
    said = comparison(tasks, found["domains"]["babyai"])
    assert "above the published JAT's on 2 of 2 tasks, with the whole interval on 2" in said
    assert "at least as well as the teacher on 2 of 2 tasks" in said
    for task in tasks.values():
        task["by_expert"] = {"left_out": "no published expert"}
    assert "JAT" not in comparison(tasks, found["domains"]["babyai"])


def test_no_results_and_no_log_are_clear_errors(tmp_path):
    with pytest.raises(ValueError, match="nothing to report"):
        write_report({"tasks": {}}, tmp_path)
    with pytest.raises(FileNotFoundError, match="no log.jsonl in"):
        write_report(results(), tmp_path, log=tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no log.jsonl in"):
        evaluate_and_report(
            None, TASKS[0], tmp_path, log=tmp_path / "nowhere"
        )  # before anybody plays
    assert list(tmp_path.iterdir()) == []


def test_the_summary_has_a_line_for_each_domain():
    text = summary(results(), {"babyai": "BabyAI"})
    lines = text.splitlines()
    assert [line.split(",")[0] for line in lines if not line.startswith(" ")] == [
        "BabyAI",
        "metaworld",
        "atari",
    ]
    assert lines[0] == "BabyAI, 2 tasks, success 100 %"
    assert [line.split()[-1] for line in lines if "IQM" in line] == [
        "–",
        "0.99",
        "–",
        "0.655",
        "0.376",
    ]  # as reported
    assert "of our teacher, 2 of 2 tasks" in text and "of human play, 1 of 1 task" in text


def test_numbers_are_short_and_readable():
    assert [number(x) for x in (0, 0.9341, 12.345, -1234.5, 16912.5, 0.00012)] == [
        "0",
        "0.934",
        "12.3",
        "−1,234",
        "16,912",
        "0.00012",
    ]
    assert (
        interval([0.914, 0.968], 2) == "0.91–0.97" and interval([-0.1, 0.2], 2) == "−0.10 to 0.20"
    )
    assert plural(1, "task") == "1 task" and plural(2000, "step") == "2,000 steps"


def test_an_evaluation_becomes_a_report(tmp_path):
    """The whole way on a small task: play, video, log, page; then again, without playing."""
    import gymnasium as gym

    from jatlab.agents.agent import RandomAgent

    class Corridor(gym.Env):
        observation_space, action_space = (
            gym.spaces.Box(-1, 1, (2,), np.float32),
            gym.spaces.Discrete(2),
        )

        def reset(self, *, seed=None, options=None):
            self.time = 0
            return np.zeros(2, np.float32), {}

        def step(self, action):
            self.time += 1
            return np.zeros(2, np.float32), 1.0, self.time == 8, False, {}

        def render(self):
            return np.full((32, 32, 3), 20 * self.time, np.uint8)

    task = "report-corridor"
    register(
        Task(task, "report", "Corridor-v0", None, "continuous", 2, "discrete", 2),
        lambda task, render_mode=None: Corridor(),
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.jsonl").write_text(
        "".join(
            json.dumps({"step": i, "timesteps": 100 * i, "loss": {task: 1 / i}}) + "\n"
            for i in range(1, 9)
        )
    )
    found = evaluate_and_report(
        RandomAgent(),
        task,
        tmp_path / "out",
        log=tmp_path / "run" / "log.jsonl",
        episodes=3,
        progress=False,
    )
    assert found["tasks"][task]["returns"] == [8.0] * 3
    files = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")
    }
    assert files >= {
        "report.html",
        "README.md",
        "report.json",
        f"videos/{task}.mp4",
        f"tasks/{task}.json",
        "figures/report.png",
        "figures/learning-report.png",
    }
    parsed = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert (
        len(parsed.all("video")) == 1 and len(parsed.all("svg")) == 1
    )  # no scale, so the learning curve alone
    again = evaluate(
        RandomAgent(),
        task,
        3,
        output=tmp_path / "out",
        progress=False,
        make=lambda name: pytest.fail("played again"),
    )
    assert again["tasks"] == found["tasks"]


def test_many_tasks_are_folded_away_below_the_averages(tmp_path):
    from jatlab.tasks import task_names

    names = task_names("babyai")[:20]
    for name in names[:3]:
        save_task_video(video(), tmp_path / "videos", name)
    found = results(names)
    found["failed"] = {"babyai-boss-level": "ImportError: <no> minigrid"}
    assert save_grid(found, tmp_path / "videos", {"babyai": "BabyAI"}).stat().st_size < 8_000_000
    parsed = Page(page(found, [], tmp_path / "videos"))
    assert parsed.errors == [] and [
        len(parsed.all(tag)) for tag in ("details", "summary", "video")
    ] == [3, 3, 4]
    kinds = [name for name, _ in parsed.elements]
    assert (
        kinds.index("section") < kinds.index("video") < kinds.index("details")
    )  # averages, then the grid, then the tasks
    assert "autoplay" in parsed.all("video")[0] and all(
        "autoplay" not in video for video in parsed.all("video")[1:]
    )
    assert "babyai-boss-level could not be played: ImportError: <no> minigrid" in parsed.text
    for reported in ("0.853", "0.99", "0.96"):
        assert reported in parsed.text


def test_the_page_shows_text_and_picture_scores_beside_their_baselines():
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
    assert "75 %" in summary(found, {})


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
