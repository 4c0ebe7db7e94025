"""Playing an episode for its page: the command, and the call that it makes."""

import json
import re

import pytest

from jatlab.agents.rollout import RandomAgent
from jatlab.cli import main
from jatlab.viz.web.playing import play_html
from tests.support.little_tasks import GRID, Little, nothing_left


def data_of(text):
    return json.loads(re.search(r'id="episode">(.*?)</script>', text, re.S)[1])


def test_the_page_of_an_agent(agent, tmp_path):
    with nothing_left():
        page = play_html(agent, GRID, tmp_path / "a.html", seed=7, max_steps=5)
    data = data_of((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert (data["task"], data["about"], data["length"]) == (GRID, "tiny · seed 7", 5)
    assert data["attention"] and data["actions"]["shares"] and data["observed"]["expected"][1]
    assert page.title == "app-grid · tiny · seed 7"


def test_the_page_of_the_random_policy_is_a_film(tmp_path):
    play_html(RandomAgent(), GRID, tmp_path / "a.html")
    data = data_of((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert data["about"] == "random · seed 1000000" and data["length"] == 12
    assert data["attention"] is None


def test_a_wrong_name_is_an_error_before_anything_is_played(agent, monkeypatch):
    monkeypatch.setattr(Little, "reset", lambda self, **_: pytest.fail("played"))
    with pytest.raises(ValueError, match="ends in .html"):
        play_html(agent, GRID, "a.gif")


def test_frames_are_drawn_no_larger_than_shown(agent, monkeypatch, tmp_path):
    draw = Little.render
    monkeypatch.setattr(Little, "render", lambda self: draw(self).repeat(20, 0).repeat(20, 1))
    kept = []
    monkeypatch.setattr(
        "jatlab.viz.web.playing.export_html", lambda episode, *_, **__: kept.append(episode)
    )
    play_html(agent, GRID, tmp_path / "a.html", max_steps=2)
    assert [frame.shape for frame in kept[0]["frames"]] == [(213, 320, 3)] * 3


@pytest.mark.slow
def test_the_command_writes_a_page(tmp_path, capsys):
    path = tmp_path / "episode.html"
    words = f"play jatlab-mini babyai-go-to-obj --seed 1000001 --max-steps 8 --output {path}"
    assert main(words.split()) in (0, None)
    assert (
        f"written: {path}, <babyai-go-to-obj · jatlab-mini · seed 1000001"
        in capsys.readouterr().out
    )
    data = data_of(path.read_text(encoding="utf-8"))
    assert data["actions"]["names"][:3] == ["left", "right", "forward"]
    assert path.stat().st_size < 3_000_000
