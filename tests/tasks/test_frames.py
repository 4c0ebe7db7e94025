"""What `render()` may return: converted, or refused, and never the end of an evaluation."""

import numpy as np
import pytest

from jatlab.agents.rollout import RandomAgent, rollout
from jatlab.evaluation.evaluate import evaluate
from jatlab.tasks import make_env
from jatlab.tasks.frames import as_rgb, fitted
from jatlab.viz.player.playback import play
from jatlab.viz.player.watching import Watch
from jatlab.viz.report import run
from jatlab.viz.report.run import evaluate_and_report
from jatlab.viz.video import read_video
from tests.support.little_tasks import make_agent
from tests.support.odd_tasks import Drawn, own_task

NAME = "odd-drawn"
FACTS = ("continuous", 2, "discrete", 2)
GREY = np.array([[0, 51], [102, 255]], np.uint8)
COLOURS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
OPAQUE = np.concatenate([COLOURS, np.full((2, 2, 1), 255, np.uint8)], 2)
RIGHT = {
    "grey": (GREY, GREY[..., None].repeat(3, 2)),
    "grey-channel": (GREY[..., None], GREY[..., None].repeat(3, 2)),
    "rgba": (OPAQUE, COLOURS),
    "fractions": (COLOURS / 255, COLOURS),
    "floats": (COLOURS.astype(np.float64), COLOURS),
    "float32-fractions": ((COLOURS / 255).astype(np.float32), COLOURS),
    "int64": (COLOURS.astype(np.int64), COLOURS),
    "truth": (GREY > 99, np.where(GREY > 99, 255, 0)[..., None].repeat(3, 2)),
    "nested-list": (COLOURS.tolist(), COLOURS),
    "list-of-frames": ([COLOURS * 0, COLOURS], COLOURS),
    "strided": (COLOURS[::-1, ::-1], COLOURS[::-1, ::-1]),
}
WRONG = {
    "none": (None, "render() returned None, expected a picture"),
    "text": ("+--+", "render() returned text, expected a picture"),
    "object": (object(), "render() returned object, expected a picture"),
    "empty": ([], "an array of shape (0,), expected a picture (h, w, 3)"),
    "flat": (np.zeros(7), "an array of shape (7,), expected a picture (h, w, 3)"),
    "no-pixels": (np.zeros((0, 4, 3)), "an array of shape (0, 4, 3)"),
    "channels": (np.zeros((4, 4, 5)), "an array of shape (4, 4, 5)"),
    "negative": (np.full((2, 2, 3), -1.0), "values from -1.0 to -1.0, expected 0 to 255"),
    "too-large": (np.full((2, 2), 256), "values from 256 to 256, expected 0 to 255"),
    "nan": (np.full((2, 2), np.nan), "values from nan to nan, expected 0 to 255"),
}


def drawn(pictures):
    return own_task(NAME, FACTS, lambda: Drawn(pictures))


@pytest.mark.parametrize("kind", RIGHT)
def test_pictures_of_every_form_become_rgb(kind):
    picture, expected = RIGHT[kind]
    found = as_rgb(picture)
    assert found.dtype == np.uint8 and found.flags.writeable
    np.testing.assert_array_equal(found, expected)
    assert not np.shares_memory(
        found, np.asarray(picture[-1] if kind == "list-of-frames" else picture)
    )
    with drawn(lambda time: picture):
        for frame in rollout(RandomAgent(), make_env(NAME), render=True)["frames"]:
            np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_picture_is_refused_by_name(kind):
    wrong, message = WRONG[kind]
    with pytest.raises(ValueError) as refused:
        as_rgb(wrong)
    assert message in str(refused.value)


def test_a_picture_is_fitted_by_repeating_pixels():
    assert fitted(COLOURS, 2, 2) is COLOURS
    np.testing.assert_array_equal(fitted(COLOURS, 4, 6), COLOURS.repeat(2, 0).repeat(3, 1))
    np.testing.assert_array_equal(fitted(COLOURS.repeat(5, 0), 2, 2), COLOURS)


def raising(time):
    raise RuntimeError("the display is on fire")


def missing(time):
    raise NotImplementedError


def late(time):
    return COLOURS if time < 3 else None


UNSEEN = {
    "none": (WRONG["none"][0], "render() returned None"),
    "text": (WRONG["text"][0], "render() returned text"),
    "raising": (raising, "the display is on fire"),
    "missing": (missing, "the environment has no render()"),
    "late": (late, "render() returned None"),
}


def pictures_of(kind):
    picture, said = UNSEEN[kind]
    return (picture if callable(picture) else lambda time: picture), said


@pytest.mark.parametrize("kind", UNSEEN)
def test_scores_survive_what_cannot_be_drawn(kind, tmp_path):
    pictures, said = pictures_of(kind)
    with drawn(pictures):
        results = evaluate_and_report(
            RandomAgent(), [NAME, "babyai-go-to-obj"], tmp_path, episodes=2, max_steps=6
        )
    assert results["failed"] == {} and results["tasks"][NAME]["returns"] == [6.0, 6.0]
    assert said in results["without_video"][NAME] and len(results["without_video"]) == 1
    assert [path.stem for path in (tmp_path / "videos").glob("*.mp4")] == ["babyai-go-to-obj"]
    page = (tmp_path / "report.html").read_text()
    assert "No video" in page and said.replace("()", "") in page.replace("()", "")


@pytest.mark.parametrize("kind", UNSEEN)
def test_the_player_shows_a_sentence_in_place_of_a_picture(kind):
    pictures, _ = pictures_of(kind)
    with drawn(pictures):
        watch = Watch(make_agent(), NAME)
        while watch.open:
            watch.step()
    assert watch.length == 6 and watch.moments[-1].frame.shape == (320, 320, 3)
    assert len(np.unique(watch.moments[-1].frame)) > 2, "there is nothing written"


@pytest.mark.parametrize("kind", UNSEEN)
def test_playing_without_an_output_draws_nothing(kind, tmp_path):
    pictures, said = pictures_of(kind)
    with drawn(pictures):
        assert play(RandomAgent(), NAME, quiet=True).length == 6
        with pytest.raises(ValueError, match="cannot be saved as a video: ") as refused:
            play(RandomAgent(), NAME, output=tmp_path / "x.gif")
        assert said in str(refused.value)
    with drawn(pictures), pytest.raises((ValueError, RuntimeError)) as refused:
        rollout(RandomAgent(), make_env(NAME), render=True)
    assert said in str(refused.value)


def test_frames_of_changing_size_make_a_video_of_the_first(tmp_path):
    def growing(time):
        return np.full((20 + time, 30 + 2 * time, 3), 10 * time, np.uint8)

    with drawn(growing):
        playback = play(RandomAgent(), NAME, output=tmp_path / "x.gif", quiet=True)
        results = evaluate_and_report(RandomAgent(), NAME, tmp_path, episodes=1, progress=False)
    assert len(playback.pictures) == 7 and len({p.shape for p in playback.pictures}) == 1
    assert results["without_video"] == {}
    assert len(read_video(tmp_path / "videos" / f"{NAME}.mp4")) == 7


def test_scores_survive_a_video_that_cannot_be_written(tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("ffmpeg is gone")

    monkeypatch.setattr(run, "save_task_video", broken)
    with drawn(lambda time: COLOURS):
        results = evaluate_and_report(RandomAgent(), NAME, tmp_path, episodes=2, progress=False)
    assert results["tasks"][NAME]["returns"] == [6.0, 6.0]
    assert results["without_video"] == {NAME: "RuntimeError: ffmpeg is gone"}
    assert (tmp_path / "tasks" / f"{NAME}.json").exists()


def test_bare_environments_without_render_are_scored():
    def bare(name):
        return make_env(name).env

    with drawn(missing):
        how = dict(episodes=1, videos=True, make=bare, progress=False)
        results = evaluate(RandomAgent(), NAME, **how)
    assert results["failed"] == {} and "no render()" in results["without_video"][NAME]
