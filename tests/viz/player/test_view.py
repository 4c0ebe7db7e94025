"""The player's texts: what they say, and that words of others stay words."""

import re
from html import unescape

import numpy as np
import pytest

from jatlab.viz.attention import by_timestep, reduce_heads
from jatlab.viz.player.app import Player
from jatlab.viz.player.view import bar, past, views_of
from tests.support.little_tasks import GAME, GRID, MISSION, PUSH


def numbers(text):
    return [float(value) for value in re.findall(r"</span><span>(-?\d+\.\d+)</span>", text)]


def test_a_decision_has_its_probabilities(player):
    player.advance(3)
    facts = player.watch.moments[-1].facts
    text = player.controls.texts["decision"].value
    assert numbers(text) == [round(share, 2) for _, share, _ in facts.bars]
    assert text.count("jl-chosen") == 1 and "<strong>3</strong>" in text
    assert MISSION not in text and MISSION in unescape(text)  # it has < and >


@pytest.mark.parametrize("task, pictures", [(GRID, 2), (GAME, 2), (PUSH, 0)])
def test_what_was_expected_stands_beside_what_came(agent, task, pictures):
    with Player(agent, task) as player:
        assert "nothing" in player.controls.texts["seen"].value
        player.advance(2)
        text = player.controls.texts["seen"].value
        assert text.count("<img") == pictures and "nothing" not in text
        assert "with only k timesteps remembered" in text


def test_numbers_have_their_names_and_ranges(agent):
    with Player(agent, PUSH) as player:
        player.advance(1)
        player.watch.numbers = ["speed & such"]
        moment, text = player.watch.moments[-1], views_of(player, moving=True).seen
        assert numbers(text)[:3] == [float(f"{value:.2f}") for value in moment.observed]
        assert "speed &amp; such" in text and "number 2" in text
        assert text.count("<b style") == 3  # a line for each that was expected


def test_attention_names_its_timesteps_layer_and_head(player):
    player.advance(6)
    moments = player.watch.moments
    text = past(moments, -1, 1, 0, frames=True)
    up, down = by_timestep(reduce_heads(moments[-1].attention, 1, 0))
    assert "attention (layer 1, head 0)" in text
    words = re.findall(r'aria-label="([^"]*)"', text)
    assert words == [
        f"timestep {t}: {up[t]:.1%} to its observation, {down[t]:.1%} to its action"
        for t in range(7)
    ]
    heights = [int(value) for value in re.findall(r'<i style="height:(\d+)px', text)]
    assert np.argmax(heights) == np.argmax(up) and max(heights) <= 74
    assert text.count(moments[2].thumbnail) == 2  # for the mouse, and in the strip


def test_a_playing_player_sends_fewer_frames(player):
    player.advance(6)
    still, moving = views_of(player, moving=False).past, views_of(player, moving=True).past
    assert still.count("<img") == 7 + 7 and moving.count("<img") == 7
    assert len(moving.encode()) < 40_000


def test_without_a_model_there_are_frames_only(agent):
    with Player(agent, GRID, who="random") as player:
        player.advance(12)
        text = player.controls.texts["past"].value
        assert "The episode is over, with success" in text and text.count("<img") == 9


def test_bars_begin_at_zero():
    assert "left:50.0%;width:25.0%" in bar("x", 0.5, -1, 1, True, None)
    assert "left:25.0%;width:25.0%" in bar("x", -0.5, -1, 1, True, None)
    assert '<b style="left:100.0%"></b>' in bar("x", 0.0, -1, 1, True, 7.0)  # kept in its range
