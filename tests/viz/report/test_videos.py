"""Videos in a page: beside it where they are large, GIFs where no encoder is."""

from jatlab.viz.report.page import page
from jatlab.viz.report.videos import save_task_video
from tests.viz.report.samples import TASKS, Page, results, video


def test_large_videos_stay_beside_the_page(tmp_path, monkeypatch):
    save_task_video(video(), tmp_path / "videos", TASKS[0])
    monkeypatch.setattr("jatlab.viz.report.videos.EMBED", 10)
    parsed = Page(page(results(TASKS[:1]), [], tmp_path / "videos"))
    [element], [image] = parsed.all("video"), parsed.all("img")
    assert element["src"] == f"videos/{TASKS[0]}.mp4" and element["preload"] == "none"
    assert image["src"] == f"videos/{TASKS[0]}-strip.webp" and image["loading"] == "lazy"


def test_without_an_encoder_the_video_is_a_gif(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ImportError("no imageio-ffmpeg")

    monkeypatch.setattr("jatlab.viz.video._write_mp4", missing)
    assert save_task_video(video(), tmp_path, TASKS[0]).suffix == ".gif"
    images = Page(page(results(TASKS[:1]), [], tmp_path)).all("img")
    assert [image["src"][:14] for image in images] == ["data:image/gif", "data:image/web"]
