"""The player's menus and sliders, changed as a reader does."""

import asyncio

import numpy as np

from jatlab.viz.player.app import Player
from tests.support.little_tasks import GRID, PUSH
from tests.viz.player.driving import change, click, until


def test_menus_begin_anew(player):
    player.advance(2)
    change(player, "seed", 11)
    assert (player.watch.seed, player.watch.length) == (11, 0)
    change(player, "task", PUSH)
    assert (player.watch.task, player.watch.length, player.watch.who) == (PUSH, 0, "agent")
    change(player, "who", "random")
    player.advance(2)
    assert player.watch.moments[-1].attention is None and player.about == "random actions"
    change(player, "who", "agent")
    change(player, "context", 2)
    change(player, "policy", "published")
    assert (player.watch.agent.memory.context, player.watch.agent.memory.policy) == (2, "published")


def test_who_can_play_follows_the_task(player):
    change(player, "task", "babyai-go-to-obj")
    there = [value for _, value in player.controls.menus["who"].options]
    assert there[:4] == ["agent", "teacher", "random", "you"] and "jatlab-mini" in there
    assert player.controls.menus["who"].label == "tiny"
    change(player, "who", "teacher")
    player.advance(1)
    assert player.about == "the teacher plays" and player.watch.length == 1
    change(player, "task", GRID)
    assert player.watch.who == "agent" and player.controls.menus["who"].value == "agent"


def test_temperature_matters_from_the_next_decision_on(player):
    player.advance(1)
    change(player, "temperature", 0.0)
    player.advance(4)
    for moment in list(player.watch.moments)[2:]:
        shares = [share for _, share, _ in moment.facts.bars]
        assert moment.action == int(np.argmax(shares))
    change(player, "temperature", 3.0)
    player.advance(1)
    warm = [share for _, share, _ in player.watch.moments[-1].facts.bars]
    assert np.std(warm) < np.std(shares)


def test_layer_head_and_looking_back_change_the_picture(player):
    player.advance(6)
    pictures = [player.picture]
    for name, value in (("layer", 1), ("head", 1), ("index", 2)):
        change(player, name, value)
        pictures.append(player.picture)
    assert all((a != b).any() for a, b in zip(pictures[:-1], pictures[1:], strict=True))
    index = player.controls.menus["index"]
    assert index.max == 6
    player.step()
    assert player.watch.length == 7 and index.value == 7  # a step looks at the newest again


def test_menus_say_what_none_means(player):
    labels = [player.controls.menus[name].label for name in ("layer", "head", "context")]
    assert labels == ["mean", "mean", "all that fits"]
    change(player, "layer", 1)
    change(player, "layer", "all")
    assert player.layer is None
    with Player(player.agent, GRID, context=3) as other:
        assert other.controls.menus["context"].label == "3 timesteps"


def test_the_slider_pauses(player):
    async def script():
        click(player, "Play")
        await until(lambda: player.watch.length > 2)
        change(player, "index", 1)
        await asyncio.sleep(0.1)
        return player.watch.length

    length = asyncio.run(script())
    assert not player.playing and player.watch.length == length < 12


def test_frames_are_kept_of_the_last_timesteps_only(agent, monkeypatch):
    monkeypatch.setattr("jatlab.viz.player.watching.KEPT", 5)
    with Player(agent, GRID) as player:
        player.advance(9)
        assert [moment.step for moment in player.watch.moments] == [5, 6, 7, 8, 9]
        change(player, "index", 6)
        assert player.watch.moments[player.place].step == 6
        index = player.controls.menus["index"]
        assert (index.min, index.max) == (5, 9)
        change(player, "seed", 12)  # a new episode begins below the last one's least
        assert (index.min, index.value, index.max) == (0, 0, 1)
