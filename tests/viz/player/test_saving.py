"""What was watched, as files; and training on what you have played."""

import json
import re

import numpy as np
import pytest

from jatlab.agents.rollout import rollout
from jatlab.data.episodes import read_episodes, read_notes
from jatlab.tasks import get_task, make_env
from jatlab.viz.player.app import Player
from jatlab.viz.player.saving import rollout_of
from jatlab.viz.video import read_video
from tests.support.little_tasks import GAME, GRID, PUSH
from tests.viz.player.driving import change, click


@pytest.mark.slow
def test_buttons_write_a_film_and_a_page(player, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    player.advance(4)
    click(player, "Save film")
    assert player.controls.status.value == "Written: app-grid-7.mp4"
    assert len(read_video(tmp_path / "app-grid-7.mp4")) == 5
    click(player, "Save page")
    assert player.controls.status.value == "Written: app-grid-7.html"
    text = (tmp_path / "app-grid-7.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="episode">(.*?)</script>', text, re.S)[1])
    assert (data["task"], data["about"], data["length"]) == (GRID, "tiny · seed 7", 4)
    assert data["attention"] and data["actions"]["shares"][0]


def test_a_film_of_two_has_both(agent, tmp_path):
    with Player(agent, GRID, beside="random") as player:
        player.advance(3)
        frames = read_video(player.save(tmp_path / "a.gif"))
        assert len(frames) == 4 and frames[0].shape[:2] == (320, 2 * 704)


def test_nothing_played_is_no_page(player, tmp_path):
    with pytest.raises(ValueError, match="nothing has been played yet"):
        player.save(tmp_path / "a.html")
    with pytest.raises(ValueError, match=r"ends in \.gif or \.mp4"):
        player.save(tmp_path / "a.avi")


@pytest.mark.parametrize("task", [GRID, PUSH, GAME])
def test_what_was_watched_is_a_rollout(agent, task):
    env = make_env(task)
    wanted = rollout(agent, env, 7, 5, True, True, True)
    env.close()
    with Player(agent, task, seed=7) as player:
        player.advance(5)
        found = rollout_of(player.watch)
    for name in ("rewards", *(name for name in wanted if name.endswith("_actions"))):
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-5)
    for mine, theirs in zip(found["attentions"], wanted["attentions"], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-3)
    expected = wanted["pred_observations"]
    expected = expected[:, -1:] if task == GAME else expected
    np.testing.assert_allclose(found["pred_observations"], expected, atol=1e-4)


def play_an_episode(player, action=1):
    for _ in range(12):
        player.act(f"action {action}")


def test_your_episodes_are_demonstrations(player, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change(player, "who", "you")
    assert player.controls.buttons["Save my play"].disabled
    play_an_episode(player)
    click(player, "Save my play")
    path = tmp_path / "data" / GRID / "train" / "00000.parquet"
    [episode] = read_episodes(path, get_task(GRID))
    assert episode["discrete_actions"].tolist() == [1] * 12 and episode["rewards"].sum() == 12
    env = make_env(GRID)
    first = env.reset(seed=7)[0]["discrete_observation"]
    env.close()
    np.testing.assert_array_equal(episode["discrete_observations"][0], first)
    notes = read_notes(path)
    assert (notes["teacher"], notes["episodes"][0]["seed"]) == ("human", 7)
    facts = json.loads((path.parent.parent / "recording.json").read_text())
    assert facts["policy"] == "a person at the keyboard" and facts["episodes"] == 1
    click(player, "Reset")
    play_an_episode(player, 2)
    change(player, "task", PUSH)
    while not player.watch.done:
        player.act("stay")
    files = player.save_mine(tmp_path / "data")
    assert [file.relative_to(tmp_path / "data").as_posix() for file in files] == [
        "app-grid/train/00001.parquet",
        "app-push/train/00000.parquet",
    ]
    with pytest.raises(ValueError, match="you have finished no episode"):
        player.save_mine(tmp_path / "data")
