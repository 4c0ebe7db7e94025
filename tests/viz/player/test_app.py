"""The rollout player, driven headless: buttons are clicked as a reader does."""

import asyncio
import sys

import pytest

from jatlab.viz.player.app import DRAWN, Player
from tests.support.little_tasks import BROKEN, GRID, OPEN, PUSH, Little
from tests.viz.player.driving import change, click, until

# --- playing ---


def test_play_pause_and_end(player):
    async def script():
        change(player, "speed", 40)
        click(player, "Play")
        assert player.controls.buttons["Play"].disabled
        await until(lambda: player.watch.length >= 3)
        click(player, "Pause")
        await asyncio.sleep(0.05)
        length = player.watch.length
        assert 3 <= length < 12 and len(asyncio.all_tasks()) == 1
        await asyncio.sleep(0.2)
        assert player.watch.length == length  # paused means paused
        click(player, "Play")
        await until(lambda: not player.playing)
        assert len(asyncio.all_tasks()) == 1
        return length

    asyncio.run(script())
    assert player.watch.done and player.watch.length == 12 and player.watch.total == 12
    assert "over, with success" in player.controls.status.value
    assert OPEN == []  # an episode that is over needs no environment


def test_after_the_end_play_takes_the_next_seed_reset_the_same(player):
    async def script():
        player.advance(99)
        click(player, "Play")
        assert (player.seed, player.watch.length, player.controls.menus["seed"].value) == (8, 0, 8)
        click(player, "Reset")

    asyncio.run(script())
    assert (player.seed, player.watch.length, player.playing) == (8, 0, None)
    player.advance(99)
    click(player, "Reset")
    assert (player.seed, player.watch.length) == (8, 0)


def test_step_takes_one_timestep_until_the_episode_ends(player):
    for length in range(1, 13):
        click(player, "Step")
        assert player.watch.length == length
    assert player.controls.buttons["Step"].disabled


def test_fast_speeds_take_several_timesteps_a_picture(player, monkeypatch):
    lengths = []

    def note_length(*_, **__):
        lengths.append(player.watch.length)

    monkeypatch.setattr(player.controls, "show", note_length)
    player.choose(speed=3 * DRAWN)

    async def script():
        player.play()
        await until(lambda: not player.playing)

    asyncio.run(script())
    assert list(dict.fromkeys(lengths)) == [0, 3, 6, 9, 12]
    probed = [bool(moment.context) for moment in player.watch.moments]
    assert probed[1:12] == [False, False, True] * 3 + [False, False]


def test_the_loop_runs_while_the_player_plays(player):
    """Others get a turn at least once a picture."""

    async def script():
        turns = 0
        player.choose(speed=60)
        player.play()
        while player.playing:
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(script()) >= 3


def test_playing_without_a_loop_says_what_to_do(player):
    with pytest.raises(RuntimeError, match="advance"):
        player.play()


def test_an_error_while_playing_is_told_beside_the_buttons(agent):
    async def script():
        click(player, "Play")
        await until(lambda: not player.playing)

    with Player(agent, BROKEN) as player:
        asyncio.run(script())
        assert player.controls.status.value == "ValueError: the gearbox broke"
        player.controls.menus["task"].value = GRID
        assert player.watch.task == GRID and player.controls.status.value == ""


def test_wrong_choices_are_clear_errors(player, agent):
    with pytest.raises(ValueError, match="'colour'; it has task"):
        player.choose(colour="red")
    with pytest.raises(ValueError, match="'teacher' cannot play app-grid"):
        Player(agent, GRID, who="teacher")
    with pytest.raises(ValueError, match="unknown task"):
        Player(agent, "app-gird")


# --- leaving nothing behind ---


def test_one_player_at_a_time_has_an_environment(agent):
    with Player(agent, GRID) as first, Player(agent, PUSH) as second:
        assert len(OPEN) == 1 and "took over" in first.controls.status.value
        second.advance(1)
        first.advance(1)  # begins anew, and takes it back
        assert first.watch.length == 1 and len(OPEN) == 1
        assert "took over" in second.controls.status.value


def test_closing_takes_widgets_and_environment_away(agent):
    async def script():
        player.play()
        await until(lambda: player.watch.length > 0)
        player.close()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1

    player = Player(agent, GRID)
    asyncio.run(script())
    length = player.watch.length
    assert OPEN == [] and player.controls.box.comm is None
    player.close()
    for harmless in (player.step, player.reset, player.pause, player.play):
        harmless()
    assert player.watch.length == length and OPEN == []


def test_a_begin_that_fails_leaves_no_environment(agent, monkeypatch):
    monkeypatch.setattr(Little, "reset", lambda self, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Player(agent, GRID)
    assert OPEN == []


# --- what is displayed ---


def test_what_a_cell_displays_has_widgets_a_picture_and_words(player):
    bundle, metadata = player._repr_mimebundle_()
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert "timestep 0 of app-grid" in metadata["image/png"]["alt"]
    assert view["model_id"] == player.controls.box.model_id
    assert bundle["image/png"][:4] == b"\x89PNG" and "app-grid" in bundle["text/plain"]
    assert player.controls.image.value[:2] == b"\xff\xd8"


def test_without_ipywidgets_a_sentence_helps(agent, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.delitem(sys.modules, "jatlab.viz.player.controls", raising=False)
    with Player(agent, GRID) as player:
        player.advance(3)
        bundle, _ = player._repr_mimebundle_()
        assert "pip install ipywidgets" in bundle["text/plain"]
        assert set(bundle) == {"image/png", "text/plain"}
        assert player.watch.length == 3


def test_timings_name_their_parts(player):
    taken = player.timings(4)
    assert set(taken) == {"step", "draw", "encode", "picture", "processor"}
    assert taken["picture"] == pytest.approx(taken["step"] + taken["draw"] + taken["encode"])
    assert all(value > 0 for value in taken.values())
